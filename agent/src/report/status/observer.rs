//! Looks at everything that the status follows from, whenever something of it changes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use flock_core::bgp::config::BirdIdent;
use flock_core::bgp::status::{BirdStatus, ConfigStatus};
use flock_core::prefix::Family;
use tokio::sync::watch;
use tokio::time::Instant;

use super::observed::Observed;
use crate::anycast::AnycastView;
use crate::bird::{Advertised, AnycastCounters, BgpView};
use crate::report;
use crate::report::Inputs;

use crate::source::own::OwnObjects;
use crate::source::until;

/// Between two looks: changes that come faster are one.
const APART: Duration = Duration::from_millis(500);

/// BIRD is asked for anycast addresses this often, even if nothing has changed that the agent knows of.
const ASK_EVERY: Duration = Duration::from_secs(60);

/// After a restart everything looks broken for a moment. The status that there is stays so long at most.
const SETTLING: Duration = Duration::from_secs(15);

pub(super) struct Observer {
    pub(super) inputs: Inputs,
    pub(super) node: String,
    pub(super) bird: PathBuf,
    pub(super) own: OwnObjects,
    pub(super) observed: watch::Sender<Option<Arc<Observed>>>,
    pub(super) advertised: Option<Answer>,
}

/// What BIRD has said of anycast addresses.
pub(super) struct Answer {
    advertised: Result<Advertised, String>,
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

impl Observer {
    pub(super) async fn run(mut self) {
        until(self.inputs.known.clone()).await;
        self.settle().await;
        loop {
            let observed = self.look().await;
            self.observed.send_replace(Some(Arc::new(observed)));
            tokio::time::sleep(APART).await;
            let inputs = &mut self.inputs;
            tokio::select! {
                Ok(()) = inputs.desired.changed() => {}
                Ok(()) = inputs.not_ready.changed() => {}
                Ok(()) = inputs.usage.changed() => {}
                Ok(()) = inputs.records.changed() => {}
                Ok(()) = inputs.host.changed() => {}
                Ok(()) = inputs.bgp.changed() => {}
                Ok(()) = inputs.anycast.changed() => {}
                // BIRD tells nobody.
                () = tokio::time::sleep(ASK_EVERY) => {}
            }
        }
    }

    /// Waits until what an earlier agent has advertised can be advertised again, unless there is nothing.
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
        let desired = self.inputs.desired.borrow();
        let speaks = desired.node.as_ref().is_some_and(|node| node.bgp.is_some());
        let status = &self.inputs.bgp.borrow().status;
        let knows_bird = status.bird != BirdStatus::Unknown
            && !matches!(status.config, ConfigStatus::None | ConfigStatus::Pending);
        let knows_anycast = self.inputs.anycast.has_changed().unwrap_or(true);
        self.inputs.not_ready.borrow().is_none() && (knows_bird || !speaks) && knows_anycast
    }

    async fn look(&mut self) -> Observed {
        let view = self.inputs.anycast.borrow_and_update().clone();
        let bgp = self.inputs.bgp.borrow_and_update().clone();
        let advertised = self.ask(&view, &bgp).await;
        let records = self.inputs.records.borrow_and_update().clone();
        Observed {
            node: self.node.clone(),
            desired: self.inputs.desired.borrow_and_update().clone(),
            not_ready: self.inputs.not_ready.borrow_and_update().clone(),
            usage: self.inputs.usage.borrow_and_update().clone(),
            anycast: report::anycast::node_status(&view, &records, &advertised),
            bgp,
            subnets: self.inputs.host.borrow_and_update().subnets.clone(),
        }
    }

    /// What BIRD says of anycast addresses. A node without any has nothing to ask.
    async fn ask(&mut self, view: &Arc<AnycastView>, bgp: &Arc<BgpView>) -> Result<Advertised, String> {
        if view.groups.is_empty() && bgp.anycast.values().all(|number| *number == 0) {
            return Ok(Advertised::default());
        }
        let question = Question {
            view: view.clone(),
            config: bgp.status.config.clone(),
            sessions: bgp.sessions.clone(),
            addresses: bgp.anycast.clone(),
            counters: bgp.counters.anycast,
        };
        let known = self
            .advertised
            .as_ref()
            .filter(|answer| answer.to == question && answer.at.elapsed() < ASK_EVERY);
        if let Some(answer) = known {
            return answer.advertised.clone();
        }
        let advertised = report::anycast::advertised(bgp, &self.bird).await;
        self.advertised = Some(Answer { advertised: advertised.clone(), to: question, at: Instant::now() });
        advertised
    }
}
