//! An API server in memory: objects by path, what is asked of it, and what it fails with.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use kube::Client;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::environment::Clock;
use crate::source::own::{OwnConfig, OwnNode, OwnObjects, SeenCondition};

pub(crate) const NODE: &str = "node-a";
pub(crate) const NODE_PATH: &str = "/api/v1/nodes/node-a";
pub(crate) const CONFIG_PATH: &str = "/apis/flock.fritzlab.net/v1alpha1/nodeconfigs/node-a";
pub(crate) const STATE_PATH: &str = "/apis/flock.fritzlab.net/v1alpha1/nodestates/node-a";

#[derive(Debug, Clone, Default)]
pub(crate) struct FakeApi(Arc<Mutex<Inside>>);

#[derive(Debug, Default)]
struct Inside {
    objects: BTreeMap<String, Value>,
    asked: Vec<Asked>,
    failures: VecDeque<Failure>,
    uids: u32,
    node: watch::Sender<Option<Arc<OwnNode>>>,
    config: watch::Sender<Option<Arc<OwnConfig>>>,
    /// The watches show nothing new.
    is_blind: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Asked {
    /// As `PATCH /api/v1/nodes/node-a/status`.
    pub(crate) what: String,
    pub(crate) query: String,
    pub(crate) body: Value,
}

/// Fallback of an answer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Failure {
    Status(u16, &'static str),
    Silence,
    /// What is no JSON.
    Nonsense(&'static str),
}

impl FakeApi {
    pub(crate) fn client(&self) -> Client {
        Client::new(Router::new().fallback(answer).with_state(self.clone()), "default")
    }

    /// What a source would show.
    pub(crate) fn own(&self) -> OwnObjects {
        let inside = self.inside();
        OwnObjects { node: inside.node.subscribe(), config: inside.config.subscribe() }
    }

    /// Somebody makes or changes an object; none: deletes it.
    pub(crate) fn put(&self, path: &str, object: Option<Value>) {
        let mut inside = self.inside();
        match object {
            Some(object) => inside.keep(path, object),
            None => drop(inside.objects.remove(path)),
        }
        inside.show();
    }

    /// Somebody changes an object that is there.
    pub(crate) fn change(&self, path: &str, change: impl FnOnce(&mut Value)) {
        let mut inside = self.inside();
        change(inside.objects.get_mut(path).unwrap());
        inside.show();
    }

    pub(crate) fn object(&self, path: &str) -> Option<Value> {
        self.inside().objects.get(path).cloned()
    }

    /// The objects below a path.
    pub(crate) fn below(&self, path: &str) -> Vec<Value> {
        let inside = self.inside();
        let below = inside.objects.iter().filter(|(at, _)| at.starts_with(path));
        below.map(|(_, object)| object.clone()).collect()
    }

    pub(crate) fn fail(&self, failures: &[Failure]) {
        self.inside().failures.extend(failures);
    }

    /// It fails no more.
    pub(crate) fn heal(&self) {
        self.inside().failures.clear();
    }

    /// Whether the watches show what changes.
    pub(crate) fn blind(&self, is_blind: bool) {
        let mut inside = self.inside();
        inside.is_blind = is_blind;
        inside.show();
    }

    /// What was asked since it was looked at last.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.inside().asked)
    }

    /// The same, in short.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.what).collect()
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap()
    }
}

impl Inside {
    fn keep(&mut self, path: &str, mut object: Value) {
        if object["metadata"]["uid"].is_null() {
            self.uids += 1;
            object["metadata"]["uid"] = json!(format!("uid-{}", self.uids));
        }
        self.objects.insert(path.to_owned(), object);
    }

    fn show(&self) {
        if self.is_blind {
            return;
        }
        tell(&self.node, self.objects.get(NODE_PATH).map(own_node));
        tell(&self.config, self.objects.get(CONFIG_PATH).map(own_config));
    }

    fn answer(&mut self, method: &Method, path: &str, body: &Value) -> Result<Value, (u16, &'static str)> {
        let answer = match method.as_str() {
            "GET" => self.objects.get(path).cloned().ok_or((404, "NotFound")),
            "POST" => self.create(&format!("{path}/{}", text(&body["metadata"]["name"])), body),
            _ => self.patch(path, body),
        };
        self.show();
        answer
    }

