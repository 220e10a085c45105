//! Following one collection of the API server: a list, then a watch from there on, again and again.
//!
//! The list comes as the beginning of the watch (`sendInitialEvents`, KEP-3157): one object at a time, so that ten thousand
//! pods never are in memory as text. An API server that cannot do that gives pages.
//!
//! kube's own `watcher` is not used. It ends an idle watch in time by now (`next_with_idle_timeout`), but it gives no event
//! when a watch that failed works again, it waits for the answer to a new watch without a bound, and it does not fall back
//! from a list in the watch to pages. Here a connection that was cut without a word is given up [`Timing::watch`] +
//! [`Timing::margin`] after the watch began, and the next attempt has [`Timing::open`] to be answered: 45 + 4 + 8 s, so that
//! within a minute either it is fresh or it is known not to be.

mod failure;
mod timing;

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::core::Request;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_stream::{Stream, StreamExt as _};

use flock_core::backoff::Backoff;

use crate::environment::jittered;
use crate::source::reader::Meta;
use crate::source::stores::{Kind, Row};

pub(super) use self::failure::Failure;
pub(super) use self::timing::Timing;

/// What the API server is asked for.
#[derive(Debug, Clone, Default)]
pub(super) struct Query {
    path: &'static str,
    pub(super) fields: Option<String>,
    metadata_only: bool,
}

impl Query {
    /// The objects of a kind, for the agent of this node.
    pub(super) fn of(kind: Kind, node: &str) -> Self {
        let Row { path, fields, metadata_only, .. } = kind.row();
        Self { path, fields: fields.map(|fields| fields.replace("{node}", node)), metadata_only }
    }
}

/// An object as the API server has sent it.
#[derive(Debug)]
pub(super) struct Object<'a> {
    pub(super) meta: Meta,
    pub(super) text: &'a str,
}

impl<'a> Object<'a> {
    pub(super) fn of(object: &'a RawValue) -> Self {
        Self { meta: Meta::of(object.get()), text: object.get() }
    }
}

