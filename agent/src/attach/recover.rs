//! What a restart finds.

use flock_core::lifecycle::recovery::{self, Recovery};
use flock_core::record::{Phase, Record};
use flock_kernel::{Links, Node};

use super::{AttachError, Attachments};
use crate::source::Source;
use crate::store::Damaged;

impl<K: Links + Node, S: Source> Attachments<K, S> {
    /// Joins store and kernel: comes before anything else is asked of the agent. Attachments that are ready go on
    /// untouched, interrupted ones are removed, lost ones are rebuilt.
    pub async fn recover(&self) -> Result<(), AttachError> {
        // Whoever is known to nobody passes nothing, from here on.
        self.admission.prepare().await?;
        let contents = self.store.load()?;
        contents.damaged.iter().for_each(report);
        let links = self.kernel.host().await?.flock_links;
        let Recovery { ready, interrupted, rebuilt } =
            recovery::join(contents.records, &links, self.clock.now());
        tracing::info!(
            ready = ready.len(),
            interrupted = interrupted.len(),
            rebuilt = rebuilt.len(),
            "recovered"
        );
        for (address, since) in contents.resting {
            self.table().allocator.restore_cool_down(address, since);
        }
        for record in ready.into_iter().chain(interrupted.iter().cloned()) {
            self.take_in(record);
        }
        for record in rebuilt.into_iter().map(|record| self.reclaim(record)) {
            tracing::warn!(attachment = %record.id, pod = %record.pod, addresses = %record.addresses, "rebuilt from the kernel: its file was damaged or lost");
            self.store.save(&record)?;
            self.take_in(record);
        }
        self.admit_all().await;
        for record in interrupted {
            tracing::info!(attachment = %record.id, pod = %record.pod, phase = record.phase.as_str(), "was interrupted; removing what is left");
            // What fails stays noted; the sweep tries again.
            if let Err(error) = self.remove(&record).await {
                tracing::warn!(attachment = %record.id, %error, "cannot remove it yet");
            }
        }
        self.replay_tombstones().await;
        Ok(())
    }

    /// Pods that run go on running: what is in force for them is what an earlier agent has left, and it is made right now,
    /// or by the repair that follows.
    async fn admit_all(&self) {
        for record in self.records().into_iter().filter(|record| record.phase == Phase::Ready) {
            if let Err(error) = self.admit(&record).await {
                tracing::warn!(attachment = %record.id, pod = %record.pod, %error, "cannot admit it yet; will try again");
            }
        }
    }

    fn take_in(&self, record: Record) {
        let mut table = self.table();
        if let Err(conflict) =
            table.allocator.restore(&record.id, record.addresses, &record.claimed.static_addresses)
        {
            tracing::error!(attachment = %record.id, %conflict, "two attachments have one address; delete one of the two pods");
        }
        table.records.insert(record);
    }
}

fn report(damaged: &Damaged) {
    let Damaged { file, kept, reason } = damaged;
    tracing::error!(file = %file.display(), kept = %kept.display(), reason, "damaged state file set aside; rebuilding from the kernel");
}
