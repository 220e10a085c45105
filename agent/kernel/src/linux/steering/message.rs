//! Rules and routes as netlink messages.
//!
//! Ours is what has our protocol number, and for a rule a priority from 7000 to 7999, for a route a slot's table.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use flock_core::prefix::Family;
use flock_core::steering::{FlowSlot, Rule, RuleKind};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteProtocol, RouteType,
};
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleFlags, RuleMessage};

use super::decode;
use crate::ROUTE_PROTOCOL;

const PRIORITIES: RangeInclusive<u32> = 7000..=7999;

fn address_family(family: Family) -> AddressFamily {
    match family {
        Family::IPv6 => AddressFamily::Inet6,
        Family::IPv4 => AddressFamily::Inet,
    }
}

/// All rules of a family.
pub(super) fn rules(family: AddressFamily) -> RuleMessage {
    let mut message = RuleMessage::default();
    message.header.family = family;
    message
}

/// A rule of ours.
pub(super) fn rule(rule: Rule) -> RuleMessage {
    let mut message = rules(address_family(rule.family));
    let mask = RuleAttribute::FwMask(FlowSlot::MASK);
    let (action, attributes) = match rule.kind {
        RuleKind::End => (RuleAction::Nop, vec![]),
        RuleKind::SkipUnmarked => {
            let end = RuleAttribute::Goto(RuleKind::End.priority());
            (RuleAction::Goto, vec![RuleAttribute::FwMark(0), mask, end])
        }
        RuleKind::Pod(slot) => {
            let (mark, table) = (RuleAttribute::FwMark(slot.mark()), RuleAttribute::Table(slot.table()));
            (RuleAction::ToTable, vec![mark, mask, table])
        }
    };
    message.header.action = action;
    message.attributes = attributes;
    message.attributes.push(RuleAttribute::Priority(rule.kind.priority()));
    message.attributes.push(RuleAttribute::Protocol(RouteProtocol::from(ROUTE_PROTOCOL)));
    message
}

/// Whether a rule is ours, be it as we make them or not.
pub(super) fn is_our_rule(message: &RuleMessage) -> bool {
    let protocol = RuleAttribute::Protocol(RouteProtocol::from(ROUTE_PROTOCOL));
    message.attributes.contains(&protocol) && PRIORITIES.contains(&Meaning::of(message).priority)
}

/// Which rule of ours this is; none if it does something else.
pub(super) fn read_rule(message: &RuleMessage) -> Option<Rule> {
    let meaning = Meaning::of(message);
    let family = match message.header.family {
        AddressFamily::Inet6 => Family::IPv6,
        _ => Family::IPv4,
    };
    let pod = FlowSlot::of_table(meaning.table).map(RuleKind::Pod);
    let kinds = [RuleKind::End, RuleKind::SkipUnmarked].into_iter().chain(pod);
    let mut rules = kinds.map(|kind| Rule { kind, family });
    rules.find(|candidate| Meaning::of(&rule(*candidate)) == meaning)
}

/// What a rule does, the same whether it was written by us or by the kernel, which names some defaults and leaves out
/// others.
#[derive(PartialEq, Eq)]
struct Meaning {
    action: RuleAction,
    priority: u32,
    goto: u32,
    mark: u32,
    mask: u32,
    table: u32,
    /// It looks at something else too.
    selects: bool,
}

impl Meaning {
    fn of(message: &RuleMessage) -> Self {
        let header = &message.header;
        let selects = header.dst_len != 0
            || header.src_len != 0
            || header.tos != 0
            || header.flags.contains(RuleFlags::Invert);
        let none = Self { action: header.action, priority: 0, goto: 0, mark: 0, mask: 0, table: 0, selects };
        message.attributes.iter().fold(none, Self::with)
    }

    fn with(mut self, attribute: &RuleAttribute) -> Self {
        match attribute {
            RuleAttribute::Priority(priority) => self.priority = *priority,
            RuleAttribute::Goto(priority) => self.goto = *priority,
            RuleAttribute::FwMark(mark) => self.mark = *mark,
            RuleAttribute::FwMask(mask) => self.mask = *mask,
            RuleAttribute::Table(table) => self.table = *table,
            // All ones: nothing is suppressed. What the decoder does not know, a kernel of the future may always send.
            RuleAttribute::SuppressPrefixLen(u32::MAX) | RuleAttribute::SuppressIfGroup(u32::MAX) => {}
            RuleAttribute::Protocol(_) | RuleAttribute::Other(_) => {}
            _ => self.selects = true,
        }
        self
    }
}

/// Our routes of a family, in all tables.
pub(super) fn routes(family: AddressFamily) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = family;
    message.header.protocol = RouteProtocol::from(ROUTE_PROTOCOL);
    message
}

