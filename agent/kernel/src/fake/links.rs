//! The links of attachments.

use std::path::{Path, PathBuf};

use flock_core::attachment::IfName;
use flock_core::host::HostLink;
use flock_core::link::{Fact, LinkChange, LinkSpec, PodObserved, Side, host_mac, pod_mac};
use rustix::io::Errno;

use super::FakeKernel;
use super::state::{Link, Place, State, failed, in_pod, on_node, put};
use crate::{KernelError, Links};

impl Links for FakeKernel {
    async fn host_link(&self, name: &IfName) -> Result<Option<HostLink>, KernelError> {
        self.observe(|state| state.host_link(name))
    }

    async fn pod(&self, netns: &Path, ifname: &IfName) -> Result<PodObserved, KernelError> {
        let facts = self.observe(|state| state.pod_facts(netns, ifname))?;
        Ok(facts.map_or(PodObserved::NamespaceGone, PodObserved::Facts))
    }

    async fn change_link(&self, spec: &LinkSpec, changes: &[LinkChange]) -> Result<(), KernelError> {
        self.change(changes, |state, change| state.change_link(spec, change))
    }

    async fn delete_link(&self, name: &IfName) -> Result<(), KernelError> {
        self.change(std::slice::from_ref(name), |state, name| {
            state.delete_link(name);
            Ok(())
        })
    }
}

impl State {
    fn delete_link(&mut self, name: &IfName) {
        self.remove(&on_node(name));
    }

    fn change_link(&mut self, spec: &LinkSpec, change: &LinkChange) -> Result<(), KernelError> {
        match change {
            LinkChange::DeletePair => {
                self.delete_link(&spec.host);
                Ok(())
            }
            LinkChange::CreatePair => self.create_pair(spec),
            LinkChange::Set(fact) => self.set(spec, fact),
            LinkChange::Unset(fact) => {
                self.unset(spec, &fact.clone().into());
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
