//! Several messages in one datagram: nftables takes those between its batch messages as one transaction, rtnetlink
//! takes each by itself.

use std::collections::BTreeSet;

use netlink_packet_core::NLM_F_ACK;
use rustix::io::Errno;
use rustix::net::RecvFlags;

use super::{Family, Message, Socket};
use crate::linux::errno::Failure;
use crate::linux::wire::{Content, frames};

/// A message that the kernel refused, by its place in the batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::linux) struct Refusal {
    /// From 0.
    pub(in crate::linux) position: usize,
    /// Why.
    pub(in crate::linux) failure: Failure,
}

impl<F: Family> Socket<F> {
    /// Sends the messages in one datagram, each with its own flags (REQUEST is added), and reads what the kernel says
    /// of each: it always answers a message that it refuses, others only where the flags ask for it (ACK). At least one should: no
    /// answer at all is taken for a failure of the whole.
    pub(in crate::linux) fn batch<M: Message<Family = F>>(
        &mut self,
        requests: impl IntoIterator<Item = (M, u16)>,
    ) -> Result<Vec<Refusal>, Failure> {
        let first = self.sequence.wrapping_add(1);
        let (mut bytes, mut count, mut awaited) = (Vec::new(), 0_u32, BTreeSet::new());
        for (message, flags) in requests {
            bytes.extend(self.serialize(message, flags));
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            if flags & NLM_F_ACK != 0 {
                awaited.insert(count);
            }
            count += 1;
        }
        if count == 0 {
            return Ok(Vec::new());
        }
        self.make_room(bytes.len(), awaited.len())?;
        self.inner.send(&bytes, 0)?;
        let refusals = self.answers(first, count, &mut awaited)?;
        match (refusals.is_empty(), awaited.first()) {
            (true, Some(silent)) => Err(unanswered(*silent)),
            _ => Ok(refusals),
        }
    }

    /// All answers are in the queue by now: the kernel has worked through the datagram inside `sendmsg`.
    fn answers(
        &mut self,
        first: u32,
        count: u32,
        awaited: &mut BTreeSet<u32>,
    ) -> Result<Vec<Refusal>, Failure> {
        let mut refusals = Vec::new();
        loop {
            match self.read(RecvFlags::DONTWAIT.bits().cast_signed()) {
                Ok(()) => {}
                Err(Errno::AGAIN) => return Ok(refusals),
                Err(errno) => return Err(errno.into()),
            }
            for frame in frames(&self.buffer) {
                let position = frame.sequence.wrapping_sub(first);
                match frame.content {
                    Content::Overrun => return Err(Errno::NOBUFS.into()),
                    Content::End(outcome) if position < count => {
                        awaited.remove(&position);
                        let refusal = |failure| Refusal { position: position as usize, failure };
                        refusals.extend(outcome.err().map(refusal));
                    }
                    // An answer to something else, or an echo.
                    Content::End(_) | Content::Message(_) => {}
                }
            }
        }
    }

    /// A datagram that the send buffer has no room for is refused, and answers that the receive buffer has no room for
    /// are lost. Both may be larger than the administrator's limit for others (`net.core.wmem_max`, `rmem_max`).
    fn make_room(&mut self, bytes: usize, answers: usize) -> Result<(), Failure> {
        if bytes > SMALL {
            rustix::net::sockopt::set_socket_send_buffer_size_force(&self.inner, bytes + SLACK)?;
        }
        if answers * ANSWER > SMALL {
            rustix::net::sockopt::set_socket_recv_buffer_size_force(&self.inner, answers * ANSWER)?;
        }
        Ok(())
    }
}

/// What fits into any socket's buffers.
const SMALL: usize = 64 * 1024;

/// The kernel counts its own overhead.
const SLACK: usize = 4 * 1024;

/// What an answer takes of the receive buffer at most: a page with its overhead.
const ANSWER: usize = 4 * 1024 + 1024;

fn unanswered(position: u32) -> Failure {
    Failure { errno: Errno::IO, text: Some(format!("no answer to message {position} of a batch")) }
}

#[cfg(test)]
mod tests {
    use netlink_packet_route::RouteNetlinkMessage;

    use super::*;
    use crate::linux::request::{self, LOOPBACK};

    fn look_at(link: u32) -> RouteNetlinkMessage {
        RouteNetlinkMessage::GetLink(request::link(link, Vec::new()))
    }

    #[test]
    fn a_refusal_names_its_position() {
        let mut socket = Socket::open().unwrap();
        let links = [LOOPBACK, u32::MAX >> 1, LOOPBACK, u32::MAX >> 2];
        let refusals = socket.batch(links.map(|link| (look_at(link), NLM_F_ACK))).unwrap();
        let refused: Vec<_> = refusals.iter().map(|found| (found.position, found.failure.errno)).collect();
        assert_eq!(refused, [(1, Errno::NODEV), (3, Errno::NODEV)]);
        assert!(socket.link_by_index(LOOPBACK).unwrap().is_some(), "the socket goes on");
    }

    #[test]
    fn a_message_without_ack_flag_is_refused_too() {
        let mut socket = Socket::open().unwrap();
        let requests = [(look_at(u32::MAX >> 1), 0), (look_at(LOOPBACK), NLM_F_ACK)];
        assert_eq!(socket.batch(requests).unwrap().len(), 1);
    }

    #[test]
    fn a_batch_may_be_larger_than_a_sockets_buffers() {
        let mut socket = Socket::open().unwrap();
        let requests = (0..3000).map(|_| (look_at(u32::MAX >> 1), 0));
        match socket.batch(requests) {
            Ok(refusals) => assert_eq!(refusals.len(), 3000),
            // Only an administrator may have buffers of that size.
            Err(failure) => assert!(matches!(failure.errno, Errno::PERM | Errno::NOBUFS), "{failure}"),
        }
    }

    #[test]
    fn an_empty_batch_is_not_sent() {
        assert_eq!(Socket::open().unwrap().batch([] as [(RouteNetlinkMessage, u16); 0]), Ok(Vec::new()));
    }
}
