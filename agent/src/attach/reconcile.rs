//! The loop that keeps the node as it should be.
//!
//! ```text
//!  kernel events --+
//!  source changes -+--> coalesce --> reconcile (observe all, plan, apply) --> again soon, if somebody was busy
//!  timer ----------+                      |
//!                                         +--> on the timer only: sweep orphans, end rests
//! ```

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use flock_core::lifecycle::sweep::{Suspect, Sweeper};
use flock_kernel::{KernelEvents, Links, Node};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use crate::attach::Attachments;
use crate::environment::sleep_until;
use crate::source::Source;
use crate::supervision::turn;

/// Events within this time of the first one are one: a deleted link alone makes a dozen.
const COALESCE: Duration = Duration::from_millis(20);

/// At least this long between two looks, so that a busy node (every ADD makes events) spends its time on ADDs.
const APART: Duration = Duration::from_millis(200);

/// What the loop needs.
pub struct Reconciler<K, S> {
    /// What it works on.
    pub attachments: Arc<Attachments<K, S>>,
    pub events: KernelEvents,
    /// Told of each look: others have things in the kernel too.
    pub looked: watch::Sender<()>,
    /// The time between two sweeps, and at least between the two looks that make an orphan.
    pub sweep_interval: Duration,
}

/// Why the loop woke up.
enum Wake {
    Event,
    Timer,
}

impl<K: Links + Node, S: Source> Reconciler<K, S> {
    /// Runs until `shutdown` is there.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = std::pin::pin!(shutdown);
        let mut desired = self.attachments.follow_desired();
        let mut timer = tokio::time::interval(self.sweep_interval);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        timer.tick().await;
        let mut sweeper = Sweeper::default();
        let mut again: Option<Instant> = None;
        loop {
            let wake = tokio::select! {
                () = &mut shutdown => return,
                // That there are none any more is noticed where they come from.
                Some(_) = self.events.next() => Wake::Event,
                Ok(()) = desired.changed() => Wake::Event,
                () = sleep_until(again) => Wake::Event,
                _ = timer.tick() => Wake::Timer,
            };
            tokio::time::sleep(COALESCE).await;
            // The look sees what they are about.
            self.events.drain();
            again = self.look(&mut sweeper, wake).await;
            self.looked.send_replace(());
            tokio::time::sleep(APART).await;
        }
    }

    /// One look; when the next one is due at the latest, if not on the timer.
    async fn look(&self, sweeper: &mut Sweeper, wake: Wake) -> Option<Instant> {
        let _turn = turn();
        let reconciled = match self.attachments.reconcile().await {
            Ok(reconciled) => reconciled,
            Err(error) => {
                tracing::error!(%error, "cannot reconcile; will try again");
                return Some(Instant::now() + Duration::from_secs(1));
            }
        };
        if matches!(wake, Wake::Timer) {
            self.attachments.end_cool_downs();
            let orphans = sweeper.observe(self.attachments.now(), reconciled.suspects, self.sweep_interval);
            self.sweep(&orphans).await;
        }
        reconciled.again.then(|| Instant::now() + APART)
    }

    async fn sweep(&self, orphans: &[Suspect]) {
        for orphan in orphans {
            if let Err(error) = self.attachments.remove_orphan(orphan).await {
                tracing::warn!(?orphan, %error, "cannot remove an orphan; will try again");
            }
        }
    }
}
