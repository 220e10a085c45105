//! What a route to an anycast address looks like.

use std::collections::BTreeSet;
use std::net::IpAddr;

use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteNextHop, RouteNextHopFlags, RouteProtocol,
    RouteScope, RouteType,
};

use crate::ROUTE_PROTOCOL;
use crate::linux::nexthop::GatewayOnLink;
use crate::linux::request::MAIN_TABLE;
use crate::linux::{decode, request};

/// The metric of our routes to anycast addresses. No other route of ours to a single address has it: those to pods
/// have the kernel's own choice.
pub(super) const METRIC: u32 = 100;

/// Where a route leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RouteTarget {
    /// To one next hop.
    Gateway(GatewayOnLink),
    /// To several next hops, each flow to one: a multipath route.
    Multipath(BTreeSet<GatewayOnLink>),
    /// To what the nexthop object of that id says.
    Nexthop(u32),
}

impl RouteTarget {
    /// Our route.
    pub(super) fn route(&self, address: IpAddr) -> RouteMessage {
        let mut route = request::host_route(address, METRIC);
        match self {
            RouteTarget::Gateway(hop) => {
                // A pod's address is on no subnet of the node.
                route.header.flags = RouteFlags::Onlink;
                route.attributes.extend([gateway(hop), RouteAttribute::Oif(hop.link)]);
            }
            RouteTarget::Multipath(hops) => {
                route.attributes.push(RouteAttribute::MultiPath(hops.iter().map(next_hop).collect()));
            }
            RouteTarget::Nexthop(id) => route.attributes.push(RouteAttribute::NhId(*id)),
        }
        route
    }

    /// Where a route leads, dead next hops left out; none for a form that flock does not make.
    pub(super) fn of(route: &RouteMessage) -> Option<Self> {
        if !is_plain(route) {
            return None;
        }
        if let Some(id) = decode::nexthop_id(route) {
            return Some(RouteTarget::Nexthop(id));
        }
        let multipath = route.attributes.iter().find_map(|found| match found {
            RouteAttribute::MultiPath(hops) => Some(hops),
            _ => None,
        });
        match multipath {
            Some(hops) => live_hops(hops).map(RouteTarget::Multipath),
            None => gateway_of(route).map(RouteTarget::Gateway),
        }
    }
}

/// The address that a route of the main table is for, if routes of ours to anycast addresses look so.
pub(super) fn address(route: &RouteMessage) -> Option<IpAddr> {
    let destination = decode::destination(route)?;
    let single = destination.prefix_len() == destination.max_prefix_len();
    let ours_alike = decode::metric(route) == Some(METRIC) && route.header.tos == 0;
    let in_main = decode::table(route) == u32::from(MAIN_TABLE);
    (single && ours_alike && in_main).then(|| destination.addr())
}

/// Whether a route bears our mark.
pub(super) fn is_ours(route: &RouteMessage) -> bool {
    route.header.protocol == RouteProtocol::from(ROUTE_PROTOCOL)
}

fn gateway(hop: &GatewayOnLink) -> RouteAttribute {
    RouteAttribute::Gateway(RouteAddress::from(hop.via))
}

fn next_hop(hop: &GatewayOnLink) -> RouteNextHop {
    let mut message = RouteNextHop::default();
    message.flags = RouteNextHopFlags::Onlink;
    message.interface_index = hop.link;
    message.attributes.push(gateway(hop));
    message
}

/// Whether a route does nothing to a packet but send it on, wherever it comes from.
fn is_plain(route: &RouteMessage) -> bool {
    let header = &route.header;
    let more = |found: &RouteAttribute| {
        matches!(
            found,
            RouteAttribute::Metrics(_)
                | RouteAttribute::PrefSource(_)
                | RouteAttribute::Encap(_)
                | RouteAttribute::Realm(_)
                | RouteAttribute::Expires(_)
        )
    };
    header.kind == RouteType::Unicast
        && header.scope == RouteScope::Universe
        && header.source_prefix_length == 0
        && !route.attributes.iter().any(more)
}

fn gateway_of(route: &RouteMessage) -> Option<GatewayOnLink> {
    let flags = route.header.flags;
    let good =
        flags.contains(RouteFlags::Onlink) && !flags.intersects(RouteFlags::Dead | RouteFlags::Linkdown);
    let hop = GatewayOnLink { via: decode::gateway(route)?, link: decode::out_link(route)? };
    good.then_some(hop)
}

