//! A netlink socket of one family: requests, dumps and batches, each answered before the call returns.
//!
//! Blocking on purpose. The kernel carries a request out inside `sendmsg`, waiting for the rtnl lock, for RCU grace
//! periods when links go away: whoever sends is blocked for as long as it takes, non-blocking socket or not. So it
//! must not be an async worker who sends, and then there is nothing to be gained from an asynchronous answer, which
//! lies in the receive queue when `sendmsg` returns.

mod batch;

use std::marker::PhantomData;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkDeserializable, NetlinkHeader, NetlinkMessage,
    NetlinkPayload, NetlinkSerializable,
};
use netlink_sys::SocketAddr;
use netlink_sys::protocols::NETLINK_ROUTE;
use rustix::io::Errno;

use super::errno::Failure;
use super::wire::{Content, frames};

/// The kernel fills up to 32 KiB at once of a dump, if there is room (`netlink_dump`).
const RECEIVE_BUFFER: usize = 64 * 1024;

/// A dump that changed while it was being read is read again, this often.
pub(super) const DUMP_TRIES: usize = 16;

/// A family of netlink: who answers (`NETLINK_*` of `linux/netlink.h`).
pub(super) trait Family {
    /// The protocol number of its sockets.
    const PROTOCOL: isize;
}

/// Links, addresses, neighbours, routes, rules and nexthop objects.
#[derive(Debug)]
pub(super) struct Route;

impl Family for Route {
    const PROTOCOL: isize = NETLINK_ROUTE;
}

/// What can be asked of a family, and what it answers in the same terms.
pub(super) trait Message: NetlinkSerializable + NetlinkDeserializable {
    /// Who understands it.
    type Family: Family;
}

/// Bound to the network namespace of the thread that opened it, wherever it is used.
pub(super) struct Socket<F = Route> {
    inner: netlink_sys::Socket,
    sequence: u32,
    buffer: Vec<u8>,
    received: u64,
    family: PhantomData<F>,
}

impl<F: Family> Socket<F> {
    /// In the calling thread's network namespace.
    pub(super) fn open() -> Result<Self, Failure> {
        let inner = netlink_sys::Socket::new(F::PROTOCOL)?;
        // Strict: filters in a dump request are obeyed. Capped: an error need not repeat the request.
        inner.set_netlink_get_strict_chk(true)?;
        inner.set_ext_ack(true)?;
        inner.set_cap_ack(true)?;
        inner.connect(&SocketAddr::new(0, 0))?;
        let buffer = Vec::with_capacity(RECEIVE_BUFFER);
        Ok(Self { inner, sequence: 0, buffer, received: 0, family: PhantomData })
    }

    /// How many messages it has answered with.
    pub(super) fn received(&self) -> u64 {
        self.received
    }

    /// Its address in the kernel: what it owns, it owns by that.
    pub(super) fn port(&self) -> u32 {
        let mut address = SocketAddr::new(0, 0);
        self.inner.get_address(&mut address).map_or(0, |()| address.port_number())
    }

    /// A request for a change, or for nothing but an answer of yes or no. `flags` are added to REQUEST and ACK.
    pub(super) fn request<M: Message<Family = F>>(&mut self, message: M, flags: u16) -> Result<(), Failure> {
        self.exchange(message, NLM_F_ACK | flags).map(drop)
    }

    /// A request for one thing; none if the kernel says that it is not there.
    pub(super) fn find<M: Message<Family = F>>(&mut self, message: M) -> Result<Option<M>, Failure> {
        match self.exchange(message, NLM_F_ACK) {
            Ok(answer) => Ok(answer.messages.into_iter().next()),
            Err(Failure { errno: Errno::NODEV | Errno::NOENT, .. }) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// All that the kernel has of a kind.
    pub(super) fn dump<M: Message<Family = F> + Clone>(&mut self, message: M) -> Result<Vec<M>, Failure> {
        for _ in 0..DUMP_TRIES {
            let answer = match self.exchange(message.clone(), NLM_F_DUMP) {
                Ok(answer) => answer,
                // A table that has never had a route does not exist.
                Err(Failure { errno: Errno::NOENT, .. }) => return Ok(Vec::new()),
                Err(failure) => return Err(failure),
            };
            if !answer.interrupted {
                return Ok(answer.messages);
            }
        }
        Err(Failure { errno: Errno::INTR, text: Some("the dump kept changing while it was read".to_owned()) })
    }

    fn exchange<M: Message<Family = F>>(&mut self, message: M, flags: u16) -> Result<Answer<M>, Failure> {
        let bytes = self.serialize(message, flags);
        self.inner.send(&bytes, 0)?;
        let mut answer = Answer { messages: Vec::new(), interrupted: false };
        while !self.receive(&mut answer)? {}
        Ok(answer)
    }

    /// The bytes of a message with the next sequence number.
    fn serialize<M: Message<Family = F>>(&mut self, message: M, flags: u16) -> Vec<u8> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        header.sequence_number = self.sequence;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(message));
        message.finalize();
        let NetlinkHeader { message_type: kind, flags, sequence_number: sequence, .. } = message.header;
        tracing::trace!(kind, flags = format_args!("{flags:#x}"), sequence, "netlink: sending");
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        bytes
    }

    /// Reads one datagram into the answer; true when that was its end.
    fn receive<M: Message<Family = F>>(&mut self, answer: &mut Answer<M>) -> Result<bool, Failure> {
        self.read(0)?;
        for frame in frames(&self.buffer).filter(|frame| frame.sequence == self.sequence) {
            answer.interrupted |= frame.interrupted;
            match frame.content {
                Content::End(result) => return result.map(|()| true),
                Content::Message(message) => {
                    self.received += 1;
                    answer.messages.extend(message.decode());
                }
                Content::Overrun => return Err(Errno::NOBUFS.into()),
            }
        }
        Ok(false)
    }

    /// Puts the next datagram into the buffer.
    fn read(&mut self, flags: i32) -> Result<(), Errno> {
        self.buffer.clear();
        rustix::io::retry_on_intr(|| {
            self.inner
                .recv(&mut self.buffer, flags)
                .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
        })?;
        Ok(())
    }
}

struct Answer<M> {
    messages: Vec<M>,
    interrupted: bool,
}
