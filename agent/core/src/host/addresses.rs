//! What the node's interfaces say: its addresses, and the subnets that they are on.

mod state;

pub use state::{AddressFlags, AddressState, InterfaceAddress, Lifetimes};

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
    /// A second one on its subnet (`IFA_F_SECONDARY`), as virtual addresses often are: used when it is asked for
    /// only, so that nothing changes when it comes and goes.
    pub secondary: bool,
}

impl Subnets {
    /// The node's address on the subnet that `peer` is on: the most specific one, then the lowest.
    pub fn beside(&self, peer: IpAddr) -> Option<&NodeAddress> {
        let on_subnet = |own: &&NodeAddress| own.net.contains(&peer) && own.net.addr() != peer;
        self.primary().filter(on_subnet).min_by_key(|own| (u8::MAX - own.net.prefix_len(), own.net.addr()))
    }

    /// An interface's address of a family: one that stands for a subnet before one that stands for itself, as
    /// virtual addresses do; then the lowest.
    pub fn on(&self, ifname: &IfName, family: Family) -> Option<&NodeAddress> {
        self.primary()
            .filter(|own| own.ifname == *ifname && family == own.family())
            .min_by_key(|own| own.rank())
    }

    /// The same over all interfaces, those of `first` before others.
    pub fn any(&self, first: &BTreeSet<IfName>, family: Family) -> Option<&NodeAddress> {
        let of_family = self.primary().filter(|own| family == own.family());
        of_family.min_by_key(|own| (!first.contains(&own.ifname), own.rank()))
    }

    /// Which interface has this address.
    pub fn holder(&self, address: IpAddr) -> Option<&NodeAddress> {
        self.addresses.iter().find(|own| own.net.addr() == address)
    }

    fn primary(&self) -> impl Iterator<Item = &NodeAddress> {
        self.addresses.iter().filter(|own| !own.secondary)
    }
}

impl NodeAddress {
    fn family(&self) -> Family {
        Family::of(self.net.addr())
    }

    fn rank(&self) -> (bool, IpAddr) {
        (self.net.prefix_len() == self.net.max_prefix_len(), self.net.addr())
    }
}
