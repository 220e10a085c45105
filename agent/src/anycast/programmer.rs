//! Keeps the kernel's routes to anycast addresses, and the steering of established connections, as they should be.

use std::collections::BTreeSet;
use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flock_core::anycast::{self, Groups, Routes, route_changes};
use flock_core::node::EstablishedConnections;
use flock_core::steering::{SteeredPod, Steering};
use flock_kernel::{Kernel, KernelError};
use tokio::sync::{Notify, watch};

use crate::attach::{Attachments, Claimants};
use crate::source::{Desired, Source};

/// After a failure.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// What others do to the steering is noticed after this time: nothing tells of it, and asking takes a process.
const STEER_EVERY: Duration = Duration::from_secs(30);

/// The programmer.
pub struct Programmer<K, S> {
    attachments: Arc<Attachments<K, S>>,
    desired: watch::Receiver<Arc<Desired>>,
    claimants: watch::Receiver<Claimants>,
    programmed: watch::Sender<BTreeSet<IpAddr>>,
    look: Arc<Notify>,
    /// What was steered last, and when the kernel was asked; none: it is to be asked.
    steered: Option<(Steering, Instant)>,
    /// The last failure of each kind, told once.
    told: BTreeSet<String>,
}

impl<K: Kernel, S: Source> Programmer<K, S> {
    /// Has done nothing yet.
    pub fn new(attachments: Arc<Attachments<K, S>>) -> Self {
        Self {
            desired: attachments.follow_desired(),
            claimants: attachments.follow_claimants(),
            attachments,
            programmed: watch::channel(BTreeSet::new()).0,
            look: Arc::default(),
            steered: None,
            told: BTreeSet::new(),
        }
    }

    /// Follows the addresses whose routes are in the kernel.
    pub fn follow(&self) -> watch::Receiver<BTreeSet<IpAddr>> {
        self.programmed.subscribe()
    }

    /// Wakes the programmer, because the kernel may have changed.
    pub fn waker(&self) -> Arc<Notify> {
        Arc::clone(&self.look)
    }

    /// Runs until `shutdown` is there. What is programmed stays.
    pub async fn run(mut self, mut groups: watch::Receiver<Groups>, shutdown: impl Future<Output = ()>) {
        let mut shutdown = std::pin::pin!(shutdown);
        let look = self.waker();
        loop {
            let wanted = groups.borrow_and_update().clone();
            let pause = if self.program(&wanted).await { Duration::MAX } else { TRY_AGAIN };
            tokio::select! {
                () = &mut shutdown => return,
                Ok(()) = groups.changed() => {}
                Ok(()) = self.desired.changed() => {}
                Ok(()) = self.claimants.changed() => {}
                () = look.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// One look at the kernel, and what follows from it; whether all is as it should be now.
    pub async fn program(&mut self, groups: &Groups) -> bool {
        let desired = anycast::routes(groups);
        let routed = self.route(&desired).await;
        let steered = self.steer().await;
        let mut failures = BTreeSet::new();
        for error in [routed.err(), steered.err()].into_iter().flatten() {
            failures.insert(error.to_string());
        }
        for error in failures.difference(&self.told) {
            tracing::error!(error, "anycast: will try again");
        }
        self.told = failures;
        self.told.is_empty()
    }

    async fn route(&self, desired: &Routes) -> Result<(), KernelError> {
        let kernel = self.attachments.kernel();
        let changes = route_changes(desired, &kernel.anycast_routes().await?);
        for change in &changes {
            tracing::info!(%change, "anycast");
        }
        let outcome = kernel.change_anycast_routes(&changes).await;
        let there = match &outcome {
            Ok(()) => desired.clone(),
            Err(_) => kernel.anycast_routes().await?,
        };
        let there =
            there.into_iter().filter(|(_, hops)| !hops.is_empty()).map(|(address, _)| address).collect();
        self.programmed.send_if_modified(|current| {
            let changed = *current != there;
            *current = there;
            changed
        });
        outcome
    }

    async fn steer(&mut self) -> Result<(), KernelError> {
        let steering = self.steering();
        let is_same = |(last, at): &(Steering, Instant)| *last == steering && at.elapsed() < STEER_EVERY;
        if self.steered.as_ref().is_some_and(is_same) {
            return Ok(());
        }
        self.steered = None;
        self.attachments.kernel().steer(&steering).await?;
        self.steered = Some((steering, Instant::now()));
        Ok(())
    }

    fn steering(&mut self) -> Steering {
        let desired = self.desired.borrow_and_update().clone();
        let established = desired.node.as_ref().map(|node| node.anycast.established).unwrap_or_default();
        let claimants = self.claimants.borrow_and_update();
        if established == EstablishedConnections::Move {
            return Steering::default();
        }
        let with_slot = claimants.values().filter_map(|record| Some((record.claimed.slot?, record)));
        let mut steering = Steering::default();
        for (slot, record) in with_slot {
            steering.addresses.extend(&record.claimed.anycast);
            let pod = SteeredPod { link: record.host_link.clone(), addresses: record.addresses };
            steering.pods.insert(slot, pod);
        }
        steering
    }
}
