//! What others follow of the attachments and nobody changes in one place: readiness and the use of the pools.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use flock_kernel::{Links, Node};

use super::Attachments;
use crate::publish::publish_change;
use crate::source::Source;

/// At least this long between two publications: each counts the addresses of all pods, and ADDs come in crowds.
const APART: Duration = Duration::from_millis(100);

/// Publishes whether the node can take pods, and how full its pools are.
pub struct Publisher<K, S> {
    pub attachments: Arc<Attachments<K, S>>,
}

impl<K: Links + Node, S: Source> Publisher<K, S> {
    /// Runs until `shutdown` is there.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = std::pin::pin!(shutdown);
        let mut desired = self.attachments.follow_desired();
        let mut trouble = self.attachments.source.follow_trouble();
        let mut host = self.attachments.follow_host();
        let mut records = self.attachments.follow_records();
        loop {
            desired.mark_unchanged();
            trouble.mark_unchanged();
            host.mark_unchanged();
            records.mark_unchanged();
            self.attachments.publish();
            tokio::select! {
                () = &mut shutdown => return,
                () = tokio::time::sleep(APART) => {}
            }
            tokio::select! {
                () = &mut shutdown => return,
                Ok(()) = desired.changed() => {}
                Ok(()) = trouble.changed() => {}
                Ok(()) = host.changed() => {}
                Ok(()) = records.changed() => {}
            }
        }
    }
}

impl<K: Links + Node, S: Source> Attachments<K, S> {
    /// Publishes what is so now.
    pub fn publish(&self) {
        publish_change(&self.not_ready, self.not_ready());
        publish_change(&self.usage, self.usage());
    }
}
