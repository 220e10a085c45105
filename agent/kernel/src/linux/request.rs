//! The messages that we send.

use std::net::IpAddr;
use std::os::fd::RawFd;

use flock_core::attachment::IfName;
use flock_core::link::{LinkRoute, LinkSpec, Mac, host_mac, pod_mac};
use ipnet::IpNet;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressScope,
};
use netlink_packet_route::link::{
    AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoData, InfoKind, InfoVeth, LinkAttribute, LinkExtentMask,
    LinkFlags, LinkInfo, LinkMessage, Prop,
};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::rule::RuleMessage;

use crate::ROUTE_PROTOCOL;

/// `RT_TABLE_MAIN`.
pub(super) const MAIN_TABLE: u8 = 254;

/// `RT_TABLE_LOCAL`.
pub(super) const LOCAL_TABLE: u8 = 255;

/// The loopback interface's index, the same in every network namespace.
pub(super) const LOOPBACK: u32 = 1;

/// Bytes of one end's link-layer address.
fn mac_bytes(mac: Mac) -> Vec<u8> {
    mac.0.to_vec()
}

fn family(address: IpAddr) -> AddressFamily {
    if address.is_ipv6() { AddressFamily::Inet6 } else { AddressFamily::Inet }
}

/// Every link, or the one of that name. Without statistics: they are most of the answer.
pub(super) fn links(name: Option<&IfName>) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.attributes.extend(name.map(|name| LinkAttribute::IfName(name.to_string())));
    message.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
    message
}

/// A link by its index, with attributes to be changed or looked at.
pub(super) fn link(index: u32, attributes: Vec<LinkAttribute>) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.attributes = attributes;
    message
}

/// A link that is to be up.
pub(super) fn link_up(index: u32) -> LinkMessage {
    let mut message = link(index, Vec::new());
    message.header.flags = LinkFlags::Up;
    message.header.change_mask = LinkFlags::Up;
    message
}

/// A link's way to make its link-local address.
pub(super) fn link_address_generation(index: u32, mode: In6AddrGenMode) -> LinkMessage {
    let inet6 = AfSpecUnspec::Inet6(vec![AfSpecInet6::AddrGenMode(mode)]);
    link(index, vec![LinkAttribute::AfSpecUnspec(vec![inet6])])
}

/// An alternative name of a link.
pub(super) fn link_altname(index: u32, name: &str) -> LinkMessage {
    link(index, vec![LinkAttribute::PropList(vec![Prop::AltIfName(name.to_owned())])])
}

/// The veth pair, the peer in the namespace behind `netns`. The peer is not up: the kernel would open it before the
/// two are a pair, and fail with ENOTCONN.
pub(super) fn pair(spec: &LinkSpec, netns: RawFd) -> LinkMessage {
    let end = |name: &IfName, mac| {
        vec![
            LinkAttribute::IfName(name.to_string()),
            LinkAttribute::Address(mac_bytes(mac)),
            LinkAttribute::Mtu(spec.mtu),
        ]
    };
    let mut peer = link(0, end(&spec.id.ifname, pod_mac(&spec.id)));
    peer.attributes.push(LinkAttribute::NetNsFd(netns));
    let mut message = link(0, end(&spec.host, host_mac(&spec.id)));
    message.attributes.push(LinkAttribute::LinkInfo(vec![
        LinkInfo::Kind(InfoKind::Veth),
        LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(peer))),
    ]));
    message
}

/// Every address, or those of one link.
pub(super) fn addresses(index: u32) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.index = index;
    message
}

/// An address, never tentative.
pub(super) fn address(index: u32, net: IpNet) -> AddressMessage {
    let mut message = addresses(index);
    message.header.family = family(net.addr());
    message.header.prefix_len = net.prefix_len();
    message.attributes.extend([AddressAttribute::Local(net.addr()), AddressAttribute::Address(net.addr())]);
    if let IpAddr::V6(address) = net.addr() {
        message.header.flags = AddressHeaderFlags::Nodad;
        message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
        if address.is_unicast_link_local() {
            message.header.scope = AddressScope::Link;
        }
    }
    message
}

