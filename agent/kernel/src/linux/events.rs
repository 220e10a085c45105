//! The kernel's own messages about changes, as events.

use std::sync::Arc;

use netlink_packet_core::NetlinkDeserializable;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::AddressMessage;
use netlink_packet_route::link::LinkMessage;
use netlink_packet_route::neighbour::{NeighbourMessage, NeighbourState};
use netlink_packet_route::route::{RouteMessage, RouteProtocol};
use netlink_packet_route::rule::{RuleAttribute, RuleMessage};

use super::multicast::{Listener, Notification};
use super::nexthop::{self, NexthopMessage};
use super::request::{LOOPBACK, MAIN_TABLE};
use super::socket::Route;
use super::wire::Undecoded;
use super::{LinuxKernel, decode};
use crate::events::{Change, KernelEvent, Loss, RouteKind};
use crate::{Events, KernelError, KernelEvents, ROUTE_PROTOCOL};

/// `RTNLGRP_*` of `linux/rtnetlink.h`: LINK, NEIGH, IPV4_IFADDR, IPV4_ROUTE, IPV4_RULE, IPV6_IFADDR, IPV6_ROUTE,
/// IPV6_RULE and NEXTHOP. A kernel that does not know the last one lets it be joined all the same.
const GROUPS: &[u32] = &[1, 3, 5, 7, 8, 9, 11, 19, 32];

impl Events for LinuxKernel {
    fn subscribe(&self) -> Result<KernelEvents, KernelError> {
        let listener = Listener::open::<Route>(Arc::clone(&self.node), GROUPS)?;
        let (sender, events) = KernelEvents::channel();
        self.residents.spawn("kernel-events", async move {
            let following = listener.follow(|notification| {
                if let Some(event) = event(&notification) {
                    sender.send(event);
                }
            });
            tokio::select! {
                () = sender.closed() => {}
                () = following => {}
            }
        });
        Ok(events)
    }
}

/// None for what flock cannot care about.
fn event(notification: &Notification<'_>) -> Option<KernelEvent> {
    match notification {
        Notification::Lost(loss) => Some(KernelEvent::Lost(*loss)),
        Notification::Message(message) => match message.kind() {
            Some(nexthop::NEW | nexthop::NEW_BUCKET) => None,
            Some(nexthop::DEL) => read(message, of_nexthop),
            _ => read(message, |message| of_route_netlink(&message)),
        },
    }
}

/// What cannot be read may be about anything.
fn read<M: NetlinkDeserializable>(
    message: &Undecoded<'_>,
    event: impl FnOnce(M) -> Option<KernelEvent>,
) -> Option<KernelEvent> {
    message.decode().map_or(Some(KernelEvent::Lost(Loss::Unreadable)), event)
}

fn of_nexthop(message: NexthopMessage) -> Option<KernelEvent> {
    match message {
        NexthopMessage::Del(nexthop) if nexthop.protocol == ROUTE_PROTOCOL => {
            Some(KernelEvent::NexthopGone { id: nexthop.id })
        }
        _ => None,
    }
}

fn of_route_netlink(message: &RouteNetlinkMessage) -> Option<KernelEvent> {
    match message {
        RouteNetlinkMessage::NewLink(message) => Some(of_link(message, Change::Set)),
        RouteNetlinkMessage::DelLink(message) => Some(of_link(message, Change::Gone)),
        // Those of the loopback interface too: a BGP session may begin there.
        RouteNetlinkMessage::NewAddress(message) => Some(of_address(message, Change::Set)),
        RouteNetlinkMessage::DelAddress(message) => Some(of_address(message, Change::Gone)),
        // Others than permanent ones change all the time by themselves (REACHABLE, STALE, ...).
        RouteNetlinkMessage::NewNeighbour(message) if message.header.state == NeighbourState::Permanent => {
            Some(of_neighbour(message, Change::Set))
        }
        RouteNetlinkMessage::DelNeighbour(message) if message.header.ifindex != LOOPBACK => {
            Some(of_neighbour(message, Change::Gone))
        }
        RouteNetlinkMessage::NewRoute(route) if is_default(route) => {
            of_route(RouteKind::Default, route, Change::Set)
        }
        RouteNetlinkMessage::DelRoute(route) if is_ours(route) => {
            of_route(RouteKind::Ours, route, Change::Gone)
        }
        RouteNetlinkMessage::DelRoute(route) if is_default(route) => {
            of_route(RouteKind::Default, route, Change::Gone)
        }
        RouteNetlinkMessage::DelRule(rule) if is_our_rule(rule) => Some(KernelEvent::RuleGone),
        _ => None,
    }
}

