//! Established connections to anycast addresses stay with their pod.
//!
//! A route's hash decides where a new connection goes. When the set of pods changes, a hash may decide anew, and a pod
//! that has left the route gets nothing at all. So connection tracking remembers for each connection which pod its
//! last packet went to, and the packets of an established one follow that: a packet mark that stays within the node
//! selects a routing table with the pod's own route. What is left of a pod's connections ends with its link.
//!
//! Marks use the twelve highest bits of 32; others' bits (kube-proxy: 14 and 15) are left alone. On packets to an
//! anycast address those twelve are ours, on all others nobody's that we know.
//!
//! * `table`: the nftables table that remembers and marks.
//! * `routing`: the policy rules and routes that obey the marks.

mod routing;
mod table;

pub use routing::{Path, Routing, Rule, RuleKind};
pub use table::{TABLE, table, table_id};

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::attachment::IfName;
use crate::marks;
use crate::prefix::PodAddresses;

/// The routing tables of the slots: `FL` in ASCII, followed by the slot's number. Far above what people and other
/// programs use.
const TABLES: u32 = 0x464c_0000;

/// A pod's number in the marks of its connections: 1 to 4095, unique on the node while the attachment lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct FlowSlot(u16);

/// The number is not from 1 to 4095.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} is no flow slot: there are 1 to 4095")]
pub struct FlowSlotError(u16);

impl FlowSlot {
    /// The bits of a mark that are flock's.
    pub const MASK: u32 = marks::STEERING;

    /// The highest.
    pub const LAST: FlowSlot = FlowSlot(4095);

    /// The slot's mark: nothing but bits of [`FlowSlot::MASK`], and at least one of them.
    pub fn mark(self) -> u32 {
        u32::from(self.0) << 20
    }

    /// The routing table that a packet with the mark is looked up in first.
    pub fn table(self) -> u32 {
        TABLES | u32::from(self.0)
    }

    /// The slot whose table that is; none for tables that are not ours.
    pub fn of_table(table: u32) -> Option<FlowSlot> {
        let number = u16::try_from(table ^ TABLES).ok()?;
        number.try_into().ok()
    }

    /// The number.
    pub fn get(self) -> u16 {
        self.0
    }

    /// The lowest slot above `last` that is not taken, from 1 again after the highest: one that was given back rests as
    /// long as there are others, since connections that were its pod's may still be remembered. None: all are taken.
    pub fn next(taken: &BTreeSet<FlowSlot>, last: Option<FlowSlot>) -> Option<FlowSlot> {
        let last = last.map_or(0, FlowSlot::get);
        let free = |slot: &FlowSlot| !taken.contains(slot);
        (last + 1..=Self::LAST.0).chain(1..=last).map(FlowSlot).find(free)
    }
}

impl TryFrom<u16> for FlowSlot {
    type Error = FlowSlotError;

    fn try_from(number: u16) -> Result<Self, FlowSlotError> {
        if (1..=Self::LAST.0).contains(&number) { Ok(Self(number)) } else { Err(FlowSlotError(number)) }
    }
}

impl From<FlowSlot> for u16 {
    fn from(slot: FlowSlot) -> u16 {
        slot.0
    }
}

impl fmt::Display for FlowSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What the node does with established connections. The default: nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Steering {
    /// The pods that have anycast addresses, whether or not they take new connections.
    pub pods: BTreeMap<FlowSlot, SteeredPod>,
}

impl Steering {
    /// All anycast addresses of the node's pods.
    pub fn addresses(&self) -> BTreeSet<IpAddr> {
        self.pods.values().flat_map(|pod| &pod.anycast).copied().collect()
    }
}

/// Where a pod's connections go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SteeredPod {
    /// The host veth's name.
    pub link: IfName,
    /// The pod's own addresses: the next hops.
    pub addresses: PodAddresses,
    /// The anycast addresses that it has.
    pub anycast: BTreeSet<IpAddr>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pod with both families in the first slot, one with IPv6 only in the last.
    pub(super) fn steering() -> Steering {
        let pod = |link: &str, v6: &str, v4: Option<&str>| SteeredPod {
            link: link.parse().unwrap(),
            addresses: PodAddresses {
                v6: Some(v6.parse().unwrap()),
                v4: v4.map(|text| text.parse().unwrap()),
            },
            anycast: ["2001:db8:53::1", "198.51.100.53"].map(|text| text.parse().unwrap()).into(),
        };
        let first = pod("flock0000000a", "2001:db8:a:1::1", Some("203.0.113.1"));
        let last = pod("flock0000000b", "2001:db8:a:1::2", None);
        Steering { pods: [(FlowSlot(1), first), (FlowSlot::LAST, last)].into() }
    }

    /// The same with other anycast addresses.
    pub(super) fn with(change: impl Fn(&mut BTreeSet<IpAddr>)) -> Steering {
        let mut steering = steering();
        steering.pods.values_mut().for_each(|pod| change(&mut pod.anycast));
        steering
    }

    fn slots(numbers: &[u16]) -> BTreeSet<FlowSlot> {
        numbers.iter().map(|number| FlowSlot::try_from(*number).unwrap()).collect()
    }

    fn next(taken: &[u16], last: u16) -> Option<u16> {
        FlowSlot::next(&slots(taken), FlowSlot::try_from(last).ok()).map(FlowSlot::get)
    }

    #[test]
    fn a_slot_that_was_given_back_rests_while_there_are_others() {
        assert_eq!(next(&[], 0), Some(1));
        assert_eq!(next(&[2], 3), Some(4));
        assert_eq!(next(&[1, 2, 4095], 4095), Some(3));
        assert_eq!(next(&(1..=4095).collect::<Vec<_>>(), 7), None);
        assert_eq!(next(&(2..=4095).collect::<Vec<_>>(), 7), Some(1));
    }

    #[test]
    fn a_mark_is_within_flocks_bits_and_never_zero() {
        for number in [1, 2, 4095] {
            let mark = FlowSlot::try_from(number).unwrap().mark();
            assert!(mark != 0 && mark & !FlowSlot::MASK == 0, "{mark:#x}");
        }
        let slot = FlowSlot::LAST;
        assert_eq!((slot.table(), FlowSlot::of_table(slot.table())), (0x464c_0fff, Some(slot)));
        for foreign in [0, 254, 0x464c_0000, 0x464c_1000, 0x464d_0001, 0x0001] {
            assert_eq!(FlowSlot::of_table(foreign), None, "{foreign:#x}");
        }
        assert_eq!(FlowSlot::try_from(0), Err(FlowSlotError(0)));
        assert_eq!(FlowSlot::try_from(4096), Err(FlowSlotError(4096)));
    }
}
