//! Routes to anycast addresses: each a host route through pods' own addresses on their host veths.
//!
//! * One next hop: a plain route.
//! * MultipathMode: nexthop objects, and a resilient group of them. When a pod comes or goes, the group is changed in place,
//!   and the flows of the others stay where they are.
//! * MultipathMode, on a kernel without resilient groups (before Linux 5.13): a multipath route.
//!
//! A route is always replaced by its successor in one step, and what it no longer needs is removed afterwards. So an
//! address is never without a route that had one and is to have one.
//!
//! `form`: what the routes look like. `objects`: the nexthop objects that are there. `apply`: changes.

mod apply;
mod form;
mod objects;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use flock_core::anycast::{NextHop, Routes};
use flock_core::attachment::IfName;
use netlink_packet_route::route::RouteMessage;
use rustix::io::Errno;

pub(super) use self::apply::apply;

use self::form::RouteTarget;
use self::objects::Objects;
use super::decode;
use super::errno::Failure;
use super::nexthop::{GatewayOnLink, NexthopMessage};
use super::rtnetlink::RouteFilter;
use super::socket::Socket;

/// How a route with several next hops is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MultipathMode {
    /// A resilient group of nexthop objects.
    ResilientGroup,
    /// A multipath route.
    PlainRoute,
}

impl MultipathMode {
    /// The best that the kernel can do. The question changes nothing.
    pub(super) fn probe(socket: &mut Socket) -> Self {
        match socket.request(NexthopMessage::GetBucket, 0) {
            Err(Failure { errno: Errno::OPNOTSUPP, .. }) => MultipathMode::PlainRoute,
            _ => MultipathMode::ResilientGroup,
        }
    }
}

/// Whether a route is one of these, and so no link's.
pub(super) fn is_anycast(route: &RouteMessage) -> bool {
    form::is_ours(route) && form::address(route).is_some()
}

/// The routes that are there, with the next hops that work. None of them for a route that is not as [`apply()`] would
/// have made it: it is to be made anew.
pub(super) fn observe(socket: &mut Socket, multipath: MultipathMode) -> Result<Routes, Failure> {
    let found = socket.routes(RouteFilter::ours())?;
    let found: Vec<(IpAddr, RouteMessage)> =
        found.into_iter().filter_map(|route| Some((form::address(&route)?, route))).collect();
    if found.is_empty() {
        return Ok(Routes::new());
    }
    let (objects, names) = (Objects::read(socket)?, names(socket)?);
    let mut routes = Routes::new();
    for (address, route) in found {
        let hops = next_hops(&route, multipath, &objects).into_iter();
        let hops = hops.filter_map(|hop| Some(NextHop { via: hop.via, link: names.get(&hop.link)?.clone() }));
        // Two routes are one too many.
        routes.entry(address).and_modify(BTreeSet::clear).or_insert(hops.collect());
    }
    Ok(routes)
}

fn next_hops(route: &RouteMessage, multipath: MultipathMode, objects: &Objects) -> BTreeSet<GatewayOnLink> {
    match (RouteTarget::of(route), multipath) {
        (Some(RouteTarget::Gateway(hop)), _) => [hop].into(),
        (Some(RouteTarget::Nexthop(id)), MultipathMode::ResilientGroup) => {
            objects.hops(id).unwrap_or_default()
        }
        (Some(RouteTarget::Multipath(hops)), MultipathMode::PlainRoute) => hops,
        _ => BTreeSet::new(),
    }
}

/// Of the links that packets can go to. The kernel learns of a carrier that is lost a little later, and then tells of
/// dead next hops, or removes them.
fn names(socket: &mut Socket) -> Result<BTreeMap<u32, IfName>, Failure> {
    let links = socket.links()?.into_iter().filter(decode::has_carrier);
    Ok(links.filter_map(|link| Some((link.header.index, decode::name(&link)?))).collect())
}
