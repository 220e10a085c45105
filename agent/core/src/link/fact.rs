//! The facts about a link, one variant for each kind of thing that the kernel holds.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

use crate::attachment::IfName;

/// An Ethernet address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// The text is not six hexadecimal bytes with colons.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a MAC address")]
pub struct MacError(String);

impl FromStr for Mac {
    type Err = MacError;

    fn from_str(text: &str) -> Result<Self, MacError> {
        let bytes: Option<Vec<u8>> = text.split(':').map(|part| u8::from_str_radix(part, 16).ok()).collect();
        bytes.and_then(|bytes| bytes.try_into().ok()).map(Mac).ok_or_else(|| MacError(text.to_owned()))
    }
}

/// The end of the veth pair that a fact is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// In the node's namespace.
    Host,
    /// In the pod's namespace.
    Pod,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Side::Host => "host",
            Side::Pod => "pod",
        })
    }
}

/// A sysctl of one interface, under `/proc/sys/net/{ipv6,ipv4}/conf/IFNAME/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LinkSysctl {
    /// `ipv6/disable_ipv6`.
    DisableIpv6,
    /// `ipv6/accept_ra`.
    AcceptRa,
    /// `ipv6/accept_dad`.
    AcceptDad,
    /// `ipv4/rp_filter`.
    RpFilter,
    /// `ipv4/proxy_arp`.
    ProxyArp,
}

impl LinkSysctl {
    /// The file's path below `/proc/sys/net` for interface `ifname`.
    pub fn path(self, ifname: &IfName) -> String {
        let (family, key) = match self {
            LinkSysctl::DisableIpv6 => ("ipv6", "disable_ipv6"),
            LinkSysctl::AcceptRa => ("ipv6", "accept_ra"),
            LinkSysctl::AcceptDad => ("ipv6", "accept_dad"),
            LinkSysctl::RpFilter => ("ipv4", "rp_filter"),
            LinkSysctl::ProxyArp => ("ipv4", "proxy_arp"),
        };
        format!("{family}/conf/{ifname}/{key}")
    }

    fn name(self) -> &'static str {
        match self {
            LinkSysctl::DisableIpv6 => "disable_ipv6",
            LinkSysctl::AcceptRa => "accept_ra",
            LinkSysctl::AcceptDad => "accept_dad",
            LinkSysctl::RpFilter => "rp_filter",
            LinkSysctl::ProxyArp => "proxy_arp",
        }
    }
}

/// A route on the link, with our protocol number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkRoute {
    /// Destination.
    pub dst: IpNet,
    /// Gateway; none: on the link itself.
    pub via: Option<IpAddr>,
}

/// One thing that the kernel holds for an attachment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fact {
    /// The interface is there, under this name.
    Link {
        /// Which end.
        side: Side,
        /// Its name.
        name: IfName,
    },
    /// Its MAC address: set by us, so that nobody else (udev's MACAddressPolicy) changes a random one.
    Mac {
        /// Which end.
        side: Side,
        /// The address.
        mac: Mac,
    },
    /// Its MTU.
    Mtu {
        /// Which end.
        side: Side,
        /// Bytes.
        mtu: u32,
    },
    /// The host link's alias, see [`super::LinkAlias`].
    Alias {
        /// Its text.
        alias: String,
    },
    /// The host link's alternative name, for people. Another link may hold it (the pod's previous sandbox), so
    /// it is set where it can be and never counted as drift.
    AltName {
        /// The name.
        name: String,
    },
    /// The host link makes no link-local address by itself (`addrgenmode none`).
    NoAddressGeneration,
    /// A sysctl of the interface.
    Sysctl {
        /// Which end.
        side: Side,
        /// Which one.
        sysctl: LinkSysctl,
        /// Its value.
        value: u8,
    },
    /// The pod's `lo` is up.
    LoopbackUp,
    /// The interface is administratively up.
    Up {
        /// Which end.
        side: Side,
    },
    /// An address on the interface, without duplicate address detection.
    Address {
        /// Which end.
        side: Side,
        /// Address and prefix length.
        net: IpNet,
    },
    /// An address of full length on the pod's `lo`.
    LoopbackAddress {
        /// The address.
        address: IpAddr,
    },
    /// A permanent neighbour entry on the interface.
    Neighbour {
        /// Which end.
        side: Side,
        /// The neighbour.
        address: IpAddr,
        /// Its link-layer address.
        mac: Mac,
    },
    /// A route on the interface.
    Route {
        /// Which end.
        side: Side,
        /// The route.
        route: LinkRoute,
    },
}

