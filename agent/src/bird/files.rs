//! The configuration's files, readable by root alone: passwords are in them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use flock_core::bgp::render::{self, RenderError};

use crate::store::Files;

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

    /// Whether this text is the last good configuration.
    pub(super) fn is_last_good(&self, text: &str) -> bool {
        self.read_last_good() == text
    }

    /// The last good configuration; empty when it cannot be read.
    pub(super) fn read_last_good(&self) -> String {
        let content = self.files.read(&self.last_good()).unwrap_or_default();
        String::from_utf8_lossy(&content).into_owned()
    }

    /// Writes what is to be tried.
    pub(super) fn write_candidate(&self, text: &str) -> Result<(), ConfError> {
        self.write(self.candidate(), text)
    }

    /// Writes what BIRD runs, with other anycast routes.
    pub(super) fn write_anycast_update(&self, text: &str) -> Result<(), ConfError> {
        self.write(self.anycast_update(), text)
    }

    /// This is what BIRD is to be started with.
    pub(super) fn keep(&self, text: &str) -> Result<(), ConfError> {
        self.write(self.last_good(), text)
    }

    /// BIRD has read the file, and nobody needs it any more.
    pub(super) fn discard(&self, path: PathBuf) {
        if let Err(error) = self.files.remove(&path) {
            tracing::warn!(%error, file = %path.display(), "cannot remove a configuration that is not needed any more");
        }
    }

    fn write(&self, path: PathBuf, text: &str) -> Result<(), ConfError> {
        let written = self.files.write(&path, text.as_bytes());
        written.map_err(|cause| ConfError::File { action: "write", path, cause })
    }
}
