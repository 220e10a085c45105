//! Following one collection of the API server: a list, then a watch from there on, again and again.
//!
//! The list comes as the beginning of the watch (`sendInitialEvents`, KEP-3157): one object at a time, so that ten thousand
//! pods never are in memory as text. An API server that cannot do that gives pages.
//!
//! kube's own `watcher` is not used: it does not say when a watch that failed works again, and it waits for an answer for
//! as long as TCP does. Here a connection that was cut without a word is given up [`Timing::watch`] + [`Timing::margin`]
//! after the watch began, and the next attempt has [`Timing::open`] to be answered: 45 + 4 + 8 s, so that within a minute
//! either it is fresh or it is known not to be.

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

pub(super) use self::failure::Failure;
pub(super) use self::timing::Timing;
use self::timing::with_jitter;

/// What is followed.
#[derive(Debug, Clone, Default)]
pub(super) struct Collection {
    /// As `/api/v1/pods`.
    pub(super) path: &'static str,
    /// Field selector.
    pub(super) fields: Option<String>,
    /// Nothing but `metadata` is asked for.
    pub(super) metadata_only: bool,
}

/// Who takes in what is seen.
pub(super) trait Sink: Send {
    /// A list begins.
    fn begin(&mut self);
    /// An object of the list.
    fn listed(&mut self, object: &RawValue);
    /// The list is complete; what was not in it is not there.
    fn complete(&mut self, version: &str);
    /// An object is new, or is another now.
    fn applied(&mut self, object: &RawValue);
    /// An object is not there, or not meant, any more.
    fn deleted(&mut self, object: &RawValue);
    /// From now on changes are seen.
    fn following(&mut self);
    /// Nothing is seen.
    fn failing(&mut self, failure: Failure);
}

/// Follows a collection.
pub(super) struct Follower<S> {
    client: Client,
    collection: Collection,
    timing: Timing,
    sink: S,
    /// Told whenever any collection can be followed: then others may be, too.
    working: Arc<Notify>,
    at: Place,
}

/// Where a follower is.
#[derive(Debug, Default)]
struct Place {
    /// What is seen already; none: nothing, so a list is due.
    version: Option<String>,
    /// The API server cannot begin a watch with a list.
    pages: bool,
    /// When the watch began, if it did.
    begun: Option<Instant>,
    /// How often in a row the API server has refused to go on from there.
    refused: u32,
}

/// Refused so often, a list is tried instead: an old backup of the API server's storage knows no later version.
const MOST_REFUSALS: u32 = 4;

impl<S: Sink> Follower<S> {
    pub(super) fn new(
        client: Client,
        collection: Collection,
        timing: Timing,
        sink: S,
        working: Arc<Notify>,
    ) -> Self {
        Self { client, collection, timing, sink, working, at: Place::default() }
    }

    /// Follows the collection, for ever.
    pub(super) async fn run(mut self) {
        let mut pause = self.timing.first_pause;
        loop {
            self.at.begun = None;
            if let Err(failure) = self.attempt().await {
                self.sink.failing(failure);
            }
            if self.at.begun.is_some_and(|begun| begun.elapsed() >= self.timing.lasting) {
                pause = self.timing.first_pause;
                continue;
            }
            tokio::select! {
                () = sleep(with_jitter(pause)) => {}
                () = self.working.notified() => {}
            }
            pause = (pause * 2).min(self.timing.longest_pause);
        }
    }

    async fn attempt(&mut self) -> Result<(), Failure> {
        if self.at.version.is_none() && !self.at.pages {
            let outcome = self.watch().await;
            if self.at.version.is_some() || !outcome.as_ref().is_err_and(Failure::is_about_the_request) {
                return outcome;
            }
            self.at.pages = true;
        }
        if self.at.version.is_none() {
            self.list().await?;
        }
        let outcome = self.watch().await;
        match &outcome {
            Err(failure) if failure.code.is_some() => self.at.refused += 1,
            _ => self.at.refused = 0,
        }
        if self.at.refused >= MOST_REFUSALS {
            (self.at.version, self.at.refused) = (None, 0);
        }
        outcome
    }

    /// The list, in pages.
    async fn list(&mut self) -> Result<(), Failure> {
        self.sink.begin();
        let mut after = None;
        loop {
            let Page { metadata, items } = self.page(after.take()).await?;
            items.iter().for_each(|object| self.sink.listed(object));
            drop(items);
            match metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => after = Some(token),
                None => {
                    self.sink.complete(&metadata.resource_version);
                    self.at.version = Some(metadata.resource_version);
                    return Ok(());
                }
            }
        }
    }

    async fn page(&self, after: Option<String>) -> Result<Page, Failure> {
        let parameters = ListParams {
            field_selector: self.collection.fields.clone(),
            // A pod is some 10 KiB of text, which is in memory three times on the way.
            limit: Some(100),
            continue_token: after,
            ..ListParams::default()
        };
        let request = Request::new(self.collection.path);
        let request = if self.collection.metadata_only {
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
            self.sink.begin();
            self.initial(events.as_mut()).await?;
        }
        self.sink.following();
        self.working.notify_waiters();
        self.changes(events).await
    }

    async fn open(&self) -> Result<impl Stream<Item = kube::Result<Event>> + use<S>, Failure> {
        let initial = self.at.version.is_none();
        let seconds = self.timing.watch + if initial { self.timing.gap } else { Duration::ZERO };
        let parameters = WatchParams {
            field_selector: self.collection.fields.clone(),
            timeout: Some(u32::try_from(seconds.as_secs().max(1)).unwrap_or(u32::MAX)),
            bookmarks: true,
            send_initial_events: initial,
            label_selector: None,
        };
        let version = self.at.version.as_deref().unwrap_or_default();
        let request = Request::new(self.collection.path);
        let request = if self.collection.metadata_only {
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
                WatchEvent::Added(object) | WatchEvent::Modified(object) => self.sink.listed(&object),
                WatchEvent::Bookmark(mark) if mark.metadata.annotations.contains_key(END_OF_LIST) => {
                    self.sink.complete(&mark.metadata.resource_version);
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
                    self.sink.applied(&object);
                    version(&object)
                }
                WatchEvent::Deleted(object) => {
                    self.sink.deleted(&object);
                    version(&object)
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

/// `metadata.resourceVersion`: where the watch goes on from.
fn version(object: &RawValue) -> Option<String> {
    #[derive(Deserialize)]
    struct Object {
        metadata: Meta,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Meta {
        resource_version: Option<String>,
    }
    serde_json::from_str::<Object>(object.get()).ok()?.metadata.resource_version
}
