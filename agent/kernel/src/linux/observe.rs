//! From what the kernel tells to [`Fact`]s.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use flock_core::attachment::IfName;
use flock_core::host::addresses::{AddressState, InterfaceAddress, NodeAddress, Subnets};
use flock_core::link::{Fact, LinkRoute, LinkSysctl, Mac, Side};
use ipnet::IpNet;
use netlink_packet_route::link::{In6AddrGenMode, LinkMessage};
use netlink_packet_route::route::{RouteMessage, RouteProtocol, RouteType};

use super::errno::Failure;
use super::socket::Socket;
use super::{anycast, decode};
use crate::ROUTE_PROTOCOL;

/// What is configured on a link.
#[derive(Debug, Default)]
pub(super) struct OnLink {
    addresses: Vec<InterfaceAddress>,
    neighbours: Vec<(IpAddr, Mac)>,
    routes: Vec<(LinkRoute, RouteProtocol)>,
}

impl OnLink {
    fn nets(&self) -> impl Iterator<Item = IpNet> {
        self.addresses.iter().map(|address| address.net)
    }
}

/// What is configured on every link, by its index.
pub(super) type ByLink = BTreeMap<u32, OnLink>;

/// Addresses and permanent neighbours of one link, or of all.
pub(super) fn addresses_and_neighbours(socket: &mut Socket, link: Option<u32>) -> Result<ByLink, Failure> {
    let mut found = ByLink::new();
    for message in socket.addresses(link)? {
        if let Some(address) = decode::interface_address(&message) {
            found.entry(message.header.index).or_default().addresses.push(address);
        }
    }
    for message in socket.neighbours(link)? {
        if let Some(neighbour) = decode::permanent_neighbour(&message) {
            found.entry(message.header.ifindex).or_default().neighbours.push(neighbour);
        }
    }
    Ok(found)
}

/// Adds those routes that lead straight out of one link, but for those to anycast addresses: they are nobody's in
/// particular.
pub(super) fn add_routes<'a>(found: &mut ByLink, routes: impl IntoIterator<Item = &'a RouteMessage>) {
    let unicast = |message: &&RouteMessage| message.header.kind == RouteType::Unicast;
    for message in routes.into_iter().filter(unicast).filter(|message| !anycast::is_anycast(message)) {
        let (Some(link), Some(dst)) = (decode::out_link(message), decode::destination(message)) else {
            continue;
        };
        let route = LinkRoute { dst, via: decode::gateway(message) };
        found.entry(link).or_default().routes.push((route, message.header.protocol));
    }
}

/// What a link that is not flock's has of the node's own place in the network. Other routing programs' routes say
/// nothing of what is connected, and BIRD's least of all.
pub(super) fn add_subnets(subnets: &mut Subnets, ifname: &IfName, on_link: &OnLink) {
    let global = |net: &IpNet| !decode::is_link_local6(net.addr()) && !net.addr().is_loopback();
    let usable = on_link.addresses.iter().filter(|address| address.state() == AddressState::Usable);
    subnets.addresses.extend(usable.filter(|address| global(&address.net)).map(|address| NodeAddress {
        ifname: ifname.clone(),
        net: address.net,
        secondary: address.is_secondary(),
    }));
    let foreign = [RouteProtocol::from(ROUTE_PROTOCOL), RouteProtocol::Bird];
    let routes = on_link.routes.iter().filter(|(route, by)| route.via.is_none() && !foreign.contains(by));
    let on_routes = routes.map(|(route, _)| route.dst);
    let nets = on_link.nets().map(|net| net.trunc()).chain(on_routes);
    subnets.on_link.extend(nets.filter(|net| global(net) && !net.addr().is_multicast()));
}

