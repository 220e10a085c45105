//! What a family of netlink tells of its own accord, to those who have joined its multicast groups.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use netlink_sys::{AsyncSocket, AsyncSocketExt, SocketAddr, TokioSocket};
use rustix::io::Errno;
use tokio::runtime::Handle;

use super::entered;
use super::errno::Failure;
use super::netns::Namespace;
use super::socket::Family;
use super::wire::{Content, Undecoded, frames};
use crate::KernelError;
use crate::events::Loss;

/// Enough for the messages about a few hundred pods that come at once, while the receiver is kept waiting.
const RECEIVE_QUEUE: usize = 4 * 1024 * 1024;

/// More than the kernel puts into one datagram.
const DATAGRAM: usize = 64 * 1024;

/// Before a socket that failed is opened anew.
const BACKOFF: Duration = Duration::from_secs(1);

/// What comes of a group.
pub(super) enum Notification<'a> {
    /// A message.
    Message(Undecoded<'a>),
    /// Some are lost.
    Lost(Loss),
}

/// Membership in groups of one family, in one namespace. A socket that fails is replaced.
pub(super) struct Listener {
    node: Arc<Namespace>,
    protocol: isize,
    groups: &'static [u32],
    socket: TokioSocket,
}

impl Listener {
    /// Joins the groups, by their numbers. Must be called in a tokio runtime.
    pub(super) fn open<F: Family>(node: Arc<Namespace>, groups: &'static [u32]) -> Result<Self, KernelError> {
        let socket = open(&node, F::PROTOCOL, groups)?;
        Ok(Self { node, protocol: F::PROTOCOL, groups, socket })
    }

    /// Hands on every notification, for ever.
    pub(super) async fn follow(mut self, mut handle: impl FnMut(Notification<'_>)) {
        loop {
            let error = listen(&self.socket, &mut handle).await;
            tracing::warn!(%error, "the kernel's messages cannot be read; opening a new socket");
            self.socket = loop {
                tokio::time::sleep(BACKOFF).await;
                match open(&self.node, self.protocol, self.groups) {
                    Ok(socket) => break socket,
                    Err(error) => tracing::warn!(%error, "the kernel cannot be followed"),
                }
                // Whoever looks now sees at least what has been lost until now.
                handle(Notification::Lost(Loss::Reopened));
            };
            handle(Notification::Lost(Loss::Reopened));
        }
    }
}

/// The socket belongs to the namespace of the thread that opens it: one of its own.
fn open(node: &Namespace, protocol: isize, groups: &[u32]) -> Result<TokioSocket, KernelError> {
    let runtime = Handle::current();
    let open = || {
        let _runtime = runtime.enter();
        open_here(protocol, groups).map_err(|failure| failure.of_step("follow the kernel's changes"))
    };
    std::thread::scope(|scope| scope.spawn(|| entered(node, open)).join().unwrap_or(Err(KernelError::Closed)))
}

fn open_here(protocol: isize, groups: &[u32]) -> Result<TokioSocket, Failure> {
    let mut socket: TokioSocket = AsyncSocket::new(protocol)?;
    // Beyond `net.core.rmem_max`, which the node's administrator means for others.
    rustix::net::sockopt::set_socket_recv_buffer_size_force(socket.socket_ref(), RECEIVE_QUEUE)?;
    socket.socket_mut().bind(&SocketAddr::new(0, 0))?;
    for group in groups {
        socket.socket_mut().add_membership(*group)?;
    }
    Ok(socket)
}

/// Until the socket fails.
async fn listen(socket: &TokioSocket, handle: &mut impl FnMut(Notification<'_>)) -> io::Error {
    let mut buffer = Vec::with_capacity(DATAGRAM);
    loop {
        buffer.clear();
        match socket.recv(&mut buffer).await {
            Ok(()) => handle_datagram(&buffer, handle),
            Err(error) if is_overrun(&error) => {
                if let Err(error) = discard(socket).await {
                    return error;
                }
                handle(Notification::Lost(Loss::Overrun));
            }
            Err(error) => return error,
        }
    }
}

/// Once its queue has been full, the kernel drops everything until the queue is empty (`NETLINK_S_CONGESTED`), and does
/// not say so again. Whoever observes before that misses what comes after; so the rest is thrown away, it is old anyway.
async fn discard(socket: &TokioSocket) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(DATAGRAM);
    loop {
        for _ in 0..DISCARD_AT_ONCE {
            buffer.clear();
            match socket.socket_ref().recv(&mut buffer, 0) {
                Ok(_) => {}
                Err(error) if is_overrun(&error) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        tokio::task::yield_now().await;
    }
}

/// Datagrams, before other tasks have their turn.
const DISCARD_AT_ONCE: usize = 256;

fn is_overrun(error: &io::Error) -> bool {
    Errno::from_io_error(error) == Some(Errno::NOBUFS)
}

/// Hands on the messages of one datagram.
pub(super) fn handle_datagram(datagram: &[u8], handle: &mut impl FnMut(Notification<'_>)) {
    for frame in frames(datagram) {
        match frame.content {
            Content::Message(message) => handle(Notification::Message(message)),
            Content::Overrun => handle(Notification::Lost(Loss::Overrun)),
            Content::End(_) => {}
        }
    }
}
