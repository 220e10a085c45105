//! An attachment's link: the facts that the kernel must hold for it, and the changes that bring them about.
//!
//! A veth pair without a subnet: both ends have permanent neighbour entries for each other, so that no packet ever
//! waits for ND or ARP, and the pod's addresses are /128 and /32 with routes on either side. All of it is expressed
//! as a list of [`Fact`]s in the order in which they may be applied; what is desired and what is observed are sets
//! of the same type, and everything else (attach, repair, CHECK, what people are shown) is their difference.

mod fact;
mod naming;
mod plan;

pub use fact::{Fact, LinkRoute, LinkSysctl, Mac, NotRemovable, RemovableFact, Side};
pub use naming::{LinkAlias, host_link_name, host_mac, pod_mac};
pub use plan::{Comparison, LinkChange, Observed, PodObserved, Scope, Verdict, compare, plan};

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use ipnet::IpNet;

use crate::attachment::{AttachmentId, IfName, PodName};
use crate::claim::Claimed;
use crate::prefix::PodAddresses;

/// The IPv6 gateway of every pod: the host veth's own link-local address.
pub const GATEWAY6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

/// The IPv4 gateway of every pod: on no interface; the permanent neighbour entry (and proxy ARP) answers for it.
pub const GATEWAY4: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);

/// What an attachment's link must be like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkSpec {
    /// The attachment; both MAC addresses derive from it.
    pub id: AttachmentId,
    /// The pod, for alias and alternative name.
    pub pod: PodName,
    /// Path of the pod's network namespace; none after a rebuild from the kernel.
    pub netns: Option<PathBuf>,
    /// The host veth's name.
    pub host: IfName,
    /// Bytes.
    pub mtu: u32,
    /// The pod's addresses.
    pub addresses: PodAddresses,
    /// What it has claimed.
    pub claimed: Claimed,
}

impl LinkSpec {
    /// Everything that the kernel must hold, in an order in which it can be applied: nothing can pass before the
    /// host side is up, and only what the kernel refuses on a link that is down comes after that.
    pub fn facts(&self) -> Vec<Fact> {
        let mut facts = self.identity();
        facts.extend(self.sysctls());
        facts.extend(self.own().map(|address| Fact::Address { side: Side::Pod, net: IpNet::from(address) }));
        facts.extend(self.claimed.anycast.iter().map(|address| Fact::LoopbackAddress { address: *address }));
        facts.extend([Fact::LoopbackUp, Fact::Up { side: Side::Pod }, Fact::Up { side: Side::Host }]);
        if self.addresses.v6.is_some() {
            facts.push(Fact::Address { side: Side::Host, net: host_net6() });
        }
        facts.extend(self.neighbours());
        facts.extend(self.pod_routes());
        facts.extend(self.own().map(|address| Fact::Route {
            side: Side::Host,
            route: LinkRoute { dst: IpNet::from(address), via: None },
        }));
        facts
    }

    /// The addresses on the interface, the pod's own first.
    pub fn own(&self) -> impl Iterator<Item = IpAddr> {
        let first = |address: &IpAddr| self.addresses.iter().any(|own| own == *address);
        let beside = self.claimed.static_addresses.iter().copied().filter(move |address| !first(address));
        self.addresses.iter().chain(beside)
    }

    fn identity(&self) -> Vec<Fact> {
        vec![
            Fact::Link { side: Side::Host, name: self.host.clone() },
            Fact::Link { side: Side::Pod, name: self.id.ifname.clone() },
            Fact::Mac { side: Side::Host, mac: host_mac(&self.id) },
            Fact::Mac { side: Side::Pod, mac: pod_mac(&self.id) },
            Fact::Mtu { side: Side::Host, mtu: self.mtu },
            Fact::Mtu { side: Side::Pod, mtu: self.mtu },
            Fact::Alias { alias: self.alias().to_string() },
            Fact::AltName { name: naming::altname(&self.pod, &self.id.ifname) },
            Fact::NoAddressGeneration,
        ]
    }

    /// The host link's alias: the kernel's copy of who this is.
    pub fn alias(&self) -> LinkAlias {
        LinkAlias { id: self.id.clone(), pod: self.pod.clone() }
    }

    fn sysctls(&self) -> Vec<Fact> {
        let set = |side, sysctl, value| Fact::Sysctl { side, sysctl, value };
        let mut facts = Vec::new();
        if self.addresses.v6.is_some() {
            facts.extend([
                set(Side::Host, LinkSysctl::DisableIpv6, 0),
                // A pod must not configure its node by router advertisements, whatever the node's default is.
                set(Side::Host, LinkSysctl::AcceptRa, 0),
                set(Side::Pod, LinkSysctl::DisableIpv6, 0),
                set(Side::Pod, LinkSysctl::AcceptRa, 0),
                // The pod's link-local address too is never tentative (RFC 4862 5.4 has nobody to ask on this link).
                set(Side::Pod, LinkSysctl::AcceptDad, 0),
            ]);
        } else {
            facts.push(set(Side::Pod, LinkSysctl::DisableIpv6, 1));
        }
        if self.addresses.v4.is_some() {
            // Loose: a strict filter would drop replies from a shared anycast source. (On a link without an IPv4 address
            // this is strict all the same for a source that leads nowhere over this link: see `steering`.)
            facts.push(set(Side::Host, LinkSysctl::RpFilter, 2));
            facts.push(set(Side::Host, LinkSysctl::ProxyArp, 1));
        }
        facts
    }

    fn neighbours(&self) -> Vec<Fact> {
        let on_host =
            self.own().map(|address| Fact::Neighbour { side: Side::Host, address, mac: pod_mac(&self.id) });
        let in_pod = self.gateways().map(|address| Fact::Neighbour {
            side: Side::Pod,
            address,
            mac: host_mac(&self.id),
        });
        on_host.chain(in_pod).collect()
    }

    fn gateways(&self) -> impl Iterator<Item = IpAddr> + use<> {
        let v6 = self.addresses.v6.map(|_| IpAddr::V6(GATEWAY6));
        let v4 = self.addresses.v4.map(|_| IpAddr::V4(GATEWAY4));
        v6.into_iter().chain(v4)
    }

    fn pod_routes(&self) -> Vec<Fact> {
        let route = |dst, via| Fact::Route { side: Side::Pod, route: LinkRoute { dst, via } };
        let mut facts = Vec::new();
        for gateway in self.gateways() {
            if gateway.is_ipv4() {
                facts.push(route(IpNet::from(gateway), None));
            }
            facts.push(route(default_net(gateway), Some(gateway)));
        }
        facts
    }
}

/// `fe80::1/64`, the host side's only address.
fn host_net6() -> IpNet {
    IpNet::new_assert(IpAddr::V6(GATEWAY6), 64)
}

/// The default destination of an address's family.
fn default_net(address: IpAddr) -> IpNet {
    match address {
        IpAddr::V6(_) => IpNet::new_assert(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0),
        IpAddr::V4(_) => IpNet::new_assert(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
    }
}
