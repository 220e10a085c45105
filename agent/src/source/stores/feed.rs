//! Peers and namespaces for one who follows them change by change, as an index of policies does.

use std::sync::Arc;

use flock_core::attachment::PodName;
use flock_core::feed::{Changes, Cursor, Store};
use flock_core::selector::Labels;
use tokio::sync::watch;

use super::Stores;
use crate::source::reader::peer::PeerPod;

/// One consumer's way through the changes.
#[derive(Debug)]
pub struct Feed {
    stores: Arc<Stores>,
    changed: watch::Receiver<()>,
    peers: Cursor,
    namespaces: Cursor,
}

impl Feed {
    pub(super) fn of(stores: Arc<Stores>, changed: watch::Receiver<()>) -> Self {
        Self { stores, changed, peers: Cursor::default(), namespaces: Cursor::default() }
    }

    /// Waits until there may be changes.
    pub async fn changed(&mut self) {
        // The sender lives as long as the stores.
        let _ = self.changed.changed().await;
    }

    /// Takes in what has changed among the other nodes' pods since the last call. The store is the present one, for who is
    /// told to read it again; it is locked meanwhile.
    pub fn peers<T>(
        &mut self,
        take: impl FnOnce(Changes<PodName, PeerPod>, &Store<PodName, PeerPod>) -> T,
    ) -> T {
        let inner = self.stores.lock();
        take(inner.kinds.peers.changes(&mut self.peers), &inner.kinds.peers)
    }

    /// The same for namespaces' labels.
    pub fn namespaces<T>(
        &mut self,
        take: impl FnOnce(Changes<String, Labels>, &Store<String, Labels>) -> T,
    ) -> T {
        let inner = self.stores.lock();
        take(inner.kinds.namespaces.changes(&mut self.namespaces), &inner.kinds.namespaces)
    }
}
