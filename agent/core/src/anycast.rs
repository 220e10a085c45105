//! Anycast on one node: which addresses are served, by which pods, and whether the node tells its routers.
//!
//! ```text
//!  attachments x pods x AddressPools --> Candidate --resolve--> Group --+--> Routes: where packets go
//!                                                                    +--> Damper --> Announced: what routers are told
//! ```
//!
//! A pod takes part while it is ready and not on its way out. The node advertises an address as long as one of its
//! pods takes part in it, unless the address's AddressPool lets fewer nodes advertise than there are.

mod announcement;
mod cause;
mod damper;
mod election;
mod routes;

pub use announcement::{Announcement, Cause};
pub use cause::causes;
pub use damper::{Damped, Damper};
pub use election::is_elected;
pub use routes::{RouteChange, Routes, route_changes};

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;

use crate::attachment::{AttachmentId, IfName, PodName};
use crate::claim::ClaimProblem;
use crate::pod::Readiness;
use crate::prefix::{Family, PodAddresses};

/// An attachment that claims anycast addresses, and whether its pod can serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The attachment.
    pub id: AttachmentId,
    /// The pod.
    pub pod: PodName,
    /// The host veth's name.
    pub link: IfName,
    /// The pod's own addresses: the next hops.
    pub addresses: PodAddresses,
    /// What it claims, and what speaks against it today: AddressPools come and go.
    pub claims: BTreeMap<IpAddr, Option<ClaimProblem>>,
    /// Whether it can serve.
    pub readiness: Readiness,
}

/// Where packets to an anycast address go.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NextHop {
    /// The pod's own address of the family.
    pub via: IpAddr,
    /// The host veth's name.
    pub link: IfName,
}

impl fmt::Display for NextHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "via {} dev {}", self.via, self.link)
    }
}

/// What the node tells its routers of single addresses.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Announced {
    /// Anycast addresses, with the number of pods that serve each here.
    pub anycast: BTreeMap<IpAddr, NonZeroU32>,
    /// Addresses that pods have chosen themselves and that are in none of the node's prefixes.
    pub static_addresses: BTreeSet<IpAddr>,
}

/// A pod's part in an anycast address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The pod.
    pub pod: PodName,
    /// Whether it takes part.
    pub state: MemberState,
}

/// Whether a pod takes part in an anycast address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberState {
    /// It is a next hop.
    Serving,
    /// It is not ready, or is on its way out.
    Out(Readiness),
    /// It may not have the address any more.
    Refused(ClaimProblem),
    /// It has no address of the family. A claim of such a pod is refused at ADD.
    NoFamily,
}

/// One anycast address on this node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Group {
    /// The pods that can serve it: the route, and the reason to advertise it. Empty: neither.
    pub next_hops: BTreeSet<NextHop>,
    /// All pods that claim it.
    pub members: BTreeMap<AttachmentId, Member>,
}

/// Every address that is claimed on this node.
pub type Groups = BTreeMap<IpAddr, Group>;

impl Group {
    /// How many pods serve it; none: it is not to be advertised.
    pub fn ready_pods(&self) -> Option<NonZeroU32> {
        u32::try_from(self.next_hops.len()).ok().and_then(NonZeroU32::new)
    }
}

/// Every address that is claimed on this node.
pub fn resolve<'a>(members: impl IntoIterator<Item = &'a Candidate>) -> Groups {
    let mut groups = Groups::new();
    for candidate in members {
        for (address, problem) in &candidate.claims {
            let group = groups.entry(*address).or_default();
            let state = match next_hop(candidate, Family::of(*address), problem.as_ref()) {
                Ok(hop) => {
                    group.next_hops.insert(hop);
                    MemberState::Serving
                }
                Err(state) => state,
            };
            group.members.insert(candidate.id.clone(), Member { pod: candidate.pod.clone(), state });
        }
    }
    groups
}

/// The routes that groups need.
pub fn routes(groups: &Groups) -> Routes {
    let served = groups.iter().filter(|(_, group)| !group.next_hops.is_empty());
    served.map(|(address, group)| (*address, group.next_hops.clone())).collect()
}

