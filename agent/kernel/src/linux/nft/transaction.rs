//! A batch of operations: all of them, or nothing.

use std::io;

use flock_core::nft::{Batch, Op, TableId};
use netlink_packet_core::{NLM_F_ACK, NLM_F_CREATE};
use rustix::io::Errno;

use super::encode::{Encoded, TableFlags, encode, table};
use super::message::{Attributes, BATCH_BEGIN, BATCH_END, Netfilter, NetfilterMessage, SUBSYSTEM};
use crate::KernelError;
use crate::linux::errno::Failure;
use crate::linux::socket::Socket;

/// What is committed, and under which conditions.
#[derive(Debug)]
pub(super) struct Transaction<'a> {
    /// The table that is adopted from an owner who has left it, before anything else.
    pub(super) adopt: Option<&'a TableId>,
    pub(super) batch: &'a Batch,
    /// The flags of new and of adopted tables.
    pub(super) flags: TableFlags,
    /// Only if nobody has committed anything since this generation.
    pub(super) generation: Option<u32>,
}

/// Why nothing was committed.
#[derive(Debug)]
pub(super) enum Refused {
    /// Somebody else has committed something.
    Outdated,
    /// The kernel refuses an operation.
    Op {
        /// The kernel's error number.
        errno: Errno,
        /// What is refused, and why.
        error: KernelError,
    },
}

impl Transaction<'_> {
    pub(super) fn commit(self, socket: &mut Socket<Netfilter>) -> Result<(), Refused> {
        let encoded = encode(&self.batch.ops, self.flags);
        for part in &encoded {
            tracing::debug!(change = self.action(part), "nftables");
        }
        let mut messages = vec![(self.begin(), 0)];
        messages.extend(self.adopt.map(|id| (table(id, self.flags), NLM_F_CREATE)));
        let before = messages.len();
        messages.extend(encoded.iter().map(|part| (part.message.clone(), part.flags)));
        // The end itself is answered by newer kernels only.
        if let Some((_, flags)) = messages.last_mut() {
            *flags |= NLM_F_ACK;
        }
        messages.push((batch_edge(BATCH_END, Attributes::default()), 0));
        let refusals = socket.batch(messages).map_err(|failure| self.refused(failure, None))?;
        match refusals.into_iter().next() {
            None => Ok(()),
            Some(first) if first.position == 0 && first.failure.errno == RESTART => Err(Refused::Outdated),
            Some(first) => {
                let part = first.position.checked_sub(before).and_then(|place| encoded.get(place));
                Err(self.refused(first.failure, part))
            }
        }
    }

    fn begin(&self) -> NetfilterMessage {
        let generation = self.generation.map(|id| Attributes::default().be32(1, id));
        batch_edge(BATCH_BEGIN, generation.unwrap_or_default())
    }

    fn refused(&self, failure: Failure, part: Option<&Encoded>) -> Refused {
        let action =
            part.and_then(|part| self.action(part)).unwrap_or_else(|| "commit a transaction".to_owned());
        let errno = failure.errno;
        let cause = match errno {
            Errno::PERM => io::Error::new(io::ErrorKind::PermissionDenied, NOT_PERMITTED),
            _ => failure.into(),
        };
        Refused::Op { errno, error: KernelError::Step { action: format!("nftables: {action}"), cause } }
    }

    fn action(&self, part: &Encoded) -> Option<String> {
        let (table, op) = self.batch.ops.get(part.first)?;
        Some(match op {
            Op::AddElement(..) | Op::DeleteElement(..) if part.count > 1 => {
                format!("{} and {} more", op.text(table), part.count - 1)
            }
            op => op.text(table),
        })
    }
}

const NOT_PERMITTED: &str =
    "not permitted: the agent needs CAP_NET_ADMIN, and no other process may own the table";

/// `ERESTART`, which only the kernel knows.
const RESTART: Errno = Errno::from_raw_os_error(85);

fn batch_edge(kind: u16, attributes: Attributes) -> NetfilterMessage {
    NetfilterMessage { resource: SUBSYSTEM, ..NetfilterMessage::new(kind, 0, attributes) }
}
