//! The node's nftables tables.

use std::future::Future;

use flock_core::nft::{Batch, Observed, Table, TableId};

use crate::KernelError;

/// Those tables of nftables that are flock's. Nobody else's are touched. Every change is one transaction: all of it, or
/// nothing.
pub trait Firewall: Send + Sync + 'static {
    /// Makes the table hold exactly that; without, removes it. Only what differs is changed, and nothing is sent if
    /// nothing does. A table that is there already is read back first: what an agent has left is taken over as it is.
    fn replace_table(
        &self,
        table: &TableId,
        desired: Option<&Table>,
    ) -> impl Future<Output = Result<(), KernelError>> + Send;

    /// Carries out operations on tables that [`Firewall::replace_table`] has made. The cost is that of the operations,
    /// whatever the tables hold. After an error the tables hold what they held, and are to be replaced.
    fn commit(&self, batch: &Batch) -> impl Future<Output = Result<(), KernelError>> + Send;

    /// What the table holds now. None: there is no such table, or it is not one that flock would make.
    fn table(&self, table: &TableId) -> impl Future<Output = Result<Option<Observed>, KernelError>> + Send;
}
