//! An API server in memory: lists, watches and GETs over HTTP/1.1, and everything that can go wrong with them. [`writing`]:
//! what agents write.

mod query;
mod writing;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request, Response, StatusCode};
use kube::{Client, Config};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;

pub(super) use self::query::Query;
use self::query::at;

pub(super) const PODS: &str = "/api/v1/pods";
pub(super) const NODES: &str = "/api/v1/nodes";
pub(super) const NAMESPACES: &str = "/api/v1/namespaces";
pub(super) const CONFIGS: &str = "/apis/flock.fritzlab.net/v1alpha1/nodeconfigs";
pub(super) const POOLS: &str = "/apis/flock.fritzlab.net/v1alpha1/addresspools";
pub(super) const STATES: &str = "/apis/flock.fritzlab.net/v1alpha1/nodestates";

/// What the API server does when it is asked for a collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Mood {
    #[default]
    Good,
    /// Answers with this HTTP status.
    Refuses(u16),
    /// Knows no `sendInitialEvents`, and gives one object per page.
    Old,
    /// Takes the request and says nothing.
    Silent,
    /// Its storage is an old backup: it knows none of the versions that were seen.
    Restored(u16),
}

#[derive(Clone, Default)]
pub(super) struct Api {
    /// Where it is reached over TCP.
    address: Option<std::net::SocketAddr>,
    store: Arc<Mutex<Store>>,
    news: News,
    /// Watches that began before the last change of it say nothing any more.
    cut: watch::Sender<u64>,
}

/// Whoever watches a collection is woken by what changes in it.
#[derive(Clone, Default)]
struct News(Arc<Mutex<BTreeMap<String, watch::Sender<()>>>>);

impl News {
    fn of(&self, collection: &str) -> watch::Sender<()> {
        self.0.lock().unwrap().entry(collection.to_owned()).or_default().clone()
    }
}

#[derive(Default)]
struct Store {
    version: u64,
    objects: BTreeMap<(String, String), Value>,
    /// All changes, each with what the object was before and is now.
    log: Vec<(u64, String, Option<Value>, Option<Value>)>,
    /// What was before is forgotten.
    compacted: u64,
    moods: BTreeMap<String, Mood>,
    requests: Vec<String>,
    /// As `PATCH /api/v1/nodes/node-a/status`.
    writes: Vec<String>,
    /// How many events of each collection watches were sent, beside the objects of their initial lists.
    delivered: BTreeMap<String, usize>,
}

