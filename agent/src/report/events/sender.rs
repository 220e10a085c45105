//! Makes Events of notices.

use std::sync::Arc;

use jiff::Timestamp;
use kube::Client;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::series::{Action, EventSeries, Series};
use crate::api::FIELD_MANAGER;
use crate::api::call::{self, CallError, Collection};
use crate::api::retry::Retry;
use crate::environment::{Clock, sleep_until};
use crate::notice::{About, Notice, Severity};
use crate::report::cut;
use crate::source::own::OwnNode;

/// The API server takes no longer notes.
const LONGEST_NOTE: usize = 1024;

/// Nor longer names of instances.
const LONGEST_INSTANCE: usize = 128;

/// Nor longer names of objects; the Event's is its object's, a dot, and 16 digits.
const LONGEST_NAME: usize = 253 - 17;

/// Events of objects that are in no namespace are here.
const NAMESPACE_OF_NODES: &str = "default";

/// After so many failures an Event is given up: the log has it too.
const ATTEMPTS: u32 = 4;

pub(super) struct Sender {
    client: Client,
    node: String,
    own: watch::Receiver<Option<Arc<OwnNode>>>,
    clock: Box<dyn Clock>,
    series: EventSeries,
    retry: Retry,
}

impl Sender {
    pub(super) fn new(
        client: Client,
        node: String,
        own: watch::Receiver<Option<Arc<OwnNode>>>,
        clock: Box<dyn Clock>,
    ) -> Self {
        let (series, retry) = (EventSeries::new(Instant::now()), Retry::at("Events"));
        Self { client, node, own, clock, series, retry }
    }

    /// Sends what it is told, until nobody tells anything any more.
    pub(super) async fn run(mut self, mut told: mpsc::Receiver<Notice>, mut seen: mpsc::Receiver<Notice>) {
        loop {
            let notice = tokio::select! {
                Some(notice) = told.recv() => notice,
                Some(notice) = seen.recv() => notice,
                else => return,
            };
            self.take(&notice).await;
        }
    }

    async fn take(&mut self, notice: &Notice) {
        let now = self.clock.now();
        match self.series.enter(notice, self.name(notice, now), Instant::now()) {
            Action::Create(series) => self.create(notice, &series, now).await,
            Action::Count(series) => self.count(notice, &series, now).await,
            Action::Nothing => tracing::debug!(reason = notice.reason, note = notice.note, "no Event"),
        }
    }

    async fn create(&mut self, notice: &Notice, series: &Series, now: Timestamp) {
        let event = self.event(notice, &series.event, now);
        let path = path(notice);
        for _ in 0..ATTEMPTS {
            match call::create(&self.client, Collection(&path), &event).await {
                // An earlier attempt has got through after all.
                Err(error) if error.is_already_there() => return self.retry.succeeded(),
                answer => {
                    if self.is_done(answer).await {
                        return;
                    }
                }
            }
        }
        self.series.forget(notice);
    }

    async fn count(&mut self, notice: &Notice, series: &Series, now: Timestamp) {
        let fields = json!({"series": {"count": series.count, "lastObservedTime": micros(now)}});
        let path = path(notice);
        for _ in 0..ATTEMPTS {
            match call::merge(&self.client, Collection(&path), &series.event, &fields).await {
                Err(error) if error.is_not_found() => {
                    self.series.forget(notice);
                    return Box::pin(self.take(notice)).await;
                }
                answer => {
                    if self.is_done(answer).await {
                        return;
                    }
                }
            }
        }
    }

    /// Whether there is no use in trying again; if there is, waits until it is time.
    async fn is_done(&mut self, answer: Result<Value, CallError>) -> bool {
        match answer {
            Ok(_) => {
                self.retry.succeeded();
                true
            }
            Err(error) => {
                self.retry.failed(&error);
                if !error.is_final() {
                    sleep_until(self.retry.not_before()).await;
                }
                error.is_final()
            }
        }
    }

    fn name(&self, notice: &Notice, now: Timestamp) -> String {
        let object: &str = match &notice.about {
            About::Pod { name, .. } => &name.name,
            About::Node => &self.node,
        };
        let object: String = object.chars().take(LONGEST_NAME).collect();
        format!("{object}.{:016x}", now.as_nanosecond())
    }

    fn event(&self, notice: &Notice, name: &str, now: Timestamp) -> Value {
        let severity = match notice.severity {
            Severity::Normal => "Normal",
            Severity::Warning => "Warning",
        };
        let instance: String = self.node.chars().take(LONGEST_INSTANCE).collect();
        json!({
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": namespace(notice)},
            "eventTime": micros(now),
            "type": severity,
            "reason": notice.reason,
            "action": notice.action,
            "note": cut(notice.note.clone(), LONGEST_NOTE),
            "regarding": self.regarding(&notice.about),
            "reportingController": FIELD_MANAGER,
            "reportingInstance": instance,
        })
    }

    fn regarding(&self, about: &About) -> Value {
        match about {
            About::Pod { name, uid: Some(uid) } => {
                json!({"apiVersion": "v1", "kind": "Pod", "namespace": &*name.namespace, "name": &*name.name, "uid": uid})
            }
            About::Pod { name, uid: None } => {
                json!({"apiVersion": "v1", "kind": "Pod", "namespace": &*name.namespace, "name": &*name.name})
            }
            About::Node => {
                // kubelet's own events have the name for a UID; `kubectl describe` looks for both.
                let node = self.own.borrow().clone();
                let uid = node.map_or_else(|| self.node.clone(), |node| node.uid.clone());
                json!({"apiVersion": "v1", "kind": "Node", "name": self.node, "uid": uid})
            }
        }
    }
}

fn namespace(notice: &Notice) -> &str {
    match &notice.about {
        About::Pod { name, .. } => &name.namespace,
        About::Node => NAMESPACE_OF_NODES,
    }
}

fn path(notice: &Notice) -> String {
    format!("/apis/events.k8s.io/v1/namespaces/{}/events", namespace(notice))
}

/// As the API server reads `MicroTime`: six digits, no more, no less.
fn micros(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}