fn next_hop(
    candidate: &Candidate,
    family: Family,
    problem: Option<&ClaimProblem>,
) -> Result<NextHop, MemberState> {
    if let Some(problem) = problem {
        return Err(MemberState::Refused(problem.clone()));
    }
    let via =
        candidate.addresses.iter().find(|own| Family::of(*own) == family).ok_or(MemberState::NoFamily)?;
    match candidate.readiness {
        Readiness::Ready => Ok(NextHop { via, link: candidate.link.clone() }),
        readiness => Err(MemberState::Out(readiness)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn candidate(number: u8, readiness: Readiness, anycast: &[&str]) -> Candidate {
        Candidate {
            id: format!("c{number}@eth0").parse().unwrap(),
            pod: PodName::new("dns", &format!("resolver-{number}")).unwrap(),
            link: format!("flock0000000{number}").parse().unwrap(),
            addresses: PodAddresses {
                v6: Some(format!("2001:db8:a:1::{number}").parse().unwrap()),
                v4: Some(format!("203.0.113.{number}").parse().unwrap()),
            },
            claims: anycast.iter().map(|address| (address.parse().unwrap(), None)).collect(),
            readiness,
        }
    }

    const BOTH: [&str; 2] = ["2001:db8:53::1", "198.51.100.53"];

    fn vias(group: &Group) -> Vec<String> {
        group.next_hops.iter().map(|hop| hop.via.to_string()).collect()
    }

    #[test]
    fn ready_pods_are_next_hops_by_their_own_address_of_the_family() {
        let members = [candidate(2, Readiness::Ready, &BOTH), candidate(1, Readiness::Ready, &BOTH)];
        let groups = resolve(&members);
        assert_eq!(vias(&groups[&BOTH[0].parse().unwrap()]), ["2001:db8:a:1::1", "2001:db8:a:1::2"]);
        assert_eq!(vias(&groups[&BOTH[1].parse().unwrap()]), ["203.0.113.1", "203.0.113.2"]);
    }

    #[test]
    fn the_last_ready_pod_takes_the_advertisement_along() {
        for readiness in [Readiness::NotReady, Readiness::Terminating, Readiness::Unknown] {
            let groups = resolve(&[candidate(1, readiness, &BOTH)]);
            let group = &groups[&BOTH[0].parse().unwrap()];
            assert!(group.ready_pods().is_none() && group.members.len() == 1, "{readiness:?}");
            assert!(routes(&groups).is_empty());
        }
        assert!(
            resolve(&[candidate(1, Readiness::Ready, &BOTH)])
                .values()
                .all(|group| group.ready_pods().is_some())
        );
    }

    #[test]
    fn a_pod_without_the_family_is_no_next_hop() {
        let mut v6_only = candidate(1, Readiness::Ready, &BOTH);
        v6_only.addresses.v4 = None;
        let groups = resolve(&[v6_only]);
        assert_eq!(groups[&BOTH[1].parse().unwrap()].ready_pods(), None);
        assert_eq!(groups[&BOTH[0].parse().unwrap()].ready_pods(), NonZeroU32::new(1));
    }

    #[test]
    fn a_claim_that_is_not_admitted_any_more_is_none() {
        let mut refused = candidate(1, Readiness::Ready, &BOTH);
        let v6: IpAddr = BOTH[0].parse().unwrap();
        refused.claims.insert(v6, Some(ClaimProblem::Infrastructure));
        let groups = resolve(&[refused]);
        assert_eq!(groups[&v6].ready_pods(), None);
        assert_eq!(
            groups[&v6].members.values().next().unwrap().state,
            MemberState::Refused(ClaimProblem::Infrastructure)
        );
        assert_eq!(routes(&groups).len(), 1);
    }

    proptest! {
        /// The order in which attachments come says nothing; only ready pods count; nothing else moves.
        #[test]
        fn a_pods_readiness_changes_its_own_next_hop_only(ready in proptest::collection::vec(any::<bool>(), 1..9), who in 0..9_usize) {
            let readiness = |ready| if ready { Readiness::Ready } else { Readiness::NotReady };
            let members: Vec<Candidate> = ready.iter().zip(1..).map(|(ready, n)| candidate(n, readiness(*ready), &BOTH)).collect();
            let before = resolve(&members);
            prop_assert_eq!(&before, &resolve(members.iter().rev()));
            let mut after = members.clone();
            let flipped = who % members.len();
            after[flipped].readiness = readiness(!ready[flipped]);
            for (address, group) in resolve(&after) {
                let own = |hop: &&NextHop| hop.link == members[flipped].link;
                let moved: BTreeSet<_> = group.next_hops.symmetric_difference(&before[&address].next_hops).collect();
                prop_assert!(moved.iter().all(own) && moved.len() == 1);
            }
        }
    }
}