/// Those facts that can be made untrue by themselves. A value (MAC address, MTU, sysctl) can but be overwritten, and
/// flock never takes an interface down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RemovableFact {
    /// See [`Fact::Link`].
    Link {
        /// Which end.
        side: Side,
        /// Its name.
        name: IfName,
    },
    /// See [`Fact::Alias`].
    Alias {
        /// Its text.
        alias: String,
    },
    /// See [`Fact::AltName`].
    AltName {
        /// The name.
        name: String,
    },
    /// See [`Fact::NoAddressGeneration`].
    NoAddressGeneration,
    /// See [`Fact::Address`].
    Address {
        /// Which end.
        side: Side,
        /// Address and prefix length.
        net: IpNet,
    },
    /// See [`Fact::LoopbackAddress`].
    LoopbackAddress {
        /// The address.
        address: IpAddr,
    },
    /// See [`Fact::Neighbour`].
    Neighbour {
        /// Which end.
        side: Side,
        /// The neighbour.
        address: IpAddr,
        /// Its link-layer address.
        mac: Mac,
    },
    /// See [`Fact::Route`].
    Route {
        /// Which end.
        side: Side,
        /// The route.
        route: LinkRoute,
    },
}

/// The fact can be overwritten by another one, and not removed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} cannot be removed, only overwritten")]
pub struct NotRemovable(pub Fact);

impl TryFrom<Fact> for RemovableFact {
    type Error = NotRemovable;

    fn try_from(fact: Fact) -> Result<Self, NotRemovable> {
        Ok(match fact {
            Fact::Link { side, name } => RemovableFact::Link { side, name },
            Fact::Alias { alias } => RemovableFact::Alias { alias },
            Fact::AltName { name } => RemovableFact::AltName { name },
            Fact::NoAddressGeneration => RemovableFact::NoAddressGeneration,
            Fact::Address { side, net } => RemovableFact::Address { side, net },
            Fact::LoopbackAddress { address } => RemovableFact::LoopbackAddress { address },
            Fact::Neighbour { side, address, mac } => RemovableFact::Neighbour { side, address, mac },
            Fact::Route { side, route } => RemovableFact::Route { side, route },
            Fact::Mac { .. }
            | Fact::Mtu { .. }
            | Fact::Sysctl { .. }
            | Fact::LoopbackUp
            | Fact::Up { .. } => return Err(NotRemovable(fact)),
        })
    }
}

impl From<RemovableFact> for Fact {
    fn from(fact: RemovableFact) -> Fact {
        match fact {
            RemovableFact::Link { side, name } => Fact::Link { side, name },
            RemovableFact::Alias { alias } => Fact::Alias { alias },
            RemovableFact::AltName { name } => Fact::AltName { name },
            RemovableFact::NoAddressGeneration => Fact::NoAddressGeneration,
            RemovableFact::Address { side, net } => Fact::Address { side, net },
            RemovableFact::LoopbackAddress { address } => Fact::LoopbackAddress { address },
            RemovableFact::Neighbour { side, address, mac } => Fact::Neighbour { side, address, mac },
            RemovableFact::Route { side, route } => Fact::Route { side, route },
        }
    }
}

impl fmt::Display for RemovableFact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Fact::from(self.clone()).fmt(f)
    }
}

