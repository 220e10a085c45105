//! Changes to routes to anycast addresses.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use flock_core::anycast::{NextHop, RouteChange};
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::route::RouteMessage;
use rustix::io::Errno;

use super::MultipathMode;
use super::form::{self, RouteTarget};
use super::objects::{self, Objects};
use crate::KernelError;
use crate::gate::Gates;
use crate::linux::errno::Failure;
use crate::linux::nexthop::{GatewayOnLink, Kind, Nexthop, NexthopMessage};
use crate::linux::rtnetlink::{RouteFilter, Table};
use crate::linux::socket::Socket;
use crate::linux::{decode, request};

/// Makes every change that can be made; the first failure is returned.
pub(in crate::linux) fn apply(
    socket: &mut Socket,
    multipath: MultipathMode,
    gates: &Gates,
    changes: &[RouteChange],
) -> Result<(), KernelError> {
    let begun = Work::begin(socket, multipath);
    let mut work = begun.map_err(|failure| failure.of_step("observe routes and nexthop objects"))?;
    let mut outcome = Ok(());
    for change in changes {
        let made =
            gates.step(change, || work.make(change).map_err(|failure| failure.of_step(change.to_string())));
        outcome = outcome.and(made);
    }
    let swept = sweep(socket).map_err(|failure| failure.of_step("remove unused nexthop objects"));
    outcome.and(swept)
}

/// What there is, kept up to date while it is changed.
struct Work<'a> {
    socket: &'a mut Socket,
    multipath: MultipathMode,
    /// Everybody's that look like ours, in the kernel's order.
    routes: BTreeMap<IpAddr, Vec<RouteMessage>>,
    objects: Objects,
    /// How many routes led to each object.
    routed: BTreeMap<u32, usize>,
}

impl<'a> Work<'a> {
    fn begin(socket: &'a mut Socket, multipath: MultipathMode) -> Result<Self, Failure> {
        let (mut routes, mut routed) = (BTreeMap::new(), BTreeMap::new());
        for route in socket.routes(ALL_TABLES)? {
            if let Some(id) = decode::nexthop_id(&route) {
                *routed.entry(id).or_default() += 1;
            }
            if let Some(address) = form::address(&route) {
                routes.entry(address).or_insert_with(Vec::new).push(route);
            }
        }
        let objects = Objects::read(socket)?;
        Ok(Self { socket, multipath, routes, objects, routed })
    }

    fn make(&mut self, change: &RouteChange) -> Result<(), Failure> {
        match change {
            RouteChange::Set(address, hops) => self.set(*address, hops),
            RouteChange::Remove(address) => self.remove(*address),
        }
    }

    /// A next hop that cannot be reached keeps no other from being used.
    fn set(&mut self, address: IpAddr, hops: &BTreeSet<NextHop>) -> Result<(), Failure> {
        let (mut usable, mut missing) = (BTreeSet::new(), Ok(()));
        for hop in hops {
            match self.usable(hop) {
                Ok(hop) => drop(usable.insert(hop)),
                Err(failure) => missing = missing.and(Err(failure)),
            }
        }
        if usable.is_empty() {
            return missing;
        }
        self.refuse_foreign(address)?;
        self.remove_surplus(address)?;
        let target = self.target(address, usable)?;
        self.put(address, &target)?;
        missing
    }

    fn usable(&mut self, hop: &NextHop) -> Result<GatewayOnLink, Failure> {
        let refusal = |errno, text| Err(Failure { errno, text: Some(text) });
        match self.socket.link_by_name(&hop.link)? {
            Some(link) if decode::has_carrier(&link) => {
                Ok(GatewayOnLink { via: hop.via, link: link.header.index })
            }
            Some(_) => refusal(Errno::NETDOWN, format!("link {} has no carrier", hop.link)),
            None => refusal(Errno::NODEV, format!("there is no link {}", hop.link)),
        }
    }

    /// Of several routes with the same metric, the kernel replaces the first (IPv4) or the first of the new one's kind
    /// (IPv6). So that it is never somebody else's, none of theirs is to be about.
    fn refuse_foreign(&self, address: IpAddr) -> Result<(), Failure> {
        match self.present(address).iter().find(|route| !form::is_ours(route)) {
            Some(route) => Err(in_the_way(route)),
            None => Ok(()),
        }
    }

    fn present(&self, address: IpAddr) -> &[RouteMessage] {
        self.routes.get(&address).map_or(&[], Vec::as_slice)
    }

    /// One remains to be replaced: the last, as the kernel removes the first. It cannot be told which: a removal of an
    /// IPv6 route that names a link takes one that leads to a nexthop object, wherever that is.
    fn remove_surplus(&mut self, address: IpAddr) -> Result<(), Failure> {
        while self.present(address).len() > 1 {
            self.remove_first(address)?;
        }
        Ok(())
    }

