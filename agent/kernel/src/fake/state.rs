//! What the kernel in memory holds, and the effect of each change.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use flock_core::anycast::{RouteChange, Routes};
use flock_core::attachment::IfName;
use flock_core::bgp::subnet::Subnets;
use flock_core::host::{DefaultRoute, HostChange, HostLink, HostState, HostSysctl};
use flock_core::link::{Fact, LinkChange, LinkSpec, Mac, Side, host_mac, pod_mac};
use flock_core::prefix::Family;
use flock_core::steering::Steering;
use ipnet::IpNet;
use rustix::io::Errno;

use crate::KernelError;

/// One end of a pair, or a link that is nobody's peer.
#[derive(Debug, Clone, Default)]
struct Link {
    mac: Option<Mac>,
    facts: BTreeSet<Fact>,
    peer: Option<Place>,
}

/// Where an end is: in which namespace (none: the node's), under which name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    netns: Option<PathBuf>,
    name: IfName,
}

/// The whole kernel.
#[derive(Debug)]
pub(super) struct State {
    links: BTreeMap<Place, Link>,
    /// By path; whether its loopback interface is up.
    namespaces: BTreeMap<PathBuf, bool>,
    other_links: BTreeMap<IfName, u32>,
    default_routes: BTreeSet<DefaultRoute>,
    blackholes: BTreeSet<IpNet>,
    sysctls: BTreeMap<HostSysctl, u8>,
    pub(super) anycast: Routes,
    pub(super) steering: Steering,
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
            anycast: Routes::new(),
            steering: Steering::default(),
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

fn on_node(name: &IfName) -> Place {
    Place { netns: None, name: name.clone() }
}

fn in_pod(netns: &Path, name: &IfName) -> Place {
    Place { netns: Some(netns.to_owned()), name: name.clone() }
}

fn failed(action: String, errno: Errno) -> KernelError {
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

    fn remove(&mut self, place: &Place) {
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

    pub(super) fn remove_namespace(&mut self, netns: &Path) {
        self.namespaces.remove(netns);
        let inside: Vec<Place> =
            self.links.keys().filter(|place| place.netns.as_deref() == Some(netns)).cloned().collect();
        inside.iter().for_each(|place| self.remove(place));
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

/// Steps.
impl State {
    /// A next hop must be on a link that is there, as the kernel demands.
    pub(super) fn change_anycast(&mut self, change: &RouteChange) -> Result<(), KernelError> {
        match change {
            RouteChange::Set(address, hops) => {
                if let Some(hop) = hops.iter().find(|hop| !self.links.contains_key(&on_node(&hop.link))) {
                    return Err(failed(format!("{change} ({})", hop.link), Errno::NODEV));
                }
                self.anycast.insert(*address, hops.clone());
            }
            RouteChange::Remove(address) => {
                self.anycast.remove(address);
            }
        }
        Ok(())
    }

    pub(super) fn change_host(&mut self, change: &HostChange) -> Result<(), KernelError> {
        match change {
            HostChange::Sysctl(sysctl, value) => match self.sysctls.get_mut(sysctl) {
                Some(current) => *current = *value,
                None => return Err(failed(format!("set {sysctl}"), Errno::NOENT)),
            },
            HostChange::AddBlackhole(net) => drop(self.blackholes.insert(*net)),
            HostChange::RemoveBlackhole(net) => drop(self.blackholes.remove(net)),
        }
        Ok(())
    }

    pub(super) fn delete_link(&mut self, name: &IfName) {
        self.remove(&on_node(name));
    }

    pub(super) fn change_link(&mut self, spec: &LinkSpec, change: &LinkChange) -> Result<(), KernelError> {
        match change {
            LinkChange::DeletePair => {
                self.delete_link(&spec.host);
                Ok(())
            }
            LinkChange::CreatePair => self.create_pair(spec),
            LinkChange::Set(fact) => self.set(spec, fact),
            LinkChange::Unset(fact) => {
                self.unset(spec, fact);
                Ok(())
            }
        }
    }

    fn create_pair(&mut self, spec: &LinkSpec) -> Result<(), KernelError> {
        let netns = self.namespace(spec)?;
        let (host, pod) = (on_node(&spec.host), in_pod(&netns, &spec.id.ifname));
        if self.links.contains_key(&host) {
            return Err(KernelError::HostLinkExists(spec.host.clone()));
        }
        if self.links.contains_key(&pod) {
            return Err(KernelError::InterfaceExists { netns, ifname: spec.id.ifname.clone() });
        }
        let end = |side, name: &IfName, mac, peer: &Place| {
            let name = name.clone();
            let facts =
                [Fact::Link { side, name }, Fact::Mac { side, mac }, Fact::Mtu { side, mtu: spec.mtu }];
            Link { mac: Some(mac), facts: facts.into(), peer: Some(peer.clone()) }
        };
        let host_end = end(Side::Host, &spec.host, host_mac(&spec.id), &pod);
        let pod_end = end(Side::Pod, &spec.id.ifname, pod_mac(&spec.id), &host);
        self.links.extend([(host, host_end), (pod, pod_end)]);
        Ok(())
    }

    fn namespace(&self, spec: &LinkSpec) -> Result<PathBuf, KernelError> {
        let netns = spec.netns.clone().unwrap_or_default();
        if self.namespaces.contains_key(&netns) { Ok(netns) } else { Err(KernelError::NoNamespace(netns)) }
    }

    fn place(&self, spec: &LinkSpec, side: Side) -> Result<Place, KernelError> {
        Ok(match side {
            Side::Host => on_node(&spec.host),
            Side::Pod => in_pod(&self.namespace(spec)?, &spec.id.ifname),
        })
    }

    fn set(&mut self, spec: &LinkSpec, fact: &Fact) -> Result<(), KernelError> {
        if *fact == Fact::LoopbackUp {
            self.namespaces.insert(self.namespace(spec)?, true);
            return Ok(());
        }
        let place = self.place(spec, fact.side())?;
        let action = || format!("set {fact}");
        let link = self.links.get_mut(&place).ok_or_else(|| failed(action(), Errno::NODEV))?;
        let up = link.facts.contains(&Fact::Up { side: fact.side() });
        if matches!(fact, Fact::Route { .. }) && !up {
            return Err(failed(action(), Errno::NETDOWN));
        }
        put(link, fact.clone());
        Ok(())
    }

    fn unset(&mut self, spec: &LinkSpec, fact: &Fact) {
        let place = self.place(spec, fact.side());
        if let Some(link) = place.ok().and_then(|place| self.links.get_mut(&place)) {
            link.facts.remove(fact);
        }
    }
}

/// Adds a fact in the place of one with the same subject.
fn put(link: &mut Link, fact: Fact) {
    if let Fact::Mac { mac, .. } = &fact {
        link.mac = Some(*mac);
    }
    let subject = fact.subject();
    link.facts.retain(|other| other.subject() != subject);
    link.facts.insert(fact);
}
