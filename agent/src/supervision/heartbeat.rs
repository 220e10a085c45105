//! Whether a task turns.
//!
//! A task that nothing wakes is idle, and well. One that does not come to the end of a turn is stuck: a turn is a poll,
//! which blocks a worker thread as long as it takes, or whatever a loop says to be one ([`turn`]).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// No turn takes so long.
const LONGEST_TURN: Duration = Duration::from_secs(60);

tokio::task_local! {
    static CURRENT: Arc<Heartbeat>;
}

/// Begins a turn of the calling task, which lasts until this is dropped: a round of work whose end does not depend on
/// others' news. Of a task that is not supervised it says nothing.
pub fn turn() -> Turn {
    CURRENT.try_with(|current| current.begin()).unwrap_or_default()
}

/// A turn.
#[derive(Debug, Default)]
#[must_use]
pub struct Turn(Option<(Arc<Heartbeat>, u64)>);

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some((heartbeat, number)) = self.0.take() {
            heartbeat.turns().open.retain(|(open, _)| *open != number);
        }
    }
}

/// The turns of one task.
#[derive(Debug)]
pub(super) struct Heartbeat {
    name: String,
    turns: Mutex<Turns>,
    has_ended: AtomicBool,
}

#[derive(Debug, Default)]
struct Turns {
    begun: u64,
    /// Those that have not ended, by number, oldest first. A poll is within a round, and a task may make several rounds at once.
    open: Vec<(u64, Instant)>,
}

impl Heartbeat {
    pub(super) fn new(name: String) -> Self {
        Self { name, turns: Mutex::default(), has_ended: AtomicBool::new(false) }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn begin(self: &Arc<Self>) -> Turn {
        let mut turns = self.turns();
        turns.begun += 1;
        let number = turns.begun;
        turns.open.push((number, Instant::now()));
        Turn(Some((Arc::clone(self), number)))
    }

    /// Polls the task that this belongs to.
    pub(super) fn current<T>(self: &Arc<Self>, poll: impl FnOnce() -> T) -> T {
        CURRENT.sync_scope(Arc::clone(self), poll)
    }

    /// The task has ended.
    pub(super) fn end(&self) {
        self.has_ended.store(true, Ordering::Relaxed);
    }

    pub(super) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Relaxed)
    }

    #[cfg(test)]
    pub(super) fn is_in_turn(&self) -> bool {
        !self.turns().open.is_empty()
    }

    /// What is wrong, in words.
    pub(super) fn stuck(&self) -> Option<String> {
        let age = self.turns().open.first()?.1.elapsed();
        let (name, seconds) = (&self.name, age.as_secs());
        (age >= LONGEST_TURN)
            .then(|| format!("task {name} is stuck: it has been at one thing for {seconds} s"))
    }

    fn turns(&self) -> MutexGuard<'_, Turns> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