/// Whether a route is ours and in a slot's table, be it as we make them or not.
pub(super) fn is_our_route(message: &RouteMessage) -> bool {
    message.header.protocol == RouteProtocol::from(ROUTE_PROTOCOL)
        && FlowSlot::of_table(decode::table(message)).is_some()
}

/// The same route, to be removed: with what it is recognised by, and nothing that describes its state.
pub(super) fn removal(route: &RouteMessage) -> RouteMessage {
    let mut message = route.clone();
    message.header.flags = RouteFlags::empty();
    message.attributes.retain(|attribute| {
        matches!(
            attribute,
            RouteAttribute::Table(_)
                | RouteAttribute::Destination(_)
                | RouteAttribute::Gateway(_)
                | RouteAttribute::Via(_)
                | RouteAttribute::Oif(_)
                | RouteAttribute::Priority(_)
        )
    });
    message
}

/// A route of a slot's table as the kernel holds it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SlotRoute {
    /// The slot's table.
    pub(super) table: u32,
    /// The anycast address.
    pub(super) to: IpAddr,
    /// The pod's own address.
    pub(super) via: IpAddr,
    /// The link's index.
    pub(super) link: u32,
}

impl SlotRoute {
    /// None for a route that leads elsewhere than to one address by way of one other.
    pub(super) fn read(route: &RouteMessage) -> Option<Self> {
        let to = decode::destination(route).filter(|to| to.prefix_len() == to.max_prefix_len())?;
        let (via, link) = (decode::gateway(route)?, decode::out_link(route)?);
        let unicast = route.header.kind == RouteType::Unicast;
        unicast.then_some(Self { table: decode::table(route), to: to.addr(), via, link })
    }

    /// On link: the pod's own address is on no subnet of the link's.
    pub(super) fn message(&self) -> RouteMessage {
        let family = address_family(Family::of(self.to));
        let mut message = routes(family);
        message.header = RouteHeader {
            destination_prefix_length: if self.to.is_ipv6() { 128 } else { 32 },
            kind: RouteType::Unicast,
            flags: RouteFlags::Onlink,
            ..message.header
        };
        message.attributes = vec![
            RouteAttribute::Table(self.table),
            RouteAttribute::Destination(RouteAddress::from(self.to)),
            RouteAttribute::Gateway(RouteAddress::from(self.via)),
            RouteAttribute::Oif(self.link),
        ];
        message
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod() -> Rule {
        Rule { kind: RuleKind::Pod(FlowSlot::LAST), family: Family::IPv6 }
    }

    #[test]
    fn a_rule_is_read_as_the_one_that_was_written() {
        for kind in [RuleKind::End, RuleKind::SkipUnmarked, RuleKind::Pod(FlowSlot::LAST)] {
            for family in [Family::IPv6, Family::IPv4] {
                let ours = Rule { kind, family };
                assert!(is_our_rule(&rule(ours)));
                assert_eq!(read_rule(&rule(ours)), Some(ours));
            }
        }
    }

    #[test]
    fn what_the_kernel_adds_is_no_difference() {
        let mut message = rule(Rule { kind: RuleKind::SkipUnmarked, family: Family::IPv4 });
        message.header.flags = RuleFlags::Unresolved;
        message.attributes.retain(|attribute| *attribute != RuleAttribute::FwMark(0));
        message.attributes.extend([RuleAttribute::Table(0), RuleAttribute::SuppressPrefixLen(u32::MAX)]);
        assert!(read_rule(&message).is_some_and(|rule| rule.kind == RuleKind::SkipUnmarked));
    }

    #[test]
    fn a_rule_that_does_something_else_is_none_that_we_make() {
        let changes: [fn(&mut RuleMessage); 5] = [
            |message| message.attributes.push(RuleAttribute::Iifname("eth0".to_owned())),
            |message| message.attributes.push(RuleAttribute::FwMark(1 << 20)),
            |message| message.attributes.push(RuleAttribute::FwMask(u32::MAX)),
            |message| message.header.action = RuleAction::Blackhole,
            |message| message.header.flags = RuleFlags::Invert,
        ];
        for change in changes {
            let mut message = rule(pod());
            change(&mut message);
            assert!(is_our_rule(&message) && read_rule(&message).is_none(), "{message:?}");
        }
    }

    #[test]
    fn other_peoples_rules_are_not_ours() {
        let mut elsewhere = rule(pod());
        elsewhere.attributes.push(RuleAttribute::Priority(8000));
        let mut static_rule = rule(pod());
        static_rule.attributes.retain(|attribute| !matches!(attribute, RuleAttribute::Protocol(_)));
        static_rule.attributes.push(RuleAttribute::Protocol(RouteProtocol::Static));
        assert!(!is_our_rule(&elsewhere) && !is_our_rule(&static_rule));
    }
}
