//! Others' commits, as the kernel tells of them (`NFNLGRP_NFTABLES`).

use netlink_sys::protocols::NETLINK_NETFILTER;
use netlink_sys::{AsyncSocket, AsyncSocketExt, SocketAddr, TokioSocket};
use rustix::io::Errno;
use tokio::runtime::Handle;
use tokio::sync::mpsc::WeakUnboundedSender;
use tokio::sync::oneshot;

use super::actor::Request;
use super::message::kind;
use crate::linux::errno::Failure;
use crate::linux::wire::{Content, frames};

/// `NFNLGRP_NFTABLES`, as a mask.
const GROUP: u32 = 1 << (7 - 1);

/// Others' large transactions are told of element by element.
const RECEIVE_QUEUE: usize = 4 * 1024 * 1024;

/// More than the kernel puts into one datagram.
const DATAGRAM: usize = 64 * 1024;

/// Lets the thread check its tables whenever a generation has begun, until it ends. The calling thread is in the node's
/// namespace.
pub(super) fn follow(runtime: &Handle, notices: WeakUnboundedSender<Request>, end: oneshot::Receiver<()>) {
    let opened = {
        let _runtime = runtime.enter();
        open()
    };
    match opened {
        Ok(socket) => {
            runtime.spawn(async move {
                tokio::select! {
                    _ = end => {}
                    () = forward(&socket, &notices) => {}
                }
            });
        }
        // What others do is noticed with the next change.
        Err(error) => tracing::warn!(%error, "others' changes to nftables cannot be followed"),
    }
}

fn open() -> Result<TokioSocket, Failure> {
    let mut socket: TokioSocket = AsyncSocket::new(NETLINK_NETFILTER)?;
    rustix::net::sockopt::set_socket_recv_buffer_size_force(socket.socket_ref(), RECEIVE_QUEUE)?;
    socket.socket_mut().bind(&SocketAddr::new(0, GROUP))?;
    Ok(socket)
}

async fn forward(socket: &TokioSocket, notices: &WeakUnboundedSender<Request>) {
    let mut buffer = Vec::with_capacity(DATAGRAM);
    loop {
        buffer.clear();
        match socket.recv(&mut buffer).await {
            Ok(()) if !begins_generation(&buffer) => continue,
            Ok(()) => {}
            // Messages were lost. The socket goes on.
            Err(error) if Errno::from_io_error(&error) == Some(Errno::NOBUFS) => {}
            Err(error) => {
                return tracing::warn!(%error, "others' changes to nftables are not followed any more");
            }
        }
        let Some(notices) = notices.upgrade() else { return };
        if notices.send(Request::Check).is_err() {
            return;
        }
    }
}

fn begins_generation(datagram: &[u8]) -> bool {
    frames(datagram).any(|frame| match frame.content {
        Content::Message(message) => message.kind() == Some(kind::NEW_GENERATION),
        Content::Overrun => true,
        Content::End(_) => false,
    })
}
