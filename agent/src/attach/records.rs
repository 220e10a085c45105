//! The records in memory, and who follows what they give.

use std::collections::{BTreeMap, BTreeSet};

use flock_core::attachment::AttachmentId;
use flock_core::prefix::PodAddresses;
use flock_core::record::{Claimants, Phase, Record};
use tokio::sync::watch;

/// All records, by attachment. Whoever changes them tells those who advertise the pods' addresses.
#[derive(Debug)]
pub(super) struct Records {
    by_id: BTreeMap<AttachmentId, Record>,
    ready: watch::Sender<BTreeSet<PodAddresses>>,
    claimants: watch::Sender<Claimants>,
}

impl Default for Records {
    fn default() -> Self {
        Self {
            by_id: BTreeMap::new(),
            ready: watch::channel(BTreeSet::new()).0,
            claimants: watch::channel(Claimants::new()).0,
        }
    }
}

impl Records {
    pub(super) fn get(&self, id: &AttachmentId) -> Option<&Record> {
        self.by_id.get(id)
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &Record> {
        self.by_id.values()
    }

    /// In the place of the attachment's former record.
    pub(super) fn insert(&mut self, record: Record) {
        let (addresses, ready) = (record.addresses, record.phase == Phase::Ready);
        self.note_claims(&record, ready);
        self.by_id.insert(record.id.clone(), record);
        self.ready.send_if_modified(|all| if ready { all.insert(addresses) } else { all.remove(&addresses) });
    }

    pub(super) fn remove(&mut self, id: &AttachmentId) {
        if let Some(record) = self.by_id.remove(id) {
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

    pub(super) fn follow_claimants(&self) -> watch::Receiver<Claimants> {
        self.claimants.subscribe()
    }

    /// The addresses of the attachments that are ready.
    pub(super) fn follow_addresses(&self) -> watch::Receiver<BTreeSet<PodAddresses>> {
        self.ready.subscribe()
    }
}
