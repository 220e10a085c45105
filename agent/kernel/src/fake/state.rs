//! What the kernel in memory holds, and what others may do to it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use flock_core::attachment::IfName;
use flock_core::host::addresses::Subnets;
use flock_core::host::{DefaultRoute, HostLink, HostState, HostSysctl};
use flock_core::link::{Fact, Mac, Side};
use flock_core::prefix::Family;
use ipnet::IpNet;
use rustix::io::Errno;

use super::firewall::FirewallState;
use super::routes::RoutesState;
use crate::KernelError;

/// One end of a pair, or a link that is nobody's peer.
#[derive(Debug, Clone, Default)]
pub(super) struct Link {
    pub(super) mac: Option<Mac>,
    pub(super) facts: BTreeSet<Fact>,
    pub(super) peer: Option<Place>,
}

/// Where an end is: in which namespace (none: the node's), under which name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    netns: Option<PathBuf>,
    name: IfName,
}

/// The whole kernel.
#[derive(Debug)]
pub(super) struct State {
    pub(super) links: BTreeMap<Place, Link>,
    /// By path; whether its loopback interface is up.
    pub(super) namespaces: BTreeMap<PathBuf, bool>,
    other_links: BTreeMap<IfName, u32>,
    default_routes: BTreeSet<DefaultRoute>,
    pub(super) blackholes: BTreeSet<IpNet>,
    pub(super) sysctls: BTreeMap<HostSysctl, u8>,
    pub(super) routes: RoutesState,
    pub(super) firewall: FirewallState,
}

impl Default for State {
    fn default() -> Self {
        let mut state = Self {
            links: BTreeMap::new(),
            namespaces: BTreeMap::new(),
            other_links: BTreeMap::new(),
            default_routes: BTreeSet::new(),
            blackholes: BTreeSet::new(),
            sysctls: BTreeMap::new(),
            routes: RoutesState::default(),
            firewall: FirewallState::default(),
        };
        if let Ok(uplink) = "eth0".parse::<IfName>() {
            let route = |family| DefaultRoute { family, ifname: uplink.clone(), from_ra: false };
            state.default_routes = [Family::IPv6, Family::IPv4].into_iter().map(route).collect();
            state.set_uplink_mtu(&uplink, 1500);
        }
        for sysctl in [
            HostSysctl::Ipv6Forwarding,
            HostSysctl::Ipv4Forwarding,
            HostSysctl::Ipv6MultipathHash,
            HostSysctl::Ipv4MultipathHash,
        ] {
            state.sysctls.insert(sysctl, 0);
        }
        state
    }
}

pub(super) fn on_node(name: &IfName) -> Place {
    Place { netns: None, name: name.clone() }
}

pub(super) fn in_pod(netns: &Path, name: &IfName) -> Place {
    Place { netns: Some(netns.to_owned()), name: name.clone() }
}

pub(super) fn failed(action: String, errno: Errno) -> KernelError {
    KernelError::Step { action, cause: io::Error::from(errno) }
}

/// Observation.
impl State {
    pub(super) fn node(&self) -> HostState {
        let on_node = self.links.keys().filter(|place| place.netns.is_none());
        let flock_links =
            on_node.filter_map(|place| Some((place.name.clone(), self.host_link(&place.name)?)));
        HostState {
            flock_links: flock_links.collect(),
            other_links: self.other_links.clone(),
            default_routes: self.default_routes.clone(),
            blackholes: self.blackholes.clone(),
            subnets: Subnets::default(),
            sysctls: self.sysctls.clone(),
        }
    }

    pub(super) fn host_link(&self, name: &IfName) -> Option<HostLink> {
        let link = self.links.get(&on_node(name))?;
        let alias = link.facts.iter().find_map(|fact| match fact {
            Fact::Alias { alias } => Some(alias.clone()),
            _ => None,
        });
        Some(HostLink { alias, mac: link.mac.unwrap_or(Mac([0; 6])), facts: link.facts.clone() })
    }