/// None if they are not even, or one is not as flock makes it.
fn live_hops(hops: &[RouteNextHop]) -> Option<BTreeSet<GatewayOnLink>> {
    let dead = RouteNextHopFlags::Dead | RouteNextHopFlags::Linkdown;
    let hops: Option<Vec<Option<GatewayOnLink>>> = hops
        .iter()
        .map(|hop| {
            let via = hop.attributes.iter().find_map(|found| match found {
                RouteAttribute::Gateway(via) => decode::ip(via),
                _ => None,
            })?;
            let good = hop.flags.contains(RouteNextHopFlags::Onlink) && hop.hops == 0;
            let live = !hop.flags.intersects(dead);
            good.then(|| live.then_some(GatewayOnLink { via, link: hop.interface_index }))
        })
        .collect();
    hops.map(|hops| hops.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hop(n: u32) -> GatewayOnLink {
        GatewayOnLink { via: format!("2001:db8::{n}").parse().unwrap(), link: n }
    }

    fn all() -> [RouteTarget; 3] {
        [
            RouteTarget::Gateway(hop(1)),
            RouteTarget::Multipath([hop(1), hop(2)].into()),
            RouteTarget::Nexthop(7),
        ]
    }

    const ADDRESS: &str = "2001:db8:53::1";

    #[test]
    fn a_route_is_read_as_it_was_written() {
        for target in all() {
            let route = target.route(ADDRESS.parse().unwrap());
            assert_eq!(RouteTarget::of(&route), Some(target));
            assert_eq!(address(&route), Some(ADDRESS.parse().unwrap()));
            assert!(is_ours(&route));
        }
    }

    #[test]
    fn an_objects_content_is_not_the_routes() {
        let mut route = RouteTarget::Nexthop(7).route(ADDRESS.parse().unwrap());
        route.attributes.extend([gateway(&hop(1)), RouteAttribute::Oif(1)]);
        assert_eq!(RouteTarget::of(&route), Some(RouteTarget::Nexthop(7)));
    }

    #[test]
    fn what_flock_does_not_make_is_no_form() {
        let broken: [fn(&mut RouteMessage); 6] = [
            |route| route.header.kind = RouteType::BlackHole,
            |route| route.header.scope = RouteScope::Link,
            |route| route.header.flags = RouteFlags::empty(),
            |route| route.header.flags |= RouteFlags::Linkdown,
            |route| route.attributes.retain(|found| !matches!(found, RouteAttribute::Gateway(_))),
            |route| route.attributes.push(RouteAttribute::Metrics(Vec::new())),
        ];
        for breaks in broken {
            let mut route = RouteTarget::Gateway(hop(1)).route(ADDRESS.parse().unwrap());
            breaks(&mut route);
            assert_eq!(RouteTarget::of(&route), None, "{route:?}");
        }
    }

    fn multipath_with(change: impl Fn(&mut RouteNextHop)) -> Option<RouteTarget> {
        let mut route = RouteTarget::Multipath([hop(1), hop(2)].into()).route(ADDRESS.parse().unwrap());
        for attribute in &mut route.attributes {
            if let RouteAttribute::MultiPath(hops) = attribute {
                change(&mut hops[0]);
            }
        }
        RouteTarget::of(&route)
    }

    #[test]
    fn dead_next_hops_are_left_out_of_multipath_routes_and_uneven_ones_are_none() {
        let rest = Some(RouteTarget::Multipath([hop(2)].into()));
        assert_eq!(multipath_with(|hop| hop.flags |= RouteNextHopFlags::Dead), rest);
        assert_eq!(multipath_with(|hop| hop.flags |= RouteNextHopFlags::Linkdown), rest);
        assert_eq!(multipath_with(|hop| hop.hops = 1), None);
        assert_eq!(multipath_with(|hop| hop.flags = RouteNextHopFlags::empty()), None);
    }

    #[test]
    fn other_routes_are_for_no_anycast_address() {
        let other: [fn(&mut RouteMessage); 4] = [
            |route| route.header.destination_prefix_length = 64,
            |route| route.header.table = 100,
            |route| route.header.tos = 8,
            |route| route.attributes.retain(|found| !matches!(found, RouteAttribute::Priority(_))),
        ];
        for change in other {
            let mut route = RouteTarget::Nexthop(7).route(ADDRESS.parse().unwrap());
            change(&mut route);
            assert_eq!(address(&route), None, "{route:?}");
        }
    }
}
