//! Looks for what is new on the node.

use std::sync::Arc;
use std::time::Duration;

use flock_core::attachment::AttachmentId;
use flock_kernel::Kernel;
use tokio::sync::watch;
use tokio::time::Instant;

use super::news::News;
use crate::anycast::AnycastView;
use crate::attach::Attachments;
use crate::bird::BgpView;
use crate::notice::{Notice, Notices};
use crate::source::Source;

/// Pools are looked at this often; so is whether BIRD has had time enough.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// BIRD is started beside the agent, and may take longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// The watcher.
pub(super) struct Watcher<K, S> {
    pub(super) attachments: Arc<Attachments<K, S>>,
    pub(super) bgp: watch::Receiver<Arc<BgpView>>,
    pub(super) anycast: watch::Receiver<Arc<AnycastView>>,
    pub(super) notices: Notices,
}

impl<K: Kernel, S: Source> Watcher<K, S> {
    /// Looks, for ever.
    pub(super) async fn run(mut self) {
        self.attachments.source().known().await;
        let patient_until = Instant::now() + PATIENCE;
        let mut desired = self.attachments.follow_desired();
        let mut timer = tokio::time::interval(LOOK_EVERY);
        let mut news = News::default();
        loop {
            desired.mark_unchanged();
            let told = self.look(&mut news, Instant::now() < patient_until);
            told.into_iter().for_each(|notice| self.notices.tell(notice));
            tokio::select! {
                Ok(()) = desired.changed() => {}
                Ok(()) = self.bgp.changed() => {}
                Ok(()) = self.anycast.changed() => {}
                _ = timer.tick() => {}
            }
        }
    }

    fn look(&mut self, news: &mut News, is_patient: bool) -> Vec<Notice> {
        let desired = self.attachments.desired();
        let mut told = news.of_config(&desired.config);
        told.extend(news.of_pools(&self.attachments.usage()));
        let view = self.anycast.borrow_and_update().clone();
        told.extend(news.of_anycast(&view.groups, |id| self.uid_of(id)));
        let bgp = self.bgp.borrow_and_update().clone();
        // A node that speaks no BGP may have no BIRD.
        if desired.node.as_ref().is_some_and(|node| node.bgp.is_some()) {
            told.extend(news.of_bgp(&bgp.status, is_patient));
        }
        told
    }

    fn uid_of(&self, id: &AttachmentId) -> Option<String> {
        let record = self.attachments.records().into_iter().find(|record| record.id == *id)?;
        let pod = self.attachments.desired().pods.get(&record.pod).and_then(|pod| pod.uid.clone());
        record.uid.or(pod)
    }
}
