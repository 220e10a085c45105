//! An API server: NodeConfigs, AddressPools, namespaces, this node and its pods complete, other pods as far as they are asked
//! about.
//!
//! ```text
//!  API server --list, watch--> Follower --Sink--> Shelf (one per kind) --+
//!             \                                                          +--> State --Objects--> compose --> watch<Desired>
//!              +--GET of a pod that an ADD waits for-- refresh ----------+
//! ```
//!
//! Nothing is published before every list has been complete once, and of a list that is read anew nothing before it is
//! complete. A change is published at once, and the next one `PACE` later at the earliest. When the API server is away,
//! what is known stays.

mod follow;
mod kinds;
mod shelf;
mod state;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flock_core::attachment::PodName;
use jiff::Timestamp;
use kube::Client;
use kube::api::GetParams;
use kube::core::Request;
use serde_json::value::RawValue;
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

use self::follow::{Failure, Follower, Sink, Timing};
pub use self::kinds::PeerPod;
use self::shelf::{Change, Kind, Shelf};
use self::state::{State, Verdict, What};
use super::{Desired, Source, log_new_problems};
use crate::publish::publish_change;
use crate::source::own::{OwnConfig, OwnNode, OwnObjects};
use crate::store::Disk;

/// Time between two publications: a rollout's many changes are one or two of them, and one pod's readiness is told at once.
const PACE: Duration = Duration::from_millis(20);

/// The cluster, as one node sees it.
pub struct Cluster {
    client: Client,
    node: String,
    /// An ADD waits for so long for its pod: the runtime tries again, and by then the watch may have it.
    patience: Duration,
    state: Mutex<State>,
    /// Something has changed.
    news: Notify,
    desired: watch::Sender<Arc<Desired>>,
    known: watch::Sender<bool>,
    trouble: watch::Sender<Option<String>>,
    own_node: watch::Sender<Option<Arc<OwnNode>>>,
    own_config: watch::Sender<Option<Arc<OwnConfig>>>,
}

impl Cluster {
    /// Follows the cluster until the process ends. The last good configuration is kept in `run_dir`.
    pub fn follow(client: Client, node: &str, run_dir: &Path) -> Arc<Self> {
        Self::start(client, node, State::new(node, Disk, run_dir), &Timing::default())
    }

    fn start(client: Client, node: &str, mut state: State, timing: &Timing) -> Arc<Self> {
        state.servers.extend(crate::api::client::service_address());
        let cluster = Arc::new(Self {
            client,
            node: node.to_owned(),
            patience: timing.refresh,
            trouble: watch::Sender::new(state.trouble()),
            state: Mutex::new(state),
            news: Notify::new(),
            desired: watch::Sender::default(),
            known: watch::Sender::default(),
            own_node: watch::Sender::default(),
            own_config: watch::Sender::default(),
        });
        let working = Arc::new(Notify::new());
        cluster.fill(What::Node, |state| &mut state.node, timing, &working);
        cluster.fill(What::NodeConfigs, |state| &mut state.configs, timing, &working);
        cluster.fill(What::AddressPools, |state| &mut state.pools, timing, &working);
        cluster.fill(What::Namespaces, |state| &mut state.namespaces, timing, &working);
        cluster.fill(What::Pods, |state| &mut state.pods, timing, &working);
        cluster.fill(What::Peers, |state| &mut state.peers, timing, &working);
        tokio::spawn(Arc::clone(&cluster).publishing());
        cluster
    }

    fn fill<K: Kind>(
        self: &Arc<Self>,
        what: What,
        shelf: fn(&mut State) -> &mut Shelf<K>,
        timing: &Timing,
        working: &Arc<Notify>,
    ) {
        let sink = Filler { cluster: Arc::clone(self), what, shelf };
        let collection = what.collection(&self.node);
        let follower =
            Follower::new(self.client.clone(), collection, timing.clone(), sink, Arc::clone(working));
        tokio::spawn(follower.run());
    }

    /// The node's own objects.
    pub fn own(&self) -> OwnObjects {
        OwnObjects { node: self.own_node.subscribe(), config: self.own_config.subscribe() }
    }

    /// Beside those that are found out: addresses of API servers, which no pod may claim.
    pub fn add_servers(&self, servers: BTreeSet<IpAddr>) {
        self.state().servers.extend(servers);
        self.news.notify_one();
    }

    /// Looks at the pods of other nodes, in the order of their names. Held for moments: nothing is taken in meanwhile.
    pub fn peers<T>(&self, look: impl FnOnce(&mut dyn Iterator<Item = (&PodName, &Arc<PeerPod>)>) -> T) -> T {
        look(&mut self.state().peers.iter())
    }

    async fn publishing(self: Arc<Self>) {
        loop {
            self.news.notified().await;
            self.publish(&mut self.state());
            sleep(PACE).await;
        }
    }

