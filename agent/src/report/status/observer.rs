//! Looks at everything that the status follows from, whenever something of it changes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use flock_core::attachment::AttachmentId;
use flock_core::bgp::config::BirdIdent;
use flock_core::bgp::status::{BirdStatus, ConfigStatus};
use flock_core::prefix::Family;
use flock_core::record::Record;
use flock_kernel::Kernel;
use tokio::sync::watch;
use tokio::time::Instant;

use super::facts::Facts;
use crate::anycast::AnycastView;
use crate::attach::Attachments;
use crate::bird::{AnycastCounters, BgpView};
use crate::report;
use crate::report::anycast::Told;
use crate::source::Source;
use crate::source::own::OwnObjects;

/// Between two looks: changes that come faster are one.
const APART: Duration = Duration::from_millis(500);

/// What tells nobody when it changes is looked at this often.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// BIRD is asked for anycast addresses this often, even if nothing has changed that the agent knows of.
const ASK_EVERY: Duration = Duration::from_secs(60);

/// After a restart everything looks broken for a moment. The status that there is stays so long at most.
const SETTLING: Duration = Duration::from_secs(15);

/// The observer.
pub(super) struct Observer<K, S> {
    pub(super) attachments: Arc<Attachments<K, S>>,
    pub(super) node: String,
    pub(super) bgp: watch::Receiver<Arc<BgpView>>,
    pub(super) anycast: watch::Receiver<Arc<AnycastView>>,
    pub(super) bird: PathBuf,
    pub(super) own: OwnObjects,
    pub(super) facts: watch::Sender<Option<Arc<Facts>>>,
    pub(super) told: Option<Answer>,
}

/// What BIRD has said of anycast addresses.
pub(super) struct Answer {
    told: Result<Told, String>,
    to: Question,
    at: Instant,
}

/// What BIRD's answer depends on, as far as the agent knows.
#[derive(PartialEq)]
struct Question {
    view: Arc<AnycastView>,
    config: ConfigStatus,
    sessions: BTreeMap<BirdIdent, String>,
    addresses: BTreeMap<Family, usize>,
    counters: AnycastCounters,
}

impl<K: Kernel, S: Source> Observer<K, S> {
    /// Looks, for ever.
    pub(super) async fn run(mut self) {
        self.attachments.source().known().await;
        self.settle().await;
        let mut desired = self.attachments.follow_desired();
        let mut host = self.attachments.follow_host();
        let mut addresses = self.attachments.follow_addresses();
        loop {
            desired.mark_unchanged();
            host.mark_unchanged();
            addresses.mark_unchanged();
            let facts = self.look().await;
            self.facts.send_replace(Some(Arc::new(facts)));
            tokio::time::sleep(APART).await;
            tokio::select! {
                Ok(()) = desired.changed() => {}
                Ok(()) = host.changed() => {}
                Ok(()) = addresses.changed() => {}
                Ok(()) = self.bgp.changed() => {}
                Ok(()) = self.anycast.changed() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Waits until what an earlier agent has told can be told again, unless there is nothing.
    async fn settle(&mut self) {
        let until = Instant::now() + SETTLING;
        while self.has_status() && !self.is_settled() && Instant::now() < until {
            tokio::time::sleep(APART).await;
        }
    }

    fn has_status(&self) -> bool {
        let config = self.own.config.borrow();
        config.as_ref().is_some_and(|config| config.status.is_some())
    }

    fn is_settled(&self) -> bool {
        let desired = self.attachments.desired();
        let speaks = desired.node.as_ref().is_some_and(|node| node.bgp.is_some());
        let status = &self.bgp.borrow().status;
        let knows_bird = status.bird != BirdStatus::Unknown
            && !matches!(status.config, ConfigStatus::None | ConfigStatus::Pending);
        let knows_anycast = self.anycast.has_changed().unwrap_or(true);
        self.attachments.not_ready().is_none() && (knows_bird || !speaks) && knows_anycast
    }

    async fn look(&mut self) -> Facts {
        let view = self.anycast.borrow_and_update().clone();
        let bgp = self.bgp.borrow_and_update().clone();
        let told = self.ask(&view, &bgp).await;
        let records = self.attachments.records().into_iter().map(|record| (record.id.clone(), record));
        let records: BTreeMap<AttachmentId, Record> = records.collect();
        Facts {
            node: self.node.clone(),
            desired: self.attachments.desired(),
            not_ready: self.attachments.not_ready(),
            usage: self.attachments.usage(),
            anycast: report::anycast::node_status(&view, &records, &told),
            bgp,
            subnets: self.attachments.host_view().subnets,
        }
    }

    /// What BIRD says of anycast addresses. A node without any has nothing to ask.
    async fn ask(&mut self, view: &Arc<AnycastView>, bgp: &Arc<BgpView>) -> Result<Told, String> {
        if view.groups.is_empty() && bgp.anycast.values().all(|number| *number == 0) {
            return Ok(Told::default());
        }
        let question = Question {
            view: view.clone(),
            config: bgp.status.config.clone(),
            sessions: bgp.sessions.clone(),
            addresses: bgp.anycast.clone(),
            counters: bgp.counters.anycast,
        };
        let known =
            self.told.as_ref().filter(|answer| answer.to == question && answer.at.elapsed() < ASK_EVERY);
        if let Some(answer) = known {
            return answer.told.clone();
        }
        let told = report::anycast::told(bgp, &self.bird).await;
        self.told = Some(Answer { told: told.clone(), to: question, at: Instant::now() });
        told
    }
}