fn of_link(message: &LinkMessage, change: Change) -> KernelEvent {
    KernelEvent::Link { name: decode::name(message), index: message.header.index, change }
}

/// An address that cannot be read may be any.
fn of_address(message: &AddressMessage, change: Change) -> KernelEvent {
    match decode::interface_address(message) {
        Some(address) => KernelEvent::Address { link: message.header.index, address, change },
        None => KernelEvent::Lost(Loss::Unreadable),
    }
}

fn of_neighbour(message: &NeighbourMessage, change: Change) -> KernelEvent {
    KernelEvent::Neighbour { link: message.header.ifindex, address: decode::neighbour(message), change }
}

fn of_route(kind: RouteKind, route: &RouteMessage, change: Change) -> Option<KernelEvent> {
    let unreadable = KernelEvent::Lost(Loss::Unreadable);
    let event = |destination| KernelEvent::Route { kind, destination, change };
    Some(decode::destination(route).map_or(unreadable, event))
}

fn is_ours(route: &RouteMessage) -> bool {
    route.header.protocol == RouteProtocol::from(ROUTE_PROTOCOL)
}

fn is_our_rule(rule: &RuleMessage) -> bool {
    rule.attributes.contains(&RuleAttribute::Protocol(RouteProtocol::from(ROUTE_PROTOCOL)))
}

fn is_default(route: &RouteMessage) -> bool {
    route.header.destination_prefix_length == 0 && decode::table(route) == u32::from(MAIN_TABLE)
}

#[cfg(test)]
mod tests {
    use netlink_packet_core::{NetlinkHeader, NetlinkMessage, NetlinkPayload};
    use netlink_packet_route::link::LinkAttribute;

    use super::*;
    use crate::linux::multicast::handle_datagram;
    use crate::linux::nexthop::{Kind, Nexthop};
    use crate::linux::request;

    fn neighbour(link: u32, state: NeighbourState) -> NeighbourMessage {
        let mut message = NeighbourMessage::default();
        message.header.ifindex = link;
        message.header.state = state;
        message
    }

    const ADDRESS: &str = "2001:db8::1/64";

    fn address(link: u32) -> AddressMessage {
        request::address(link, ADDRESS.parse().unwrap())
    }

    fn default_route() -> RouteMessage {
        let mut route = RouteMessage::default();
        route.header.table = MAIN_TABLE;
        route
    }

    #[test]
    fn relevant_messages_become_events() {
        let pod_route = request::blackhole("2001:db8::/64".parse().unwrap());
        let (set, gone) = (Change::Set, Change::Gone);
        let link = |change| KernelEvent::Link { name: "eth0".parse().ok(), index: 7, change };
        let neighbour_of = |change| KernelEvent::Neighbour { link: 2, address: None, change };
        let route = |kind, net: &str, change| {
            let destination = net.parse().unwrap();
            KernelEvent::Route { kind, destination, change }
        };
        let is_on = |link, change| {
            let address = decode::interface_address(&address(link)).unwrap();
            assert_eq!(address.net, ADDRESS.parse().unwrap());
            KernelEvent::Address { link, address, change }
        };
        let mut message = LinkMessage::default();
        message.header.index = 7;
        message.attributes.push(LinkAttribute::IfName("eth0".to_owned()));
        for (message, expected) in [
            (RouteNetlinkMessage::NewLink(message.clone()), link(set)),
            (RouteNetlinkMessage::DelLink(message), link(gone)),
            (RouteNetlinkMessage::NewAddress(address(2)), is_on(2, set)),
            (RouteNetlinkMessage::DelAddress(address(LOOPBACK)), is_on(LOOPBACK, gone)),
            (RouteNetlinkMessage::DelNeighbour(neighbour(2, NeighbourState::Failed)), neighbour_of(gone)),
            (RouteNetlinkMessage::NewNeighbour(neighbour(2, NeighbourState::Permanent)), neighbour_of(set)),
            (RouteNetlinkMessage::DelRoute(pod_route), route(RouteKind::Ours, "2001:db8::/64", gone)),
            (RouteNetlinkMessage::NewRoute(default_route()), route(RouteKind::Default, "0.0.0.0/0", set)),
            (RouteNetlinkMessage::DelRoute(default_route()), route(RouteKind::Default, "0.0.0.0/0", gone)),
        ] {
            assert_eq!(of_route_netlink(&message), Some(expected), "{message:?}");
        }
    }

