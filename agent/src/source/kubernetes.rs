//! An API server: NodeConfigs, AddressPools, namespaces, this node and its pods complete, other pods as far as they are asked
//! about.
//!
//! ```text
//!  API server --list, watch--> ListerWatcher --> Collection (one per kind) --reader--> Stores --+--> Feed
//!             \                                                                         ^       |
//!              +--GET of a pod that an ADD waits for-- refresh -------------------------+       v
//!                                                                        publishing: compose, watch<Desired>
//!                                                                        saving: what a restart is to find
//! ```
//!
//! Nothing is published before every list has been complete once, and of a list that is read anew nothing before it is
//! complete. A change is published at once, and the next one `PACE` later at the earliest. When the API server is away,
//! what is known stays.
//!
//! Locks: `composer`, then `health`, then the stores'; the later ones are held for moments. No file is written under any.

mod collection;
mod health;
mod lister_watcher;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flock_core::attachment::PodName;
use kube::Client;
use kube::api::GetParams;
use kube::core::Request;
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

use self::collection::Collection;
use self::health::Health;
use self::lister_watcher::{Failure, ListerWatcher, Query, Timing};
use super::compose::{Composer, Save};
use super::reader::pod::PodReader;
use super::reader::{Meta, Reader};
use super::stores::{Concerns, Feed, Kind, StoreOf, Stores, Visitor};
use super::{Desired, Source, Work, log_new_problems};
use crate::publish::publish_change;
use crate::source::own::{OwnConfig, OwnNode, OwnObjects};
use crate::store::Disk;
use crate::supervision::{Tasks, blocking, turn};

/// Time between two publications: a rollout's many changes are one or two of them, and one pod's readiness is told at once.
const PACE: Duration = Duration::from_millis(20);

/// The cluster, as one node sees it.
pub struct Cluster {
    client: Client,
    node: String,
    /// An ADD waits for so long for its pod: the runtime tries again, and by then the watch may have it.
    refresh_timeout: Duration,
    stores: Arc<Stores>,
    health: Mutex<Health>,
    composer: Mutex<Composer>,
    /// The Desired may be another by now.
    due: Notify,
    /// What a restart is to find may be another by now.
    unsaved: Notify,
    desired: watch::Sender<Arc<Desired>>,
    known: watch::Sender<bool>,
    trouble: watch::Sender<Option<String>>,
    own_node: watch::Sender<Option<Arc<OwnNode>>>,
    own_config: watch::Sender<Option<Arc<OwnConfig>>>,
    work: Mutex<Work>,
}

impl Cluster {
    /// Follows the cluster in tasks. The last good configuration is kept in `run_dir`.
    pub fn follow(client: Client, node: &str, run_dir: &Path, tasks: &Tasks) -> Arc<Self> {
        Self::start(client, node, Composer::kept_in(node, Disk, run_dir), &Timing::default(), tasks)
    }

    fn start(client: Client, node: &str, composer: Composer, timing: &Timing, tasks: &Tasks) -> Arc<Self> {
        let stores = Stores::new();
        stores.lock().servers.extend(crate::api::client::service_address());
        let cluster = Arc::new(Self {
            client,
            node: node.to_owned(),
            refresh_timeout: timing.refresh,
            stores,
            health: Mutex::default(),
            composer: Mutex::new(composer),
            due: Notify::new(),
            unsaved: Notify::new(),
            trouble: watch::Sender::default(),
            desired: watch::Sender::default(),
            known: watch::Sender::default(),
            own_node: watch::Sender::default(),
            own_config: watch::Sender::default(),
            work: Mutex::default(),
        });
        cluster.publish_trouble(&cluster.health());
        Kind::each(node, &mut Following { cluster: &cluster, timing, working: Arc::default(), tasks });
        tasks.spawn("publishing", Arc::clone(&cluster).publishing());
        tasks.spawn("saving", Arc::clone(&cluster).saving());
        cluster
    }

    /// The node's own objects.
    pub fn own(&self) -> OwnObjects {
        OwnObjects { node: self.own_node.subscribe(), config: self.own_config.subscribe() }
    }

    /// Beside those that are found out: addresses of API servers, which no pod may claim.
    pub fn add_servers(&self, servers: BTreeSet<IpAddr>) {
        self.stores.lock().servers.extend(servers);
        self.due.notify_one();
    }

    /// The other nodes' pods and the namespaces, change by change.
    pub fn feed(&self) -> Feed {
        self.stores.feed()
    }

