//! The configuration's files, readable by root alone: passwords are in them.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flock_core::bgp::pipeline::Conf;
use flock_core::bgp::render::{self, RenderError};

use crate::store::Files;
use crate::supervision::blocking;

/// `RUN_DIR/bird`.
#[derive(Debug, Clone)]
pub struct ConfFiles {
    files: Arc<dyn Files>,
    dir: PathBuf,
}

/// A step with a file failed.
#[derive(Debug, thiserror::Error)]
pub enum ConfError {
    /// The file system said no.
    #[error("{action} {}: {cause}", path.display())]
    File {
        /// What was being done.
        action: &'static str,
        path: PathBuf,
        cause: std::io::Error,
    },
    /// There is nothing to write.
    #[error(transparent)]
    Render(#[from] RenderError),
}

impl ConfFiles {
    /// The files below `run_dir`. Where BIRD has no configuration to start with, it gets one that does nothing.
    ///
    /// # Errors
    /// When the directory or that configuration cannot be written.
    pub fn open(files: impl Files, run_dir: &Path) -> Result<Self, ConfError> {
        let conf = Self { files: Arc::new(files), dir: run_dir.join("bird") };
        conf.files.make_dir(&conf.dir).map_err(|cause| ConfError::File {
            action: "make directory",
            path: conf.dir.clone(),
            cause,
        })?;
        if !conf.last_good().exists() {
            conf.write(conf.last_good(), &render::bootstrap()?.text)?;
        }
        Ok(conf)
    }

    /// What BIRD is started with: the last configuration that has proved itself.
    pub fn last_good(&self) -> PathBuf {
        self.dir.join("bird.conf")
    }

    /// What is on trial. It stays when it was taken back: people want to see it.
    pub fn candidate(&self) -> PathBuf {
        self.dir.join("candidate.conf")
    }

    /// What BIRD runs, with other anycast routes, on its way to BIRD.
    pub(super) fn anycast_update(&self) -> PathBuf {
        self.dir.join("anycast-update.conf")
    }

    /// The last good configuration; empty when it cannot be read.
    pub(super) fn read_last_good(&self) -> String {
        let content = self.files.read(&self.last_good()).unwrap_or_default();
        String::from_utf8_lossy(&content).into_owned()
    }

    /// Writes what is to be tried; where it is.
    pub(super) async fn write_candidate(&self, conf: Conf) -> Result<PathBuf, ConfError> {
        self.replace(self.candidate(), conf).await
    }

    /// Writes what BIRD runs, with other anycast routes; where it is.
    pub(super) async fn write_anycast_update(&self, conf: Conf) -> Result<PathBuf, ConfError> {
        self.replace(self.anycast_update(), conf).await
    }

    /// This is what BIRD is to be started with.
    pub(super) async fn keep(&self, conf: Conf) -> Result<(), ConfError> {
        self.replace(self.last_good(), conf).await.map(drop)
    }

    /// BIRD has read the file, and nobody needs it any more.
    pub(super) async fn discard(&self, path: PathBuf) {
        let files = self.clone();
        self.apart(path, move |path| files.files.remove(path), "remove").await.unwrap_or_else(|error| {
            tracing::warn!(%error, "a configuration that is not needed any more stays");
        });
    }

    /// Makes it the file's content, if it is not that already.
    async fn replace(&self, path: PathBuf, conf: Conf) -> Result<PathBuf, ConfError> {
        let files = self.clone();
        let write = move |path: &Path| {
            let text = conf.file().text;
            let is_there = files.files.read(path).is_ok_and(|there| there == text.as_bytes());
            if is_there { Ok(()) } else { files.files.write(path, text.as_bytes()) }
        };
        self.apart(path.clone(), write, "write").await.map(|()| path)
    }

    /// Files keep no worker waiting.
    async fn apart(
        &self,
        path: PathBuf,
        work: impl FnOnce(&Path) -> io::Result<()> + Send + 'static,
        action: &'static str,
    ) -> Result<(), ConfError> {
        let of = path.clone();
        let done = blocking(move || work(&of)).await;
        done.map_err(|cause| ConfError::File { action, path, cause })
    }

    fn write(&self, path: PathBuf, text: &str) -> Result<(), ConfError> {
        let written = self.files.write(&path, text.as_bytes());
        written.map_err(|cause| ConfError::File { action: "write", path, cause })
    }
}