    #[test]
    fn an_address_that_cannot_be_read_may_be_any() {
        let message = RouteNetlinkMessage::NewAddress(request::addresses(2));
        assert_eq!(of_route_netlink(&message), Some(KernelEvent::Lost(Loss::Unreadable)));
    }

    #[test]
    fn only_our_own_rules_become_events() {
        let rule = |protocol| {
            let mut rule = RuleMessage::default();
            rule.attributes.push(RuleAttribute::Protocol(protocol));
            RouteNetlinkMessage::DelRule(rule)
        };
        assert_eq!(of_route_netlink(&rule(RouteProtocol::from(ROUTE_PROTOCOL))), Some(KernelEvent::RuleGone));
        assert_eq!(of_route_netlink(&rule(RouteProtocol::Static)), None);
    }

    #[test]
    fn irrelevant_messages_become_none() {
        let ours = request::blackhole("2001:db8::/64".parse().unwrap());
        let mut foreign = ours.clone();
        foreign.header.protocol = RouteProtocol::Bird;
        let mut other_table = default_route();
        other_table.header.table = 100;
        for message in [
            RouteNetlinkMessage::NewNeighbour(neighbour(2, NeighbourState::Stale)),
            RouteNetlinkMessage::NewRoute(ours),
            RouteNetlinkMessage::DelRoute(foreign),
            RouteNetlinkMessage::NewRoute(other_table),
        ] {
            assert_eq!(of_route_netlink(&message), None, "{message:?}");
        }
    }

    /// A message about a nexthop object, as the kernel sends it.
    fn nexthop(kind: u16, protocol: u8) -> Vec<u8> {
        let message = NexthopMessage::New(Nexthop { id: 1, protocol, kind: Kind::Other });
        let mut message =
            NetlinkMessage::new(NetlinkHeader::default(), NetlinkPayload::InnerMessage(message));
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes
    }

    fn events_of(datagram: &[u8]) -> Vec<KernelEvent> {
        let mut events = Vec::new();
        handle_datagram(datagram, &mut |notification| events.extend(event(&notification)));
        events
    }

    #[test]
    fn our_nexthop_objects_become_events_when_they_go() {
        assert_eq!(events_of(&nexthop(nexthop::DEL, ROUTE_PROTOCOL)), [KernelEvent::NexthopGone { id: 1 }]);
        assert_eq!(events_of(&nexthop(nexthop::DEL, 4)), []);
        assert_eq!(events_of(&nexthop(nexthop::NEW, ROUTE_PROTOCOL)), []);
        assert_eq!(events_of(&nexthop(nexthop::NEW_BUCKET, ROUTE_PROTOCOL)), []);
    }

    #[test]
    fn a_message_that_cannot_be_read_may_be_about_anything() {
        // RTM_NEWLINK without the rest of its header.
        let mut bytes = 20_u32.to_ne_bytes().to_vec();
        bytes.extend([16_u16.to_ne_bytes(), 0_u16.to_ne_bytes()].concat());
        bytes.extend([0; 12]);
        assert_eq!(events_of(&bytes), [KernelEvent::Lost(Loss::Unreadable)]);
    }
}
