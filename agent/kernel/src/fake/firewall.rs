//! The node's nftables tables.

use std::io;

use flock_core::nft::{Batch, Observed, Ruleset, Table, TableId};

use super::FakeKernel;
use crate::{Firewall, KernelError};

/// What there is of tables.
#[derive(Debug, Default)]
pub(super) struct FirewallState {
    tables: Ruleset,
}

impl FakeKernel {
    /// All nftables tables.
    pub fn tables(&self) -> Ruleset {
        self.inner().state.firewall.tables.clone()
    }
}

impl Firewall for FakeKernel {
    async fn replace_table(&self, table: &TableId, desired: Option<&Table>) -> Result<(), KernelError> {
        let mut all = self.observe(|state| state.firewall.tables.clone())?;
        match desired {
            Some(desired) => drop(all.tables.insert(table.clone(), desired.clone())),
            None => drop(all.tables.remove(table)),
        }
        self.put(all, |state| &mut state.firewall.tables)
    }

    async fn commit(&self, batch: &Batch) -> Result<(), KernelError> {
        let mut all = self.observe(|state| state.firewall.tables.clone())?;
        all.commit(batch).map_err(|(place, refusal)| {
            let action = batch.ops.get(place).map(|(table, op)| op.text(table)).unwrap_or_default();
            KernelError::Step { action: format!("nftables: {action}"), cause: io::Error::other(refusal) }
        })?;
        self.put(all, |state| &mut state.firewall.tables)
    }

    async fn table(&self, table: &TableId) -> Result<Option<Observed>, KernelError> {
        self.observe(|state| state.firewall.tables.tables.get(table).map(Observed::of))
    }
}
