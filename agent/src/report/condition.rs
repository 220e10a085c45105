//! The Node's condition `NetworkUnavailable`, kept as [`flock_core::kubernetes::condition`] decides.

use std::time::Duration;

use flock_core::bgp::config::BirdIdent;
use flock_core::bgp::plan::BgpPlan;
use flock_core::kubernetes::condition::{READY, Seen, Sessions, Situation, Verdict, verdict};
use jiff::Timestamp;
use kube::Client;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::pending_write::PendingWrite;
use super::{Inputs, Parts, seconds};
use crate::api::call::{self, CallError, Collection};
use crate::api::retry::{JITTER, Retry};
use crate::bird::BgpView;
use crate::environment::jittered;
use crate::environment::{Clock, SystemClock, sleep_until};
use crate::source::own::{OwnNode, OwnObjects, SeenCondition};
use crate::source::until;

#[cfg(test)]
mod tests;

const NETWORK_UNAVAILABLE: &str = "NetworkUnavailable";

/// It is written anew at least this often: `lastHeartbeatTime` says that somebody stands by it.
const HEARTBEAT: Duration = Duration::from_secs(60);

/// Between two writes, whoever else writes.
const APART: Duration = Duration::from_secs(1);

/// Keeps the condition as it should be, for ever.
pub(super) fn keep(parts: &Parts) -> impl Future<Output = ()> + use<> {
    let writer =
        ConditionWriter::new(parts.client.clone(), &parts.node, parts.own.clone(), Box::new(SystemClock));
    let inputs = parts.inputs.clone();
    async move {
        until(inputs.known.clone()).await;
        writer.run(Observer { inputs, required_since: None }).await;
    }
}

/// Gives the condition up: nobody stands by it any more. For the end of flock on a node.
///
/// # Errors
/// When the API server cannot be asked, or refuses. That there is no such Node is fine.
pub async fn release(client: &Client, node: &str) -> anyhow::Result<()> {
    match call::apply_status(client, Collection::NODES, node, &object(node, json!([]))).await {
        Err(error) if !error.is_not_found() => {
            Err(anyhow::Error::new(error).context(format!("cannot give up the condition of Node {node}")))
        }
        _ => Ok(()),
    }
}

/// What the node is like.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Observation {
    not_ready: Option<String>,
    sessions: Option<Sessions>,
}

/// Whoever says what the node is like.
trait Observe {
    /// What it is like now.
    fn observation(&mut self) -> Observation;
    /// Waits until it may be different.
    async fn changed(&mut self);
}

struct Observer {
    inputs: Inputs,
    required_since: Option<Instant>,
}

impl Observe for Observer {
    fn observation(&mut self) -> Observation {
        let desired = self.inputs.desired.borrow_and_update().clone();
        let plan = desired.node.as_ref().and_then(|node| node.bgp.as_ref());
        let required = plan.and_then(|plan| Some((plan, plan.require_established?)));
        let sessions = required.map(|(plan, required)| Sessions {
            required,
            peers: plan.peers.len(),
            established: established(plan, &self.inputs.bgp.borrow_and_update()),
            waited: self.required_since.get_or_insert_with(Instant::now).elapsed(),
        });
        Observation { not_ready: self.inputs.not_ready.borrow_and_update().clone(), sessions }
    }

    async fn changed(&mut self) {
        tokio::select! {
            Ok(()) = self.inputs.desired.changed() => {}
            Ok(()) = self.inputs.not_ready.changed() => {}
            Ok(()) = self.inputs.bgp.changed() => {}
        }
    }
}

/// Peers of the plan that have a session. BIRD may still have those of another plan.
fn established(plan: &BgpPlan, view: &BgpView) -> usize {
    let is_up = |peer: &&_| {
        let flock_core::bgp::plan::Peer { address, port, .. } = peer;
        view.sessions.contains_key(&BirdIdent::of_peer(address, *port))
    };
    plan.peers.iter().filter(is_up).count()
}

/// Says what is decided.
struct ConditionWriter {
    client: Client,
    node: String,
    own: OwnObjects,
    clock: Box<dyn Clock>,
    retry: Retry,
    /// The network was there once.
    said: bool,
    written: Option<Written>,
}

struct Written {
    condition: Condition,
    /// On the Node of this UID.
    pending: PendingWrite<(String, Option<SeenCondition>)>,
    at: Instant,
    again_at: Instant,
    since: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Condition {
    status: &'static str,
    reason: &'static str,
    message: String,
}

impl ConditionWriter {
    fn new(client: Client, node: &str, own: OwnObjects, clock: Box<dyn Clock>) -> Self {
        let retry = Retry::at("the Node's condition NetworkUnavailable");
        Self { client, node: node.to_owned(), own, clock, retry, said: false, written: None }
    }

