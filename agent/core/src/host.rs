//! What belongs to the node as a whole: forwarding, router advertisements on the uplinks, blackholes for its prefixes.

pub mod addresses;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use ipnet::IpNet;

use self::addresses::Subnets;
use crate::attachment::IfName;
use crate::link::{Fact, Mac};
use crate::node::{NodePlan, Uplinks};
use crate::prefix::Family;

/// The routing-protocol number on every route that flock makes (`ip route show proto 70`). Free in
/// `/etc/iproute2/rt_protos` and not known to be used by another network program.
pub const ROUTE_PROTOCOL: u8 = 70;

/// What the kernel holds of the node, read in one go.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostState {
    /// Links whose name begins with `flock`, by name.
    pub flock_links: BTreeMap<IfName, HostLink>,
    /// All other links' MTU in bytes, by name; loopback is not among them.
    pub other_links: BTreeMap<IfName, u32>,
    /// Default routes of the main table.
    pub default_routes: BTreeSet<DefaultRoute>,
    /// Blackhole routes with our protocol number.
    pub blackholes: BTreeSet<IpNet>,
    /// The node's addresses and connected subnets, without those of flock's links.
    pub subnets: Subnets,
    /// The values of those sysctls that are there.
    pub sysctls: BTreeMap<HostSysctl, u8>,
}

/// The node, as the last look at the kernel showed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeView {
    /// Pods' MTU in bytes.
    pub mtu: u32,
    /// The uplinks.
    pub uplinks: BTreeSet<IfName>,
    /// Whether the node's own settings are as its plan asks: no pod can be taken before.
    pub prepared: bool,
    /// Its addresses, and the subnets that it is on.
    pub subnets: Subnets,
}

impl Default for NodeView {
    fn default() -> Self {
        Self { mtu: DEFAULT_MTU, uplinks: BTreeSet::new(), prepared: false, subnets: Subnets::default() }
    }
}

/// A link that may be the host side of an attachment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostLink {
    /// Its alias, as written.
    pub alias: Option<String>,
    /// Its MAC address.
    pub mac: Mac,
    /// All of its facts.
    pub facts: BTreeSet<Fact>,
}

/// A default route.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DefaultRoute {
    /// Its family.
    pub family: Family,
    /// Its interface; a multipath route counts as one for each.
    pub ifname: IfName,
    /// Learned from a router advertisement (RTPROT_RA).
    pub from_ra: bool,
}

/// A sysctl of the node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum HostSysctl {
    /// `net.ipv6.conf.IFNAME.accept_ra`.
    AcceptRa(IfName),
    /// `net.ipv6.conf.all.forwarding`.
    Ipv6Forwarding,
    /// `net.ipv4.ip_forward`.
    Ipv4Forwarding,
    /// `net.ipv6.fib_multipath_hash_policy`.
    Ipv6MultipathHash,
    /// `net.ipv4.fib_multipath_hash_policy`.
    Ipv4MultipathHash,
}

impl HostSysctl {
    /// The file's path below `/proc/sys/net`.
    pub fn path(&self) -> String {
        match self {
            HostSysctl::AcceptRa(ifname) => format!("ipv6/conf/{ifname}/accept_ra"),
            HostSysctl::Ipv6Forwarding => "ipv6/conf/all/forwarding".to_owned(),
            HostSysctl::Ipv4Forwarding => "ipv4/ip_forward".to_owned(),
            HostSysctl::Ipv6MultipathHash => "ipv6/fib_multipath_hash_policy".to_owned(),
            HostSysctl::Ipv4MultipathHash => "ipv4/fib_multipath_hash_policy".to_owned(),
        }
    }
}

impl fmt::Display for HostSysctl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "net/{}", self.path())
    }
}

/// One change to the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostChange {
    /// Write the value.
    Sysctl(HostSysctl, u8),
    /// Add the route.
    AddBlackhole(IpNet),
    /// Remove the route.
    RemoveBlackhole(IpNet),
}

impl fmt::Display for HostChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HostChange::Sysctl(sysctl, value) => write!(f, "set {sysctl} to {value}"),
            HostChange::AddBlackhole(net) => write!(f, "add blackhole {net}"),
            HostChange::RemoveBlackhole(net) => write!(f, "remove blackhole {net}"),
        }
    }
}

