//! Anycast on one node: which addresses are served, by which pods, and whether the node tells its routers.
//!
//! A pod takes part while it is ready and not on its way out. The node advertises an address as long as one of its
//! pods takes part in it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::attachment::{AttachmentId, IfName, PodName};
use crate::prefix::{Family, PodAddresses};

/// An attachment that claims anycast addresses, and whether its pod can serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The attachment.
    pub id: AttachmentId,
    /// The pod.
    pub pod: PodName,
    /// The host veth's name.
    pub link: IfName,
    /// The pod's own addresses: the next hops.
    pub addresses: PodAddresses,
    /// What it claims.
    pub anycast: BTreeSet<IpAddr>,
    /// Whether it can serve.
    pub readiness: Readiness,
}

/// Whether a pod can serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Readiness {
    /// It is Ready and has no deletionTimestamp.
    Ready,
    /// It is not Ready.
    NotReady,
    /// It has a deletionTimestamp: what the probe says does not count any more.
    Terminating,
    /// Nobody knows the pod, or not any more.
    Unknown,
}

/// Where packets to an anycast address go.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NextHop {
    /// The pod's own address of the family.
    pub via: IpAddr,
    /// The host veth's name.
    pub link: IfName,
}

/// One anycast address on this node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Group {
    /// The pods that can serve it: the route, and the reason to advertise it. Empty: neither.
    pub next_hops: BTreeSet<NextHop>,
    /// All pods that claim it, and whether they can serve.
    pub members: BTreeMap<PodName, Readiness>,
}

impl Group {
    /// Whether the node tells its routers of the address.
    pub fn is_advertised(&self) -> bool {
        !self.next_hops.is_empty()
    }
}

/// Every address that is claimed on this node.
pub fn resolve<'a>(members: impl IntoIterator<Item = &'a Member>) -> BTreeMap<IpAddr, Group> {
    let mut groups: BTreeMap<IpAddr, Group> = BTreeMap::new();
    for member in members {
        for address in &member.anycast {
            let group = groups.entry(*address).or_default();
            group.members.insert(member.pod.clone(), member.readiness);
            group.next_hops.extend(next_hop(member, Family::of(*address)));
        }
    }
    groups
}

/// None for a pod that cannot serve, or that has no address of the family: a claim of such a pod is refused at ADD.
fn next_hop(member: &Member, family: Family) -> Option<NextHop> {
    let via = member.addresses.iter().find(|own| Family::of(*own) == family)?;
    let serves = member.readiness == Readiness::Ready;
    serves.then(|| NextHop { via, link: member.link.clone() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn member(number: u8, readiness: Readiness, anycast: &[&str]) -> Member {
        Member {
            id: format!("c{number}@eth0").parse().unwrap(),
            pod: PodName::new("dns", &format!("resolver-{number}")).unwrap(),
            link: format!("flock0000000{number}").parse().unwrap(),
            addresses: PodAddresses {
                v6: Some(format!("2001:db8:a:1::{number}").parse().unwrap()),
                v4: Some(format!("203.0.113.{number}").parse().unwrap()),
            },
            anycast: anycast.iter().map(|address| address.parse().unwrap()).collect(),
            readiness,
        }
    }

    const BOTH: [&str; 2] = ["2001:db8:53::1", "198.51.100.53"];

    fn vias(group: &Group) -> Vec<String> {
        group.next_hops.iter().map(|hop| hop.via.to_string()).collect()
    }

    #[test]
    fn ready_pods_are_next_hops_by_their_own_address_of_the_family() {
        let members = [member(2, Readiness::Ready, &BOTH), member(1, Readiness::Ready, &BOTH)];
        let groups = resolve(&members);
        assert_eq!(vias(&groups[&BOTH[0].parse().unwrap()]), ["2001:db8:a:1::1", "2001:db8:a:1::2"]);
        assert_eq!(vias(&groups[&BOTH[1].parse().unwrap()]), ["203.0.113.1", "203.0.113.2"]);
    }

    #[test]
    fn the_last_ready_pod_takes_the_advertisement_along() {
        for readiness in [Readiness::NotReady, Readiness::Terminating, Readiness::Unknown] {
            let groups = resolve(&[member(1, readiness, &BOTH)]);
            let group = &groups[&BOTH[0].parse().unwrap()];
            assert!(!group.is_advertised() && group.members.len() == 1, "{readiness:?}");
        }
        assert!(resolve(&[member(1, Readiness::Ready, &BOTH)]).values().all(Group::is_advertised));
    }

    #[test]
    fn a_pod_without_the_family_is_no_next_hop() {
        let mut v6_only = member(1, Readiness::Ready, &BOTH);
        v6_only.addresses.v4 = None;
        assert!(!resolve(&[v6_only])[&BOTH[1].parse().unwrap()].is_advertised());
    }

    proptest! {
        /// The order in which attachments come says nothing; only ready pods count; nothing else moves.
        #[test]
        fn a_pods_readiness_changes_its_own_next_hop_only(ready in proptest::collection::vec(any::<bool>(), 1..9), who in 0..9_usize) {
            let readiness = |ready| if ready { Readiness::Ready } else { Readiness::NotReady };
            let members: Vec<Member> = ready.iter().zip(1..).map(|(ready, n)| member(n, readiness(*ready), &BOTH)).collect();
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