/// Who takes in what is listed and watched.
pub(super) trait Handler: Send {
    fn begin(&mut self);
    /// An object of the list.
    fn listed(&mut self, object: &Object<'_>);
    /// The list is complete; what was not in it is not there.
    fn complete(&mut self, version: &str);
    /// An object is new, or is another now.
    fn applied(&mut self, object: &Object<'_>);
    /// An object is not there, or not meant, any more.
    fn deleted(&mut self, object: &Object<'_>);
    /// From now on changes are seen.
    fn following(&mut self);
    fn failing(&mut self, failure: Failure);
}

/// Lists and watches a collection.
pub(super) struct ListerWatcher<H> {
    client: Client,
    query: Query,
    timing: Timing,
    handler: H,
    /// Told whenever any collection can be followed: then others may be, too.
    working: Arc<Notify>,
    at: Position,
}

/// How far it is.
#[derive(Debug, Default)]
struct Position {
    /// What is seen already; none: nothing, so a list is due.
    version: Option<String>,
    /// The API server could not begin a watch with a list: until then it is asked for pages.
    pages_until: Option<Instant>,
    /// When the watch began, if it did.
    begun: Option<Instant>,
    /// How often the API server has said that it does not know so late a version, since it last did.
    ahead: u32,
}

/// After so many, a list is due: an old backup of the API server's storage was restored. One such answer may be of a replica
/// that lags.
const MOST_AHEAD: u32 = 4;

/// The share by which a pause may be shorter: a cluster's agents must not keep an API server down that comes up.
const JITTER: f64 = 0.5;

impl<H: Handler> ListerWatcher<H> {
    pub(super) fn new(
        client: Client,
        query: Query,
        timing: Timing,
        handler: H,
        working: Arc<Notify>,
    ) -> Self {
        Self { client, query, timing, handler, working, at: Position::default() }
    }

    /// Follows the collection, for ever.
    pub(super) async fn run(mut self) {
        let mut backoff = Backoff::new(self.timing.first_pause, self.timing.longest_pause);
        loop {
            self.at.begun = None;
            let mut asked_for = Duration::ZERO;
            if let Err(failure) = self.attempt().await {
                asked_for = failure.retry_after;
                self.handler.failing(failure);
            }
            if self.at.begun.is_some_and(|begun| begun.elapsed() >= self.timing.lasting) {
                backoff.reset();
                if asked_for.is_zero() {
                    continue;
                }
            }
            // Who asks for time is given it, whatever works elsewhere.
            sleep(asked_for).await;
            tokio::select! {
                () = sleep(jittered(backoff.pause(), JITTER)) => {}
                () = self.working.notified() => {}
            }
        }
    }

    async fn attempt(&mut self) -> Result<(), Failure> {
        let pages = self.at.pages_until.is_some_and(|until| Instant::now() < until);
        if self.at.version.is_none() && !pages {
            let outcome = self.watch().await;
            if self.at.version.is_some() || !outcome.as_ref().is_err_and(Failure::is_about_the_request) {
                return outcome;
            }
            self.at.pages_until = Some(Instant::now() + self.timing.pages);
        }
        if self.at.version.is_none() {
            self.list().await?;
        }
        let outcome = self.watch().await;
        match &outcome {
            Err(failure) if failure.is_too_large_version() => self.at.ahead += 1,
            // Says nothing of the version.
            Err(_) => {}
            Ok(()) => self.at.ahead = 0,
        }
        if self.at.ahead >= MOST_AHEAD {
            (self.at.version, self.at.ahead) = (None, 0);
        }
        outcome
    }

    /// The list, in pages.
    async fn list(&mut self) -> Result<(), Failure> {
        self.handler.begin();
        let mut after = None;
        loop {
            let Page { metadata, items } = self.page(after.take()).await?;
            items.iter().for_each(|object| self.handler.listed(&Object::of(object)));
            drop(items);
            match metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => after = Some(token),
                None => {
                    self.handler.complete(&metadata.resource_version);
                    self.at.version = Some(metadata.resource_version);
                    return Ok(());
                }
            }
        }
    }

    async fn page(&self, after: Option<String>) -> Result<Page, Failure> {
        let parameters = ListParams {
            field_selector: self.query.fields.clone(),
            // A pod is some 10 KiB of text, which is in memory three times on the way.
            limit: Some(100),
            continue_token: after,
            ..ListParams::default()
        };
        let request = Request::new(self.query.path);
        let request = if self.query.metadata_only {
            request.list_metadata(&parameters)
        } else {
            request.list(&parameters)
        };
        let answer = self.client.request_text(request.map_err(Failure::of)?);
        let text =
            timeout(self.timing.gap, answer).await.map_err(|_| Failure::silence(self.timing.gap))??;
        serde_json::from_str(&text).map_err(Failure::of)
    }

    /// One watch, with the list before it if there is none yet.
    async fn watch(&mut self) -> Result<(), Failure> {
        let events = match self.open().await {
            Err(failure) if failure.is_gone() => {
                self.at.version = None;
                return Ok(());
            }
            events => events?,
        };
        let mut events = pin!(events);
        self.at.begun = Some(Instant::now());
        if self.at.version.is_none() {
            self.handler.begin();
            self.initial(events.as_mut()).await?;
        }
        self.handler.following();
        self.working.notify_waiters();
        self.changes(events).await
    }

    async fn open(&self) -> Result<impl Stream<Item = kube::Result<Event>> + use<H>, Failure> {
        let initial = self.at.version.is_none();
        let seconds = self.timing.watch + if initial { self.timing.gap } else { Duration::ZERO };
        let parameters = WatchParams {
            field_selector: self.query.fields.clone(),
            timeout: Some(u32::try_from(seconds.as_secs().max(1)).unwrap_or(u32::MAX)),
            bookmarks: true,
            send_initial_events: initial,
            label_selector: None,
        };
        let version = self.at.version.as_deref().unwrap_or_default();
        let request = Request::new(self.query.path);
        let request = if self.query.metadata_only {
            request.watch_metadata(&parameters, version)
        } else {
            request.watch(&parameters, version)
        };
        let answer = self.client.request_events::<Box<RawValue>>(request.map_err(Failure::of)?);
        let silence = |_| Failure::silence(self.timing.open);
        Ok(timeout(self.timing.open, answer).await.map_err(silence)??)
    }

    /// The list that a watch begins with.
    async fn initial(
        &mut self,
        mut events: Pin<&mut impl Stream<Item = kube::Result<Event>>>,
    ) -> Result<(), Failure> {
        loop {
            let next = timeout(self.timing.gap, events.next()).await;
            let next = next.map_err(|_| Failure::silence(self.timing.gap))?;
            match next
                .ok_or_else(|| Failure::of("the API server ended the list before it was complete"))??
            {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                    self.handler.listed(&Object::of(&object));
                }
                WatchEvent::Bookmark(mark) if mark.metadata.annotations.contains_key(END_OF_LIST) => {
                    self.handler.complete(&mark.metadata.resource_version);
                    self.at.version = Some(mark.metadata.resource_version);
                    return Ok(());
                }
                WatchEvent::Deleted(_) | WatchEvent::Bookmark(_) => {}
                WatchEvent::Error(status) => return Err(Failure::from(*status)),
            }
        }
    }

    /// What follows, until the API server ends the watch or should have.
    async fn changes(
        &mut self,
        mut events: Pin<&mut impl Stream<Item = kube::Result<Event>>>,
    ) -> Result<(), Failure> {
        let end = Instant::now() + self.timing.watch + self.timing.margin;
        while let Ok(Some(event)) = timeout_at(end, events.next()).await {
            let version = match event? {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                    let object = Object::of(&object);
                    self.handler.applied(&object);
                    object.meta.resource_version
                }
                WatchEvent::Deleted(object) => {
                    let object = Object::of(&object);
                    self.handler.deleted(&object);
                    object.meta.resource_version
                }
                WatchEvent::Bookmark(mark) => Some(mark.metadata.resource_version),
                WatchEvent::Error(status) => {
                    let failure = Failure::from(*status);
                    if !failure.is_gone() {
                        return Err(failure);
                    }
                    self.at.version = None;
                    return Ok(());
                }
            };
            self.at.version = version.or(self.at.version.take());
        }
        Ok(())
    }
}

type Event = WatchEvent<Box<RawValue>>;

/// What the bookmark bears that ends the list.
const END_OF_LIST: &str = "k8s.io/initial-events-end";

/// A page of a list.
#[derive(Deserialize)]
struct Page {
    metadata: PageMeta,
    #[serde(default)]
    items: Vec<Box<RawValue>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageMeta {
    resource_version: String,
    #[serde(rename = "continue")]
    continue_: Option<String>,
}

#[cfg(test)]
mod tests;