    /// How much has been done for consumers of the Desired.
    pub fn work(&self) -> Work {
        Work {
            objects: self.stores.lock().visited(),
            ..*self.work.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    async fn publishing(self: Arc<Self>) {
        loop {
            self.due.notified().await;
            self.publish();
            sleep(PACE).await;
        }
    }

    /// Writes what a restart is to find. Nobody waits for a disk.
    async fn saving(self: Arc<Self>) {
        loop {
            self.unsaved.notified().await;
            let save = self.composer().unsaved();
            if let Some(save) = save {
                let _turn = turn();
                // Here alone, so that of two files the later one stays.
                blocking(|| Save::run(save)).await;
            }
        }
    }

    /// Composers take turns: of two publications the later one says more.
    fn publish(&self) {
        let mut composer = self.composer();
        self.publish_own();
        let Some(desired) = self.compose(&mut composer) else { return };
        self.unsaved.notify_one();
        let published = self.desired.send_if_modified(|current| {
            let changed = **current != desired;
            if changed {
                log_new_problems(&current.problems, &desired.problems);
                *current = Arc::new(desired);
            }
            changed
        });
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        work.compositions += 1;
        work.publications += u64::from(published);
        drop(work);
        self.known.send_if_modified(|known| !std::mem::replace(known, true));
    }

    /// None before every list has been complete once.
    fn compose(&self, composer: &mut Composer) -> Option<Desired> {
        let health = self.health();
        let mut inner = self.stores.lock();
        if !Kind::ALL.iter().all(|kind| inner.kinds.is_listed(*kind)) {
            return None;
        }
        let problems = health.problems().chain(inner.kinds.problems().cloned()).collect();
        let unreadable = health.unreadable(&inner.kinds);
        let objects = inner.objects(unreadable);
        drop((inner, health));
        Some(composer.compose(objects, problems))
    }

    fn publish_own(&self) {
        let inner = self.stores.lock();
        if inner.kinds.is_listed(Kind::Nodes) {
            let own = inner.kinds.nodes.get(&self.node).map(|node| Arc::new(node.own.clone()));
            publish_change(&self.own_node, own);
        }
        if inner.kinds.is_listed(Kind::NodeConfigs) {
            let config = inner.kinds.configs.get(&self.node);
            publish_change(&self.own_config, config.and_then(|config| config.own.clone()));
        }
    }

    /// Asks for one pod, and takes it in if it is the one that is meant.
    async fn ask_for(&self, pod: &PodName, uid: Option<&str>) -> Result<(), Failure> {
        let path = format!("/api/v1/namespaces/{}/pods", pod.namespace);
        let request = Request::new(path).get(&pod.name, &GetParams::default());
        let text = self.client.request_text(request.map_err(Failure::of)?).await?;
        if uid.is_none_or(|asked| Meta::of(&text).uid == asked) {
            // The watch may have brought it before, and not be published yet.
            let _ = self.refreshed(&text);
            self.publish();
        }
        Ok(())
    }

    /// Under the lock: of two troubles the later one counts.
    fn publish_trouble(&self, health: &Health) {
        publish_change(&self.trouble, health.trouble(&self.stores.lock().kinds));
    }

    /// Takes in a pod that was asked for.
    fn refreshed(&self, text: &str) -> Concerns {
        let (meta, mut reader) = (Meta::of(text), PodReader::of_node(&self.node));
        let version = meta.resource_version.as_deref().and_then(|version| version.parse().ok());
        let Some((key, version)) = reader.key(&meta).zip(version) else { return Concerns::Feeds };
        self.stores.update(Kind::Pods, |kinds| {
            kinds.pods.refreshed(key, version, |former| reader.read(text, former))
        })
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn composer(&self) -> MutexGuard<'_, Composer> {
        self.composer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts to follow each kind.
struct Following<'a> {
    cluster: &'a Arc<Cluster>,
    timing: &'a Timing,
    /// Told whenever any collection can be followed.
    working: Arc<Notify>,
    tasks: &'a Tasks,
}

impl Visitor for Following<'_> {
    fn visit<R: Reader>(&mut self, kind: Kind, reader: R, store: StoreOf<R>) {
        let cluster = self.cluster;
        let collection = Collection { cluster: Arc::clone(cluster), kind, reader, store, unversioned: 0 };
        let query = Query::of(kind, &cluster.node);
        let (timing, working) = (self.timing.clone(), Arc::clone(&self.working));
        let following = ListerWatcher::new(cluster.client.clone(), query, timing, collection, working);
        self.tasks.spawn(format!("lister-watcher {kind:?}"), following.run());
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
            answer = timeout(self.refresh_timeout, self.ask_for(pod, uid)) => match answer {
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

#[cfg(test)]
mod tests;
