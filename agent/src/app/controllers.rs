//! The second stage: what follows from what is wanted.

use std::sync::Arc;

use flock_core::anycast::Announcement;
use flock_core::bgp::secrets::Secrets;
use flock_kernel::Kernel;
use tokio::sync::watch;

use super::{Config, Views};
use crate::anycast::{Announcer, AnnouncerInputs, Programmer, Steerer};
use crate::attach::Attachments;
use crate::bird::{ConfFiles, Controller, Inputs};
use crate::metrics::Metrics;
use crate::source::Source;
use crate::supervision::Tasks;

pub(super) struct Stage<K, S> {
    pub(super) config: Config,
    pub(super) attachments: Arc<Attachments<K, S>>,
    pub(super) views: Views,
    pub(super) conf: ConfFiles,
    pub(super) secrets: watch::Receiver<Secrets>,
    pub(super) looked: watch::Receiver<()>,
    pub(super) tasks: Tasks,
    pub(super) metrics: Metrics,
}

impl<K: Kernel, S: Source> Stage<K, S> {
    /// Waits for the source, then starts all that acts on it.
    pub(super) async fn start_controllers(self) {
        self.attachments.source().known().await;
        if let Some(reason) = self.attachments.not_ready() {
            tracing::warn!(reason, "not ready");
        }
        let announced = self.start_anycast().await;
        self.start_bird(announced).await;
    }

    /// Starts what decides about anycast addresses. What was announced before a restart is decided about anew before
    /// anybody asks: twice, since an address is announced only when its route is known to be there.
    async fn start_anycast(&self) -> watch::Receiver<Arc<Announcement>> {
        let programmer = Programmer::new(self.attachments.kernel().clone());
        let node = self.config.node.clone();
        let inputs = AnnouncerInputs {
            desired: self.attachments.follow_desired(),
            claimants: self.attachments.follow_claimants(),
            records: self.attachments.follow_records(),
            host: self.attachments.follow_host(),
            programmed: programmer.follow(),
        };
        let mut announcer = Announcer::new(node, inputs, self.views.anycast.clone());
        announcer.settle();
        let groups = announcer.follow_groups();
        let wanted = groups.borrow().clone();
        programmer.program(&wanted).await;
        announcer.settle();
        let steerer = Steerer::new(
            self.attachments.kernel().clone(),
            self.attachments.follow_desired(),
            self.attachments.follow_claimants(),
            self.views.unsteered.clone(),
        );
        let announced = announcer.follow();
        let (tasks, looked) = (&self.tasks, || self.looked.clone());
        tasks.spawn_graceful("programmer", programmer.run(groups, looked(), tasks.cancelled()));
        tasks.spawn_graceful("steerer", steerer.run(looked(), tasks.cancelled()));
        tasks.spawn_graceful("announcer", announcer.run(tasks.cancelled()));
        announced
    }

    /// Starts what speaks with BIRD. Nothing of it keeps pods waiting.
    async fn start_bird(self, announced: watch::Receiver<Arc<Announcement>>) {
        let mut inputs = Inputs {
            desired: self.attachments.follow_desired(),
            host: self.attachments.follow_host(),
            pods: self.attachments.follow_addresses(),
            announced,
            secrets: self.secrets,
        };
        // An earlier agent's sessions are not to end because this one has not looked yet.
        inputs.complete().await;
        let run_dir = &self.config.run_dir;
        let controller = Controller::new(inputs, self.conf, run_dir, self.metrics.bird, self.views.bgp);
        self.tasks.spawn_graceful("controller", controller.run(self.tasks.cancelled()));
    }
}
