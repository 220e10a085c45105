//! The folder of manifests: every `*.yaml`, `*.yml` and `*.json` in it, several documents per file, followed live.
//!
//! A file that cannot be read as a whole keeps the objects that it had when it last could; the others go on. So a
//! typing error, or a file seen while it is being written, takes nothing away.
//!
//! ```text
//!  inotify ──event──▶ Notices ──Scope──▶ Files::read ──▶ Index ──▶ Stores ──▶ compose ──▶ watch<Desired>
//!                        ▲                   ▲
//!                   every 30 s            refresh
//! ```

mod file;
mod index;
mod notices;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flock_core::attachment::PodName;
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::watch;

use self::file::{File, Files};
use self::index::Index;
use self::notices::{Notices, Scope};
use super::compose::{Composer, Save};
use super::stores::{Feed, Stores};
use super::{Desired, Source, Work, log_new_problems};
use crate::store::Files as Storage;
use crate::supervision::{Tasks, blocking, turn};

/// The manifests of one node.
#[derive(Debug)]
pub struct Manifests {
    dir: PathBuf,
    node: String,
    stores: Arc<Stores>,
    read: Mutex<Reader>,
    notices: Arc<Notices>,
    desired: watch::Sender<Arc<Desired>>,
    known: watch::Sender<bool>,
    trouble: watch::Sender<Option<String>>,
}

/// The files, and what is made of them.
#[derive(Debug)]
struct Reader {
    files: Files,
    index: Index,
    composer: Composer,
    work: Work,
}

/// The folder cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum ManifestsError {
    /// It cannot be read.
    #[error("manifests folder {dir}: {cause}: create it, or name another one with --manifests")]
    Folder { dir: PathBuf, cause: io::Error },
    /// Its changes cannot be followed.
    #[error("cannot follow changes in manifests folder {dir}: {cause}")]
    Watch { dir: PathBuf, cause: notify::Error },
}

impl Manifests {
    /// Reads the folder for the first time. The last good configuration is remembered as long as the agent lives.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn open(dir: &Path, node: &str) -> Result<Arc<Self>, ManifestsError> {
        Self::with(dir, node, Composer::new(node))
    }

    /// As [`Manifests::open`], with the last good configuration kept in `run_dir` for a restart.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn open_kept(
        dir: &Path,
        node: &str,
        storage: impl Storage,
        run_dir: &Path,
    ) -> Result<Arc<Self>, ManifestsError> {
        Self::with(dir, node, Composer::kept_in(node, storage, run_dir))
    }

    fn with(dir: &Path, node: &str, composer: Composer) -> Result<Arc<Self>, ManifestsError> {
        let manifests = Self {
            dir: dir.to_owned(),
            node: node.to_owned(),
            stores: Stores::new(),
            read: Mutex::new(Reader {
                files: Files::default(),
                index: Index::default(),
                composer,
                work: Work::default(),
            }),
            notices: Arc::default(),
            desired: watch::channel(Arc::default()).0,
            known: watch::Sender::new(true),
            trouble: watch::Sender::new(None),
        };
        let fail = |cause| ManifestsError::Folder { dir: dir.to_owned(), cause };
        manifests.read(&Scope::default()).map_err(fail)?;
        Ok(Arc::new(manifests))
    }

    /// Follows the folder in a task.
    ///
    /// # Errors
    /// When it cannot be followed.
    pub fn follow(self: &Arc<Self>, tasks: &Tasks) -> Result<(), ManifestsError> {
        let watcher = self.watcher()?;
        // What has changed since it was opened made no event.
        self.notices.anything();
        let manifests = Arc::clone(self);
        tasks.spawn("manifests", async move {
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
        let _turn = turn();
        let manifests = Arc::clone(self);
        if let Err(cause) = blocking(move || manifests.read(&scope)).await {
            tracing::error!(dir = %self.dir.display(), %cause, "cannot read the manifests folder; the last good state stays");
        }
    }

    /// The other nodes' pods and the namespaces, change by change.
    pub fn feed(&self) -> Feed {
        self.stores.feed()
    }

    /// How much has been done for consumers of the Desired.
    pub fn work(&self) -> Work {
        let work = self.reader().work;
        Work { objects: self.stores.lock().visited(), ..work }
    }

    fn reader(&self) -> MutexGuard<'_, Reader> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads what has changed, and publishes the whole if that concerns it.
    fn read(&self, scope: &Scope) -> io::Result<()> {
        // Held until it is published: of two readings at a time the one that began later is not overtaken.
        let mut reader = self.reader();
        let Reader { files, index, .. } = &mut *reader;
        let changed = files.read(&self.dir, scope)?;
        let mut concerns = changed.problems;
        for change in changed.objects {
            concerns |= index.change(change, &self.stores, &self.node);
        }
        if concerns || reader.work.compositions == 0 {
            self.compose(&mut reader);
        }
        Ok(())
    }

    fn compose(&self, reader: &mut Reader) {
        let Reader { files, index, composer, work } = reader;
        let problems = files.iter().flat_map(File::problems).cloned().chain(index.problems()).collect();
        let unreadable = files.iter().flat_map(File::unreadable).collect();
        let objects = self.stores.lock().objects(unreadable);
        let desired = composer.compose(objects, problems);
        // A folder is read where blocking is fine.
        composer.unsaved().into_iter().for_each(Save::run);
        work.compositions += 1;
        work.publications += u64::from(self.publish(desired));
    }

    /// Says whether it is another.
    fn publish(&self, desired: Desired) -> bool {
        self.desired.send_if_modified(|current| {
            let changed = **current != desired;
            if changed {
                log_new_problems(&current.problems, &desired.problems);
                *current = Arc::new(desired);
            }
            changed
        })
    }
}

impl Source for Arc<Manifests> {
    fn desired(&self) -> watch::Receiver<Arc<Desired>> {
        self.desired.subscribe()
    }

    /// The folder is read before anybody asks.
    fn follow_known(&self) -> watch::Receiver<bool> {
        self.known.subscribe()
    }

    fn follow_trouble(&self) -> watch::Receiver<Option<String>> {
        self.trouble.subscribe()
    }

    async fn refresh(&self, _pod: &PodName, _uid: Option<&str>) {
        self.reread(self.notices.scope()).await;
    }

    fn advice(&self, object: &str) -> String {
        format!("write {object} into {}", self.dir.display())
    }
}

#[cfg(test)]
mod tests;
