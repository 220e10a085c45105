//! The records in memory, and who follows what they give.

use std::collections::BTreeSet;
use std::sync::Arc;

use flock_core::attachment::AttachmentId;
use flock_core::prefix::PodAddresses;
use flock_core::record::{Claimants, Phase, Record, Records};
use tokio::sync::watch;

/// All records, by attachment. Whoever changes them tells those who follow.
#[derive(Debug, Default)]
pub(super) struct RecordTable {
    all: watch::Sender<Records>,
    ready: watch::Sender<BTreeSet<PodAddresses>>,
    claimants: watch::Sender<Claimants>,
}

impl RecordTable {
    /// All of them. Not to be held across an await, nor while one is changed.
    pub(super) fn all(&self) -> watch::Ref<'_, Records> {
        self.all.borrow()
    }

    pub(super) fn get(&self, id: &AttachmentId) -> Option<Record> {
        self.all().get(id).map(|record| Record::clone(record))
    }

    /// In the place of the attachment's former record.
    pub(super) fn insert(&self, record: Record) {
        let (addresses, ready) = (record.addresses, record.phase == Phase::Ready);
        self.note_claims(&record, ready);
        self.all.send_modify(|all| {
            all.insert(record.id.clone(), Arc::new(record));
        });
        self.ready.send_if_modified(|all| if ready { all.insert(addresses) } else { all.remove(&addresses) });
    }

    pub(super) fn remove(&self, id: &AttachmentId) {
        let mut removed = None;
        self.all.send_if_modified(|all| {
            removed = all.remove(id);
            removed.is_some()
        });
        if let Some(record) = removed {
            self.note_claims(&record, false);
            self.ready.send_if_modified(|all| all.remove(&record.addresses));
        }
    }

    fn note_claims(&self, record: &Record, ready: bool) {
        self.claimants.send_if_modified(|all| {
            if ready && !record.claimed.is_empty() {
                all.insert(record.id.clone(), record.clone()).as_ref() != Some(record)
            } else {
                all.remove(&record.id).is_some()
            }
        });
    }

    pub(super) fn follow(&self) -> watch::Receiver<Records> {
        self.all.subscribe()
    }

    pub(super) fn follow_claimants(&self) -> watch::Receiver<Claimants> {
        self.claimants.subscribe()
    }

    /// The addresses of the attachments that are ready.
    pub(super) fn follow_addresses(&self) -> watch::Receiver<BTreeSet<PodAddresses>> {
        self.ready.subscribe()
    }
}