    pub(super) fn pod_facts(&self, netns: &Path, ifname: &IfName) -> Option<BTreeSet<Fact>> {
        let loopback_up = *self.namespaces.get(netns)?;
        let link = self.links.get(&in_pod(netns, ifname));
        let mut facts = link.map(|link| link.facts.clone()).unwrap_or_default();
        facts.extend(loopback_up.then_some(Fact::LoopbackUp));
        Some(facts)
    }

    pub(super) fn pair_facts(&self, host: &IfName) -> BTreeSet<Fact> {
        let Some(link) = self.links.get(&on_node(host)) else {
            return BTreeSet::new();
        };
        let peer = link.peer.as_ref().and_then(|peer| self.pod_facts(peer.netns.as_ref()?, &peer.name));
        link.facts.iter().cloned().chain(peer.into_iter().flatten()).collect()
    }
}

/// Disturbance.
impl State {
    pub(super) fn remove_fact(&mut self, host: &IfName, fact: &Fact) {
        if let Some(link) = self.end_of(host, fact) {
            link.facts.remove(fact);
        }
    }

    pub(super) fn add_fact(&mut self, host: &IfName, fact: Fact) {
        if let Some(link) = self.end_of(host, &fact) {
            put(link, fact);
        }
    }

    fn end_of(&mut self, host: &IfName, fact: &Fact) -> Option<&mut Link> {
        let place = match fact.side() {
            Side::Host => on_node(host),
            Side::Pod => self.links.get(&on_node(host))?.peer.clone()?,
        };
        self.links.get_mut(&place)
    }

    pub(super) fn remove_link(&mut self, name: &IfName) {
        self.remove(&on_node(name));
        self.other_links.remove(name);
    }

    pub(super) fn remove(&mut self, place: &Place) {
        if let Some(peer) = self.links.remove(place).and_then(|link| link.peer) {
            self.links.remove(&peer);
        }
    }

    pub(super) fn add_foreign_link(&mut self, name: &IfName) {
        if name.as_str().starts_with("flock") {
            self.add_foreign(on_node(name), Side::Host);
        } else {
            self.other_links.insert(name.clone(), 1500);
        }
    }

    pub(super) fn add_foreign_interface(&mut self, netns: &Path, ifname: &IfName) {
        self.add_namespace(netns);
        self.add_foreign(in_pod(netns, ifname), Side::Pod);
    }

    fn add_foreign(&mut self, place: Place, side: Side) {
        let mac = Mac([0x02, 0, 0, 0, 0, 1]);
        let name = place.name.clone();
        let facts = [Fact::Link { side, name }, Fact::Mac { side, mac }, Fact::Mtu { side, mtu: 1500 }];
        self.links.insert(place, Link { mac: Some(mac), facts: facts.into(), peer: None });
    }

    pub(super) fn add_namespace(&mut self, netns: &Path) {
        // As runtimes leave it.
        self.namespaces.insert(netns.to_owned(), true);
    }

    /// The host links that went with it.
    pub(super) fn remove_namespace(&mut self, netns: &Path) -> Vec<IfName> {
        self.namespaces.remove(netns);
        let inside: Vec<Place> =
            self.links.keys().filter(|place| place.netns.as_deref() == Some(netns)).cloned().collect();
        let peers = inside.iter().filter_map(|place| self.links.get(place)?.peer.as_ref());
        let hosts = peers.map(|peer| peer.name.clone()).collect();
        inside.iter().for_each(|place| self.remove(place));
        hosts
    }

    pub(super) fn set_uplink_mtu(&mut self, name: &IfName, mtu: u32) {
        self.other_links.insert(name.clone(), mtu);
        self.sysctls.entry(HostSysctl::AcceptRa(name.clone())).or_insert(1);
    }

    pub(super) fn set_default_routes(&mut self, routes: BTreeSet<DefaultRoute>) {
        self.default_routes = routes;
    }

    pub(super) fn set_sysctl(&mut self, sysctl: HostSysctl, value: u8) {
        self.sysctls.insert(sysctl, value);
    }
}

/// Adds a fact in the place of one with the same subject.
pub(super) fn put(link: &mut Link, fact: Fact) {
    if let Fact::Mac { mac, .. } = &fact {
        link.mac = Some(*mac);
    }
    let subject = fact.subject();
    link.facts.retain(|other| other.subject() != subject);
    link.facts.insert(fact);
}
