//! Keeps the kernel's routes to anycast addresses as they should be.

use std::collections::BTreeSet;
use std::future::Future;
use std::net::IpAddr;
use std::time::Duration;

use flock_core::anycast::{self, Groups, route_changes};
use flock_kernel::{KernelError, Routes};
use tokio::sync::watch;

use super::Programmed;
use crate::publish::publish_change;
use crate::supervision::turn;

const TRY_AGAIN: Duration = Duration::from_secs(1);

pub struct Programmer<K> {
    kernel: K,
    programmed: watch::Sender<Programmed>,
}

impl<K: Routes> Programmer<K> {
    /// Has done nothing yet.
    pub fn new(kernel: K) -> Self {
        Self { kernel, programmed: watch::channel(Programmed::default()).0 }
    }

    /// Follows what is in the kernel.
    pub fn follow(&self) -> watch::Receiver<Programmed> {
        self.programmed.subscribe()
    }

    /// Runs until `shutdown` is there. What is programmed stays. `looked` tells that the kernel may have changed.
    pub async fn run(
        self,
        mut groups: watch::Receiver<Groups>,
        mut looked: watch::Receiver<()>,
        shutdown: impl Future<Output = ()>,
    ) {
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            let wanted = groups.borrow_and_update().clone();
            let pause = if self.program(&wanted).await { Duration::MAX } else { TRY_AGAIN };
            tokio::select! {
                () = &mut shutdown => return,
                Ok(()) = groups.changed() => {}
                Ok(()) = looked.changed() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// One look at the kernel, and what follows from it; whether all is as it should be now.
    pub async fn program(&self, groups: &Groups) -> bool {
        let _turn = turn();
        let desired = anycast::routes(groups);
        let (routed, error) = self.route(&desired).await;
        let problem = error.map(|error| error.to_string());
        if let Some(problem) = problem.as_ref().filter(|_| problem != self.programmed.borrow().problem) {
            // A link that has just gone looks like this, too.
            tracing::warn!(problem, "anycast routes: will try again");
        }
        let done = problem.is_none();
        publish_change(&self.programmed, Programmed { routed, problem });
        done
    }

    /// The addresses whose routes are there, and what the kernel refuses.
    async fn route(&self, desired: &anycast::Routes) -> (BTreeSet<IpAddr>, Option<KernelError>) {
        match self.change_routes(desired).await {
            Ok(()) => (desired.keys().copied().collect(), None),
            Err(error) => {
                let routed = match self.kernel.anycast_routes().await {
                    Ok(there) => {
                        there.into_iter().filter(|(_, hops)| !hops.is_empty()).map(|(to, _)| to).collect()
                    }
                    // Who does not answer has not lost what he had.
                    Err(_) => self.programmed.borrow().routed.clone(),
                };
                (routed, Some(error))
            }
        }
    }

    async fn change_routes(&self, desired: &anycast::Routes) -> Result<(), KernelError> {
        let changes = route_changes(desired, &self.kernel.anycast_routes().await?);
        for change in &changes {
            tracing::info!(%change, "anycast");
        }
        self.kernel.change_anycast_routes(&changes).await
    }
}
