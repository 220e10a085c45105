//! Who may have the addresses that pods name themselves: asked at ADD, and again whenever AddressPools change.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use flock_core::attachment::PodName;
use flock_core::bgp::plan::PeerAddress;
use flock_core::claim::{self, ClaimError, ClaimProblem, Claimed, Claims, Registry, Use};
use flock_core::intent::{self, PodIntent};
use flock_core::record::Record;
use flock_core::selector::Labels;
use flock_core::steering::FlowSlot;
use flock_kernel::{Links, Node};
use ipnet::IpNet;

use super::{AttachError, Attachments, HostView, Table};
use crate::source::{Desired, Source};

/// What claims are judged by.
#[derive(Debug)]
pub(crate) struct Ownership {
    desired: Arc<Desired>,
    claims: Claims,
    infrastructure: BTreeSet<IpAddr>,
    own: BTreeSet<IpNet>,
    taken: BTreeMap<IpAddr, (Use, PodName)>,
}

impl Ownership {
    /// As of now, with what `records` have.
    pub(crate) fn new<'a>(
        desired: &Arc<Desired>,
        host: &HostView,
        records: impl Iterator<Item = &'a Record>,
    ) -> Self {
        let node = desired.node.as_deref();
        let peers = node.and_then(|node| node.bgp.as_ref()).into_iter().flat_map(|bgp| &bgp.peers);
        let routers = peers.filter_map(|peer| match peer.address {
            PeerAddress::Global(ip) => Some(ip),
            PeerAddress::LinkLocal { .. } => None,
        });
        let own_addresses = host.subnets.addresses.iter().map(|own| own.net.addr());
        Self {
            desired: Arc::clone(desired),
            claims: node.map(|node| node.claims).unwrap_or_default(),
            infrastructure: own_addresses.chain(routers).chain(desired.machines.iter().copied()).collect(),
            own: node.into_iter().flat_map(|node| node.pools.iter()).collect(),
            taken: records.flat_map(held).collect(),
        }
    }

    /// Judges everything that a pod claims.
    pub(crate) fn admit_all(
        &self,
        pod: &PodName,
        addresses: &BTreeSet<IpAddr>,
        anycast: &BTreeSet<IpAddr>,
    ) -> Result<(), ClaimError> {
        let addresses = addresses.iter().map(|address| (Use::Static, *address));
        let mut all = addresses.chain(anycast.iter().map(|address| (Use::Anycast, *address)));
        all.try_for_each(|(usage, address)| self.admit(pod, usage, address))
    }

    /// Judges one claim.
    fn admit(&self, pod: &PodName, usage: Use, address: IpAddr) -> Result<(), ClaimError> {
        let registry = Registry {
            claims: self.claims,
            pools: &self.desired.pools,
            namespace: &self.labels(&pod.namespace),
            infrastructure: &self.infrastructure,
            own: &self.own,
            others: &self.desired.cluster,
            taken: &self.taken,
        };
        claim::admit(pod, usage, address, &registry)
    }

    /// The API server gives every namespace this label, so one that nobody has described has it too.
    fn labels(&self, namespace: &str) -> Labels {
        let named = || Labels::from([("kubernetes.io/metadata.name".to_owned(), namespace.to_owned())]);
        self.desired.namespaces.get(namespace).cloned().unwrap_or_else(named)
    }

    /// What speaks today against a pod's having an address that it has.
    pub(crate) fn problem(&self, pod: &PodName, usage: Use, address: IpAddr) -> Option<ClaimProblem> {
        self.admit(pod, usage, address).err().map(|error| error.problem)
    }

    /// Of which prefixes routers may be told single addresses beside the node's own.
    pub(crate) fn claimable(&self) -> BTreeSet<IpNet> {
        claim::claimable(self.claims, &self.desired.pools)
    }
}

/// Everything that an attachment has, and as what.
fn held(record: &Record) -> impl Iterator<Item = (IpAddr, (Use, PodName))> {
    let own = record.addresses.iter().chain(record.claimed.addresses.iter().copied());
    let own = own.map(|address| (address, Use::Static));
    let anycast = record.claimed.anycast.iter().map(|address| (*address, Use::Anycast));
    own.chain(anycast).map(|(address, usage)| (address, (usage, record.pod.clone())))
}

impl<K: Links + Node, S: Source> Attachments<K, S> {
    /// Judges all claims of a pod that is to be attached, and gives its connections a mark.
    pub(super) fn claim(&self, intent: &PodIntent, table: &mut Table) -> Result<Claimed, AttachError> {
        let addresses: BTreeSet<IpAddr> = intent.fixed().iter().collect();
        let anycast = intent.anycast().clone();
        if addresses.is_empty() && anycast.is_empty() {
            return Ok(Claimed::default());
        }
        Ownership::new(&self.desired(), &self.host_view(), table.records.values()).admit_all(
            intent.pod(),
            &addresses,
            &anycast,
        )?;
        let slot = if anycast.is_empty() { None } else { Some(table.slot()?) };
        Ok(Claimed { addresses, anycast, slot })
    }

    /// The record of a link without one, with the anycast addresses that its pod's annotation names today: the kernel
    /// knows of them in the pod alone.
    pub(super) fn reclaim(&self, mut record: Record) -> Record {
        let desired = self.desired();
        let pod = desired.pods.get(&record.pod);
        let intent = pod.zip(desired.node.as_deref()).and_then(|(pod, node)| intent::resolve(node, pod).ok());
        record.claimed.anycast = intent.map(|(intent, _)| intent.anycast().clone()).unwrap_or_default();
        if !record.claimed.anycast.is_empty() {
            record.claimed.slot = self.table().slot().ok();
        }
        record
    }
}

impl Table {
    /// A mark that no other attachment's connections have.
    fn slot(&mut self) -> Result<FlowSlot, AttachError> {
        let taken = self.records.values().filter_map(|record| record.claimed.slot).collect();
        let slot = FlowSlot::next(&taken, self.last_slot).ok_or(AttachError::NoSlot)?;
        self.last_slot = Some(slot);
        Ok(slot)
    }
}

#[cfg(test)]
mod tests {
    use flock_core::node::NodePlan;

    use super::*;

    #[test]
    fn the_addresses_of_other_nodes_and_api_servers_are_nobodys_to_claim() {
        let address: IpAddr = "192.0.2.99".parse().unwrap();
        let node = NodePlan { claims: Claims::Any, ..NodePlan::new("node-a") };
        let problem = |machines: BTreeSet<IpAddr>| {
            let node = Some(Arc::new(node.clone()));
            let desired = Arc::new(Desired { node, machines, ..Desired::default() });
            let ownership = Ownership::new(&desired, &HostView::default(), std::iter::empty());
            ownership.problem(&PodName::new("default", "web-0").unwrap(), Use::Anycast, address)
        };
        assert_eq!(problem(BTreeSet::new()), None);
        assert_eq!(problem(BTreeSet::from([address])), Some(ClaimProblem::Infrastructure));
    }
}