impl Api {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let api = Self { address: Some(listener.local_addr().unwrap()), ..Self::default() };
        let router = api.router();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        api
    }

    fn router(&self) -> axum::Router {
        let answering = self.clone();
        axum::Router::new().fallback(move |request: Request<Body>| {
            let api = answering.clone();
            async move { api.answer(request).await }
        })
    }

    /// A client; without a network where the API server has none.
    pub(super) fn client(&self) -> Client {
        let Some(address) = self.address else { return Client::new(self.router(), "default") };
        let config = Config::new(format!("http://{address}").parse().unwrap());
        crate::api::client::client(config).unwrap()
    }

    pub(super) fn mood(&self, collection: &str, mood: Mood) {
        self.store.lock().unwrap().moods.insert(collection.to_owned(), mood);
        self.news.of(collection).send_replace(());
    }

    /// Makes an object, or another of it.
    pub(super) fn put(&self, collection: &str, mut object: Value) -> u64 {
        let mut store = self.store.lock().unwrap();
        store.version += 1;
        let version = store.version;
        object["metadata"]["resourceVersion"] = version.to_string().into();
        let key = (collection.to_owned(), key(&object));
        let before = store.objects.insert(key, object.clone());
        store.log.push((version, collection.to_owned(), before, Some(object)));
        drop(store);
        self.news.of(collection).send_replace(());
        version
    }

    pub(super) fn delete(&self, collection: &str, name: &str) {
        let mut store = self.store.lock().unwrap();
        store.version += 1;
        let version = store.version;
        let key =
            store.objects.keys().find(|key| key.0 == collection && key.1.ends_with(name)).cloned().unwrap();
        let before = store.objects.remove(&key);
        store.log.push((version, collection.to_owned(), before, None));
        drop(store);
        self.news.of(collection).send_replace(());
    }

    /// Forgets what was: watches from before now are gone.
    pub(super) fn compact(&self) {
        let mut store = self.store.lock().unwrap();
        store.version += 1;
        store.compacted = store.version;
    }

    /// Says nothing any more on what is open, as when a router in between has lost its state.
    pub(super) fn cut(&self) {
        self.cut.send_modify(|epoch| *epoch += 1);
    }

    pub(super) fn requests(&self) -> Vec<String> {
        self.store.lock().unwrap().requests.clone()
    }

    pub(super) fn version(&self) -> u64 {
        self.store.lock().unwrap().version
    }

    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        if request.method() != Method::GET {
            return self.write(request).await;
        }
        let uri = request.uri();
        let query = Query::of(uri);
        let pods = uri.path().strip_prefix("/api/v1/namespaces/").and_then(|rest| rest.split_once("/pods/"));
        let collection = if pods.is_some() { PODS } else { uri.path() };
        let mood = {
            let mut store = self.store.lock().unwrap();
            store.requests.push(uri.to_string());
            let of = if pods.is_some() { "GET" } else { collection };
            store
                .moods
                .get(&format!("{of}{}", query.kind()))
                .or(store.moods.get(of))
                .copied()
                .unwrap_or_default()
        };
        match (mood, pods) {
            (Mood::Refuses(code), _) => refusal(code),
            (Mood::Silent, _) => std::future::pending().await,
            (_, Some((namespace, name))) => self.one(PODS, &format!("{namespace}/{name}")),
            (Mood::Old, _) if query.has("sendInitialEvents") => refusal(422),
            (Mood::Restored(code), _)
                if query.get("resourceVersion").is_some_and(|version| !version.is_empty()) =>
            {
                refusal_saying(code, "Too large resource version: 9, current: 1")
            }
            _ if query.has("watch") => self.watch(collection, &query),
            _ if collection.starts_with(&format!("{STATES}/"))
                || collection.starts_with(&format!("{NODES}/")) =>
            {
                let (collection, name) = collection.rsplit_once('/').unwrap();
                self.one(collection, name)
            }
            (Mood::Old, _) => self.page(collection, &query),
            (Mood::Good | Mood::Restored(_), _) => self.page(collection, &query),
        }
    }

    fn one(&self, collection: &str, name: &str) -> Response<Body> {
        let store = self.store.lock().unwrap();
        match store.objects.get(&(collection.to_owned(), name.to_owned())) {
            Some(object) => Response::new(Body::from(object.to_string())),
            None => refusal(404),
        }
    }

    fn page(&self, collection: &str, query: &Query) -> Response<Body> {
        let store = self.store.lock().unwrap();
        let items: Vec<&Value> = store.matching(collection, query).collect();
        let index: usize = query.get("continue").map_or(0, |token| token.parse().unwrap());
        let more = if index + 1 < items.len() { (index + 1).to_string() } else { String::new() };
        let meta = json!({"resourceVersion": store.version.to_string(), "continue": more});
        let page: Vec<&Value> = items.into_iter().skip(index).take(1).collect();
        Response::new(Body::from(json!({"metadata": meta, "items": page}).to_string()))
    }

    fn watch(&self, collection: &str, query: &Query) -> Response<Body> {
        let (watching, receiver) = self.watching(collection, query);
        let seconds = query.get("timeoutSeconds").unwrap().parse().unwrap();
        tokio::spawn(async move {
            let cut = watching.api.cut.subscribe();
            let ended = tokio::time::timeout(Duration::from_secs(seconds), watching.run()).await;
            if let Err(_elapsed) = ended
                && *cut.borrow() != watching.epoch
            {
                std::future::pending::<()>().await;
            }
        });
        Response::new(Body::from_stream(ReceiverStream::new(receiver)))
    }

    fn watching(&self, collection: &str, query: &Query) -> (Watching, Lines) {
        let (lines, receiver) = mpsc::channel::<Result<String, Infallible>>(16);
        let watching = Watching {
            api: self.clone(),
            collection: collection.to_owned(),
            query: query.clone(),
            lines,
            epoch: *self.cut.borrow(),
        };
        (watching, receiver)
    }

    /// What a watch is sent that never ends.
    pub(super) fn lines(&self, collection: &str, query: &Query) -> Lines {
        let (watching, lines) = self.watching(collection, query);
        tokio::spawn(async move { watching.run().await });
        lines
    }
}

