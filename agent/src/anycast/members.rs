//! Attachments, pods and AddressPools joined.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use flock_core::anycast::Candidate;
use flock_core::claim::{Ownership, Use};
use flock_core::pod::{Pod, Readiness};
use flock_core::record::{Claimants, Record};

use flock_core::desired::Desired;

/// The attachments that claim anycast addresses.
pub(super) fn candidates(claimants: &Claimants, desired: &Desired, ownership: &Ownership) -> Vec<Candidate> {
    let with_anycast = claimants.values().filter(|record| !record.claimed.anycast.is_empty());
    let candidate = |record: &Record| {
        let problem = |address: &IpAddr| ownership.problem(&record.pod, Use::Anycast, *address);
        Candidate {
            id: record.id.clone(),
            pod: record.pod.clone(),
            link: record.host_link.clone(),
            addresses: record.addresses,
            claims: record.claimed.anycast.iter().map(|address| (*address, problem(address))).collect(),
            readiness: readiness(record, claimants, desired),
        }
    };
    with_anycast.map(candidate).collect()
}

/// A sandbox that was replaced, or whose pod was, is not the one whose readiness is told.
fn readiness(record: &Record, claimants: &Claimants, desired: &Desired) -> Readiness {
    let replaced = claimants.values().any(|other| other.pod == record.pod && other.created > record.created);
    let pod = desired.pods.get(&record.pod).filter(|pod| !replaced && is_same(pod, record));
    pod.map_or(Readiness::Unknown, |pod| pod.readiness)
}

fn is_same(pod: &Pod, record: &Record) -> bool {
    match (&pod.uid, &record.uid) {
        (Some(known), Some(attached)) => known == attached,
        _ => true,
    }
}

/// The nodes whose pods serve each address of which not every node may advertise, as far as the source knows of them. Pods
/// of this node count by what is attached, not by this.
pub(super) fn serving_elsewhere<'a>(
    desired: &'a Desired,
    node: &str,
    ownership: &Ownership,
) -> BTreeMap<IpAddr, BTreeSet<&'a str>> {
    let mut serving: BTreeMap<IpAddr, BTreeSet<&str>> = BTreeMap::new();
    if desired.pools.iter().all(|pool| pool.max_advertisers.is_none()) {
        return serving;
    }
    let ready = desired.pods.values().filter(|pod| pod.readiness == Readiness::Ready);
    for (pod, on) in ready.filter_map(|pod| Some((pod, pod.node.as_deref()?))).filter(|(_, on)| *on != node) {
        let admitted = |address: &IpAddr| ownership.problem(&pod.name, Use::Anycast, *address).is_none();
        for address in pod.anycast().iter().copied().filter(admitted) {
            serving.entry(address).or_default().insert(on);
        }
    }
    serving
}