/// The smallest MTU that IPv6 allows (RFC 8200, section 5); also what pods get when nothing is known.
pub const MIN_MTU6: u32 = 1280;

/// The MTU when there is no uplink to take it from: Ethernet's.
pub const DEFAULT_MTU: u32 = 1500;

/// The node's uplinks as far as they exist.
pub fn uplinks(plan: &NodePlan, state: &HostState) -> BTreeSet<IfName> {
    match &plan.uplinks {
        Uplinks::Named(names) => {
            names.iter().filter(|name| state.other_links.contains_key(*name)).cloned().collect()
        }
        Uplinks::OfDefaultRoutes => state.default_routes.iter().map(|route| route.ifname.clone()).collect(),
    }
}

/// Pods' MTU in bytes: NodeConfig's, else the smallest of the uplinks'.
pub fn pod_mtu(plan: &NodePlan, state: &HostState) -> u32 {
    let smallest = uplinks(plan, state).iter().filter_map(|name| state.other_links.get(name)).min().copied();
    plan.mtu.or(smallest).unwrap_or(DEFAULT_MTU)
}

/// The changes from `state` to what the plan wants, in the order in which they must be made.
pub fn plan(plan: &NodePlan, state: &HostState) -> Vec<HostChange> {
    let mut changes = router_advertisements(plan, state);
    for sysctl in [
        HostSysctl::Ipv6Forwarding,
        HostSysctl::Ipv4Forwarding,
        HostSysctl::Ipv6MultipathHash,
        HostSysctl::Ipv4MultipathHash,
    ] {
        // One that is not there (IPv6 off) cannot be set; one that is above (hash policies 2 and 3) is an
        // operator's choice that serves as well.
        if state.sysctls.get(&sysctl) == Some(&0) {
            changes.push(HostChange::Sysctl(sysctl, 1));
        }
    }
    changes.extend(blackholes(plan, state));
    changes
}

/// With forwarding on, the kernel obeys router advertisements only where `accept_ra` is 2, and deletes the default
/// route that came from one when forwarding goes on (Documentation/networking/ip-sysctl, `accept_ra`). Where it is 0,
/// an administrator has said so.
fn router_advertisements(plan: &NodePlan, state: &HostState) -> Vec<HostChange> {
    let is_uplink = |ifname: &IfName| match &plan.uplinks {
        Uplinks::Named(names) => names.contains(ifname),
        Uplinks::OfDefaultRoutes => true,
    };
    let with_ra =
        state.default_routes.iter().filter(|r| r.from_ra && is_uplink(&r.ifname)).map(|r| &r.ifname);
    let named = match &plan.uplinks {
        Uplinks::Named(names) => names.iter().collect(),
        Uplinks::OfDefaultRoutes => Vec::new(),
    };
    let interfaces: BTreeSet<&IfName> = with_ra.chain(named).collect();
    interfaces
        .into_iter()
        .map(|ifname| HostSysctl::AcceptRa(ifname.clone()))
        .filter(|sysctl| state.sysctls.get(sysctl) == Some(&1))
        .map(|sysctl| HostChange::Sysctl(sysctl, 2))
        .collect()
}

fn blackholes(plan: &NodePlan, state: &HostState) -> Vec<HostChange> {
    let desired: BTreeSet<IpNet> = plan.pools.iter().collect();
    let add = desired.difference(&state.blackholes).copied().map(HostChange::AddBlackhole);
    let remove = state.blackholes.difference(&desired).copied().map(HostChange::RemoveBlackhole);
    add.chain(remove).collect()
}

#[cfg(test)]
mod tests {

    use super::*;

    fn node(uplinks: Uplinks, mtu: Option<u32>) -> NodePlan {
        NodePlan { uplinks, mtu, ..NodePlan::new("node-a") }
    }

    fn named(names: &[&str]) -> Uplinks {
        Uplinks::Named(names.iter().map(|name| name.parse().unwrap()).collect())
    }

