//! When a link is ready. Two things the kernel does later, on work queues and behind the rtnl lock, after it has said
//! yes. On a busy node a pod's first packets can come before them, and are lost:
//!
//! * A link whose carrier has just come on drops what it is given to send, by the queue `noop`, until its carrier event
//!   has been handled (net/core/link_watch.c).
//! * An IPv6 address has no route in the local table, so that packets to it are not taken for the pod's own, until its
//!   duplicate address detection has been run, which for NODAD means: has been found to be nothing to do
//!   (net/ipv6/addrconf.c, `addrconf_dad_work`).

use std::collections::BTreeSet;
use std::net::IpAddr;

use flock_core::attachment::IfName;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::link::LinkMessage;

use super::decode;
use super::errno::Failure;
use super::rtnetlink::{RouteFilter, Table};
use super::socket::Socket;

/// Whether both are done for the interface; there is nothing to wait for if it is not there, or not up. To look is to
/// hurry it on: since Linux 6.8 `rtnl_getlink` handles a link's pending carrier event before it answers.
pub(super) fn is_ready(socket: &mut Socket, ifname: &IfName) -> Result<bool, Failure> {
    match socket.link_by_name(ifname)? {
        Some(link) if decode::is_up(&link) => Ok(!decode::drops(&link) && has_local_routes(socket, &link)?),
        _ => Ok(true),
    }
}

fn has_local_routes(socket: &mut Socket, link: &LinkMessage) -> Result<bool, Failure> {
    let addresses = socket.addresses(Some(link.header.index))?;
    let addresses = addresses.iter().filter_map(decode::address).map(|net| net.addr());
    // The kernel's own link-local address comes in its own time, and nobody is waiting for it.
    let mut addresses: BTreeSet<IpAddr> =
        addresses.filter(|address| address.is_ipv6() && !decode::is_link_local6(*address)).collect();
    if addresses.is_empty() {
        return Ok(true);
    }
    let local =
        RouteFilter { family: Some(AddressFamily::Inet6), table: Table::Local, ..RouteFilter::default() };
    for destination in socket.routes(local)?.iter().filter_map(decode::destination) {
        addresses.remove(&destination.addr());
    }
    Ok(addresses.is_empty())
}
