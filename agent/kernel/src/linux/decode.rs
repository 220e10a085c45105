//! What single messages say.

use std::net::IpAddr;
use std::time::Duration;

use flock_core::attachment::IfName;
use flock_core::host::addresses::{AddressFlags, InterfaceAddress, Lifetimes};
use flock_core::link::Mac;
use ipnet::IpNet;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{
    AfSpecInet, AfSpecInet6, AfSpecUnspec, Inet6DevConf, InetDevConf, LinkAttribute, LinkFlags, LinkMessage,
    Prop,
};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteVia};

/// The first of a link's attributes that `read` makes something of.
fn attribute<'a, T>(link: &'a LinkMessage, read: impl Fn(&'a LinkAttribute) -> Option<T>) -> Option<T> {
    link.attributes.iter().find_map(read)
}

/// A link's name; none if it is not one that flock could use.
pub(super) fn name(link: &LinkMessage) -> Option<IfName> {
    attribute(link, |found| match found {
        LinkAttribute::IfName(name) => name.parse().ok(),
        _ => None,
    })
}

/// A link's Ethernet address.
pub(super) fn mac(link: &LinkMessage) -> Option<Mac> {
    attribute(link, |found| match found {
        LinkAttribute::Address(bytes) => ethernet(bytes),
        _ => None,
    })
}

/// A link's alias.
pub(super) fn alias(link: &LinkMessage) -> Option<String> {
    attribute(link, |found| match found {
        LinkAttribute::IfAlias(alias) => Some(alias.clone()),
        _ => None,
    })
}

/// A link's MTU in bytes.
pub(super) fn mtu(link: &LinkMessage) -> Option<u32> {
    attribute(link, |found| match found {
        LinkAttribute::Mtu(mtu) => Some(*mtu),
        _ => None,
    })
}

/// Whether a link has a carrier and, for want of a queue, drops what it is given to send.
pub(super) fn drops(link: &LinkMessage) -> bool {
    let carrier = attribute(link, |found| match found {
        LinkAttribute::Carrier(carrier) => Some(*carrier != 0),
        _ => None,
    });
    let queue = attribute(link, |found| match found {
        LinkAttribute::Qdisc(queue) => Some(queue.as_str()),
        _ => None,
    });
    carrier == Some(true) && queue == Some("noop")
}

/// Whether a link is administratively up.
pub(super) fn is_up(link: &LinkMessage) -> bool {
    link.header.flags.contains(LinkFlags::Up)
}

/// Whether what a link is given to send can arrive: it is up, and so is its peer.
pub(super) fn has_carrier(link: &LinkMessage) -> bool {
    let carrier = attribute(link, |found| match found {
        LinkAttribute::Carrier(carrier) => Some(*carrier != 0),
        _ => None,
    });
    is_up(link) && carrier == Some(true)
}

/// Whether a link is the loopback interface.
pub(super) fn is_loopback(link: &LinkMessage) -> bool {
    link.header.flags.contains(LinkFlags::Loopback)
}

/// A link's alternative names.
pub(super) fn altnames(link: &LinkMessage) -> impl Iterator<Item = &String> {
    let lists = link.attributes.iter().filter_map(|found| match found {
        LinkAttribute::PropList(list) => Some(list),
        _ => None,
    });
    lists.flatten().filter_map(|property| match property {
        Prop::AltIfName(name) => Some(name),
        _ => None,
    })
}

fn families(link: &LinkMessage) -> impl Iterator<Item = &AfSpecUnspec> {
    let lists = link.attributes.iter().filter_map(|found| match found {
        LinkAttribute::AfSpecUnspec(list) => Some(list),
        _ => None,
    });
    lists.flatten()
}

fn inet6(link: &LinkMessage) -> impl Iterator<Item = &AfSpecInet6> {
    let lists = families(link).filter_map(|family| match family {
        AfSpecUnspec::Inet6(list) => Some(list),
        _ => None,
    });
    lists.flatten()
}

/// `net.ipv6.conf.LINK`; none on a link without IPv6.
pub(super) fn inet6_conf(link: &LinkMessage) -> Option<&Inet6DevConf> {
    inet6(link).find_map(|found| match found {
        AfSpecInet6::DevConf(conf) => Some(conf),
        _ => None,
    })
}

/// `net.ipv4.conf.LINK`.
pub(super) fn inet_conf(link: &LinkMessage) -> Option<&InetDevConf> {
    families(link).find_map(|family| match family {
        AfSpecUnspec::Inet(list) => list.iter().find_map(|found| match found {
            AfSpecInet::DevConf(conf) => Some(conf),
            _ => None,
        }),
        _ => None,
    })
}

fn ethernet(bytes: &[u8]) -> Option<Mac> {
    bytes.try_into().ok().map(Mac)
}

