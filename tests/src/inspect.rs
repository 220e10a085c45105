//! What a namespace holds, as `ip -json` tells it.

use std::net::IpAddr;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::netns::Netns;

impl Netns {
    /// The objects that `ip -json ARGUMENTS` lists.
    ///
    /// # Errors
    /// When `ip` fails or prints no JSON.
    pub fn ip_json(&self, arguments: &[&str]) -> Result<Vec<Value>> {
        let text = self.ip(&[&["-json", "-details"], arguments].concat())?;
        if text.trim().is_empty() {
            return Ok(Vec::new());
        }
        let rows: Vec<Value> =
            serde_json::from_str(&text).with_context(|| format!("ip {}: {text}", arguments.join(" ")))?;
        // `ip -6 address` fills the places of filtered links with empty objects.
        Ok(rows.into_iter().filter(|row| row.as_object().is_some_and(|fields| !fields.is_empty())).collect())
    }

    /// Names of all links.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn links(&self) -> Result<Vec<String>> {
        Ok(texts(&self.ip_json(&["link", "show"])?, "ifname"))
    }

    /// Names of the links that may be host sides of attachments.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn flock_links(&self) -> Result<Vec<String>> {
        Ok(self.links()?.into_iter().filter(|name| name.starts_with("flock")).collect())
    }

    /// One link.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn link(&self, ifname: &str) -> Result<Value> {
        let rows = self.ip_json(&["link", "show", "dev", ifname])?;
        rows.into_iter().next().with_context(|| format!("no link {ifname} in {}", self.name()))
    }

    /// A link's MTU in bytes.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn mtu(&self, ifname: &str) -> Result<u64> {
        self.link(ifname)?["mtu"].as_u64().context("a link without an MTU")
    }

    /// A link's addresses as `ADDRESS/LENGTH`, without those that the kernel makes from its MAC.
    ///
    /// # Errors
    /// When there is no link of that name.
    pub fn addresses(&self, ifname: &str) -> Result<Vec<String>> {
        let rows = self.ip_json(&["address", "show", "dev", ifname])?;
        let infos = rows.iter().filter_map(|row| row["addr_info"].as_array()).flatten();
        let cidrs = infos.filter_map(|i| Some(format!("{}/{}", i["local"].as_str()?, i["prefixlen"])));
        Ok(cidrs.filter(|cidr| !is_made_from_mac(cidr)).collect())
    }

    /// Destinations of the main table's routes on a link, both families, without the kernel's own.
    ///
    /// # Errors
    /// When there is no link of that name.
    pub fn routes(&self, ifname: &str) -> Result<Vec<String>> {
        let mut destinations = Vec::new();
        for family in ["-6", "-4"] {
            let rows = self.ip_json(&[family, "route", "show", "dev", ifname])?;
            let made = rows.into_iter().filter(|row| row["protocol"] != "kernel").collect::<Vec<_>>();
            destinations.extend(texts(&made, "dst"));
        }
        Ok(destinations)
    }

    /// The route that the kernel takes to an address, as it is in the table.
    ///
    /// # Errors
    /// When there is none.
    pub fn route_to(&self, address: impl Into<IpAddr>) -> Result<Value> {
        let address = address.into().to_string();
        let rows = self.ip_json(&["route", "get", "fibmatch", &address])?;
        rows.into_iter().next().with_context(|| format!("no route to {address} in {}", self.name()))
    }

    /// Destinations of the routes that BIRD has made, both families.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn learned(&self) -> Result<Vec<String>> {
        Ok(texts(&self.bird_routes()?, "dst"))
    }

    /// The routes that BIRD has made, both families.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn bird_routes(&self) -> Result<Vec<Value>> {
        let mut routes = self.ip_json(&["-6", "route", "show", "proto", "bird"])?;
        routes.extend(self.ip_json(&["-4", "route", "show", "proto", "bird"])?);
        Ok(routes)
    }

    /// Destinations of the blackhole routes, both families.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn blackholes(&self) -> Result<Vec<String>> {
        let mut destinations = Vec::new();
        for family in ["-6", "-4"] {
            destinations
                .extend(texts(&self.ip_json(&[family, "route", "show", "type", "blackhole"])?, "dst"));
        }
        Ok(destinations)
    }

    /// Addresses of a link's permanent neighbour entries.
    ///
    /// # Errors
    /// When there is no link of that name.
    pub fn neighbours(&self, ifname: &str) -> Result<Vec<String>> {
        let rows = self.ip_json(&["neighbour", "show", "dev", ifname, "nud", "permanent"])?;
        // Multicast's and broadcast's are permanent too, and the kernel's.
        Ok(texts(&rows, "dst").into_iter().filter(|dst| !dst.starts_with("ff")).collect())
    }

    /// Fails unless there is no trace of an attachment: no link of ours, no route of our protocol but blackholes.
    ///
    /// # Errors
    /// Names what is there.
    pub fn ensure_no_attachments(&self) -> Result<()> {
        let links = self.flock_links()?;
        ensure!(links.is_empty(), "{} still has {links:?}", self.name());
        for family in ["-6", "-4"] {
            let protocol = flock_kernel::ROUTE_PROTOCOL.to_string();
            let rows = self.ip_json(&[family, "route", "show", "table", "all", "proto", &protocol])?;
            let left: Vec<&Value> = rows.iter().filter(|row| row["type"] != "blackhole").collect();
            ensure!(left.is_empty(), "{} still has {left:?}", self.name());
        }
        Ok(())
    }
}

/// EUI-64 (RFC 4291, appendix A). Older `ip` does not tell where an address is from.
fn is_made_from_mac(cidr: &str) -> bool {
    cidr.starts_with("fe80::") && cidr.contains("ff:fe")
}

fn texts(rows: &[Value], key: &str) -> Vec<String> {
    rows.iter().filter_map(|row| row[key].as_str().map(str::to_owned)).collect()
}
