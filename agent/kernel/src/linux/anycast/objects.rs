//! The nexthop objects that are there, and which of them are ours.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use rustix::io::Errno;

use crate::ROUTE_PROTOCOL;
use crate::linux::errno::Failure;
use crate::linux::nexthop::{GatewayOnLink, Group, Kind, Member, Nexthop, NexthopMessage, Table};
use crate::linux::socket::Socket;

/// Ours begin with "FL". What is in the range but does not bear our protocol number is somebody else's all the same.
const IDS: RangeInclusive<u32> = 0x464c_0000..=0x464c_ffff;

/// Enough that a pod's share is even to some percent among as many pods as fit on a node; buckets in use stay with
/// their pod.
const TABLE: Table = Table { buckets: 256, unbalanced_timer: 0 };

/// Every nexthop object, by id.
#[derive(Debug, Default)]
pub(super) struct Objects(BTreeMap<u32, Nexthop>);

impl Objects {
    /// None on a kernel that knows no nexthop objects.
    pub(super) fn read(socket: &mut Socket) -> Result<Self, Failure> {
        let found = match socket.dump(NexthopMessage::Get) {
            Err(Failure { errno: Errno::OPNOTSUPP, .. }) => Vec::new(),
            found => found?,
        };
        Ok(found
            .into_iter()
            .filter_map(|message| match message {
                NexthopMessage::New(nexthop) => Some(nexthop),
                _ => None,
            })
            .collect())
    }

    /// Those that bear our mark.
    pub(super) fn ours(&self) -> impl Iterator<Item = &Nexthop> {
        self.0.values().filter(|nexthop| is_ours(nexthop))
    }

    fn our(&self, id: u32) -> Option<&Kind> {
        self.0.get(&id).filter(|nexthop| is_ours(nexthop)).map(|nexthop| &nexthop.kind)
    }

    fn our_group(&self, id: u32) -> Option<&Group> {
        match self.our(id)? {
            Kind::Group(group) => Some(group),
            _ => None,
        }
    }

    /// Where a group leads; none for one that is not ours, or not as flock makes it.
    pub(super) fn hops(&self, group: u32) -> Option<BTreeSet<GatewayOnLink>> {
        let group = self.our_group(group).filter(|group| group.table == Some(TABLE))?;
        let hop = |member: &Member| match self.our(member.id)? {
            Kind::Single(hop) if member.extra_weight == 0 => Some(*hop),
            _ => None,
        };
        group.members.iter().map(hop).collect()
    }

    /// Whether the members of a group can be replaced: the kernel does so only if it is resilient, and stays as large.
    pub(super) fn is_replaceable(&self, group: u32) -> bool {
        let table = self.our_group(group).and_then(|group| group.table);
        table.is_some_and(|table| table.buckets == TABLE.buckets)
    }

    /// The object of a next hop, if there is one.
    pub(super) fn single(&self, hop: &GatewayOnLink) -> Option<u32> {
        self.ours().find(|nexthop| nexthop.kind == Kind::Single(*hop)).map(|nexthop| nexthop.id)
    }

    /// An object that is yet to be made, with the lowest id that is free.
    pub(super) fn another(&self, kind: Kind) -> Result<Nexthop, Failure> {
        let free = IDS.into_iter().find(|id| !self.0.contains_key(id));
        let none = || Failure { errno: Errno::NOSPC, text: Some("no nexthop id is free".to_owned()) };
        Ok(ours(free.ok_or_else(none)?, kind))
    }

    /// It is there now.
    pub(super) fn insert(&mut self, nexthop: Nexthop) {
        self.0.insert(nexthop.id, nexthop);
    }

    /// Those of ours that no route leads to, by the ids that routes name, and no group that stays; groups first.
    pub(super) fn unused(&self, routed: &BTreeSet<u32>) -> Vec<&Nexthop> {
        let (groups, others): (Vec<_>, Vec<_>) = self
            .ours()
            .filter(|nexthop| !routed.contains(&nexthop.id))
            .partition(|nexthop| matches!(nexthop.kind, Kind::Group(_)));
        let going: BTreeSet<u32> = groups.iter().map(|nexthop| nexthop.id).collect();
        let staying = self.0.values().filter(|nexthop| !going.contains(&nexthop.id));
        let members: BTreeSet<u32> = staying.flat_map(members).collect();
        groups
            .into_iter()
            .chain(others.into_iter().filter(|nexthop| !members.contains(&nexthop.id)))
            .collect()
    }
}

impl FromIterator<Nexthop> for Objects {
    fn from_iter<I: IntoIterator<Item = Nexthop>>(nexthops: I) -> Self {
        Self(nexthops.into_iter().map(|nexthop| (nexthop.id, nexthop)).collect())
    }
}

