//! CNI results (spec 1.1, section 5 "ADD Success"): ours, and `prevResult` of every version from 0.3.1 on. One type
//! holds them all; [`CniResult::into_json`] gives it a version's shape.

use flock_rpc::v1alpha1::{AddResponse, Interface as RpcInterface, IpConfig, Route as RpcRoute};
use flock_rpc::{CniCode, CniError};
use serde::{Deserialize, Serialize};

use crate::version::Version;

/// A result. Absent and `null` lists are empty ones.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CniResult {
    #[serde(rename = "cniVersion")]
    pub(crate) cni_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interfaces: Option<Vec<Interface>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ips: Option<Vec<Ip>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    routes: Option<Vec<Route>>,
    dns: Option<Dns>,
}

/// An interface; on the host when `sandbox` is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Interface {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    mac: Option<String>,
    // From 1.1.0 on.
    #[serde(skip_serializing_if = "Option::is_none")]
    mtu: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sandbox: Option<String>,
    // From 1.1.0 on; a plugin before us may set them.
    #[serde(rename = "socketPath", skip_serializing_if = "Option::is_none")]
    socket_path: Option<String>,
    #[serde(rename = "pciID", skip_serializing_if = "Option::is_none")]
    pci_id: Option<String>,
}

/// An address with its prefix length.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Ip {
    // Until 0.4.0: "4" or "6".
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    address: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    gateway: Option<String>,
    // Index into the interfaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    interface: Option<i64>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Route {
    dst: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    gw: Option<String>,
    // All below: from 1.1.0 on; a plugin before us may set them.
    #[serde(skip_serializing_if = "Option::is_none")]
    mtu: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    advmss: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    table: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<i64>,
}

/// What the configuration says about DNS. It goes into the result; nothing else is done with it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Dns {
    #[serde(skip_serializing_if = "Option::is_none")]
    nameservers: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    search: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    options: Option<Vec<String>>,
}

impl CniResult {
    /// The agent's answer appended to the result of the plugin before us in a chain, our indices shifted. The
    /// configuration's `dns` goes before the earlier plugin's.
    pub(crate) fn chained(prev: Option<Self>, ours: AddResponse, dns: Option<Dns>) -> Self {
        let prev = prev.unwrap_or_default();
        let mut interfaces = prev.interfaces.unwrap_or_default();
        let mut ips = prev.ips.unwrap_or_default();
        let mut routes = prev.routes.unwrap_or_default();
        let AddResponse { interfaces: our_interfaces, ips: our_ips, routes: our_routes, loopback_pending: _ } =
            ours;
        let shift = i64::try_from(interfaces.len()).unwrap_or(i64::MAX);
        ips.extend(our_ips.into_iter().map(|ip| Ip::new(ip, shift)));
        interfaces.extend(our_interfaces.into_iter().map(Interface::from));
        routes.extend(our_routes.into_iter().map(Route::from));
        Self {
            cni_version: None,
            interfaces: Some(interfaces),
            ips: Some(ips),
            routes: Some(routes),
            dns: dns.filter(|dns| *dns != Dns::default()).or(prev.dns),
        }
    }

    /// The result as `version` writes it, on one line.
    pub(crate) fn into_json(mut self, version: Version) -> Result<String, CniError> {
        self.cni_version = Some(version.as_str().to_owned());
        self.dns.get_or_insert_default();
        self.ips.iter_mut().flatten().for_each(|ip| ip.reshape(version));
        if version < Version::V1_1_0 {
            self.interfaces.iter_mut().flatten().for_each(Interface::without_1_1);
            self.routes.iter_mut().flatten().for_each(Route::without_1_1);
        }
        serde_json::to_string(&self)
            .map_err(|error| CniCode::Io.error(format!("cannot write the result: {error}")))
    }

    /// The addresses that the result gives to the container's interface `ifname`. An address without an index may be
    /// anyone's, so ours too.
    pub(crate) fn addresses_of(&self, ifname: &str) -> Vec<String> {
        let interfaces = self.interfaces.as_deref().unwrap_or_default();
        let ours = |index: i64| {
            let interface = usize::try_from(index).ok().and_then(|index| interfaces.get(index));
            interface.is_some_and(|interface| interface.is_in_container(ifname))
        };
        let ips = self.ips.iter().flatten().filter(|ip| ip.interface.is_none_or(ours));
        ips.map(|ip| ip.address.clone()).collect()
    }

    /// The container's interface `ifname` and the host ends that have flock's names.
    pub(crate) fn interfaces_of(&self, ifname: &str) -> Vec<RpcInterface> {
        let interfaces = self.interfaces.iter().flatten();
        let ours =
            interfaces.filter(|interface| interface.is_in_container(ifname) || interface.is_host_end());
        ours.cloned().map(RpcInterface::from).collect()
    }
}

impl Interface {
    fn is_on_host(&self) -> bool {
        self.sandbox.as_ref().is_none_or(String::is_empty)
    }

    fn is_in_container(&self, ifname: &str) -> bool {
        self.name == ifname && !self.is_on_host()
    }

    /// `flock` and 8 hexadecimal digits, what the agent calls its host veths.
    fn is_host_end(&self) -> bool {
        let hash = self.name.strip_prefix("flock").unwrap_or_default();
        self.is_on_host() && hash.len() == 8 && hash.bytes().all(|digit| digit.is_ascii_hexdigit())
    }

    fn without_1_1(&mut self) {
        (self.mtu, self.socket_path, self.pci_id) = (None, None, None);
    }
}

impl From<RpcInterface> for Interface {
    fn from(RpcInterface { name, mac, mtu, sandbox }: RpcInterface) -> Self {
        let mtu = Some(mtu).filter(|mtu| *mtu > 0);
        Self { name, mac: filled(mac), mtu, sandbox: filled(sandbox), ..Self::default() }
    }
}

impl From<Interface> for RpcInterface {
    fn from(interface: Interface) -> Self {
        Self {
            name: interface.name,
            mac: interface.mac.unwrap_or_default(),
            mtu: interface.mtu.unwrap_or_default(),
            sandbox: interface.sandbox.unwrap_or_default(),
        }
    }
}

impl Ip {
    fn new(IpConfig { address, gateway, interface }: IpConfig, shift: i64) -> Self {
        let interface = Some(shift.saturating_add(interface.into()));
        Self { version: None, address, gateway: filled(gateway), interface }
    }

    fn reshape(&mut self, version: Version) {
        let family = if self.address.contains(':') { "6" } else { "4" };
        self.version = (version <= Version::V0_4_0).then(|| family.to_owned());
    }
}

impl Route {
    fn without_1_1(&mut self) {
        let Self { dst, gw, .. } = std::mem::take(self);
        *self = Self { dst, gw, ..Self::default() };
    }
}

impl From<RpcRoute> for Route {
    fn from(RpcRoute { dst, gw }: RpcRoute) -> Self {
        Self { dst, gw: filled(gw), ..Self::default() }
    }
}

fn filled(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests;
