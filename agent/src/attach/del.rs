//! DEL, GC, and the DELs that came while the agent was away.

use std::collections::BTreeSet;

use flock_core::attachment::AttachmentId;
use flock_core::record::{Phase, Record};
use flock_kernel::{Links, Node};
use flock_rpc::{tombstone, v1alpha1 as wire};
use tracing::Instrument as _;

use super::{AttachError, Attachments};
use crate::source::Source;

impl<K: Links + Node, S: Source> Attachments<K, S> {
    /// Takes a container's interface away. One that is unknown, or gone already, is fine (CNI spec 1.1, "DEL").
    pub async fn del(&self, id: &AttachmentId) -> Result<(), AttachError> {
        let _lock = self.locks.lock(id).await;
        self.end(id).await
    }

    /// Removes every attachment of `network` that is not among `valid`; those that fail do not stop the others.
    pub async fn gc(
        &self,
        network: &str,
        valid: &BTreeSet<AttachmentId>,
    ) -> Result<Vec<AttachmentId>, AttachError> {
        // A record rebuilt from the kernel does not know its network; there is no other one to claim it.
        let ours = |record: &Record| record.network == network || record.network.is_empty();
        // An ADD that is under way is nothing that the runtime could have named; what is being deleted will go.
        let ours = |record: &Record| record.phase == Phase::Ready && ours(record);
        let stale: Vec<Record> =
            self.records().into_iter().filter(|record| ours(record) && !valid.contains(&record.id)).collect();
        let (mut removed, mut failures) = (Vec::new(), Vec::new());
        for record in &stale {
            let span = tracing::debug_span!("remove", attachment = %record.id, pod = %record.pod);
            match self.del(&record.id).instrument(span).await {
                Ok(()) => removed.push(record.id.clone()),
                Err(error) => failures.push(format!("{}: {error}", record.id)),
            }
        }
        if failures.is_empty() {
            Ok(removed)
        } else {
            Err(AttachError::Several { total: stale.len(), failures })
        }
    }

    /// Carries out every DEL that the plugin took while the agent was away.
    pub async fn replay_tombstones(&self) {
        let ids = tombstone::list(&self.tombstones).unwrap_or_else(|error| {
            tracing::warn!(%error, "cannot list tombstones");
            Vec::new()
        });
        for wire::AttachmentId { container_id, ifname } in ids {
            let Ok(id) = format!("{container_id}@{ifname}").parse() else { continue };
            let _lock = self.locks.lock(&id).await;
            if let Err(error) = self.replay_tombstone(&id).await {
                tracing::warn!(attachment = %id, %error, "cannot carry out a DEL that came while the agent was away; it will be tried again");
            }
        }
    }

    /// Carries out the DEL of one attachment, if there is a tombstone. Its lock is held.
    pub(super) async fn replay_tombstone(&self, id: &AttachmentId) -> Result<(), AttachError> {
        if tombstone::exists(&self.tombstones, &tombstone_id(id)) {
            tracing::info!(attachment = %id, "carrying out a DEL that came while the agent was away");
            self.end(id).await?;
        }
        Ok(())
    }

    /// Removes what is there of an attachment, and its tombstone. Its lock is held.
    pub(super) async fn end(&self, id: &AttachmentId) -> Result<(), AttachError> {
        // A link of ours without a record is made one at the start, or is an orphan that the sweep removes.
        if let Some(record) = self.record(id) {
            self.remove(&record).await?;
        }
        // It stays, and is carried out once more: that does no harm.
        tombstone::remove(&self.tombstones, &tombstone_id(id))
            .unwrap_or_else(|error| tracing::warn!(attachment = %id, %error, "cannot remove the tombstone"));
        Ok(())
    }

    /// Intent, kernel, commit. Its lock is held. A store that cannot be written does not keep a pod from going: the
    /// intent is only there for a crash, and then the runtime's own retry finishes the work.
    pub(super) async fn remove(&self, record: &Record) -> Result<(), AttachError> {
        let deleting = record.in_phase(Phase::Deleting);
        if record.phase != Phase::Deleting {
            self.store.save(&deleting).unwrap_or_else(
                |error| tracing::warn!(attachment = %record.id, %error, "cannot note the DEL; going on"),
            );
            self.table().records.insert(deleting.clone());
        }
        self.dismantle(&deleting).await?;
        let now = self.clock.now();
        if let Some(v4) = record.addresses.v4 {
            self.store.rest(v4, now).unwrap_or_else(
                |error| tracing::warn!(address = %v4, %error, "cannot note the rest of a released address"),
            );
        }
        self.store.remove(&record.id)?;
        let mut table = self.table();
        table.records.remove(&record.id);
        table.allocator.release(&record.id, now);
        drop(table);
        tracing::info!(attachment = %record.id, pod = %record.pod, "detached");
        Ok(())
    }

    /// Takes back an ADD that failed. What cannot be taken back now stays noted, and the sweep goes on with it.
    pub(super) async fn undo(&self, record: &Record) {
        let undone = match self.dismantle(record).await {
            Ok(()) => self.store.remove(&record.id).map_err(AttachError::from),
            Err(error) => Err(error),
        };
        let mut table = self.table();
        match undone {
            Ok(()) => {
                table.records.remove(&record.id);
                table.allocator.forget(&record.id);
            }
            Err(error) => {
                tracing::warn!(attachment = %record.id, %error, "cannot undo a failed ADD yet; it will be tried again");
                table.records.insert(record.in_phase(Phase::Deleting));
            }
        }
    }

    /// Removes the link, if there is one and it is the record's.
    async fn dismantle(&self, record: &Record) -> Result<(), AttachError> {
        if self.own_host_link(record).await?.is_some() {
            self.kernel.delete_link(&record.host_link).await?;
        }
        self.release(&record.id).await;
        Ok(())
    }
}

fn tombstone_id(id: &AttachmentId) -> wire::AttachmentId {
    wire::AttachmentId { container_id: id.container.to_string(), ifname: id.ifname.to_string() }
}
