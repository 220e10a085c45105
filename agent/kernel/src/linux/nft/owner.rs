//! Flock's tables: what has been committed, and what is to be.

use std::collections::BTreeSet;

use flock_core::nft::{Batch, Observed, Op, Ruleset, Table, TableId, delta};
use rustix::io::Errno;

use super::actor::Ownership;
use super::encode::TableFlags;
use super::message::Netfilter;
use super::observe::{self, Found};
use super::transaction::{Refused, Transaction};
use crate::KernelError;
use crate::linux::errno::Failure;
use crate::linux::socket::Socket;

/// How often a change is tried again because somebody else has committed something in between.
const TRIES: usize = 16;

/// The socket, and what has been committed through it.
pub(super) struct Owner {
    socket: Socket<Netfilter>,
    /// Of new tables.
    flags: TableFlags,
    /// What flock's tables hold, if nobody else has changed them; no table is to be there if it is not among them.
    committed: Ruleset,
    /// Those of which that is certain.
    certain: BTreeSet<TableId>,
    /// The last commit that is known. Only of interest without an owner.
    generation: u32,
}

/// How a table is to be changed.
#[derive(Default)]
struct Plan {
    /// Its owner has left it.
    adopt: bool,
    batch: Batch,
}

impl Owner {
    pub(super) fn new(mut socket: Socket<Netfilter>, ownership: Ownership) -> Result<Self, Failure> {
        let flags = match ownership {
            Ownership::WherePossible => probe(&mut socket)?,
            #[cfg(any(test, feature = "fake"))]
            Ownership::Never => TableFlags::default(),
        };
        let generation = observe::generation(&mut socket)?;
        Ok(Self { socket, flags, committed: Ruleset::default(), certain: BTreeSet::new(), generation })
    }

    /// Whether nobody else can change flock's tables.
    pub(super) fn is_exclusive(&self) -> bool {
        self.flags.has_owner()
    }

    pub(super) fn replace(&mut self, table: &TableId, desired: Option<Table>) -> Result<(), KernelError> {
        self.look_for_others()?;
        for _ in 0..TRIES {
            let was_certain = self.certain.contains(table);
            let plan = self.plan(table, desired.as_ref())?;
            match self.carry_out(table, &plan) {
                Ok(()) => {
                    self.remember(table, desired);
                    return Ok(());
                }
                Err(Refused::Outdated) => self.look_for_others()?,
                // What was certain was not so.
                Err(Refused::Op { error, .. }) if was_certain => {
                    tracing::warn!(%error, %table, "the nftables table is read back");
                    self.certain.remove(table);
                }
                Err(Refused::Op { error, .. }) => return Err(error),
            }
        }
        Err(self.failed(Errno::AGAIN.into()))
    }

    /// All tables of the batch must be certain.
    pub(super) fn commit(&mut self, batch: &Batch) -> Result<(), KernelError> {
        self.look_for_others()?;
        if let Some((table, _)) = batch.ops.iter().find(|(table, _)| !self.certain.contains(table)) {
            let text = format!("what nftables table {table} holds is not known; replace it as a whole");
            return Err(self.failed(Failure { errno: Errno::STALE, text: Some(text) }));
        }
        let plan = Plan { adopt: false, batch: batch.clone() };
        let Some((first, _)) = batch.ops.first() else { return Ok(()) };
        match self.carry_out(first, &plan) {
            Ok(()) => {
                for (table, op) in &batch.ops {
                    if self.committed.apply(table, op).is_err() {
                        // The kernel has taken it, so it was not as it was remembered.
                        self.certain.remove(table);
                    }
                }
                Ok(())
            }
            Err(refused) => {
                self.certain.retain(|table| !batch.ops.iter().any(|(other, _)| other == table));
                match refused {
                    Refused::Op { error, .. } => Err(error),
                    Refused::Outdated => Err(self.failed(Errno::AGAIN.into())),
                }
            }
        }
    }

    pub(super) fn observe(&mut self, table: &TableId) -> Result<Option<Observed>, KernelError> {
        let found = observe::observe(&mut self.socket, table);
        Ok(found.map_err(|failure| self.failed(failure))?.and_then(|found| found.content))
    }

    /// Restores what somebody else has changed.
    pub(super) fn check(&mut self) {
        if let Err(error) = self.look_for_others() {
            tracing::error!(%error, "what others have done to nftables is not known");
        }
        let tables = self.committed.tables.clone();
        for (table, content) in
            tables.into_iter().filter(|(table, _)| !self.certain.contains(table)).collect::<Vec<_>>()
        {
            if let Err(error) = self.replace(&table, Some(content)) {
                tracing::error!(%error, %table, "the nftables table cannot be restored");
            }
        }
    }

