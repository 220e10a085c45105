//! Established connections stay with their pod: the policy rules and routing tables that obey the marks.

mod message;

use std::collections::{BTreeMap, BTreeSet};

use flock_core::attachment::IfName;
use flock_core::steering::{Path, Routing, Rule};
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::route::{RouteMessage, RouteProtocol};
use netlink_packet_route::rule::RuleMessage;
use rustix::io::Errno;

use self::message::SlotRoute;
use super::decode;
use super::errno::Failure;
use super::rtnetlink::{RouteFilter, Table};
use super::socket::Socket;
use super::sysctl::Sysctls;
use crate::{KernelError, ROUTE_PROTOCOL};

/// What there is of ours, with what it is; none for what flock would not make like that.
struct Found {
    rules: Vec<(RuleMessage, Option<Rule>)>,
    routes: Vec<(RouteMessage, Option<SlotRoute>)>,
    /// All links, if they are needed.
    links: BTreeMap<IfName, Link>,
}

#[derive(Clone, Copy)]
struct Link {
    index: u32,
    /// None without IPv4.
    src_valid_mark: Option<bool>,
}

impl Found {
    /// Looks at what `desired` is to be compared with.
    fn observe(socket: &mut Socket, desired: &Routing) -> Result<Self, KernelError> {
        Self::read(socket, desired)
            .map_err(|failure| failure.of_step("observe policy rules and their routes"))
    }

    fn read(socket: &mut Socket, desired: &Routing) -> Result<Self, Failure> {
        let (rules, routes) = (rules(socket)?, routes(socket)?);
        let links = if desired.paths.is_empty() { BTreeMap::new() } else { links(socket)? };
        Ok(Self { rules, routes, links })
    }

    /// The path as the kernel holds it; none while its link is not there.
    fn route(&self, path: &Path) -> Option<SlotRoute> {
        let link = self.links.get(&path.link)?.index;
        Some(SlotRoute { table: path.slot.table(), to: path.to, via: path.via, link })
    }
}

fn rules(socket: &mut Socket) -> Result<Vec<(RuleMessage, Option<Rule>)>, Failure> {
    let ours = socket.rules()?.into_iter().filter(message::is_our_rule);
    Ok(ours.map(|rule| (rule.clone(), message::read_rule(&rule))).collect())
}

fn routes(socket: &mut Socket) -> Result<Vec<(RouteMessage, Option<SlotRoute>)>, Failure> {
    let filter = RouteFilter {
        table: Table::Any,
        protocol: Some(RouteProtocol::from(ROUTE_PROTOCOL)),
        ..RouteFilter::default()
    };
    let ours = socket.routes(filter)?.into_iter().filter(message::is_our_route);
    Ok(ours.map(|route| (route.clone(), SlotRoute::read(&route))).collect())
}

fn links(socket: &mut Socket) -> Result<BTreeMap<IfName, Link>, Failure> {
    let links = socket.links()?;
    let links = links.iter().filter_map(|link| {
        let src_valid_mark = decode::inet_conf(link).map(|conf| conf.src_vmark != 0);
        Some((decode::name(link)?, Link { index: link.header.index, src_valid_mark }))
    });
    Ok(links.collect())
}

/// Sets the sysctls that are not set, makes the routes that are missing, then the rules. One that fails does not keep
/// the others from being made; the first failure is returned.
pub(in super::super) fn add(
    socket: &mut Socket,
    sysctls: &Sysctls,
    desired: &Routing,
) -> Result<(), KernelError> {
    let found = Found::observe(socket, desired)?;
    let present: BTreeSet<&SlotRoute> = found.routes.iter().filter_map(|(_, route)| route.as_ref()).collect();
    let missing = desired.paths.iter().filter_map(|path| Some((path, found.route(path)?)));
    let missing = missing.filter(|(_, route)| !present.contains(route));
    let routed = all(missing.map(|(path, route)| add_route(socket, path, &route)));
    let present: BTreeSet<Rule> = found.rules.iter().filter_map(|(_, rule)| *rule).collect();
    let marks = needs_src_valid_mark(desired, &found).into_iter();
    all(marks.map(|link| set_src_valid_mark(sysctls, link)))
        .and(routed)
        .and(all(desired.rules.difference(&present).map(|rule| add_rule(socket, *rule))))
}