    async fn run(mut self, mut observer: impl Observe) {
        loop {
            let due = self.step(&observer.observation()).await;
            tokio::select! {
                () = observer.changed() => {}
                Ok(()) = self.own.node.changed() => {}
                () = sleep_until(due) => {}
            }
        }
    }

    /// Does what is due; when there is something else to be done, if nothing changes.
    async fn step(&mut self, observation: &Observation) -> Option<Instant> {
        let node = self.own.node.borrow_and_update().clone()?;
        let condition = self.wanted(observation, &node)?;
        let now = Instant::now();
        let due = self.due(&condition, &node, now);
        let due = self.retry.not_before().map_or(due, |not_before| due.max(not_before));
        if due > now {
            return Some(due);
        }
        match self.write(condition, &node).await {
            Ok(()) => self.retry.succeeded(),
            Err(error) => self.retry.failed(&error),
        }
        Some(Instant::now())
    }

    fn wanted(&mut self, observation: &Observation, node: &OwnNode) -> Option<Condition> {
        let seen = node.network_unavailable.as_ref();
        let seen = seen.map(|seen| Seen { status: &seen.status, reason: &seen.reason });
        let not_ready = observation.not_ready.as_deref();
        match verdict(&Situation { said: self.said, seen, not_ready, sessions: observation.sessions }) {
            Verdict::Leave => None,
            Verdict::Available => {
                self.said = true;
                let message = "pods get their network from flock".to_owned();
                Some(Condition { status: "False", reason: READY, message })
            }
            Verdict::Unavailable { reason, message } => {
                Some(Condition { status: "True", reason, message: super::cut(message, 1024) })
            }
        }
    }

    fn due(&mut self, wanted: &Condition, node: &OwnNode, now: Instant) -> Instant {
        let Some(written) = &mut self.written else { return now };
        let is_explained = written.pending.explains(&identity(node));
        match is_explained && written.condition == *wanted {
            true => written.pending.overdue_at().map_or(written.again_at, |at| at.min(written.again_at)),
            false => written.at + APART,
        }
    }

    async fn write(&mut self, condition: Condition, node: &OwnNode) -> Result<(), CallError> {
        let now = self.clock.now();
        let since = self.since(condition.status, now).await?;
        let Condition { status, reason, message } = &condition;
        let conditions = json!([{
            "type": NETWORK_UNAVAILABLE,
            "status": status,
            "reason": reason,
            "message": message,
            "lastHeartbeatTime": seconds(now),
            "lastTransitionTime": seconds(since),
        }]);
        call::apply_status(&self.client, Collection::NODES, &self.node, &object(&self.node, conditions))
            .await?;
        self.tell(&condition);
        let after = SeenCondition { status: (*status).to_owned(), reason: (*reason).to_owned() };
        let pending = PendingWrite::of(identity(node), (node.uid.clone(), Some(after)));
        let at = Instant::now();
        self.written =
            Some(Written { condition, pending, at, again_at: at + jittered(HEARTBEAT, JITTER), since });
        Ok(())
    }

    fn tell(&self, condition: &Condition) {
        let Condition { status, reason, message } = condition;
        if self.written.as_ref().is_none_or(|written| written.condition != *condition) {
            tracing::info!(status, reason, why = message, "the Node's condition NetworkUnavailable");
        }
    }

    /// Since when the condition has its status: what this agent has written knows it, or else the Node.
    async fn since(&self, status: &str, now: Timestamp) -> Result<Timestamp, CallError> {
        if let Some(written) = &self.written {
            return Ok(if written.condition.status == status { written.since } else { now });
        }
        let node = call::get(&self.client, Collection::NODES, &self.node).await?;
        let conditions = node.pointer("/status/conditions").and_then(Value::as_array);
        let mut conditions = conditions.into_iter().flatten();
        let there = conditions.find(|it| it["type"] == NETWORK_UNAVAILABLE && it["status"] == status);
        let since = there.and_then(|it| it["lastTransitionTime"].as_str()?.parse().ok());
        Ok(since.unwrap_or(now))
    }
}

fn object(node: &str, conditions: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}, "status": {"conditions": conditions}})
}

/// A Node that was deleted and made again is another.
fn identity(node: &OwnNode) -> (String, Option<SeenCondition>) {
    (node.uid.clone(), node.network_unavailable.clone())
}
