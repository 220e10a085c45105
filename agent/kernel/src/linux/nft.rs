//! nftables by netlink.
//!
//! ```text
//! Firewall --request--> actor (one thread, in the node's namespace, with the socket that owns our tables)
//!                         | core::nft::delta         | transaction: one batch
//!                         v                          v
//!                      committed <---- observe ---- kernel ----> generation (somebody else has committed)
//! ```
//!
//! * `message`: nfnetlink messages and their attributes. `instruction`: what a rule is for the kernel.
//! * `encode`: operations to messages. `decode`, `observe`: what there is of a table.
//! * `transaction`: a batch, all or nothing. `owner`: what has been committed. `actor`: the thread. `generation`: others'
//!   changes.

mod actor;
mod decode;
mod encode;
mod generation;
mod instruction;
mod message;
mod observe;
mod owner;
mod transaction;

use std::sync::Arc;

use flock_core::nft::{Batch, Observed, Table, TableId};

use self::actor::Request;
use super::LinuxKernel;
use crate::{Firewall, KernelError};

pub(super) use actor::{Handle, Ownership};
#[cfg(any(test, feature = "fake"))]
pub use instruction::{bytes, listing};

impl Firewall for LinuxKernel {
    async fn replace_table(&self, table: &TableId, desired: Option<&Table>) -> Result<(), KernelError> {
        self.gates.observe()?;
        let (table, desired) = (table.clone(), desired.cloned());
        self.nft().ask(|answer| Request::Replace { table, desired, answer }).await
    }

    async fn commit(&self, batch: &Batch) -> Result<(), KernelError> {
        self.gates.observe()?;
        let batch = batch.clone();
        self.nft().ask(|answer| Request::Commit { batch, answer }).await
    }

    async fn table(&self, table: &TableId) -> Result<Option<Observed>, KernelError> {
        self.gates.observe()?;
        let table = table.clone();
        self.nft().ask(|answer| Request::Observe { table, answer }).await
    }
}

impl LinuxKernel {
    /// The thread that owns flock's tables: started when it is first asked.
    fn nft(&self) -> &Handle {
        let start = || Handle::start(Arc::clone(&self.node), self.ownership, self.residents.clone());
        self.nft.get_or_init(start)
    }

    /// The kernel as it would be if a table died with its owner, so that flock's have none. Linux before 6.9 is such a
    /// kernel; this is for tests on a later one.
    #[cfg(any(test, feature = "fake"))]
    #[must_use]
    pub fn without_table_owners(self) -> Self {
        Self { ownership: Ownership::Never, nft: Arc::default(), ..self }
    }
}