/// Whether an address is in `fe80::/10`.
pub(super) fn is_link_local6(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

/// An address of this end, with its prefix length.
pub(super) fn address(message: &AddressMessage) -> Option<IpNet> {
    // On a point-to-point link ADDRESS is the other end's; LOCAL, where it is sent, is always ours.
    let local = address_attribute(message, |found| match found {
        AddressAttribute::Local(address) => Some(*address),
        _ => None,
    });
    let address = local.or_else(|| {
        address_attribute(message, |found| match found {
            AddressAttribute::Address(address) => Some(*address),
            _ => None,
        })
    });
    IpNet::new(address?, message.header.prefix_len).ok()
}

/// The same with its state.
pub(super) fn interface_address(message: &AddressMessage) -> Option<InterfaceAddress> {
    // The header has room for the lowest eight flags only.
    let short = u32::from(message.header.flags.bits());
    let flags = address_attribute(message, |found| match found {
        AddressAttribute::Flags(flags) => Some(flags.bits()),
        _ => None,
    });
    let lifetimes = address_attribute(message, |found| match found {
        AddressAttribute::CacheInfo(info) => {
            Some(Lifetimes { preferred: lifetime(info.ifa_preferred), valid: lifetime(info.ifa_valid) })
        }
        _ => None,
    });
    Some(InterfaceAddress {
        net: address(message)?,
        flags: AddressFlags::from_bits(flags.unwrap_or(short)),
        lifetimes: lifetimes.unwrap_or_default(),
    })
}

fn address_attribute<T>(
    message: &AddressMessage,
    read: impl Fn(&AddressAttribute) -> Option<T>,
) -> Option<T> {
    message.attributes.iter().find_map(read)
}

/// `INFINITY_LIFE_TIME` is for ever.
fn lifetime(seconds: u32) -> Option<Duration> {
    (seconds != u32::MAX).then(|| Duration::from_secs(seconds.into()))
}

/// A neighbour whose entry is permanent.
pub(super) fn permanent_neighbour(message: &NeighbourMessage) -> Option<(IpAddr, Mac)> {
    if message.header.state != NeighbourState::Permanent {
        return None;
    }
    let mac = message.attributes.iter().find_map(|found| match found {
        NeighbourAttribute::LinkLayerAddress(bytes) => ethernet(bytes),
        _ => None,
    });
    Some((neighbour(message)?, mac?))
}

/// A neighbour's address.
pub(super) fn neighbour(message: &NeighbourMessage) -> Option<IpAddr> {
    message.attributes.iter().find_map(|found| match found {
        NeighbourAttribute::Destination(NeighbourAddress::Inet6(address)) => Some(IpAddr::V6(*address)),
        NeighbourAttribute::Destination(NeighbourAddress::Inet(address)) => Some(IpAddr::V4(*address)),
        _ => None,
    })
}

/// A route's table.
pub(super) fn table(route: &RouteMessage) -> u32 {
    let long = route.attributes.iter().find_map(|found| match found {
        RouteAttribute::Table(table) => Some(*table),
        _ => None,
    });
    long.unwrap_or(u32::from(route.header.table))
}

/// A route's destination; a default route is sent without one.
pub(super) fn destination(route: &RouteMessage) -> Option<IpNet> {
    let sent = route.attributes.iter().find_map(|found| match found {
        RouteAttribute::Destination(address) => ip(address),
        _ => None,
    });
    let unspecified = match route.header.address_family {
        AddressFamily::Inet6 => IpAddr::from([0; 16]),
        _ => IpAddr::from([0; 4]),
    };
    IpNet::new(sent.unwrap_or(unspecified), route.header.destination_prefix_length).ok()
}

/// The link that a route with a single next hop leads out of.
pub(super) fn out_link(route: &RouteMessage) -> Option<u32> {
    route.attributes.iter().find_map(|found| match found {
        RouteAttribute::Oif(link) => Some(*link),
        _ => None,
    })
}

/// The gateway of a route with a single next hop.
pub(super) fn gateway(route: &RouteMessage) -> Option<IpAddr> {
    route.attributes.iter().find_map(|found| match found {
        RouteAttribute::Gateway(address) => ip(address),
        RouteAttribute::Via(RouteVia::Inet6(address)) => Some(IpAddr::V6(*address)),
        RouteAttribute::Via(RouteVia::Inet(address)) => Some(IpAddr::V4(*address)),
        _ => None,
    })
}

/// A route's metric; an IPv4 route without one is sent without it.
pub(super) fn metric(route: &RouteMessage) -> Option<u32> {
    route.attributes.iter().find_map(|found| match found {
        RouteAttribute::Priority(metric) => Some(*metric),
        _ => None,
    })
}

/// The nexthop object that a route leads to. The kernel may send what is in it besides, as if the route had that.
pub(super) fn nexthop_id(route: &RouteMessage) -> Option<u32> {
    route.attributes.iter().find_map(|found| match found {
        RouteAttribute::NhId(id) => Some(*id),
        _ => None,
    })
}

/// An address, if it is an IP address.
pub(super) fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet6(address) => Some(IpAddr::V6(*address)),
        RouteAddress::Inet(address) => Some(IpAddr::V4(*address)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use flock_core::host::addresses::AddressState;
    use netlink_packet_route::address::{AddressFlags as WireFlags, AddressHeaderFlags, CacheInfo};

    use super::*;
    use crate::linux::request;

    fn given(attributes: Vec<AddressAttribute>) -> InterfaceAddress {
        let mut message = request::address(2, "2001:db8::1/64".parse().unwrap());
        message.header.flags = AddressHeaderFlags::Tentative;
        message.attributes.retain(|found| !matches!(found, AddressAttribute::Flags(_)));
        message.attributes.extend(attributes);
        interface_address(&message).unwrap()
    }

    #[test]
    fn an_addresses_long_flags_come_before_the_headers() {
        assert_eq!(given(Vec::new()).state(), AddressState::Tentative);
        let long = AddressAttribute::Flags(WireFlags::Permanent | WireFlags::StablePrivacy);
        let address = given(vec![long]);
        assert_eq!(address.state(), AddressState::Usable);
        assert_eq!(address.flags, AddressFlags::PERMANENT | AddressFlags::STABLE_PRIVACY);
    }

    #[test]
    fn a_lifetime_of_all_ones_does_not_end() {
        let mut info = CacheInfo::default();
        (info.ifa_preferred, info.ifa_valid) = (1800, u32::MAX);
        let lifetimes = given(vec![AddressAttribute::CacheInfo(info)]).lifetimes;
        assert_eq!(lifetimes, Lifetimes { preferred: Some(Duration::from_secs(1800)), valid: None });
    }
}
