//! A pod's sandbox, as a container runtime makes it before it calls a CNI plugin.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::netns::Netns;

/// An empty network namespace that waits for its interface.
#[derive(Debug)]
pub struct Sandbox {
    /// The namespace.
    pub netns: Netns,
    /// The container ID.
    pub container: String,
    /// The interface's name to be.
    pub ifname: String,
    /// The pod's namespace in Kubernetes.
    pub namespace: String,
    /// The pod's name.
    pub pod: String,
    /// The pod's UID.
    pub uid: String,
}

impl Sandbox {
    /// The host link that the attachment gets unless the name is taken: `flock` and the FNV-1a-32 of the container
    /// ID.
    pub fn host_link(&self) -> String {
        format!("flock{:08x}", flock_core::fnv::fnv1a_32(self.container.as_bytes()))
    }
}

/// A sandbox with an interface, and what the plugin said of it.
#[derive(Debug)]
pub struct Attached {
    /// The sandbox.
    pub sandbox: Sandbox,
    /// The CNI result.
    pub result: Value,
}

impl Attached {
    /// Its addresses in the result's order.
    pub fn addresses(&self) -> Vec<IpAddr> {
        addresses(&self.result)
    }

    /// Its IPv6 address.
    ///
    /// # Errors
    /// When it has none.
    pub fn v6(&self) -> Result<Ipv6Addr> {
        let v6 =
            self.addresses().into_iter().find_map(|a| if let IpAddr::V6(v6) = a { Some(v6) } else { None });
        v6.with_context(|| format!("no IPv6 address in {}", self.result))
    }

    /// Its IPv4 address.
    ///
    /// # Errors
    /// When it has none.
    pub fn v4(&self) -> Result<Ipv4Addr> {
        let v4 =
            self.addresses().into_iter().find_map(|a| if let IpAddr::V4(v4) = a { Some(v4) } else { None });
        v4.with_context(|| format!("no IPv4 address in {}", self.result))
    }

    /// The host link: the result's interface that is in no sandbox.
    ///
    /// # Errors
    /// When the result names none.
    pub fn host_link(&self) -> Result<String> {
        let interfaces = self.result["interfaces"].as_array().into_iter().flatten();
        let mut hosts =
            interfaces.filter(|interface| interface["sandbox"].as_str().unwrap_or_default().is_empty());
        let name = hosts.next().and_then(|interface| interface["name"].as_str());
        name.map(str::to_owned).with_context(|| format!("no host interface in {}", self.result))
    }

    /// Sends an echo request to each of its addresses.
    ///
    /// # Errors
    /// When one is not answered.
    pub fn answers(&self, from: &Netns) -> Result<()> {
        self.addresses().into_iter().try_for_each(|address| from.ping(address))
    }
}

/// The addresses of a CNI result.
pub fn addresses(result: &Value) -> Vec<IpAddr> {
    let ips = result["ips"].as_array().into_iter().flatten();
    ips.filter_map(|ip| ip["address"].as_str()?.split('/').next()?.parse().ok()).collect()
}