/// A group of ours of those members, each with the same share.
pub(super) fn group(members: &[u32]) -> Kind {
    let members = members.iter().map(|id| Member { id: *id, extra_weight: 0 }).collect();
    Kind::Group(Group { members, table: Some(TABLE) })
}

/// An object with our mark.
pub(super) fn ours(id: u32, kind: Kind) -> Nexthop {
    Nexthop { id, protocol: ROUTE_PROTOCOL, kind }
}

fn is_ours(nexthop: &Nexthop) -> bool {
    nexthop.protocol == ROUTE_PROTOCOL && IDS.contains(&nexthop.id)
}

fn members(nexthop: &Nexthop) -> impl Iterator<Item = u32> {
    let group = match &nexthop.kind {
        Kind::Group(group) => Some(group),
        _ => None,
    };
    group.into_iter().flat_map(|group| group.members.iter().map(|member| member.id))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: u32 = *IDS.start();

    fn hop(n: u32) -> GatewayOnLink {
        GatewayOnLink { via: format!("192.0.2.{n}").parse().unwrap(), link: n }
    }

    fn single(n: u32) -> Nexthop {
        ours(BASE + n, Kind::Single(hop(n)))
    }

    fn group_of(id: u32, members: &[u32]) -> Nexthop {
        ours(BASE + id, group(&members.iter().map(|n| BASE + n).collect::<Vec<_>>()))
    }

    fn foreign(nexthop: Nexthop) -> Nexthop {
        Nexthop { protocol: 4, ..nexthop }
    }

    #[test]
    fn a_group_leads_to_its_members() {
        let objects = Objects::from_iter([single(1), single(2), group_of(3, &[1, 2])]);
        assert_eq!(objects.hops(BASE + 3), Some([hop(1), hop(2)].into()));
        assert!(objects.is_replaceable(BASE + 3));
        assert_eq!(objects.single(&hop(2)), Some(BASE + 2));
    }

    #[test]
    fn what_flock_does_not_make_leads_nowhere() {
        let uneven = Member { id: BASE + 1, extra_weight: 1 };
        let not_resilient = Group { members: vec![Member { id: BASE + 1, extra_weight: 0 }], table: None };
        let small = Table { buckets: 8, ..TABLE };
        for (given, replaceable) in [
            (Kind::Group(not_resilient.clone()), false),
            (Kind::Group(Group { table: Some(small), ..not_resilient }), false),
            (Kind::Group(Group { members: vec![uneven], table: Some(TABLE) }), true),
            (group(&[BASE + 2]), true),
            (group(&[BASE + 9]), true),
            (Kind::Single(hop(1)), false),
        ] {
            let objects = Objects::from_iter([single(1), foreign(single(2)), ours(BASE + 3, given.clone())]);
            assert_eq!(objects.hops(BASE + 3), None, "{given:?}");
            assert_eq!(objects.is_replaceable(BASE + 3), replaceable, "{given:?}");
        }
    }

    #[test]
    fn foreign_objects_are_not_ours_whatever_their_id() {
        let outside = Nexthop { id: 5, ..single(1) };
        let objects = Objects::from_iter([foreign(single(0)), outside]);
        assert_eq!(objects.ours().count(), 0);
        assert_eq!((objects.single(&hop(0)), objects.single(&hop(1))), (None, None));
        assert!(objects.unused(&BTreeSet::new()).is_empty());
    }

    #[test]
    fn the_lowest_free_id_is_taken() {
        let id = |objects: &Objects| objects.another(Kind::Other).unwrap().id;
        assert_eq!(id(&Objects::default()), BASE);
        assert_eq!(id(&Objects::from_iter([foreign(single(0)), single(1), single(3)])), BASE + 2);
    }

    #[test]
    fn ids_run_out() {
        let objects = Objects::from_iter(IDS.map(|id| ours(id, Kind::Other)));
        assert_eq!(objects.another(Kind::Other).unwrap_err().errno, Errno::NOSPC);
    }

    #[test]
    fn what_neither_route_nor_group_needs_is_unused() {
        let foreign_group = Nexthop { id: 9, protocol: 4, ..group_of(0, &[4]) };
        let objects = Objects::from_iter([
            single(1),
            single(2),
            single(3),
            single(4),
            single(5),
            group_of(6, &[1, 2]),
            group_of(7, &[2, 3]),
            foreign_group,
        ]);
        let ids = |routed: &[u32]| {
            let routed = routed.iter().map(|id| BASE + id).collect();
            objects.unused(&routed).iter().map(|nexthop| nexthop.id - BASE).collect::<Vec<_>>()
        };
        assert_eq!(ids(&[6, 5]), [7, 3]);
        assert_eq!(ids(&[]), [6, 7, 1, 2, 3, 5]);
    }
}
