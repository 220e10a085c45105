//! The agent's tasks, by name.
//!
//! All of them live as long as the process: one that ends or panics leaves a node on which something is not done any
//! more, and nobody notices. So it [fails](Tasks::failed), and the process ends with it: whoever started the agent starts
//! it anew, and nothing on the node changes in between. At [shutdown](Tasks::shut_down) one token cancels them all.
//!
//! ```text
//!           spawn, spawn_graceful              +--> ends, panics --> failed(): the process ends
//!  app ----------------------------> a task ---+
//!                                              +--> is in one [turn] for a minute --> stuck(): /livez says so
//! ```

mod heartbeat;

pub use self::heartbeat::{Turn, turn};

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use flock_core::supervision::{Ending, Failed};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::heartbeat::Heartbeat;

/// How long tasks and calls may take to end at shutdown; shorter than the 30 s that kubelet gives a pod.
const GRACE: Duration = Duration::from_secs(20);

/// Comes between the tasks and what they do: for tests.
pub trait Gate: Send + Sync + 'static {
    /// Called before each poll of a task, as a part of it: a panic is the task's.
    fn poll(&self, task: &str);
}

/// All tasks of a process. A handle: clones are the same.
#[derive(Clone)]
pub struct Tasks(Arc<Inner>);

struct Inner {
    shutdown: CancellationToken,
    tracker: TaskTracker,
    failed: watch::Sender<Option<Failed>>,
    heartbeats: Mutex<Vec<Arc<Heartbeat>>>,
    gate: Option<Box<dyn Gate>>,
}

impl Default for Tasks {
    fn default() -> Self {
        Self::with(None)
    }
}

impl Tasks {
    /// Tasks that go through a gate: for tests.
    pub fn through(gate: impl Gate) -> Self {
        Self::with(Some(Box::new(gate)))
    }

    fn with(gate: Option<Box<dyn Gate>>) -> Self {
        Self(Arc::new(Inner {
            shutdown: CancellationToken::new(),
            tracker: TaskTracker::new(),
            failed: watch::Sender::new(None),
            heartbeats: Mutex::default(),
            gate,
        }))
    }

    /// Starts a task that is dropped at shutdown, wherever it waits.
    pub fn spawn(&self, name: impl Into<String>, work: impl Future<Output = ()> + Send + 'static) {
        let shutdown = self.0.shutdown.clone();
        self.spawn_graceful(name, async move {
            shutdown.run_until_cancelled_owned(work).await;
        });
    }

    /// Starts a task that ends by itself once it is [cancelled](Tasks::cancelled), with nothing half done.
    pub fn spawn_graceful(&self, name: impl Into<String>, work: impl Future<Output = ()> + Send + 'static) {
        let heartbeat = Arc::new(Heartbeat::new(name.into()));
        self.heartbeats().push(Arc::clone(&heartbeat));
        let mut work = Box::pin(work);
        let tasks = self.clone();
        let supervised = std::future::poll_fn(move |context| {
            let _turn = heartbeat.begin();
            let poll = || {
                tasks.0.gate.iter().for_each(|gate| gate.poll(heartbeat.name()));
                work.as_mut().poll(context)
            };
            let polled = catch_unwind(AssertUnwindSafe(|| heartbeat.current(poll)));
            let ending = match polled {
                Ok(Poll::Pending) => return Poll::Pending,
                Ok(Poll::Ready(())) => Ending::Ended,
                Err(panic) => Ending::of_panic(&*panic),
            };
            heartbeat.end();
            tasks.ended(heartbeat.name(), ending);
            Poll::Ready(())
        });
        self.0.tracker.spawn(supervised);
    }

    /// Starts a call's own task: it may end, whoever called is told how, and shutdown waits for it.
    pub fn spawn_call<T: Send + 'static>(
        &self,
        call: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.0.tracker.spawn(call)
    }

    fn ended(&self, task: &str, ending: Ending) {
        if ending != Ending::Ended || !self.0.shutdown.is_cancelled() {
            self.fail(Failed { task: task.to_owned(), ending });
        }
    }

    /// Something that is not one of these tasks has failed as one of them would. The first failure counts.
    pub fn fail(&self, failed: Failed) {
        tracing::error!("{failed}");
        self.0.failed.send_if_modified(|first| {
            let is_first = first.is_none();
            first.get_or_insert(failed);
            is_first
        });
    }

    /// Waits until a task has ended before its time.
    pub async fn failed(&self) -> Failed {
        let mut failed = self.0.failed.subscribe();
        match failed.wait_for(Option::is_some).await.map(|failed| failed.clone()) {
            Ok(Some(failed)) => failed,
            // Not while this handle is there.
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }

    /// Waits for the shutdown.
    pub fn cancelled(&self) -> impl Future<Output = ()> + Send + use<> {
        self.0.shutdown.clone().cancelled_owned()
    }

    /// Lets all tasks end. Does not wait for them.
    pub fn cancel(&self) {
        self.0.shutdown.cancel();
    }

    /// Lets all tasks end, and waits for them and for calls that are under way, but not for ever.
    pub async fn shut_down(&self) {
        self.cancel();
        self.0.tracker.close();
        if tokio::time::timeout(GRACE, self.0.tracker.wait()).await.is_err() {
            let heartbeats = self.heartbeats();
            let left: Vec<&str> = heartbeats
                .iter()
                .filter(|heartbeat| !heartbeat.has_ended())
                .map(|left| left.name())
                .collect();
            tracing::warn!(tasks = ?left, calls = self.0.tracker.len() - left.len(), "not waiting any longer for what is still at work");
        }
    }

    /// The task that has been in one turn for a minute, in words; none: all are well.
    pub fn stuck(&self) -> Option<String> {
        self.heartbeats().iter().find_map(|heartbeat| heartbeat.stuck())
    }

    fn heartbeats(&self) -> MutexGuard<'_, Vec<Arc<Heartbeat>>> {
        self.0.heartbeats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Does what blocks, on a thread where it may, as a part of the task that waits for it: its panic is the task's.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let done = tokio::task::spawn_blocking(work).await;
    match done.map_err(tokio::task::JoinError::try_into_panic) {
        Ok(done) => done,
        Err(Ok(panic)) => resume_unwind(panic),
        // The runtime is about to end, and this task with it.
        Err(Err(_)) => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