    /// Under the lock: of two publications the later one says more.
    fn publish(&self, state: &mut State) {
        if state.node.is_complete() {
            let own = state.node.get(&self.node).map(|node| Arc::new(node.own.clone()));
            publish_change(&self.own_node, own);
        }
        if state.configs.is_complete() {
            publish_change(
                &self.own_config,
                state.configs.get(&self.node).and_then(|config| config.own.clone()),
            );
        }
        let Some(desired) = state.desired() else { return };
        self.desired.send_if_modified(|current| {
            let changed = **current != desired;
            if changed {
                log_new_problems(&current.problems, &desired.problems);
                *current = Arc::new(desired);
            }
            changed
        });
        self.known.send_if_modified(|known| !std::mem::replace(known, true));
    }

    /// Asks for one pod, and takes it in if it is the one that is meant.
    async fn ask_for(&self, pod: &PodName, uid: Option<&str>) -> Result<(), Failure> {
        let path = format!("/api/v1/namespaces/{}/pods", pod.namespace);
        let request = Request::new(path).get(&pod.name, &GetParams::default());
        let text = self.client.request_text(request.map_err(Failure::of)?).await?;
        let object: Box<RawValue> = serde_json::from_str(&text).map_err(Failure::of)?;
        if uid.is_some_and(|asked| kinds::uid(&object) != asked) {
            return Ok(());
        }
        let mut state = self.state();
        if state.pods.refreshed(&object) == Change::Other {
            self.publish(&mut state);
        }
        Ok(())
    }

    /// Under the lock: of two troubles the later one counts.
    fn publish_trouble(&self, state: &State) {
        publish_change(&self.trouble, state.trouble());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing is half done in it for longer than a call.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Source for Arc<Cluster> {
    fn desired(&self) -> watch::Receiver<Arc<Desired>> {
        self.desired.subscribe()
    }

    fn follow_known(&self) -> watch::Receiver<bool> {
        self.known.subscribe()
    }

    fn follow_trouble(&self) -> watch::Receiver<Option<String>> {
        self.trouble.subscribe()
    }

    async fn refresh(&self, pod: &PodName, uid: Option<&str>) {
        let meant = |desired: &Arc<Desired>| {
            let found = desired.pods.get(pod).filter(|pod| pod.node.as_deref() == Some(&self.node));
            found.is_some_and(|pod| uid.is_none_or(|uid| pod.uid.as_deref() == Some(uid)))
        };
        let mut desired = self.desired.subscribe();
        tokio::select! {
            _ = desired.wait_for(meant) => {}
            answer = timeout(self.patience, self.ask_for(pod, uid)) => match answer {
                Ok(Ok(())) => {}
                Ok(Err(failure)) if failure.code == Some(404) => {}
                Ok(Err(Failure { reason, .. })) => tracing::warn!(%pod, reason, "cannot ask for a pod"),
                Err(_) => tracing::warn!(%pod, "cannot ask for a pod: no answer"),
            },
        }
    }

    fn advice(&self, object: &str) -> String {
        format!("apply {object} with kubectl; this node is {}", self.node)
    }
}

/// Puts what is seen of one collection onto its shelf.
struct Filler<K: Kind> {
    cluster: Arc<Cluster>,
    what: What,
    shelf: fn(&mut State) -> &mut Shelf<K>,
}

impl<K: Kind> Filler<K> {
    fn change(&self, change: impl FnOnce(&mut Shelf<K>) -> Change) {
        let changed = change((self.shelf)(&mut self.cluster.state()));
        if changed == Change::Other {
            self.cluster.news.notify_one();
        }
    }
}

impl<K: Kind> Sink for Filler<K> {
    fn begin(&mut self) {
        (self.shelf)(&mut self.cluster.state()).begin();
    }

    fn listed(&mut self, object: &RawValue) {
        (self.shelf)(&mut self.cluster.state()).listed(object);
    }

    fn complete(&mut self, version: &str) {
        self.change(|shelf| shelf.complete(version));
        let mut state = self.cluster.state();
        if state.present(self.what) {
            self.cluster.news.notify_one();
        }
        self.cluster.publish_trouble(&state);
        tracing::debug!(what = %self.what, version, "listed");
    }

    fn applied(&mut self, object: &RawValue) {
        self.change(|shelf| shelf.applied(object));
    }

    fn deleted(&mut self, object: &RawValue) {
        self.change(|shelf| shelf.deleted(object));
    }

    fn following(&mut self) {
        let mut state = self.cluster.state();
        if state.following(self.what) {
            tracing::info!(what = %self.what, "followed again");
        }
        self.cluster.publish_trouble(&state);
    }

    fn failing(&mut self, failure: Failure) {
        let mut state = self.cluster.state();
        let (first, verdict) = state.failing(self.what, &failure, Timestamp::now());
        if verdict == Verdict::Empty {
            (self.shelf)(&mut state).give_up();
            self.cluster.news.notify_one();
        }
        self.cluster.publish_trouble(&state);
        if first {
            tracing::warn!(what = %self.what, reason = failure.reason, "cannot be followed; what is known stays");
        }
    }
}

#[cfg(test)]
mod tests;
