//! Writes NodeConfig `status` when it has changed, and no more often than it must.

use std::sync::Arc;
use std::time::Duration;

use flock_crds::status::NodeConfigStatus;
use kube::Client;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;

use super::compose::node_config_status;
use super::observed::Observed;
use super::{APART, API_VERSION, outline};
use crate::api::FIELD_MANAGER;
use crate::api::call::{self, CallError, Collection};
use crate::api::retry::{JITTER, Retry};
use crate::environment::jittered;
use crate::environment::{Clock, sleep_until};
use crate::report::pending_write::PendingWrite;
use crate::source::own::{OwnConfig, OwnObjects};

/// Between two writes of mere figures: numbers in messages.
const FIGURES_APART: Duration = Duration::from_secs(300);

/// An object that was made is seen by then.
const SEEN_WITHIN: Duration = Duration::from_secs(30);

pub(super) struct ConfigPublisher {
    client: Client,
    node: String,
    own: OwnObjects,
    observed: watch::Receiver<Option<Arc<Observed>>>,
    clock: Box<dyn Clock>,
    retry: Retry,
    /// What was written last, and what the API server has made of it.
    written: Option<Written>,
    /// When the object was made; the watch shows it later.
    made: Option<Instant>,
    started: Instant,
    figures_apart: Duration,
}

struct Written {
    status: NodeConfigStatus,
    /// Of the object of this UID, if the watch showed one.
    pending: PendingWrite<(Option<String>, Option<NodeConfigStatus>)>,
    at: Instant,
}

/// What is to be done, and when.
enum Step {
    /// The node has no NodeConfig.
    Make(Value),
    Write {
        status: Box<NodeConfigStatus>,
        at: Instant,
    },
}

impl ConfigPublisher {
    pub(super) fn new(
        client: Client,
        node: &str,
        own: OwnObjects,
        observed: watch::Receiver<Option<Arc<Observed>>>,
        clock: Box<dyn Clock>,
    ) -> Self {
        Self {
            client,
            node: node.to_owned(),
            own,
            observed,
            clock,
            retry: Retry::at("NodeConfig status"),
            written: None,
            made: None,
            started: Instant::now(),
            figures_apart: FIGURES_APART + jittered(FIGURES_APART / 10, JITTER),
        }
    }

    pub(super) async fn run(mut self) {
        loop {
            let due = self.step().await;
            tokio::select! {
                Ok(()) = self.observed.changed() => {}
                Ok(()) = self.own.config.changed() => {}
                Ok(()) = self.own.node.changed() => {}
                () = sleep_until(due) => {}
            }
        }
    }

    /// Does what is due; when there is something else to be done, if nothing changes.
    async fn step(&mut self) -> Option<Instant> {
        let now = Instant::now();
        let overdue = |publisher: &Self| publisher.written.as_ref().and_then(|it| it.pending.overdue_at());
        let Some(step) = self.next(now) else { return overdue(self) };
        let due = match &step {
            Step::Make(_) => now,
            Step::Write { at, .. } => *at,
        };
        let due = self.retry.not_before().map_or(due, |not_before| due.max(not_before));
        if due > now {
            return Some(overdue(self).map_or(due, |overdue| overdue.min(due)));
        }
        match self.take(step).await {
            Ok(()) => self.retry.succeeded(),
            Err(error) => self.retry.failed(&error),
        }
        // Another look at once: there may be more to do, or a pause to be waited for.
        Some(Instant::now())
    }

    fn next(&mut self, now: Instant) -> Option<Step> {
        let observed = self.observed.borrow_and_update().clone()?;
        let seen = self.own.config.borrow_and_update().clone();
        let node = self.own.node.borrow_and_update().clone();
        if seen.is_some() {
            self.made = None;
        } else if self.made.is_none_or(|made| now >= made + SEEN_WITHIN) {
            self.written = None;
            // Without a Node there is nothing that a status could be about.
            return node.map(|_| Step::Make(object(&self.node)));
        }
        let seen = seen.unwrap_or_default();
        let former = self.written.as_ref().map(|written| &written.status).or(seen.status.as_ref());
        let status = node_config_status(&observed, former, self.clock.now());
        let at = self.due(&status, &seen, now)?;
        Some(Step::Write { status: Box::new(status), at })
    }

    /// When this is to be written; none: it is there.
    fn due(&mut self, status: &NodeConfigStatus, seen: &OwnConfig, now: Instant) -> Option<Instant> {
        let Some(written) = &mut self.written else {
            let is_figures = seen
                .status
                .as_ref()
                .is_some_and(|seen| outline::of_config(seen) == outline::of_config(status));
            return match &seen.status {
                Some(seen) if seen == status => None,
                _ if is_figures => Some(self.started + self.figures_apart),
                _ => Some(now),
            };
        };
        if !written.pending.explains(&identity(seen)) && seen.status.as_ref() != Some(status) {
            return Some(written.at + APART);
        }
        match written.status == *status {
            true => None,
            false if outline::of_config(&written.status) == outline::of_config(status) => {
                Some(written.at + self.figures_apart)
            }
            false => Some(written.at + APART),
        }
    }

    async fn take(&mut self, step: Step) -> Result<(), CallError> {
        match step {
            Step::Make(object) => self.make(&object).await,
            Step::Write { status, .. } => self.write(*status).await,
        }
    }

    async fn make(&mut self, object: &Value) -> Result<(), CallError> {
        match call::create(&self.client, Collection::NODE_CONFIGS, object).await {
            Ok(_) => tracing::info!(name = self.node, "made the node's NodeConfig: a place for its status"),
            Err(error) if error.is_already_there() => {}
            Err(error) => return Err(error),
        }
        self.made = Some(Instant::now());
        Ok(())
    }

    async fn write(&mut self, status: NodeConfigStatus) -> Result<(), CallError> {
        let before = self.own.config.borrow().as_deref().cloned().unwrap_or_default();
        let object = json!({
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {"name": self.node},
            "status": status,
        });
        let applied = call::apply_status(&self.client, Collection::NODE_CONFIGS, &self.node, &object).await;
        let after = match applied {
            Ok(after) => after,
            Err(error) if error.is_not_found() => {
                // It has just been deleted: the watch says so soon, or has not seen yet that it was made.
                self.made = None;
                return Err(error);
            }
            Err(error) => return Err(error),
        };
        let uid = after.pointer("/metadata/uid").and_then(Value::as_str).map(str::to_owned);
        let kept = after.get("status").and_then(|kept| serde_json::from_value(kept.clone()).ok());
        let pending = PendingWrite::of(identity(&before), (uid, kept));
        self.written = Some(Written { status, pending, at: Instant::now() });
        Ok(())
    }
}

const KIND: &str = "NodeConfig";

/// A NodeConfig that says nothing. The Node does not own it: a person may write a configuration into it, which must not go
/// when the Node is deleted to be made again.
fn object(node: &str) -> Value {
    json!({
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {
            "name": node,
            "labels": {"app.kubernetes.io/managed-by": FIELD_MANAGER},
        },
        "spec": {},
    })
}

/// One that was deleted and made again is another.
fn identity(config: &OwnConfig) -> (Option<String>, Option<NodeConfigStatus>) {
    (Some(config.uid.clone()).filter(|uid| !uid.is_empty()), config.status.clone())
}
