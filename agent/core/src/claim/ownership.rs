//! Who has what: asked at ADD, and again whenever AddressPools change.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::{ClaimError, ClaimProblem, Claims, Registry, Use};
use crate::attachment::PodName;
use crate::bgp::plan::PeerAddress;
use crate::desired::Desired;
use crate::host::NodeView;
use crate::record::{Record, Records};
use crate::selector::Labels;

/// What claims are judged by.
#[derive(Debug)]
pub struct Ownership {
    desired: Arc<Desired>,
    claims: Claims,
    infrastructure: BTreeSet<IpAddr>,
    own: BTreeSet<IpNet>,
    taken: BTreeMap<IpAddr, (Use, PodName)>,
}

impl Ownership {
    /// As of now, with what `records` have.
    pub fn new(desired: &Arc<Desired>, host: &NodeView, records: &Records) -> Self {
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
            taken: records.values().flat_map(|record| held(record)).collect(),
        }
    }

    /// Judges everything that a pod claims.
    ///
    /// # Errors
    /// The first claim that is refused, and why.
    pub fn admit_all(
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
        super::admit(pod, usage, address, &registry)
    }

    /// The API server gives every namespace this label, so one that nobody has described has it too.
    fn labels(&self, namespace: &str) -> Labels {
        let named = || Labels::from([("kubernetes.io/metadata.name".to_owned(), namespace.to_owned())]);
        self.desired.namespaces.get(namespace).cloned().unwrap_or_else(named)
    }

    /// What speaks today against a pod's having an address that it has.
    pub fn problem(&self, pod: &PodName, usage: Use, address: IpAddr) -> Option<ClaimProblem> {
        self.admit(pod, usage, address).err().map(|error| error.problem)
    }

    /// Of which prefixes routers may be told single addresses beside the node's own.
    pub fn claimable(&self) -> BTreeSet<IpNet> {
        super::claimable(self.claims, &self.desired.pools)
    }
}

/// Everything that an attachment has, and as what.
fn held(record: &Record) -> impl Iterator<Item = (IpAddr, (Use, PodName))> {
    let own = record.addresses.iter().chain(record.claimed.static_addresses.iter().copied());
    let own = own.map(|address| (address, Use::Static));
    let anycast = record.claimed.anycast.iter().map(|address| (*address, Use::Anycast));
    own.chain(anycast).map(|(address, usage)| (address, (usage, record.pod.clone())))
}

#[cfg(test)]
mod tests {
    use crate::node::NodePlan;

    use super::*;

    #[test]
    fn the_addresses_of_other_nodes_and_api_servers_are_nobodys_to_claim() {
        let address: IpAddr = "192.0.2.99".parse().unwrap();
        let node = NodePlan { claims: Claims::Any, ..NodePlan::new("node-a") };
        let problem = |machines: BTreeSet<IpAddr>| {
            let node = Some(Arc::new(node.clone()));
            let desired = Arc::new(Desired { node, machines, ..Desired::default() });
            let ownership = Ownership::new(&desired, &NodeView::default(), &Records::new());
            ownership.problem(&PodName::new("default", "web-0").unwrap(), Use::Anycast, address)
        };
        assert_eq!(problem(BTreeSet::new()), None);
        assert_eq!(problem(BTreeSet::from([address])), Some(ClaimProblem::Infrastructure));
    }
}
