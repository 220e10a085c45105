//! Writes NodeState: what matters at once, all of it with each heartbeat. Nobody watches it, so that it costs the API
//! server a write and nothing else.

use std::sync::Arc;
use std::time::Duration;

use flock_crds::node_state::{NodeState, NodeStateStatus};
use kube::Client;
use serde::Deserialize as _;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;

use super::compose::node_state;
use super::observed::Observed;
use super::{APART, API_VERSION, outline};
use crate::api::FIELD_MANAGER;
use crate::api::call::{self, CallError, Collection};
use crate::api::retry::{JITTER, Retry};
use crate::environment::{Clock, jittered, sleep_until};
use crate::source::own::OwnNode;

/// It is promised every 60 s: what is left is for the call.
const HEARTBEAT: Duration = Duration::from_secs(55);

pub(super) struct StatePublisher {
    client: Client,
    node: String,
    own: watch::Receiver<Option<Arc<OwnNode>>>,
    observed: watch::Receiver<Option<Arc<Observed>>>,
    clock: Box<dyn Clock>,
    retry: Retry,
    object: Object,
    /// What was told last, by this agent or by one before: times of transitions are taken from it.
    told: NodeStateStatus,
    written: Option<Written>,
}

/// The NodeState of this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Object {
    /// Nobody has asked yet.
    Unknown,
    Missing,
    There,
}

struct Written {
    at: Instant,
    heartbeat_at: Instant,
}

/// What is to be done.
enum Step {
    Ask,
    Make(Value),
    Write(Box<NodeStateStatus>),
}

impl StatePublisher {
    pub(super) fn new(
        client: Client,
        node: &str,
        own: watch::Receiver<Option<Arc<OwnNode>>>,
        observed: watch::Receiver<Option<Arc<Observed>>>,
        clock: Box<dyn Clock>,
    ) -> Self {
        Self {
            client,
            node: node.to_owned(),
            own,
            observed,
            clock,
            retry: Retry::at("NodeState"),
            object: Object::Unknown,
            told: NodeStateStatus::default(),
            written: None,
        }
    }

    pub(super) async fn run(mut self) {
        loop {
            let due = self.step().await;
            tokio::select! {
                Ok(()) = self.observed.changed() => {}
                Ok(()) = self.own.changed() => {}
                () = sleep_until(due) => {}
            }
        }
    }

    /// Does what is due; when there is something else to be done, if nothing changes.
    async fn step(&mut self) -> Option<Instant> {
        let now = Instant::now();
        let (step, due) = self.next(now)?;
        let due = self.retry.not_before().map_or(due, |not_before| due.max(not_before));
        if due > now {
            return Some(due);
        }
        let outcome = match step {
            Step::Ask => self.ask().await,
            Step::Make(object) => self.make(&object).await,
            Step::Write(status) => self.write(*status).await,
        };
        match outcome {
            Ok(()) => self.retry.succeeded(),
            Err(error) => self.retry.failed(&error),
        }
        Some(Instant::now())
    }

    fn next(&mut self, now: Instant) -> Option<(Step, Instant)> {
        let observed = self.observed.borrow_and_update().clone()?;
        let node = self.own.borrow_and_update().clone();
        match self.object {
            Object::Unknown => Some((Step::Ask, now)),
            // Without a Node there is nothing that it could be about.
            Object::Missing => node.map(|node| (Step::Make(object(&self.node, &node)), now)),
            Object::There => {
                let status = node_state(&observed, &self.told.conditions, self.clock.now());
                let due = self.due(&status, now);
                Some((Step::Write(Box::new(status)), due))
            }
        }
    }

    fn due(&self, status: &NodeStateStatus, now: Instant) -> Instant {
        match &self.written {
            None => now,
            Some(written) if outline::of_state(&self.told) == outline::of_state(status) => {
                written.heartbeat_at
            }
            Some(written) => written.at + APART,
        }
    }

    async fn ask(&mut self) -> Result<(), CallError> {
        match call::get(&self.client, Collection::NODE_STATES, &self.node).await {
            Ok(there) => {
                self.object = Object::There;
                // What another release has written, or a person, may be unreadable. Then all begins now.
                self.told = NodeState::deserialize(there).map(|there| there.status).unwrap_or_default();
            }
            Err(error) if error.is_not_found() => self.object = Object::Missing,
            Err(error) => return Err(error),
        }
        Ok(())
    }

    async fn make(&mut self, object: &Value) -> Result<(), CallError> {
        match call::create(&self.client, Collection::NODE_STATES, object).await {
            Ok(_) => {}
            Err(error) if error.is_already_there() => {}
            Err(error) => return Err(error),
        }
        self.object = Object::There;
        self.written = None;
        Ok(())
    }

    async fn write(&mut self, status: NodeStateStatus) -> Result<(), CallError> {
        let object = json!({
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {"name": self.node},
            "status": status,
        });
        let applied = call::apply_status(&self.client, Collection::NODE_STATES, &self.node, &object).await;
        if applied.as_ref().is_err_and(CallError::is_not_found) {
            // Somebody has deleted it, or Kubernetes has, since the Node is another one.
            self.object = Object::Missing;
        }
        applied?;
        self.told = status;
        let at = Instant::now();
        self.written = Some(Written { at, heartbeat_at: at + jittered(HEARTBEAT, JITTER) });
        Ok(())
    }
}

const KIND: &str = "NodeState";

/// A NodeState that says nothing yet. It goes with the Node.
fn object(name: &str, node: &OwnNode) -> Value {
    json!({
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {
            "name": name,
            "labels": {"app.kubernetes.io/managed-by": FIELD_MANAGER},
            "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": name, "uid": node.uid}],
        },
    })
}