impl Fact {
    /// The end of the link that the fact is about.
    pub fn side(&self) -> Side {
        match self {
            Fact::Alias { .. } | Fact::AltName { .. } | Fact::NoAddressGeneration => Side::Host,
            Fact::LoopbackUp | Fact::LoopbackAddress { .. } => Side::Pod,
            Fact::Link { side, .. }
            | Fact::Mac { side, .. }
            | Fact::Mtu { side, .. }
            | Fact::Sysctl { side, .. }
            | Fact::Up { side }
            | Fact::Address { side, .. }
            | Fact::Neighbour { side, .. }
            | Fact::Route { side, .. } => *side,
        }
    }

    /// What the fact is about, without its value: two facts of one side and subject exclude each other.
    pub fn subject(&self) -> String {
        match self {
            Fact::Link { .. } => "link".to_owned(),
            Fact::Mac { .. } => "mac".to_owned(),
            Fact::Mtu { .. } => "mtu".to_owned(),
            Fact::Alias { .. } => "alias".to_owned(),
            Fact::AltName { .. } => "altname".to_owned(),
            Fact::NoAddressGeneration => "addrgenmode".to_owned(),
            Fact::Sysctl { sysctl, .. } => format!("sysctl {}", sysctl.name()),
            Fact::LoopbackUp => "lo".to_owned(),
            Fact::Up { .. } => "state".to_owned(),
            Fact::Address { net, .. } => format!("address {net}"),
            Fact::LoopbackAddress { address } => format!("lo address {address}"),
            Fact::Neighbour { address, .. } => format!("neighbour {address}"),
            Fact::Route { route, .. } => format!("route {}", route.dst),
        }
    }

    /// The fact's value, as a person reads it.
    pub fn value(&self) -> String {
        match self {
            Fact::Link { name, .. } => name.to_string(),
            Fact::Mac { mac, .. } => mac.to_string(),
            Fact::Mtu { mtu, .. } => mtu.to_string(),
            Fact::Alias { alias } => alias.clone(),
            Fact::AltName { name } => name.clone(),
            Fact::NoAddressGeneration => "none".to_owned(),
            Fact::Sysctl { value, .. } => value.to_string(),
            Fact::LoopbackUp | Fact::Up { .. } => "up".to_owned(),
            Fact::Address { .. } | Fact::LoopbackAddress { .. } => "present".to_owned(),
            Fact::Neighbour { mac, .. } => format!("{mac} permanent"),
            Fact::Route { route: LinkRoute { via: Some(via), .. }, .. } => format!("via {via}"),
            Fact::Route { route: LinkRoute { via: None, .. }, .. } => "on link".to_owned(),
        }
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({})", self.side(), self.subject(), self.value())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fact_that_can_be_removed_is_the_same_again() {
        let (side, mac) = (Side::Pod, Mac([2, 0, 0, 0, 0, 1]));
        let address: IpAddr = "2001:db8::1".parse().unwrap();
        let net = IpNet::from(address);
        for fact in [
            Fact::Link { side, name: "eth0".parse().unwrap() },
            Fact::Alias { alias: "a".to_owned() },
            Fact::AltName { name: "b".to_owned() },
            Fact::NoAddressGeneration,
            Fact::Address { side, net },
            Fact::LoopbackAddress { address },
            Fact::Neighbour { side, address, mac },
            Fact::Route { side, route: LinkRoute { dst: net, via: Some(address) } },
        ] {
            let removable = RemovableFact::try_from(fact.clone()).unwrap();
            assert_eq!(removable.to_string(), fact.to_string());
            assert_eq!(Fact::from(removable), fact);
        }
    }

    #[test]
    fn values_and_states_cannot_be_removed() {
        let side = Side::Host;
        for fact in [
            Fact::Mac { side, mac: Mac([2, 0, 0, 0, 0, 1]) },
            Fact::Mtu { side, mtu: 1500 },
            Fact::Sysctl { side, sysctl: LinkSysctl::AcceptRa, value: 0 },
            Fact::LoopbackUp,
            Fact::Up { side },
        ] {
            assert_eq!(RemovableFact::try_from(fact.clone()), Err(NotRemovable(fact)));
        }
    }
}
