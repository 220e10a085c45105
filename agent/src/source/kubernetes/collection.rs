//! One collection of the API server on its way into its store.

use std::sync::Arc;

use flock_core::feed::{Update, Version};
use jiff::Timestamp;

use super::Cluster;
use super::health::Verdict;
use super::lister_watcher::{Failure, Handler, Object};
use crate::source::reader::Reader;
use crate::source::stores::{Concerns, Kind, Kinds, StoreOf};

/// One kind's objects: how they are read, and where they go.
pub(super) struct Collection<R: Reader> {
    pub(super) cluster: Arc<Cluster>,
    pub(super) kind: Kind,
    pub(super) reader: R,
    pub(super) store: StoreOf<R>,
    /// Objects that were left out, for want of a version to order them by.
    pub(super) unversioned: u64,
}

impl<R: Reader> Collection<R> {
    /// The key and the version of an object; none: it is none that an API server would have.
    fn identity(&mut self, object: &Object<'_>) -> Option<(R::Key, Version)> {
        let version = object.meta.resource_version.as_deref().unwrap_or_default();
        let Ok(number) = version.parse() else {
            if self.unversioned == 0 {
                tracing::warn!(kind = %self.kind, object = %object.meta, version, "objects are left out: their resourceVersion is no number (said once)");
            }
            self.unversioned += 1;
            return None;
        };
        Some((self.reader.key(&object.meta)?, number))
    }

    fn update(&mut self, change: impl FnOnce(&mut Kinds, &mut R) -> Update) {
        let Self { cluster, kind, reader, .. } = self;
        if cluster.stores.update(*kind, |kinds| change(kinds, reader)) == Concerns::Desired {
            cluster.due.notify_one();
        }
    }
}

impl<R: Reader> Handler for Collection<R> {
    fn begin(&mut self) {
        (self.store)(&mut self.cluster.stores.lock().kinds).begin();
    }

    fn listed(&mut self, object: &Object<'_>) {
        let Some((key, version)) = self.identity(object) else { return };
        let Self { cluster, reader, store, .. } = self;
        store(&mut cluster.stores.lock().kinds)
            .listed(key, version, |former| reader.read(object.text, former));
    }

    fn complete(&mut self, version: &str) {
        let store = self.store;
        self.update(|kinds, _| store(kinds).complete(version.parse().unwrap_or(0)));
        self.reader.relisted();
        let mut health = self.cluster.health();
        if health.present(self.kind) {
            self.cluster.due.notify_one();
        }
        self.cluster.publish_trouble(&health);
        tracing::debug!(kind = %self.kind, version, "listed");
    }

    fn applied(&mut self, object: &Object<'_>) {
        let Some((key, version)) = self.identity(object) else { return };
        let store = self.store;
        self.update(|kinds, reader| {
            store(kinds).applied(key, version, |former| reader.read(object.text, former))
        });
    }

    fn deleted(&mut self, object: &Object<'_>) {
        let Some((key, version)) = self.identity(object) else { return };
        let store = self.store;
        self.update(|kinds, _| store(kinds).deleted(&key, version));
    }

    fn following(&mut self) {
        let mut health = self.cluster.health();
        if health.following(self.kind) {
            tracing::info!(kind = %self.kind, "followed again");
        }
        self.cluster.publish_trouble(&health);
    }

    fn failing(&mut self, failure: Failure) {
        let is_listed = self.cluster.stores.lock().kinds.is_listed(self.kind);
        let mut health = self.cluster.health();
        let (first, verdict) = health.failing(self.kind, is_listed, &failure, Timestamp::now());
        if verdict == Verdict::Empty {
            let (cluster, store) = (&self.cluster, self.store);
            // What is told of the kind may be another, too.
            let _ = cluster.stores.update(self.kind, |kinds| store(kinds).give_up());
            cluster.due.notify_one();
        }
        self.cluster.publish_trouble(&health);
        if first {
            tracing::warn!(kind = %self.kind, reason = failure.reason, "cannot be followed; what is known stays");
        }
    }
}
