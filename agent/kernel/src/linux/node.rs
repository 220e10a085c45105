//! The node as a whole.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use flock_core::attachment::IfName;
use flock_core::host::{DefaultRoute, HostChange, HostState, HostSysctl};
use flock_core::prefix::Family;
use ipnet::IpNet;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::link::LinkMessage;
use netlink_packet_route::route::{RouteAttribute, RouteMessage, RouteProtocol, RouteType};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rustix::io::Errno;

use super::errno::Failure;
use super::links::host_link;
use super::observe::{self, OnLink};
use super::request::MAIN_TABLE;
use super::rtnetlink::RouteFilter;
use super::socket::Socket;
use super::sysctl::Sysctls;
use super::{LinuxKernel, anycast, decode, request};
use crate::{KernelError, Node, ROUTE_PROTOCOL};

/// What the names of flock's host links begin with.
const PREFIX: &str = "flock";

impl Node for LinuxKernel {
    async fn host(&self) -> Result<HostState, KernelError> {
        let sysctls = self.sysctls.clone();
        self.observe("observe the node", move |socket| observe(socket, &sysctls)).await
    }

    async fn change_host(&self, changes: &[HostChange]) -> Result<(), KernelError> {
        let sysctls = self.sysctls.clone();
        self.change(changes, move |socket, change| make(socket, &sysctls, change)).await
    }
}

/// The whole node. Links, addresses and neighbours are read whole, since the kernel filters them by their link only;
/// so what this costs grows with the neighbours of the node's subnets (`gc_thresh3` bounds them). Of the routes only
/// those of [`CONFIGURED`] are read, and ours: a node may have learned any number of others.
fn observe(socket: &mut Socket, sysctls: &Sysctls) -> Result<HostState, Failure> {
    let links = socket.links()?;
    let mut on_links = observe::addresses_and_neighbours(socket, None)?;
    let ours = socket.routes(RouteFilter::ours())?;
    let configured = configured_routes(socket)?;
    observe::add_routes(&mut on_links, ours.iter().chain(&configured));
    let mut state = HostState { sysctls: fixed_sysctls(sysctls), ..HostState::default() };
    let mut names = BTreeMap::new();
    for link in &links {
        let Some(name) = decode::name(link) else { continue };
        names.insert(link.header.index, name.clone());
        let on_link = on_links.remove(&link.header.index).unwrap_or_default();
        add_link(&mut state, name, link, &on_link);
    }
    let learned = learned_default_routes(socket, &links)?;
    state.default_routes =
        configured.iter().chain(&learned).flat_map(|route| default_routes(route, &names)).collect();
    state.blackholes = blackholes(&ours);
    Ok(state)
}

/// Who says how the node itself is connected: the kernel, people, and what they and networks configure it with
/// (RFC 4861, DHCP). What routing programs (BIRD, FRR) say is where others are.
const CONFIGURED: [RouteProtocol; 5] = [
    RouteProtocol::Kernel,
    RouteProtocol::Boot,
    RouteProtocol::Static,
    RouteProtocol::Ra,
    RouteProtocol::Dhcp,
];

fn configured_routes(socket: &mut Socket) -> Result<Vec<RouteMessage>, Failure> {
    let mut routes = Vec::new();
    for protocol in CONFIGURED {
        routes.extend(socket.routes(RouteFilter { protocol: Some(protocol), ..RouteFilter::default() })?);
    }
    Ok(routes)
}

/// Addresses that nothing but a default route leads to: 240.0.0.0/4 is reserved (RFC 1112, section 4), and of IPv6
/// only 2000::/3 has been given out.
const DEFAULT_ROUTE_PROBES: [IpAddr; 2] =
    [IpAddr::V6(Ipv6Addr::new(0x4000, 0, 0, 0, 0, 0, 0, 1)), IpAddr::V4(Ipv4Addr::new(240, 0, 0, 1))];