/// Removes the rules that are not desired, then the routes. One that fails does not keep the others from being
/// removed; the first failure is returned.
pub(in super::super) fn remove(socket: &mut Socket, desired: &Routing) -> Result<(), KernelError> {
    let found = Found::observe(socket, desired)?;
    let surplus =
        found.rules.iter().filter(|(_, rule)| !rule.is_some_and(|rule| desired.rules.contains(&rule)));
    let ruled = all(surplus.map(|(rule, _)| remove_rule(socket, rule)));
    let kept: BTreeSet<SlotRoute> = desired.paths.iter().filter_map(|path| found.route(path)).collect();
    let surplus =
        found.routes.iter().filter(|(_, route)| !route.as_ref().is_some_and(|route| kept.contains(route)));
    ruled.and(all(surplus.map(|(route, _)| remove_route(socket, route))))
}

/// Goes on after a failure; the first one is returned.
fn all(attempts: impl Iterator<Item = Result<(), KernelError>>) -> Result<(), KernelError> {
    let failures: Vec<KernelError> = attempts.filter_map(Result::err).collect();
    failures.into_iter().next().map_or(Ok(()), Err)
}

/// The links of pods with IPv4 that are to look up a packet's sender with its mark, and do not. IPv6 has no such thing.
fn needs_src_valid_mark<'a>(desired: &'a Routing, found: &Found) -> BTreeSet<&'a IfName> {
    let links = desired.paths.iter().filter(|path| path.to.is_ipv4()).map(|path| &path.link);
    let unset =
        |link: &&IfName| found.links.get(*link).is_some_and(|link| link.src_valid_mark == Some(false));
    links.filter(unset).collect()
}

/// Stays with the link: it says nothing where packets have no marks.
fn set_src_valid_mark(sysctls: &Sysctls, link: &IfName) -> Result<(), KernelError> {
    let path = format!("ipv4/conf/{link}/src_valid_mark");
    let action = format!("set sysctl net/{path} to 1");
    tracing::debug!(action, "steering");
    // The link is gone by now.
    let set = sysctls.write(&path, 1).or_else(|failure| failure.unless(&[Errno::NOENT]));
    set.map_err(|failure| failure.of_step(action))
}

fn add_route(socket: &mut Socket, path: &Path, route: &SlotRoute) -> Result<(), KernelError> {
    let Path { slot, to, via, link } = path;
    let action = format!("add route {to} via {via} dev {link} table {} (flow slot {slot})", route.table);
    tracing::debug!(action, "steering");
    let message = RouteNetlinkMessage::NewRoute(route.message());
    // Another way to the same address is one that the slot's previous pod has left.
    let added = socket.request(message, NLM_F_CREATE | NLM_F_REPLACE);
    // The link is gone by now.
    let added = added.or_else(|failure| failure.unless(&[Errno::NODEV]));
    added.map_err(|failure| failure.of_step(action))
}

fn add_rule(socket: &mut Socket, rule: Rule) -> Result<(), KernelError> {
    let action = format!("add {} rule of priority {}: {}", rule.family, rule.kind.priority(), rule.kind);
    tracing::debug!(action, "steering");
    let message = RouteNetlinkMessage::NewRule(message::rule(rule));
    let added = socket.request(message, NLM_F_CREATE | NLM_F_EXCL);
    added.map_err(|failure| failure.of_step(action))
}

fn remove_rule(socket: &mut Socket, rule: &RuleMessage) -> Result<(), KernelError> {
    tracing::debug!(action = "remove a policy rule", ?rule, "steering");
    let removed = socket.request(RouteNetlinkMessage::DelRule(rule.clone()), 0);
    let removed = removed.or_else(|failure| failure.unless(&[Errno::NOENT]));
    removed.map_err(|failure| failure.of_step("remove a policy rule"))
}

fn remove_route(socket: &mut Socket, route: &RouteMessage) -> Result<(), KernelError> {
    let action = format!("remove a route of table {}", decode::table(route));
    tracing::debug!(action, to = ?decode::destination(route), "steering");
    let removed = socket.request(RouteNetlinkMessage::DelRoute(message::removal(route)), 0);
    // It went with its link, or was replaced.
    let removed = removed.or_else(|failure| failure.unless(&[Errno::SRCH, Errno::NODEV]));
    removed.map_err(|failure| failure.of_step(action))
}