    /// The first of ours.
    fn remove_first(&mut self, address: IpAddr) -> Result<(), Failure> {
        let route = request::any_host_route(address, form::METRIC);
        let removed = self.socket.request(RouteNetlinkMessage::DelRoute(route), 0);
        removed.or_else(|failure| failure.unless(&GONE))?;
        let present = self.routes.entry(address).or_default();
        present.iter().position(form::is_ours).map(|first| present.remove(first));
        Ok(())
    }

    /// Makes what the route is to lead to.
    fn target(&mut self, address: IpAddr, hops: BTreeSet<GatewayOnLink>) -> Result<RouteTarget, Failure> {
        match (hops.first(), self.multipath) {
            (Some(only), _) if hops.len() == 1 => Ok(RouteTarget::Gateway(*only)),
            (_, MultipathMode::PlainRoute) => Ok(RouteTarget::Multipath(hops)),
            (_, MultipathMode::ResilientGroup) => self.group(address, &hops).map(RouteTarget::Nexthop),
        }
    }

    /// The address's own group, if it has one, with new members; or a new one.
    fn group(&mut self, address: IpAddr, hops: &BTreeSet<GatewayOnLink>) -> Result<u32, Failure> {
        let own = self.own_group(address);
        if let Some(id) = own.filter(|id| self.objects.hops(*id).as_ref() == Some(hops)) {
            return Ok(id);
        }
        let members: Vec<u32> = hops.iter().map(|hop| self.single(hop)).collect::<Result<_, _>>()?;
        let group = objects::group(&members);
        match own {
            Some(id) => self.make_object(objects::ours(id, group), NLM_F_REPLACE),
            None => self.make_object(self.objects.another(group)?, NLM_F_CREATE | NLM_F_EXCL),
        }
    }

    fn own_group(&self, address: IpAddr) -> Option<u32> {
        let id = self.present(address).first().and_then(decode::nexthop_id)?;
        let alone = self.routed.get(&id).is_none_or(|routes| *routes == 1);
        (alone && self.objects.is_replaceable(id)).then_some(id)
    }

    fn single(&mut self, hop: &GatewayOnLink) -> Result<u32, Failure> {
        match self.objects.single(hop) {
            Some(id) => Ok(id),
            None => {
                let nexthop = self.objects.another(Kind::Single(*hop))?;
                self.make_object(nexthop, NLM_F_CREATE | NLM_F_EXCL)
            }
        }
    }

    fn make_object(&mut self, nexthop: Nexthop, flags: u16) -> Result<u32, Failure> {
        let id = nexthop.id;
        self.socket.request(NexthopMessage::New(nexthop.clone()), flags)?;
        self.objects.insert(nexthop);
        Ok(id)
    }

    fn put(&mut self, address: IpAddr, target: &RouteTarget) -> Result<(), Failure> {
        let flags = match self.present(address).first() {
            Some(route) if RouteTarget::of(route).as_ref() == Some(target) => return Ok(()),
            Some(_) => NLM_F_CREATE | NLM_F_REPLACE,
            None => NLM_F_CREATE | NLM_F_EXCL,
        };
        let route = target.route(address);
        self.socket.request(RouteNetlinkMessage::NewRoute(route.clone()), flags)?;
        self.routes.insert(address, vec![route]);
        Ok(())
    }

    fn remove(&mut self, address: IpAddr) -> Result<(), Failure> {
        while self.present(address).iter().any(form::is_ours) {
            self.remove_first(address)?;
        }
        Ok(())
    }
}

/// Everybody's: a route of another table may lead to one of our nexthop objects, and the kernel cannot be asked for
/// those that do. So a change of anycast routes reads all routes of the node, however many it has learned; to observe
/// them does not.
const ALL_TABLES: RouteFilter = RouteFilter { family: None, table: Table::Any, link: None, protocol: None };

/// What a removal says of a route or object that is not there.
const GONE: [Errno; 2] = [Errno::SRCH, Errno::NOENT];

fn in_the_way(route: &RouteMessage) -> Failure {
    let text = format!(
        "the route to it with metric {} belongs to routing protocol {} and is left alone",
        form::METRIC,
        u8::from(route.header.protocol),
    );
    Failure { errno: Errno::EXIST, text: Some(text) }
}

/// Removes those nexthop objects of ours that nothing leads to. To remove one that a route leads to would remove the
/// route: so what there is is looked at once more.
fn sweep(socket: &mut Socket) -> Result<(), Failure> {
    let objects = Objects::read(socket)?;
    if objects.ours().next().is_none() {
        return Ok(());
    }
    let routed = socket.routes(ALL_TABLES)?.iter().filter_map(decode::nexthop_id).collect();
    for nexthop in objects.unused(&routed) {
        let removed = socket.request(NexthopMessage::Del(nexthop.clone()), 0);
        removed.or_else(|failure| failure.unless(&GONE))?;
    }
    Ok(())
}
