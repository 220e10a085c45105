//! Keeps the steering of established connections as it should be. Apart from the routes to the addresses, which wait for
//! nothing.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use flock_core::desired::Desired;
use flock_core::node::EstablishedConnections;
use flock_core::record::Claimants;
use flock_core::steering::{SteeredPod, Steering};
use flock_kernel::{Firewall, Routes};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::environment::sleep_until;
use crate::publish::publish_change;
use crate::supervision::turn;

const TRY_AGAIN: Duration = Duration::from_secs(5);

/// Between two looks at rules and routes that have not changed: a busy node's kernel tells of changes all the time. The
/// table needs no looks: it is owned, or the kernel tells of others' changes.
const APART: Duration = Duration::from_secs(1);

pub struct Steerer<K> {
    kernel: K,
    desired: watch::Receiver<Arc<Desired>>,
    claimants: watch::Receiver<Claimants>,
    problem: watch::Sender<Option<String>>,
}

impl<K: Routes + Firewall> Steerer<K> {
    /// Has done nothing yet. Tells `problem` why established connections cannot be steered.
    pub fn new(
        kernel: K,
        desired: watch::Receiver<Arc<Desired>>,
        claimants: watch::Receiver<Claimants>,
        problem: watch::Sender<Option<String>>,
    ) -> Self {
        Self { kernel, desired, claimants, problem }
    }

    /// Runs until `shutdown` is there. What is steered stays. `looked` tells that the kernel may have changed.
    pub async fn run(mut self, mut looked: watch::Receiver<()>, shutdown: impl Future<Output = ()>) {
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            let steering = self.wanted();
            let mut due = if self.steer(&steering).await { None } else { Some(Instant::now() + TRY_AGAIN) };
            let apart = Instant::now() + APART;
            loop {
                tokio::select! {
                    () = &mut shutdown => return,
                    Ok(()) = self.desired.changed() => {}
                    Ok(()) = self.claimants.changed() => {}
                    Ok(()) = looked.changed() => due = Some(due.map_or(apart, |due| due.min(apart))),
                    () = sleep_until(due) => break,
                }
                if self.wanted() != steering {
                    break;
                }
            }
        }
    }

    /// Lets the kernel steer so; whether it does.
    pub async fn steer(&self, steering: &Steering) -> bool {
        let _turn = turn();
        let outcome = flock_kernel::steer(&self.kernel, steering).await;
        let problem = outcome.err().map(|error| error.to_string());
        if let Some(problem) = problem.as_ref().filter(|_| problem != *self.problem.borrow()) {
            tracing::error!(problem, "established connections cannot be steered; will try again");
        }
        let done = problem.is_none();
        publish_change(&self.problem, problem);
        done
    }

    /// How established connections are to be steered.
    pub fn wanted(&mut self) -> Steering {
        let desired = self.desired.borrow_and_update().clone();
        let established = desired.node.as_ref().map(|node| node.anycast.established).unwrap_or_default();
        let claimants = self.claimants.borrow_and_update();
        if established == EstablishedConnections::Move {
            return Steering::default();
        }
        let with_slot = claimants.values().filter_map(|record| Some((record.claimed.slot?, record)));
        let pods = with_slot.map(|(slot, record)| {
            let anycast = record.claimed.anycast.clone();
            (slot, SteeredPod { link: record.host_link.clone(), addresses: record.addresses, anycast })
        });
        Steering { pods: pods.collect() }
    }
}
