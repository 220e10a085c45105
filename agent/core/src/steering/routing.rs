//! Packets with a pod's mark are routed to that pod.
//!
//! ```text
//! 7000: fwmark 0/0xfff00000 goto 7999            whatever the number of pods, no other packet is compared to them all
//! 7001: fwmark 0x00100000/0xfff00000 lookup T1   one for each pod
//! 7999: nop
//! ```
//!
//! A pod's table holds the anycast addresses and nothing else. So a mark means something only for packets to them: a
//! reverse path filter that looks up the sender with the packet's mark (`src_valid_mark`, firewalld), an error message
//! that inherits it (`fwmark_reflect`) and packets on which somebody else uses the same bits are routed as ever. And
//! so are those for which the table has no route any more, because the pod's link is gone.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use super::{FlowSlot, Steering};
use crate::attachment::IfName;
use crate::prefix::Family;

/// What the routes and rules must be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Routing {
    /// The rules, in the order in which they are to be made.
    pub rules: BTreeSet<Rule>,
    /// The routes.
    pub paths: BTreeSet<Path>,
}

/// A policy rule (`ip rule`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rule {
    /// What it does.
    pub kind: RuleKind,
    /// The family of the packets that it is for.
    pub family: Family,
}

/// What a rule does. In the order in which rules are made: a jump's target before the jump.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RuleKind {
    /// Nothing; behind all others.
    End,
    /// Packets without a mark go on at the end.
    SkipUnmarked,
    /// Packets with the slot's mark are looked up in its table.
    Pod(FlowSlot),
}

impl RuleKind {
    /// Where it stands among all rules of the node: lower ones come first. Those of the pods share a place, since no
    /// packet matches two of them.
    pub fn priority(self) -> u32 {
        match self {
            RuleKind::SkipUnmarked => 7000,
            RuleKind::Pod(_) => 7001,
            RuleKind::End => 7999,
        }
    }
}

/// As `ip rule` writes it.
impl fmt::Display for RuleKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RuleKind::End => f.write_str("nop"),
            RuleKind::SkipUnmarked => {
                write!(f, "fwmark 0/{:#010x} goto {}", FlowSlot::MASK, RuleKind::End.priority())
            }
            RuleKind::Pod(slot) => {
                write!(f, "fwmark {:#010x}/{:#010x} lookup {}", slot.mark(), FlowSlot::MASK, slot.table())
            }
        }
    }
}

/// A route in a slot's table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path {
    /// Whose table.
    pub slot: FlowSlot,
    /// The anycast address.
    pub to: IpAddr,
    /// The pod's own address of the family.
    pub via: IpAddr,
    /// The host veth's name.
    pub link: IfName,
}

impl Routing {
    /// What the node needs to steer so.
    pub fn of(steering: &Steering) -> Self {
        let paths = paths(steering);
        let rule = |kind| move |family| Rule { kind, family };
        let pods: BTreeSet<Rule> =
            paths.iter().map(|path| rule(RuleKind::Pod(path.slot))(Family::of(path.to))).collect();
        let families: BTreeSet<Family> = pods.iter().map(|rule| rule.family).collect();
        let frame = [RuleKind::End, RuleKind::SkipUnmarked];
        let frame = frame.into_iter().flat_map(|kind| families.iter().copied().map(rule(kind)));
        Self { rules: frame.chain(pods.iter().copied()).collect(), paths }
    }
}

/// A pod's table has the addresses that the pod has: a mark leads nowhere else.
fn paths(steering: &Steering) -> BTreeSet<Path> {
    let pods =
        steering.pods.iter().flat_map(|(slot, pod)| pod.addresses.iter().map(move |via| (*slot, pod, via)));
    pods.flat_map(|(slot, pod, via)| {
        let same_family = move |to: &&IpAddr| Family::of(**to) == Family::of(via);
        let path = move |to: &IpAddr| Path { slot, to: *to, via, link: pod.link.clone() };
        pod.anycast.iter().filter(same_family).map(path)
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{steering, with};
    use super::*;

    #[test]
    fn a_jumps_target_is_made_before_it_and_pods_come_last() {
        let rules = Routing::of(&steering()).rules;
        let kinds: Vec<RuleKind> = rules.iter().map(|rule| rule.kind).collect();
        let pod = |number: u16| RuleKind::Pod(number.try_into().unwrap());
        let frame = [RuleKind::End, RuleKind::End, RuleKind::SkipUnmarked, RuleKind::SkipUnmarked];
        assert_eq!(kinds, [&frame[..], &[pod(1), pod(1), pod(4095)]].concat());
    }

    #[test]
    fn a_pod_is_the_next_hop_to_its_addresses_of_its_families() {
        let paths = Routing::of(&steering()).paths;
        let paths: Vec<String> = paths
            .iter()
            .map(|path| format!("{} {} via {} dev {}", path.slot, path.to, path.via, path.link))
            .collect();
        assert_eq!(
            paths,
            [
                "1 198.51.100.53 via 203.0.113.1 dev flock0000000a",
                "1 2001:db8:53::1 via 2001:db8:a:1::1 dev flock0000000a",
                "4095 2001:db8:53::1 via 2001:db8:a:1::2 dev flock0000000b",
            ]
        );
    }

    #[test]
    fn a_family_without_pods_has_no_rules() {
        let v6_only = with(|anycast| anycast.retain(IpAddr::is_ipv6));
        assert!(Routing::of(&v6_only).rules.iter().all(|rule| rule.family == Family::IPv6));
        for nothing in [Steering::default(), with(BTreeSet::clear)] {
            assert_eq!(Routing::of(&nothing), Routing::default());
        }
    }
}