    fn state(links: &[(&str, u32)], routes: &[(&str, bool)], sysctls: &[(HostSysctl, u8)]) -> HostState {
        let route = |(ifname, from_ra): &(&str, bool)| DefaultRoute {
            family: Family::IPv6,
            ifname: ifname.parse().unwrap(),
            from_ra: *from_ra,
        };
        HostState {
            other_links: links.iter().map(|(name, mtu)| (name.parse().unwrap(), *mtu)).collect(),
            default_routes: routes.iter().map(route).collect(),
            sysctls: sysctls.iter().cloned().collect(),
            ..HostState::default()
        }
    }

    fn accept_ra(ifname: &str) -> HostSysctl {
        HostSysctl::AcceptRa(ifname.parse().unwrap())
    }

    #[test]
    fn the_ra_route_is_saved_before_forwarding_would_delete_it() {
        let state = state(&[], &[("eth0", true)], &[(accept_ra("eth0"), 1), (HostSysctl::Ipv6Forwarding, 0)]);
        let expected =
            [HostChange::Sysctl(accept_ra("eth0"), 2), HostChange::Sysctl(HostSysctl::Ipv6Forwarding, 1)];
        assert_eq!(plan(&node(Uplinks::OfDefaultRoutes, None), &state), expected);
    }

    #[test]
    fn accept_ra_is_left_alone_where_nobody_needs_it_or_somebody_turned_it_off() {
        let cases = [
            (Uplinks::OfDefaultRoutes, state(&[], &[("eth0", false)], &[(accept_ra("eth0"), 1)])),
            (Uplinks::OfDefaultRoutes, state(&[], &[("eth0", true)], &[(accept_ra("eth0"), 0)])),
            (Uplinks::OfDefaultRoutes, state(&[], &[("eth0", true)], &[(accept_ra("eth0"), 2)])),
            (named(&["eth1"]), state(&[], &[("eth0", true)], &[(accept_ra("eth0"), 1)])),
        ];
        for (uplinks, state) in cases {
            assert_eq!(plan(&node(uplinks, None), &state), []);
        }
    }

    #[test]
    fn an_uplink_that_is_named_gets_accept_ra_before_its_first_advertisement() {
        let state = state(&[("eth0", 1500)], &[], &[(accept_ra("eth0"), 1)]);
        assert_eq!(plan(&node(named(&["eth0"]), None), &state), [HostChange::Sysctl(accept_ra("eth0"), 2)]);
    }

    #[test]
    fn a_sysctl_that_is_not_there_or_set_higher_is_left_alone() {
        let state = state(&[], &[], &[(HostSysctl::Ipv4MultipathHash, 3), (HostSysctl::Ipv4Forwarding, 1)]);
        assert_eq!(plan(&node(Uplinks::OfDefaultRoutes, None), &state), []);
    }

    #[test]
    fn pods_get_the_smallest_uplinks_mtu_unless_configured() {
        let state = state(
            &[("eth0", 9000), ("eth1", 1500), ("eth2", 1400)],
            &[("eth0", false), ("eth1", false)],
            &[],
        );
        assert_eq!(pod_mtu(&node(Uplinks::OfDefaultRoutes, None), &state), 1500);
        assert_eq!(pod_mtu(&node(named(&["eth0", "gone"]), None), &state), 9000);
        assert_eq!(pod_mtu(&node(Uplinks::OfDefaultRoutes, Some(1300)), &state), 1300);
        assert_eq!(pod_mtu(&node(Uplinks::OfDefaultRoutes, None), &HostState::default()), 1500);
    }

    #[test]
    fn blackholes_follow_the_pools() {
        let net = |text: &str| text.parse::<IpNet>().unwrap();
        let state = HostState {
            blackholes: BTreeSet::from([net("192.0.2.0/24"), net("2001:db8::/64")]),
            ..HostState::default()
        };
        let mut node = node(Uplinks::OfDefaultRoutes, None);
        node.pools.v6 = vec!["2001:db8::/64".parse::<ipnet::Ipv6Net>().unwrap().try_into().unwrap()];
        node.pools.v4 = vec!["198.51.100.0/24".parse::<ipnet::Ipv4Net>().unwrap().try_into().unwrap()];
        let expected = [
            HostChange::AddBlackhole(net("198.51.100.0/24")),
            HostChange::RemoveBlackhole(net("192.0.2.0/24")),
        ];
        assert_eq!(plan(&node, &state), expected);
    }
}