/// Every neighbour, or those on one link.
pub(super) fn neighbours(index: Option<u32>) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.attributes.extend(index.map(NeighbourAttribute::IfIndex));
    message
}

/// A permanent neighbour; without its link-layer address, whichever it has.
pub(super) fn neighbour(index: u32, address: IpAddr, mac: Option<Mac>) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = family(address);
    message.header.ifindex = index;
    message.header.state = NeighbourState::Permanent;
    message.attributes.push(NeighbourAttribute::Destination(match address {
        IpAddr::V6(address) => NeighbourAddress::Inet6(address),
        IpAddr::V4(address) => NeighbourAddress::Inet(address),
    }));
    message.attributes.extend(mac.map(|mac| NeighbourAttribute::LinkLayerAddress(mac_bytes(mac))));
    message
}

/// The routes of one family: of one table (0: of any), with one protocol, out of one link.
pub(super) fn routes(
    family: AddressFamily,
    table: u8,
    protocol: Option<RouteProtocol>,
    link: Option<u32>,
) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = family;
    message.header.table = table;
    message.header.protocol = protocol.unwrap_or(RouteProtocol::Unspec);
    message.attributes.extend(link.map(RouteAttribute::Oif));
    message
}

/// Which route leads to an address out of a link: the route itself (`ip route get fibmatch`), not what is made of it.
pub(super) fn route_to(address: IpAddr, link: u32) -> RouteMessage {
    let mut message = routes(family(address), 0, None, Some(link));
    message.header.destination_prefix_length = IpNet::from(address).max_prefix_len();
    message.header.flags = RouteFlags::FibMatch;
    message.attributes.push(RouteAttribute::Destination(RouteAddress::from(address)));
    message
}

/// All policy rules of one family.
pub(super) fn rules(family: AddressFamily) -> RuleMessage {
    let mut message = RuleMessage::default();
    message.header.family = family;
    message
}

/// A route of ours on a link.
pub(super) fn route(index: u32, route: &LinkRoute) -> RouteMessage {
    let mut message = our_route(route.dst, RouteType::Unicast);
    message.attributes.push(RouteAttribute::Oif(index));
    match route.via {
        Some(via) => {
            message.attributes.push(RouteAttribute::Gateway(RouteAddress::from(via)));
            // 169.254.1.1 is on no subnet of the link. A link-local gateway needs no such word.
            if via.is_ipv4() {
                message.header.flags = RouteFlags::Onlink;
            }
        }
        None if route.dst.addr().is_ipv4() => message.header.scope = RouteScope::Link,
        None => {}
    }
    message
}

/// A blackhole of ours.
pub(super) fn blackhole(dst: IpNet) -> RouteMessage {
    our_route(dst, RouteType::BlackHole)
}

fn our_route(dst: IpNet, kind: RouteType) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header = RouteHeader {
        address_family: family(dst.addr()),
        destination_prefix_length: dst.prefix_len(),
        table: MAIN_TABLE,
        protocol: RouteProtocol::from(ROUTE_PROTOCOL),
        kind,
        ..RouteHeader::default()
    };
    message.attributes.push(RouteAttribute::Destination(RouteAddress::from(dst.network())));
    message
}

/// A route of ours to one address, with a metric; it leads nowhere yet.
pub(super) fn host_route(address: IpAddr, metric: u32) -> RouteMessage {
    let mut message = our_route(IpNet::from(address), RouteType::Unicast);
    message.attributes.push(RouteAttribute::Priority(metric));
    message
}

/// Any route of ours to one address with that metric, wherever it leads: for its removal.
pub(super) fn any_host_route(address: IpAddr, metric: u32) -> RouteMessage {
    let mut message = host_route(address, metric);
    message.header.kind = RouteType::Unspec;
    message.header.scope = RouteScope::NoWhere;
    message
}