    /// If somebody else has committed something, nothing is certain any more.
    fn look_for_others(&mut self) -> Result<(), KernelError> {
        if self.is_exclusive() {
            return Ok(());
        }
        let generation = observe::generation(&mut self.socket).map_err(|failure| self.failed(failure))?;
        if generation != self.generation {
            self.generation = generation;
            self.certain.clear();
        }
        Ok(())
    }

    /// From what is certain or, failing that, from what there is.
    fn plan(&mut self, table: &TableId, desired: Option<&Table>) -> Result<Plan, KernelError> {
        if self.certain.contains(table) {
            return Ok(Plan { adopt: false, batch: delta(table, self.committed.tables.get(table), desired) });
        }
        let found = observe::observe(&mut self.socket, table).map_err(|failure| self.failed(failure))?;
        let Some(found) = found else { return Ok(Plan { adopt: false, batch: delta(table, None, desired) }) };
        let plan = self.plan_from(table, &found, desired)?;
        if !plan.batch.is_empty() && self.committed.tables.contains_key(table) {
            tracing::warn!(%table, changes = plan.batch.ops.len(), "somebody has changed the nftables table; it is restored");
        }
        Ok(plan)
    }

    fn plan_from(
        &self,
        table: &TableId,
        found: &Found,
        desired: Option<&Table>,
    ) -> Result<Plan, KernelError> {
        if found.flags.has_owner() && found.owner != Some(self.socket.port()) {
            let text = format!("nftables table {table} is owned by another process; stop the other agent");
            return Err(self.failed(Failure { errno: Errno::PERM, text: Some(text) }));
        }
        let is_orphan = found.flags == TableFlags::ORPHAN;
        let can_stay = found.flags == self.flags || (self.is_exclusive() && is_orphan);
        Ok(match (&found.content, desired) {
            (Some(content), Some(desired)) if can_stay => {
                let content = content.resolve(desired);
                Plan { adopt: is_orphan, batch: delta(table, Some(&content), Some(desired)) }
            }
            // What cannot be given an owner, and what flock would not have made, is replaced in one transaction.
            (_, desired) => {
                let mut batch = Batch { ops: vec![(table.clone(), Op::DeleteTable)] };
                batch.ops.extend(delta(table, None, desired).ops);
                Plan { adopt: false, batch }
            }
        })
    }

    /// A table is adopted by itself: in the transaction that does it, the kernel makes no base chain (EINVAL, for
    /// `__NFT_TABLE_F_UPDATE`).
    fn carry_out(&mut self, table: &TableId, plan: &Plan) -> Result<(), Refused> {
        if plan.adopt {
            self.transact(Some(table), &Batch::default())?;
        }
        if plan.batch.is_empty() { Ok(()) } else { self.transact(None, &plan.batch) }
    }

    fn transact(&mut self, adopt: Option<&TableId>, batch: &Batch) -> Result<(), Refused> {
        let generation = (!self.is_exclusive()).then_some(self.generation);
        let transaction = Transaction { adopt, batch, flags: self.flags, generation };
        transaction.commit(&mut self.socket)?;
        self.generation = successor(self.generation);
        Ok(())
    }

    fn remember(&mut self, table: &TableId, content: Option<Table>) {
        self.certain.insert(table.clone());
        match content {
            Some(content) => drop(self.committed.tables.insert(table.clone(), content)),
            None => drop(self.committed.tables.remove(table)),
        }
    }

    fn failed(&self, failure: Failure) -> KernelError {
        failure.of_step("program nftables")
    }
}

/// The kernel leaves out zero (`nft_base_seq`).
fn successor(generation: u32) -> u32 {
    generation.checked_add(1).unwrap_or(1)
}

/// Whether tables can have an owner and outlive it, found out on one that is gone when the transaction ends.
fn probe(socket: &mut Socket<Netfilter>) -> Result<TableFlags, Failure> {
    let table = TableId { family: flock_core::nft::Family::Inet, name: "flock-probe".into() };
    let batch = Batch { ops: [Op::AddTable, Op::DeleteTable].map(|op| (table.clone(), op)).into() };
    let flags = TableFlags::OWNED;
    let transaction = Transaction { adopt: None, batch: &batch, flags, generation: None };
    match transaction.commit(socket) {
        Ok(()) => Ok(flags),
        // A flag that it does not know.
        Err(Refused::Op { errno: Errno::INVAL | Errno::OPNOTSUPP, .. }) => Ok(TableFlags::default()),
        Err(Refused::Outdated) => Err(Errno::AGAIN.into()),
        Err(Refused::Op { error, .. }) => Err(Failure { errno: Errno::IO, text: Some(error.to_string()) }),
    }
}