    fn create(&mut self, path: &str, body: &Value) -> Result<Value, (u16, &'static str)> {
        if self.objects.contains_key(path) {
            return Err((409, "AlreadyExists"));
        }
        self.keep(path, body.clone());
        self.objects.get(path).cloned().ok_or((404, "NotFound"))
    }

    /// Of the status: the conditions are a list by type, of which the last writer's stay; all else is replaced. Of all
    /// else: the top level is merged.
    fn patch(&mut self, path: &str, body: &Value) -> Result<Value, (u16, &'static str)> {
        let object = path.strip_suffix("/status").unwrap_or(path);
        let object = self.objects.get_mut(object).ok_or((404, "NotFound"))?;
        if !path.ends_with("/status") {
            object["series"] = body["series"].clone();
            return Ok(object.clone());
        }
        let ours = body["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let theirs = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let is_ours = |there: &Value| there["type"] == "NetworkUnavailable" && ours.is_empty();
        let foreign = theirs.into_iter().filter(|there| ours.iter().all(|our| our["type"] != there["type"]));
        let conditions: Vec<Value> =
            ours.iter().cloned().chain(foreign.filter(|there| !is_ours(there))).collect();
        object["status"] = body["status"].clone();
        object["status"]["conditions"] = json!(conditions);
        Ok(object.clone())
    }
}

async fn answer(State(api): State<FakeApi>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(Body::new(body), usize::MAX).await.unwrap();
    let body = serde_json::from_slice(&body).unwrap_or_default();
    let path = parts.uri.path().to_owned();
    let failure = {
        let mut inside = api.inside();
        let (what, query) =
            (format!("{} {path}", parts.method), parts.uri.query().unwrap_or_default().to_owned());
        inside.asked.push(Asked { what, query, body: Value::clone(&body) });
        inside.failures.pop_front()
    };
    match failure {
        Some(Failure::Silence) => std::future::pending().await,
        Some(Failure::Nonsense(text)) => text.into_response(),
        Some(Failure::Status(code, reason)) => refusal(code, reason),
        None => match api.inside().answer(&parts.method, &path, &body) {
            Ok(object) => object.to_string().into_response(),
            Err((code, reason)) => refusal(code, reason),
        },
    }
}

fn refusal(code: u16, reason: &str) -> Response {
    let status =
        json!({"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": reason});
    (StatusCode::from_u16(code).unwrap(), status.to_string()).into_response()
}

fn tell<T: PartialEq>(to: &watch::Sender<Option<Arc<T>>>, value: Option<T>) {
    to.send_if_modified(|current| {
        let changed = current.as_deref() != value.as_ref();
        *current = value.map(Arc::new);
        changed
    });
}

fn own_node(object: &Value) -> OwnNode {
    let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    let seen = |it: &Value| SeenCondition { status: text(&it["status"]), reason: text(&it["reason"]) };
    let network_unavailable = conditions.into_iter().find(|it| it["type"] == "NetworkUnavailable").map(seen);
    OwnNode { uid: text(&object["metadata"]["uid"]), network_unavailable }
}

fn own_config(object: &Value) -> OwnConfig {
    OwnConfig {
        uid: text(&object["metadata"]["uid"]),
        generation: 1,
        status: object.get("status").and_then(|status| serde_json::from_value(status.clone()).ok()),
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A node without conditions.
pub(crate) fn node() -> Value {
    json!({"metadata": {"name": NODE, "uid": "node-uid"}, "status": {"conditions": []}})
}

/// The wall clock that goes as tokio's does.
#[derive(Debug)]
pub(crate) struct TestClock(tokio::time::Instant);

impl TestClock {
    pub(crate) fn boxed() -> Box<dyn Clock> {
        Box::new(Self(tokio::time::Instant::now()))
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        "2026-11-21T12:00:00.5Z".parse::<Timestamp>().unwrap() + self.0.elapsed()
    }
}
