//! The folder of manifests: every `*.yaml`, `*.yml` and `*.json` in it, several documents per file, followed live.
//!
//! A file that cannot be read as a whole keeps the objects that it had when it last could; the others go on. So a
//! typing error, or a file seen while it is being written, takes nothing away.
//!
//! ```text
//!  inotify ──event──▶ Notices ──Scope──▶ Files::read ──▶ merge ──▶ watch<Desired>
//!                        ▲                   ▲
//!                   every 30 s            refresh
//! ```

mod file;
mod merge;
mod notices;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use flock_core::attachment::PodName;
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::watch;

use self::file::Files;
use self::merge::merge;
use self::notices::{Notices, Scope};
use super::{Desired, Problem, Source};

/// The manifests of one node.
#[derive(Debug)]
pub struct Manifests {
    dir: PathBuf,
    node: String,
    files: Mutex<Files>,
    notices: Arc<Notices>,
    desired: watch::Sender<Arc<Desired>>,
}

/// The folder cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum ManifestsError {
    /// It cannot be read.
    #[error("manifests folder {dir}: {cause}: create it, or name another one with --manifests")]
    Folder {
        /// The folder.
        dir: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// Its changes cannot be followed.
    #[error("cannot follow changes in manifests folder {dir}: {cause}")]
    Watch {
        /// The folder.
        dir: PathBuf,
        /// Why.
        cause: notify::Error,
    },
}

impl Manifests {
    /// Reads the folder for the first time.
    pub fn open(dir: &Path, node: &str) -> Result<Arc<Self>, ManifestsError> {
        let manifests = Self {
            dir: dir.to_owned(),
            node: node.to_owned(),
            files: Mutex::default(),
            notices: Arc::default(),
            desired: watch::channel(Arc::default()).0,
        };
        let fail = |cause| ManifestsError::Folder { dir: dir.to_owned(), cause };
        manifests.read(&Scope::default()).map_err(fail)?;
        Ok(Arc::new(manifests))
    }

    /// Follows the folder until the process ends.
    pub fn follow(self: &Arc<Self>) -> Result<(), ManifestsError> {
        let watcher = self.watcher()?;
        // What has changed since it was opened made no event.
        self.notices.anything();
        let manifests = Arc::clone(self);
        tokio::spawn(async move {
            let _watcher = watcher;
            manifests.notices.readings(|scope| manifests.reread(scope)).await;
        });
        Ok(())
    }

    fn watcher(&self) -> Result<RecommendedWatcher, ManifestsError> {
        let fail = |cause| ManifestsError::Watch { dir: self.dir.clone(), cause };
        let notices = Arc::clone(&self.notices);
        let mut watcher = notify::recommended_watcher(move |event| notices.take(event)).map_err(fail)?;
        watcher.watch(&self.dir, RecursiveMode::NonRecursive).map_err(fail)?;
        Ok(watcher)
    }

    async fn reread(self: &Arc<Self>, scope: Scope) {
        let manifests = Arc::clone(self);
        let outcome = tokio::task::spawn_blocking(move || manifests.read(&scope)).await;
        if let Ok(Err(cause)) = outcome {
            tracing::error!(dir = %self.dir.display(), %cause, "cannot read the manifests folder; the last good state stays");
        }
    }

    /// Reads what has changed and publishes the whole.
    fn read(&self, scope: &Scope) -> io::Result<()> {
        // Held until it is published: of two readings at a time the one that began later is not overtaken.
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.read(&self.dir, scope)?;
        self.publish(merge(&files, &self.node));
        Ok(())
    }

    fn publish(&self, desired: Desired) {
        self.desired.send_if_modified(|current| {
            let changed = **current != desired;
            if changed {
                log_new_problems(&current.problems, &desired.problems);
                *current = Arc::new(desired);
            }
            changed
        });
    }
}

impl Source for Arc<Manifests> {
    fn desired(&self) -> watch::Receiver<Arc<Desired>> {
        self.desired.subscribe()
    }

    async fn refresh(&self, _pod: &PodName) {
        self.reread(self.notices.scope()).await;
    }

    fn advice(&self, object: &str) -> String {
        format!("write {object} into {}", self.dir.display())
    }
}

fn log_new_problems(before: &[Problem], now: &[Problem]) {
    for problem in now.iter().filter(|problem| !before.contains(problem)) {
        tracing::error!(
            file = %problem.file.display(),
            line = problem.line,
            reason = problem.reason,
            "manifest not obeyed; where it said something else before, that stays"
        );
    }
}

#[cfg(test)]
mod tests;
