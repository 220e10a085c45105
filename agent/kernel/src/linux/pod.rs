//! A pod's side, looked at.

use std::collections::BTreeSet;
use std::path::Path;

use flock_core::attachment::IfName;
use flock_core::link::{Fact, PodObserved};
use netlink_packet_route::link::LinkMessage;

use super::decode;
use super::errno::Failure;
use super::netns::{Lookup, Namespace};
use super::observe;
use super::request::LOOPBACK;
use super::rtnetlink::RouteFilter;
use super::socket::Socket;
use crate::KernelError;

/// Moves the calling thread into the namespace and looks.
pub(super) fn observe(netns: &Path, ifname: &IfName) -> Result<PodObserved, KernelError> {
    let namespace = match Namespace::look_up(netns)? {
        Lookup::Namespace(namespace) => namespace,
        Lookup::Nothing | Lookup::MountPoint => return Ok(PodObserved::NamespaceGone),
        Lookup::Other => return Err(KernelError::NotANamespace(netns.to_owned())),
    };
    namespace.enter_pod(netns)?;
    let facts = Socket::open().and_then(|mut socket| facts(&mut socket, ifname));
    let action = || format!("observe {ifname} in {}", netns.display());
    facts.map(PodObserved::Facts).map_err(|failure| failure.of_step(action()))
}

fn facts(socket: &mut Socket, ifname: &IfName) -> Result<BTreeSet<Fact>, Failure> {
    let loopback = socket.link_by_index(LOOPBACK)?;
    let mut facts = match socket.link_by_name(ifname)? {
        Some(link) => link_facts(socket, &link)?,
        None => BTreeSet::new(),
    };
    if loopback.as_ref().is_some_and(decode::is_up) {
        facts.insert(Fact::LoopbackUp);
    }
    let mut on_links = observe::addresses_and_neighbours(socket, Some(LOOPBACK))?;
    facts.extend(observe::loopback_facts(&on_links.remove(&LOOPBACK).unwrap_or_default()));
    Ok(facts)
}

fn link_facts(socket: &mut Socket, link: &LinkMessage) -> Result<BTreeSet<Fact>, Failure> {
    let index = link.header.index;
    let mut on_links = observe::addresses_and_neighbours(socket, Some(index))?;
    let routes = socket.routes(RouteFilter { link: Some(index), ..RouteFilter::default() })?;
    observe::add_routes(&mut on_links, &routes);
    Ok(observe::pod_facts(link, &on_links.remove(&index).unwrap_or_default()))
}
