//! What the node's interfaces say: its addresses, and the subnets that they are on.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::attachment::IfName;
use crate::prefix::Family;

/// The node's own place in the network, as the kernel tells it. flock's own links are not in it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Subnets {
    /// Addresses that can be used: not link-local, tentative, deprecated or temporary. The loopback interface's are
    /// among them, but not ::1 and 127.0.0.0/8.
    pub addresses: BTreeSet<NodeAddress>,
    /// Prefixes that are on a link: those of the addresses, and routes without a gateway.
    pub on_link: BTreeSet<IpNet>,
}

/// One address of the node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeAddress {
    /// The interface that it is on.
    pub ifname: IfName,
    /// The address with the length of its subnet's prefix.
    pub net: IpNet,
}

impl Subnets {
    /// The node's address on the subnet that `peer` is on: the most specific one, then the lowest.
    pub fn beside(&self, peer: IpAddr) -> Option<&NodeAddress> {
        let on_subnet = |own: &&NodeAddress| own.net.contains(&peer) && own.net.addr() != peer;
        let specific = |own: &&NodeAddress| (u8::MAX - own.net.prefix_len(), own.net.addr());
        self.addresses.iter().filter(on_subnet).min_by_key(specific)
    }

    /// The lowest address of a family on an interface.
    pub fn on(&self, ifname: &IfName, family: Family) -> Option<&NodeAddress> {
        let wanted = |own: &&NodeAddress| own.ifname == *ifname && Family::of(own.net.addr()) == family;
        self.addresses.iter().filter(wanted).min_by_key(|own| own.net.addr())
    }

    /// Which interface has this address.
    pub fn holder(&self, address: IpAddr) -> Option<&NodeAddress> {
        self.addresses.iter().find(|own| own.net.addr() == address)
    }
}
