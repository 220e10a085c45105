//! The peers that claim anycast addresses, kept up with change by change.

use std::collections::BTreeMap;
use std::sync::Arc;

use flock_core::attachment::PodName;
use flock_core::feed::{Change, Changes, Cursor, Store};
use flock_core::pod::Pod;

use crate::source::reader::peer::PeerPod;

/// The peers that claim anycast addresses.
#[derive(Debug, Default)]
pub(super) struct Claiming {
    cursor: Cursor,
    pods: BTreeMap<PodName, Arc<Pod>>,
}

impl Claiming {
    pub(super) fn iter(&self) -> impl Iterator<Item = (PodName, Arc<Pod>)> {
        self.pods.iter().map(|(name, pod)| (name.clone(), Arc::clone(pod)))
    }

    /// Takes in what has changed, and says whether any of these is another now. `visited` counts the peers looked at.
    pub(super) fn follow(&mut self, peers: &Store<PodName, PeerPod>, visited: &mut u64) -> bool {
        match peers.changes(&mut self.cursor) {
            Changes::Since(changes) => {
                *visited += changes.len() as u64;
                // All of them are applied, whichever is the first that changes something.
                let changed = changes.into_iter().filter(|change| self.apply(change)).count();
                changed > 0
            }
            Changes::Relisted => {
                let claims = |(name, peer): (&PodName, &Arc<PeerPod>)| {
                    *visited += 1;
                    Some((name.clone(), peer.claims.clone()?))
                };
                let pods = peers.iter().filter_map(claims).collect();
                let changed = self.pods != pods;
                self.pods = pods;
                changed
            }
        }
    }

    fn apply(&mut self, change: &Change<PodName, PeerPod>) -> bool {
        let (name, claims) = match change {
            Change::Applied(name, peer) => (name.clone(), peer.claims.clone()),
            Change::Deleted(name) => (name.clone(), None),
        };
        let former = match &claims {
            Some(pod) => self.pods.insert(name, Arc::clone(pod)),
            None => self.pods.remove(&name),
        };
        former != claims
    }
}