/// The best default route out of each link that is not ours, whoever made it. The kernel cannot filter a dump by
/// destination, but it can be asked where packets would go.
///
/// Not found are those of routing programs behind a better one out of the same link, and behind a policy rule that
/// sends such packets to another table.
fn learned_default_routes(socket: &mut Socket, links: &[LinkMessage]) -> Result<Vec<RouteMessage>, Failure> {
    let ours = |link: &LinkMessage| decode::name(link).is_some_and(|name| name.as_str().starts_with(PREFIX));
    let others = links.iter().filter(|link| decode::is_up(link) && !decode::is_loopback(link) && !ours(link));
    let mut routes = Vec::new();
    for link in others {
        for address in DEFAULT_ROUTE_PROBES {
            routes.extend(socket.route_to(address, link.header.index)?);
        }
    }
    routes.retain(|route| decode::table(route) == u32::from(MAIN_TABLE));
    Ok(routes)
}

fn add_link(state: &mut HostState, name: IfName, link: &LinkMessage, on_link: &OnLink) {
    if name.as_str().starts_with(PREFIX) {
        state.flock_links.insert(name, host_link(link, on_link));
        return;
    }
    observe::add_subnets(&mut state.subnets, &name, on_link);
    if !decode::is_loopback(link) {
        let accept_ra = decode::inet6_conf(link).and_then(|conf| u8::try_from(conf.accept_ra).ok());
        state.sysctls.extend(accept_ra.map(|value| (HostSysctl::AcceptRa(name.clone()), value)));
        state.other_links.extend(decode::mtu(link).map(|mtu| (name, mtu)));
    }
}

fn fixed_sysctls(sysctls: &Sysctls) -> BTreeMap<HostSysctl, u8> {
    let fixed = [
        HostSysctl::Ipv6Forwarding,
        HostSysctl::Ipv4Forwarding,
        HostSysctl::Ipv6MultipathHash,
        HostSysctl::Ipv4MultipathHash,
    ];
    fixed.into_iter().filter_map(|key| sysctls.read(&key.path()).map(|value| (key, value))).collect()
}

fn default_routes(route: &RouteMessage, names: &BTreeMap<u32, IfName>) -> Vec<DefaultRoute> {
    if route.header.kind != RouteType::Unicast || route.header.destination_prefix_length != 0 {
        return Vec::new();
    }
    let family = match route.header.address_family {
        AddressFamily::Inet6 => Family::IPv6,
        _ => Family::IPv4,
    };
    let hops = route.attributes.iter().filter_map(|found| match found {
        RouteAttribute::MultiPath(hops) => Some(hops.iter().map(|hop| hop.interface_index)),
        _ => None,
    });
    let links = decode::out_link(route).into_iter().chain(hops.flatten());
    let from_ra = route.header.protocol == RouteProtocol::Ra;
    links
        .filter_map(|link| names.get(&link))
        .map(|ifname| DefaultRoute { family, ifname: ifname.clone(), from_ra })
        .collect()
}

fn blackholes(routes: &[RouteMessage]) -> BTreeSet<IpNet> {
    let ours = RouteProtocol::from(ROUTE_PROTOCOL);
    routes
        .iter()
        .filter(|route| route.header.kind == RouteType::BlackHole && route.header.protocol == ours)
        .filter(|route| !anycast::is_anycast(route))
        .filter_map(decode::destination)
        .collect()
}

fn make(socket: &mut Socket, sysctls: &Sysctls, change: &HostChange) -> Result<(), KernelError> {
    let made = match change {
        HostChange::Sysctl(key, value) => sysctls.write(&key.path(), *value),
        HostChange::AddBlackhole(net) => add_blackhole(socket, *net),
        HostChange::RemoveBlackhole(net) => remove_blackhole(socket, *net),
    };
    made.map_err(|failure| failure.of_step(change.to_string()))
}

/// Never replaces a route: one for the same prefix that is not ours stays, and the change fails.
fn add_blackhole(socket: &mut Socket, net: IpNet) -> Result<(), Failure> {
    let message = RouteNetlinkMessage::NewRoute(request::blackhole(net));
    match socket.request(message, NLM_F_CREATE | NLM_F_EXCL) {
        Err(failure) if failure.errno == Errno::EXIST => {
            let routes = socket.routes(RouteFilter::ours())?;
            if blackholes(&routes).contains(&net) { Ok(()) } else { Err(failure) }
        }
        done => done,
    }
}

fn remove_blackhole(socket: &mut Socket, net: IpNet) -> Result<(), Failure> {
    let removed = socket.request(RouteNetlinkMessage::DelRoute(request::blackhole(net)), 0);
    removed.or_else(|failure| failure.unless(&[Errno::SRCH, Errno::NOENT]))
}