/// The host side's facts.
pub(super) fn host_facts(link: &LinkMessage, on_link: &OnLink) -> BTreeSet<Fact> {
    let side = Side::Host;
    let mut facts = own_facts(side, link);
    facts.extend(decode::alias(link).map(|alias| Fact::Alias { alias }));
    facts.extend(decode::altnames(link).map(|name| Fact::AltName { name: name.clone() }));
    // A link without IPv6 generates nothing either.
    let none = i32::from(u8::from(&In6AddrGenMode::None));
    if decode::inet6_conf(link).is_none_or(|conf| conf.addr_gen_mode == none) {
        facts.insert(Fact::NoAddressGeneration);
    }
    facts.extend(on_link.nets().map(|net| Fact::Address { side, net }));
    facts.extend(neighbour_facts(side, on_link));
    // Flock makes none with a gateway on this side but anycast routes.
    let ours = |(route, protocol): &&(LinkRoute, RouteProtocol)| {
        route.via.is_none() && *protocol == RouteProtocol::from(ROUTE_PROTOCOL)
    };
    let ours = on_link.routes.iter().filter(ours);
    facts.extend(ours.map(|(route, _)| Fact::Route { side, route: *route }));
    facts
}

/// The pod side's facts, without those of its loopback interface. A pod may be told its routes by others (a chained
/// plugin); what the kernel makes by itself, a link-local address and routes to its own subnets, says nothing.
pub(super) fn pod_facts(link: &LinkMessage, on_link: &OnLink) -> BTreeSet<Fact> {
    let side = Side::Pod;
    let mut facts = own_facts(side, link);
    let configured = on_link.nets().filter(|net| !decode::is_link_local6(net.addr()));
    facts.extend(configured.map(|net| Fact::Address { side, net }));
    facts.extend(neighbour_facts(side, on_link));
    let made = on_link.routes.iter().filter(|(_, protocol)| *protocol != RouteProtocol::Kernel);
    facts.extend(made.map(|(route, _)| Fact::Route { side, route: *route }));
    facts
}

/// The facts of a pod's loopback interface: what the kernel makes there by itself is nobody's wish.
pub(super) fn loopback_facts(on_link: &OnLink) -> impl Iterator<Item = Fact> {
    let single = on_link.nets().filter(|net| net.prefix_len() == net.max_prefix_len());
    let given = single.map(|net| net.addr()).filter(|address| !address.is_loopback());
    given.map(|address| Fact::LoopbackAddress { address })
}

fn own_facts(side: Side, link: &LinkMessage) -> BTreeSet<Fact> {
    let mut facts = BTreeSet::new();
    facts.extend(decode::name(link).map(|name| Fact::Link { side, name }));
    facts.extend(decode::mac(link).map(|mac| Fact::Mac { side, mac }));
    facts.extend(decode::mtu(link).map(|mtu| Fact::Mtu { side, mtu }));
    facts.extend(sysctls(side, link).map(|(sysctl, value)| Fact::Sysctl { side, sysctl, value }));
    if decode::is_up(link) {
        facts.insert(Fact::Up { side });
    }
    facts
}

fn neighbour_facts(side: Side, on_link: &OnLink) -> impl Iterator<Item = Fact> {
    on_link.neighbours.iter().map(move |&(address, mac)| Fact::Neighbour { side, address, mac })
}

/// Those that matter on either side. They come with the link: reading 1000 files on a node of 250 pods would take
/// longer than everything else.
fn sysctls(side: Side, link: &LinkMessage) -> impl Iterator<Item = (LinkSysctl, u8)> {
    let (v6, v4) = (decode::inet6_conf(link), decode::inet_conf(link));
    // A link without IPv6 (a kernel without, or an MTU below 1280) is one where it is disabled.
    let disabled = v6.map_or(1, |conf| conf.disable_ipv6);
    let both = [(LinkSysctl::DisableIpv6, Some(disabled)), (LinkSysctl::AcceptRa, v6.map(|c| c.accept_ra))];
    let own = match side {
        Side::Host => [
            (LinkSysctl::RpFilter, v4.map(|conf| conf.rp_filter)),
            (LinkSysctl::ProxyArp, v4.map(|conf| conf.proxy_arp)),
        ],
        Side::Pod => [(LinkSysctl::AcceptDad, v6.map(|conf| conf.accept_dad)), (LinkSysctl::AcceptDad, None)],
    };
    let small = |value: i32| u8::try_from(value).ok();
    both.into_iter().chain(own).filter_map(move |(sysctl, value)| Some((sysctl, value.and_then(small)?)))
}
