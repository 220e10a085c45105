//! The kernel's own messages about changes.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::neighbour::NeighbourState;
use netlink_packet_route::route::{RouteMessage, RouteProtocol};
use netlink_packet_route::rule::{RuleAttribute, RuleMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{AsyncSocket, AsyncSocketExt, SocketAddr, TokioSocket};
use rustix::io::Errno;
use tokio::runtime::Handle;
use tokio::sync::mpsc::Sender;

use super::errno::Failure;
use super::netns::Namespace;
use super::nexthop::{self, NexthopMessage};
use super::request::{LOOPBACK, MAIN_TABLE};
use super::wire::{Content, Undecoded, frames};
use super::{LinuxKernel, decode, entered};
use crate::{Changes, Events, KernelError, ROUTE_PROTOCOL};

/// Enough for the messages about a few hundred pods that come at once, while the receiver is kept waiting.
const RECEIVE_QUEUE: usize = 4 * 1024 * 1024;

/// More than the kernel puts into one datagram.
const DATAGRAM: usize = 64 * 1024;

/// Before a socket that failed is opened anew.
const BACKOFF: Duration = Duration::from_secs(1);

/// `RTMGRP_*` of `linux/rtnetlink.h`.
const GROUPS: u32 =
    LINK | NEIGH | IPV4_IFADDR | IPV4_ROUTE | IPV4_RULE | IPV6_IFADDR | IPV6_ROUTE | IPV6_RULE | NEXTHOP;
const LINK: u32 = 0x1;
const NEIGH: u32 = 0x4;
const IPV4_IFADDR: u32 = 0x10;
const IPV4_ROUTE: u32 = 0x40;
const IPV4_RULE: u32 = 0x80;
const IPV6_IFADDR: u32 = 0x100;
const IPV6_ROUTE: u32 = 0x400;
/// `RTNLGRP_IPV6_RULE`, which has no `RTMGRP_*`.
const IPV6_RULE: u32 = 1 << 18;
/// `RTNLGRP_NEXTHOP`, the last of the groups that the mask has room for. A kernel without it lets it be joined.
const NEXTHOP: u32 = 1 << 31;

impl Events for LinuxKernel {
    fn watch(&self) -> Result<Changes, KernelError> {
        let (sender, changes) = Changes::channel();
        start(Arc::clone(&self.node), sender)?;
        Ok(changes)
    }
}

/// Starts to follow the node's namespace; ends when nobody listens any more.
fn start(node: Arc<Namespace>, changes: Sender<()>) -> Result<(), KernelError> {
    let opened = open(&node)?;
    tokio::spawn(async move {
        tokio::select! {
            () = changes.closed() => {}
            () = follow(node, opened, &changes) => {}
        }
    });
    Ok(())
}

async fn follow(node: Arc<Namespace>, opened: TokioSocket, changes: &Sender<()>) {
    let mut socket = Some(opened);
    loop {
        if let Some(socket) = socket.take() {
            let error = forward(&socket, changes).await;
            tracing::warn!(%error, "the kernel's messages cannot be read; opening a new socket");
        }
        tokio::time::sleep(BACKOFF).await;
        match open(&node) {
            Ok(opened) => socket = Some(opened),
            Err(error) => tracing::warn!(%error, "the kernel cannot be followed"),
        }
        // Whatever has been said in between is lost.
        notify(changes);
    }
}

/// The socket belongs to the namespace of the thread that opens it: one of its own.
fn open(node: &Namespace) -> Result<TokioSocket, KernelError> {
    let runtime = Handle::current();
    let open = || {
        let _runtime = runtime.enter();
        open_here().map_err(|failure| failure.of_step("follow the kernel's changes"))
    };
    std::thread::scope(|scope| scope.spawn(|| entered(node, open)).join().unwrap_or(Err(KernelError::Closed)))
}

fn open_here() -> Result<TokioSocket, Failure> {
    let mut socket: TokioSocket = AsyncSocket::new(NETLINK_ROUTE)?;
    // Beyond `net.core.rmem_max`, which the node's administrator means for others.
    rustix::net::sockopt::set_socket_recv_buffer_size_force(socket.socket_ref(), RECEIVE_QUEUE)?;
    socket.socket_mut().bind(&SocketAddr::new(0, GROUPS))?;
    Ok(socket)
}

/// Forwards until the socket fails.
async fn forward(socket: &TokioSocket, changes: &Sender<()>) -> io::Error {
    let mut buffer = Vec::with_capacity(DATAGRAM);
    loop {
        buffer.clear();
        match socket.recv(&mut buffer).await {
            Ok(()) if concerns_us(&buffer) => notify(changes),
            Ok(()) => {}
            // Messages were lost. The socket goes on.
            Err(error) if Errno::from_io_error(&error) == Some(Errno::NOBUFS) => notify(changes),
            Err(error) => return error,
        }
    }
}

/// A full channel holds a change already, and that one stands for this.
fn notify(changes: &Sender<()>) {
    let _ = changes.try_send(());
}

fn concerns_us(datagram: &[u8]) -> bool {
    frames(datagram).any(|frame| match frame.content {
        Content::Message(message) => may_be_relevant(&message),
        Content::Overrun => true,
        Content::End(_) => false,
    })
}

/// What cannot be read may be about anything.
fn may_be_relevant(message: &Undecoded<'_>) -> bool {
    match message.kind() {
        Some(nexthop::NEW | nexthop::NEW_BUCKET) => false,
        Some(nexthop::DEL) => message.decode().is_none_or(|message| is_about_ours(&message)),
        _ => message.decode().is_none_or(|message| is_relevant(&message)),
    }
}

/// The kernel says nothing of the IPv4 routes that go with a nexthop object.
fn is_about_ours(message: &NexthopMessage) -> bool {
    matches!(message, NexthopMessage::Del(nexthop) if nexthop.protocol == ROUTE_PROTOCOL)
}

/// Errs on the side of noise: addresses and neighbours name their link by its index only, and are taken for ours;
/// neighbours not those of loopback.
fn is_relevant(message: &RouteNetlinkMessage) -> bool {
    match message {
        RouteNetlinkMessage::NewLink(_) | RouteNetlinkMessage::DelLink(_) => true,
        // A BGP session may begin at a loopback address.
        RouteNetlinkMessage::NewAddress(_) | RouteNetlinkMessage::DelAddress(_) => true,
        RouteNetlinkMessage::DelNeighbour(message) => message.header.ifindex != LOOPBACK,
        // Others change all the time by themselves (REACHABLE, STALE, ...).
        RouteNetlinkMessage::NewNeighbour(message) => message.header.state == NeighbourState::Permanent,
        RouteNetlinkMessage::DelRoute(route) => is_ours(route) || is_default(route),
        RouteNetlinkMessage::NewRoute(route) => is_default(route),
        RouteNetlinkMessage::DelRule(rule) => is_our_rule(rule),
        _ => false,
    }
}

fn is_ours(route: &RouteMessage) -> bool {
    route.header.protocol == RouteProtocol::from(ROUTE_PROTOCOL)
}

fn is_our_rule(rule: &RuleMessage) -> bool {
    rule.attributes.contains(&RuleAttribute::Protocol(RouteProtocol::from(ROUTE_PROTOCOL)))
}

fn is_default(route: &RouteMessage) -> bool {
    route.header.destination_prefix_length == 0 && decode::table(route) == u32::from(MAIN_TABLE)
}

#[cfg(test)]
mod tests {
    use netlink_packet_core::{NetlinkHeader, NetlinkMessage, NetlinkPayload};
    use netlink_packet_route::address::AddressMessage;
    use netlink_packet_route::link::LinkMessage;
    use netlink_packet_route::neighbour::NeighbourMessage;

    use super::*;
    use crate::linux::nexthop::{Kind, Nexthop};
    use crate::linux::request;

    fn neighbour(link: u32, state: NeighbourState) -> NeighbourMessage {
        let mut message = NeighbourMessage::default();
        message.header.ifindex = link;
        message.header.state = state;
        message
    }

    fn address(link: u32) -> AddressMessage {
        request::addresses(link)
    }

    fn default_route() -> RouteMessage {
        let mut route = RouteMessage::default();
        route.header.table = MAIN_TABLE;
        route
    }

    #[test]
    fn what_may_concern_us_is_forwarded() {
        let pod_route = request::blackhole("2001:db8::/64".parse().unwrap());
        for message in [
            RouteNetlinkMessage::NewLink(LinkMessage::default()),
            RouteNetlinkMessage::DelLink(LinkMessage::default()),
            RouteNetlinkMessage::NewAddress(address(2)),
            RouteNetlinkMessage::DelAddress(address(LOOPBACK)),
            RouteNetlinkMessage::DelNeighbour(neighbour(2, NeighbourState::Failed)),
            RouteNetlinkMessage::NewNeighbour(neighbour(2, NeighbourState::Permanent)),
            RouteNetlinkMessage::DelRoute(pod_route),
            RouteNetlinkMessage::NewRoute(default_route()),
            RouteNetlinkMessage::DelRoute(default_route()),
        ] {
            assert!(is_relevant(&message), "{message:?}");
        }
    }

    #[test]
    fn rules_are_told_apart_by_their_protocol() {
        let rule = |protocol| {
            let mut rule = RuleMessage::default();
            rule.attributes.push(RuleAttribute::Protocol(protocol));
            RouteNetlinkMessage::DelRule(rule)
        };
        assert!(is_relevant(&rule(RouteProtocol::from(ROUTE_PROTOCOL))));
        assert!(!is_relevant(&rule(RouteProtocol::Static)));
    }

    #[test]
    fn noise_is_not() {
        let ours = request::blackhole("2001:db8::/64".parse().unwrap());
        let mut foreign = ours.clone();
        foreign.header.protocol = RouteProtocol::Bird;
        let mut other_table = default_route();
        other_table.header.table = 100;
        for message in [
            RouteNetlinkMessage::NewNeighbour(neighbour(2, NeighbourState::Stale)),
            RouteNetlinkMessage::NewRoute(ours),
            RouteNetlinkMessage::DelRoute(foreign),
            RouteNetlinkMessage::NewRoute(other_table),
        ] {
            assert!(!is_relevant(&message), "{message:?}");
        }
    }

    /// A message about a nexthop object, as the kernel sends it.
    fn nexthop(kind: u16, protocol: u8) -> Vec<u8> {
        let message = NexthopMessage::New(Nexthop { id: 1, protocol, kind: Kind::Other });
        let mut message =
            NetlinkMessage::new(NetlinkHeader::default(), NetlinkPayload::InnerMessage(message));
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes
    }

    #[test]
    fn nexthop_objects_of_ours_are_forwarded_when_they_go() {
        assert!(concerns_us(&nexthop(nexthop::DEL, ROUTE_PROTOCOL)));
        assert!(!concerns_us(&nexthop(nexthop::DEL, 4)));
        assert!(!concerns_us(&nexthop(nexthop::NEW, ROUTE_PROTOCOL)));
        assert!(!concerns_us(&nexthop(nexthop::NEW_BUCKET, ROUTE_PROTOCOL)));
    }
}
