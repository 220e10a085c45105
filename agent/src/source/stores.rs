//! What a source has read, by kind, and who is told when that changes.
//!
//! ```text
//!  API server --\                +--> nodes, configs, pools, namespaces, own pods --------> Objects --> compose --> Desired
//!                >--> Stores ----+                                                            ^
//!  folder ------/                +--> peers --Changes--> those that claim anycast addresses --+
//!                                |
//!                                +--> Feed: peers and namespaces, change by change
//! ```
//!
//! A peer that claims nothing concerns no [`Desired`](flock_core::desired::Desired): whatever becomes of it costs one look at
//! it, however many there are.

mod claiming;
mod feed;
mod kinds;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flock_core::claim::AddressPool;
use flock_core::feed::Update;
use flock_core::selector::Labels;
use tokio::sync::watch;

use self::claiming::Claiming;
pub use self::feed::Feed;
pub(super) use self::kinds::{Kind, Kinds, Row, StoreOf, Visitor};
use super::objects::{Objects, Unreadable};

/// Everything, behind a lock that is held for moments only: no file is written and nothing is composed under it.
#[derive(Debug)]
pub(super) struct Stores {
    stores: Mutex<Inner>,
    /// Told of each change of any object.
    changed: watch::Sender<()>,
}

/// What the lock guards.
#[derive(Debug, Default)]
pub(super) struct Inner {
    pub(super) kinds: Kinds,
    pub(super) servers: BTreeSet<IpAddr>,
    claiming: Claiming,
    /// How many objects have been looked at one by one for a Desired.
    visited: u64,
}

/// Whom a change concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Concerns {
    /// Nobody, or consumers of a feed alone.
    Feeds,
    Desired,
}

impl Stores {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { stores: Mutex::default(), changed: watch::Sender::new(()) })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing is half done in it for longer than a call.
        self.stores.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the objects of a kind, and says whom that concerns.
    pub(super) fn update(&self, kind: Kind, change: impl FnOnce(&mut Kinds) -> Update) -> Concerns {
        let mut inner = self.lock();
        let was_listed = inner.kinds.is_listed(kind);
        let update = change(&mut inner.kinds);
        let is_new = was_listed != inner.kinds.is_listed(kind);
        let concerns = inner.concerns(kind, update, is_new);
        drop(inner);
        if update == Update::Changed {
            self.changed.send_replace(());
        }
        concerns
    }

    /// Peers and namespaces, change by change.
    pub(super) fn feed(self: &Arc<Self>) -> Feed {
        Feed::of(Arc::clone(self), self.changed.subscribe())
    }
}

impl Inner {
    fn concerns(&mut self, kind: Kind, update: Update, is_new: bool) -> Concerns {
        if update == Update::Unchanged {
            return Concerns::Feeds;
        }
        let desired = match kind {
            Kind::Peers => self.claiming.follow(&self.kinds.peers, &mut self.visited),
            _ => true,
        };
        if desired || is_new { Concerns::Desired } else { Concerns::Feeds }
    }

    pub(super) fn visited(&self) -> u64 {
        self.visited
    }

    /// All that a Desired is composed of.
    pub(super) fn objects(&mut self, unreadable: Vec<Unreadable>) -> Objects {
        let Kinds { nodes, configs, pools, namespaces, pods, .. } = &self.kinds;
        // A pod that was made anew here is not the one that another node had.
        let own = pods.iter().map(|(name, pod)| (name.clone(), Arc::clone(pod)));
        let objects = Objects {
            nodes: nodes.iter().map(|(name, node)| (name.clone(), node.node.clone())).collect(),
            configs: configs
                .iter()
                .filter_map(|(name, config)| Some((name.clone(), config.config.clone()?)))
                .collect(),
            pools: pools.iter().map(|(name, pool)| (name.clone(), AddressPool::clone(pool))).collect(),
            namespaces: namespaces
                .iter()
                .map(|(name, labels)| (name.clone(), Labels::clone(labels)))
                .collect(),
            pods: self.claiming.iter().chain(own).collect(),
            unreadable,
            servers: self.servers.clone(),
        };
        self.visited += objects.count();
        objects
    }
}
