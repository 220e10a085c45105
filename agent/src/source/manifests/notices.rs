//! When the folder is read: what its events mean, and how often that makes a reading.
//!
//! * An event that ends a change (a file was closed after writing, renamed, removed) makes a reading at once.
//! * One that begins or continues a change makes a reading [`SETTLE`] later, unless one that ends it comes first; until
//!   then the file is left alone.
//! * Two readings begin [`PACE`] apart at least.
//! * Each event is followed by a reading that begins after it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, ModifyKind, RenameMode};
use notify::{Event, EventKind};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::file::is_manifest;

/// Time between the beginnings of two readings: however many events there are, most of the time is left to others.
const PACE: Duration = Duration::from_millis(50);

/// Whoever writes a file in place is given this long from the first event on to close it.
const SETTLE: Duration = Duration::from_millis(50);

/// The folder is read this often even without an event: some file systems (NFS, FUSE) give none.
const RESCAN: Duration = Duration::from_secs(30);

/// What a reading is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Scope {
    /// Which files are read.
    pub(super) which: Which,
    /// Files that somebody is writing: they keep the objects that they had.
    pub(super) unfinished: BTreeSet<PathBuf>,
}

/// Which files are read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Which {
    /// Those that look different from when they were read.
    #[default]
    Changed,
    /// All of them, whatever they look like.
    All,
}

/// What the folder's events have said since the last reading.
#[derive(Debug, Default)]
pub(super) struct Notices {
    state: Mutex<State>,
    news: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// When a change has ended.
    finished: Option<Instant>,
    /// Changes that have begun, and when that was noticed first.
    unfinished: BTreeMap<PathBuf, Instant>,
}

/// What an event says about a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Nothing,
    /// What was to come of a change has come of it under another name.
    Gone,
    Unfinished,
    Finished,
}

impl Notices {
    /// Takes an event in.
    pub(super) fn take(&self, event: notify::Result<Event>) {
        match event {
            Ok(event) if !event.paths.is_empty() => self.state().take(&event, Instant::now()),
            // The queue has run over, or cannot be read.
            Ok(_) | Err(_) => self.state().finish(Instant::now()),
        }
        self.news.notify_one();
    }

    /// Anything may have changed.
    pub(super) fn anything(&self) {
        self.state().finish(Instant::now());
        self.news.notify_one();
    }

    /// The scope of a reading that no event has made.
    pub(super) fn scope(&self) -> Scope {
        self.state().scope(Which::Changed, Instant::now())
    }

    /// Has everything read that is to be read, without end.
    pub(super) async fn readings<F: Future<Output = ()>>(&self, mut read: impl FnMut(Scope) -> F) {
        let mut rescan = Instant::now() + RESCAN;
        loop {
            let scope = self.due(rescan).await;
            let begun = Instant::now();
            if scope.which == Which::All {
                rescan = begun + RESCAN;
            }
            read(scope).await;
            sleep_until(begun + PACE).await;
        }
    }

    async fn due(&self, rescan: Instant) -> Scope {
        loop {
            let now = Instant::now();
            let due = self.state().due().map_or(rescan, |due| due.min(rescan));
            if due <= now {
                let which = if rescan <= now { Which::All } else { Which::Changed };
                return self.state().begin(which, now);
            }
            tokio::select! {
                () = self.news.notified() => {}
                () = sleep_until(due) => {}
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take(&mut self, event: &Event, now: Instant) {
        for (index, path) in event.paths.iter().enumerate() {
            match meaning(event.kind, index, is_manifest(path)) {
                Meaning::Nothing => {}
                Meaning::Gone => {
                    self.unfinished.remove(path);
                }
                Meaning::Unfinished => {
                    self.unfinished.entry(path.clone()).or_insert(now);
                }
                Meaning::Finished => {
                    self.unfinished.remove(path);
                    self.finish(now);
                }
            }
        }
    }

    fn finish(&mut self, now: Instant) {
        self.finished.get_or_insert(now);
    }

    fn due(&self) -> Option<Instant> {
        let settled = || self.unfinished.values().min().map(|since| *since + SETTLE);
        self.finished.or_else(settled)
    }

    /// Whatever was said up to now is done with by the reading that begins.
    fn begin(&mut self, which: Which, now: Instant) -> Scope {
        self.finished = None;
        self.unfinished.retain(|_, since| now < *since + SETTLE);
        self.scope(which, now)
    }

    fn scope(&self, which: Which, now: Instant) -> Scope {
        let unfinished = self.unfinished.iter().filter(|(_, since)| now < **since + SETTLE);
        Scope { which, unfinished: unfinished.map(|(path, _)| path.clone()).collect() }
    }
}

/// What an event says about one of its paths. A temporary file's content says nothing, its new name does; so does that
/// of a ConfigMap volume's `..data`, which the manifests are links into.
fn meaning(kind: EventKind, index: usize, manifest: bool) -> Meaning {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) if manifest => Meaning::Finished,
        EventKind::Access(_) => Meaning::Nothing,
        EventKind::Modify(ModifyKind::Data(_)) if !manifest => Meaning::Nothing,
        // Comes after the events of the old name and of the new one.
        EventKind::Modify(ModifyKind::Name(RenameMode::Both)) if index == 0 => Meaning::Gone,
        EventKind::Modify(ModifyKind::Name(RenameMode::Both)) => Meaning::Nothing,
        EventKind::Modify(ModifyKind::Name(RenameMode::To)) => Meaning::Finished,
        EventKind::Modify(ModifyKind::Name(_)) | EventKind::Remove(_) if manifest => Meaning::Finished,
        _ => Meaning::Unfinished,
    }
}

#[cfg(test)]
mod tests;
