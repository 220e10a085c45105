//! What is asked of route netlink, with typed answers.

use std::net::IpAddr;

use flock_core::attachment::IfName;
use netlink_packet_route::address::AddressMessage;
use netlink_packet_route::link::LinkMessage;
use netlink_packet_route::neighbour::NeighbourMessage;
use netlink_packet_route::route::{RouteMessage, RouteProtocol};
use netlink_packet_route::rule::RuleMessage;
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rustix::io::Errno;

use super::errno::Failure;
use super::request::{LOCAL_TABLE, MAIN_TABLE};
use super::socket::{Message, Route, Socket};
use super::{decode, request};
use crate::ROUTE_PROTOCOL;

const FAMILIES: [AddressFamily; 2] = [AddressFamily::Inet6, AddressFamily::Inet];

/// What is said of a family that the kernel was built or started without.
const FAMILY_MISSING: [Errno; 2] = [Errno::OPNOTSUPP, Errno::AFNOSUPPORT];

impl Message for RouteNetlinkMessage {
    type Family = Route;
}

/// Which routes to list. The kernel itself leaves out the others (strict checking), so they cost no transfer.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct RouteFilter {
    /// Of one family.
    pub(super) family: Option<AddressFamily>,
    /// Of which table.
    pub(super) table: Table,
    /// Out of this link. Routes with several next hops, or with a nexthop object, are left out too.
    pub(super) link: Option<u32>,
    /// With this protocol.
    pub(super) protocol: Option<RouteProtocol>,
}

/// Tables of routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Table {
    /// The main one.
    #[default]
    Main,
    /// The routes to the namespace's own addresses.
    Local,
    /// All of them.
    Any,
}

impl Table {
    /// Its number, `RT_TABLE_*`.
    fn number(self) -> u8 {
        match self {
            Table::Main => MAIN_TABLE,
            Table::Local => LOCAL_TABLE,
            Table::Any => 0,
        }
    }
}

impl RouteFilter {
    /// The main table's routes with our protocol number.
    pub(super) fn ours() -> Self {
        Self { protocol: Some(RouteProtocol::from(ROUTE_PROTOCOL)), ..Self::default() }
    }

    fn request(self, family: AddressFamily) -> RouteMessage {
        request::routes(family, self.table.number(), self.protocol, self.link)
    }

    /// The kernel ignores what it cannot filter by (the table, where IPv6 is not built in).
    fn admits(self, family: AddressFamily, route: &RouteMessage) -> bool {
        let table = self.table == Table::Any || decode::table(route) == u32::from(self.table.number());
        table && route.header.address_family == family
    }
}

impl Socket {
    /// The link of that name. The kernel looks among alternative names too: those do not count.
    pub(super) fn link_by_name(&mut self, name: &IfName) -> Result<Option<LinkMessage>, Failure> {
        let found = self.link(request::links(Some(name)))?;
        Ok(found.filter(|link| decode::name(link).as_ref() == Some(name)))
    }

    /// The link of that index.
    pub(super) fn link_by_index(&mut self, index: u32) -> Result<Option<LinkMessage>, Failure> {
        self.link(request::link(index, Vec::new()))
    }

    fn link(&mut self, message: LinkMessage) -> Result<Option<LinkMessage>, Failure> {
        Ok(match self.find(RouteNetlinkMessage::GetLink(message))? {
            Some(RouteNetlinkMessage::NewLink(link)) => Some(link),
            _ => None,
        })
    }

    /// Every link.
    pub(super) fn links(&mut self) -> Result<Vec<LinkMessage>, Failure> {
        let found = self.dump(RouteNetlinkMessage::GetLink(request::links(None)))?;
        Ok(found
            .into_iter()
            .filter_map(|message| match message {
                RouteNetlinkMessage::NewLink(link) => Some(link),
                _ => None,
            })
            .collect())
    }

    /// The addresses of one link, or of all.
    pub(super) fn addresses(&mut self, link: Option<u32>) -> Result<Vec<AddressMessage>, Failure> {
        let found = self.dump(RouteNetlinkMessage::GetAddress(request::addresses(link.unwrap_or(0))))?;
        Ok(found
            .into_iter()
            .filter_map(|message| match message {
                RouteNetlinkMessage::NewAddress(address) => Some(address),
                _ => None,
            })
            .collect())
    }

    /// The neighbours on one link, or on all.
    pub(super) fn neighbours(&mut self, link: Option<u32>) -> Result<Vec<NeighbourMessage>, Failure> {
        let found = self.dump(RouteNetlinkMessage::GetNeighbour(request::neighbours(link)))?;
        Ok(found
            .into_iter()
            .filter_map(|message| match message {
                RouteNetlinkMessage::NewNeighbour(neighbour) => Some(neighbour),
                _ => None,
            })
            .collect())
    }

    /// The routes that the filter admits.
    pub(super) fn routes(&mut self, filter: RouteFilter) -> Result<Vec<RouteMessage>, Failure> {
        let mut routes = Vec::new();
        for family in FAMILIES.into_iter().filter(|family| filter.family.is_none_or(|only| only == *family)) {
            let found = self.dump_family(RouteNetlinkMessage::GetRoute(filter.request(family)))?;
            routes.extend(found.into_iter().filter_map(|message| match message {
                RouteNetlinkMessage::NewRoute(route) if filter.admits(family, &route) => Some(route),
                _ => None,
            }));
        }
        Ok(routes)
    }

    /// The route that the kernel would send packets to an address by, if they had to leave by that link; none if they
    /// could not.
    pub(super) fn route_to(&mut self, address: IpAddr, link: u32) -> Result<Option<RouteMessage>, Failure> {
        // How the kernel says so, and what it says of routes that refuse packets.
        let unreachable = [Errno::NETUNREACH, Errno::HOSTUNREACH, Errno::ACCESS, Errno::INVAL];
        match self.find(RouteNetlinkMessage::GetRoute(request::route_to(address, link))) {
            Ok(Some(RouteNetlinkMessage::NewRoute(route))) => Ok(Some(route)),
            Ok(_) => Ok(None),
            Err(failure) if FAMILY_MISSING.contains(&failure.errno) => Ok(None),
            Err(failure) => failure.unless(&unreachable).map(|()| None),
        }
    }

    /// The policy rules of both families.
    pub(super) fn rules(&mut self) -> Result<Vec<RuleMessage>, Failure> {
        let mut rules = Vec::new();
        for family in FAMILIES {
            let found = self.dump_family(RouteNetlinkMessage::GetRule(request::rules(family)))?;
            rules.extend(found.into_iter().filter_map(|message| match message {
                RouteNetlinkMessage::NewRule(rule) if rule.header.family == family => Some(rule),
                _ => None,
            }));
        }
        Ok(rules)
    }

    /// Nothing of a family that the kernel was built or started without.
    fn dump_family(&mut self, message: RouteNetlinkMessage) -> Result<Vec<RouteNetlinkMessage>, Failure> {
        match self.dump(message) {
            Err(failure) if FAMILY_MISSING.contains(&failure.errno) => Ok(Vec::new()),
            found => found,
        }
    }
}