pub(super) type Lines = mpsc::Receiver<Result<String, Infallible>>;

struct Watching {
    api: Api,
    collection: String,
    query: Query,
    lines: mpsc::Sender<Result<String, Infallible>>,
    epoch: u64,
}

impl Watching {
    async fn run(&self) {
        let mut news = self.api.news.of(&self.collection).subscribe();
        let mut seen = match self.query.get("resourceVersion") {
            Some(version) if !version.is_empty() => version.parse().unwrap(),
            _ => self.initial().await,
        };
        loop {
            let (lines, now) = self.since(seen);
            seen = now;
            if *self.api.cut.borrow() != self.epoch {
                std::future::pending::<()>().await;
            }
            for line in lines {
                if self.lines.send(Ok(line)).await.is_err() {
                    return;
                }
            }
            news.changed().await.unwrap();
        }
    }

    async fn initial(&self) -> u64 {
        let (lines, version) = {
            let store = self.api.store.lock().unwrap();
            let lines: Vec<String> =
                store.matching(&self.collection, &self.query).map(|object| line("ADDED", object)).collect();
            (lines, store.version)
        };
        for line in lines {
            let _ = self.lines.send(Ok(line)).await;
        }
        let annotations = json!({"k8s.io/initial-events-end": "true"});
        let mark = json!({"kind": "X", "apiVersion": "v1", "metadata": {"resourceVersion": version.to_string(), "annotations": annotations}});
        let _ = self.lines.send(Ok(line("BOOKMARK", &mark))).await;
        version
    }

    fn since(&self, seen: u64) -> (Vec<String>, u64) {
        let mut store = self.api.store.lock().unwrap();
        if seen < store.compacted {
            let gone = json!({"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"});
            return (vec![line("ERROR", &gone)], store.version);
        }
        let new = store.log.partition_point(|(version, ..)| *version <= seen);
        let changes = store.log[new..].iter().filter(|(_, of, ..)| *of == self.collection);
        let lines = changes.filter_map(|(version, _, before, now)| {
            let meant = |object: &&Value| self.query.selects(object);
            match (before.as_ref().filter(meant), now.as_ref().filter(meant)) {
                (None, Some(now)) => Some(line("ADDED", now)),
                (Some(_), Some(now)) => Some(line("MODIFIED", now)),
                (Some(before), None) => {
                    let mut before = before.clone();
                    before["metadata"]["resourceVersion"] = version.to_string().into();
                    Some(line("DELETED", &before))
                }
                (None, None) => None,
            }
        });
        let lines: Vec<String> = lines.collect();
        if !lines.is_empty() {
            *store.delivered.entry(self.collection.clone()).or_default() += lines.len();
        }
        (lines, store.version)
    }
}

impl Store {
    fn matching(&self, collection: &str, query: &Query) -> impl Iterator<Item = &Value> {
        let from = self.objects.range((collection.to_owned(), String::new())..);
        let of = from.take_while(move |((of, _), _)| of == collection);
        of.map(|(_, object)| object).filter(|object| query.selects(object))
    }
}

fn key(object: &Value) -> String {
    match at(object, "metadata.namespace") {
        "" => at(object, "metadata.name").to_owned(),
        namespace => format!("{namespace}/{}", at(object, "metadata.name")),
    }
}

fn line(kind: &str, object: &Value) -> String {
    // The order that the API server writes them in.
    format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n")
}

fn refusal(code: u16) -> Response<Body> {
    refusal_saying(code, &format!("refused with {code}"))
}

fn refusal_saying(code: u16, message: &str) -> Response<Body> {
    let reason = if code == 404 { "NotFound" } else { "Because" };
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": message});
    let mut response = Response::new(Body::from(status.to_string()));
    *response.status_mut() = StatusCode::from_u16(code).unwrap();
    response
}
