//! One lock per attachment: two calls about one wait for each other, all others do not.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flock_core::attachment::AttachmentId;
use tokio::sync::OwnedMutexGuard;

type Entries = HashMap<AttachmentId, Arc<tokio::sync::Mutex<()>>>;

/// The locks of those attachments that somebody holds or waits for.
#[derive(Debug, Default)]
pub struct Locks {
    entries: Arc<Mutex<Entries>>,
}

/// Holds an attachment's lock.
#[derive(Debug)]
pub struct Lock {
    entries: Arc<Mutex<Entries>>,
    id: AttachmentId,
    guard: Option<OwnedMutexGuard<()>>,
}

impl Locks {
    /// Waits for the lock.
    pub async fn lock(&self, id: &AttachmentId) -> Lock {
        let mutex = Arc::clone(self.entries().entry(id.clone()).or_default());
        let guard = mutex.lock_owned().await;
        self.held(id, guard)
    }

    /// Takes the lock if nobody holds it.
    pub fn try_lock(&self, id: &AttachmentId) -> Option<Lock> {
        let mut entries = self.entries();
        // Our reference must be gone before the holder looks whether it was the last one.
        let guard = Arc::clone(entries.entry(id.clone()).or_default()).try_lock_owned().ok();
        drop(entries);
        guard.map(|guard| self.held(id, guard))
    }

    fn held(&self, id: &AttachmentId, guard: OwnedMutexGuard<()>) -> Lock {
        Lock { entries: Arc::clone(&self.entries), id: id.clone(), guard: Some(guard) }
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        self.guard = None;
        // One reference is the map's own: nobody else holds or waits.
        if entries.get(&self.id).is_some_and(|mutex| Arc::strong_count(mutex) == 1) {
            entries.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> AttachmentId {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn one_attachment_excludes_itself_and_no_other() {
        let locks = Locks::default();
        let held = locks.lock(&id("a@eth0")).await;
        assert!(locks.try_lock(&id("a@eth0")).is_none());
        assert!(locks.try_lock(&id("a@net1")).is_some());
        drop(held);
        assert!(locks.try_lock(&id("a@eth0")).is_some());
    }

    #[tokio::test]
    async fn nothing_is_kept_of_locks_that_nobody_holds() {
        let locks = Arc::new(Locks::default());
        let held = locks.lock(&id("a@eth0")).await;
        let waiter = tokio::spawn({
            let locks = Arc::clone(&locks);
            async move { locks.lock(&id("a@eth0")).await }
        });
        tokio::task::yield_now().await;
        drop(held);
        assert!(locks.try_lock(&id("a@eth0")).is_none());
        drop(waiter.await.unwrap());
        assert!(locks.entries.lock().unwrap().is_empty());
    }
}
