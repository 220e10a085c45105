//! The file that says that BIRD was stopped on purpose.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::store::{Disk, Files as _};

/// Why BIRD is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A new BIRD follows at once: routers and the kernel keep the routes.
    Rollout,
    /// Traffic is to leave the node before the sessions end.
    Drain,
    /// The node goes down.
    Shutdown,
}

impl Purpose {
    pub fn as_str(self) -> &'static str {
        match self {
            Purpose::Rollout => "rollout",
            Purpose::Drain => "drain",
            Purpose::Shutdown => "shutdown",
        }
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `RUN_DIR/bird/stopped`: while it is there, nobody starts BIRD again, and nobody should configure it either: a
/// reconfiguration enables the protocols again that a drain has disabled.
#[derive(Debug, Clone)]
pub struct Marker {
    path: PathBuf,
}

impl Marker {
    /// The marker below `run_dir`.
    pub fn within(run_dir: &Path) -> Self {
        Self { path: super::dir(run_dir).join("stopped") }
    }

    /// Whether BIRD was, or is about to be, stopped on purpose.
    pub fn present(&self) -> bool {
        self.path.exists()
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Puts it there; its content is for people.
    pub(crate) fn set(&self, purpose: Purpose) -> io::Result<()> {
        if let Some(dir) = self.path.parent() {
            Disk.make_dir(dir)?;
        }
        Disk.write(&self.path, format!("{purpose}\n").as_bytes())
    }

    /// Takes it away if BIRD has made its socket since: then whoever stopped it has started it again, and it is not
    /// the one that is being drained.
    pub fn clear_if_older(&self, socket: &Path) {
        let modified = |path: &Path| path.metadata().and_then(|metadata| metadata.modified());
        let (Ok(stopped), Ok(started)) = (modified(&self.path), modified(socket)) else { return };
        if started > stopped
            && let Err(error) = self.clear()
        {
            tracing::warn!(%error, file = %self.path.display(), "cannot remove it; BIRD is not configured while it is there");
        }
    }

    /// Takes it away. One that is not there is fine.
    ///
    /// # Errors
    /// When the file cannot be removed.
    pub fn clear(&self) -> io::Result<()> {
        Disk.remove(&self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bird_that_was_started_since_is_not_the_one_that_was_stopped() {
        let dir = tempfile::tempdir().unwrap();
        let (marker, socket) = (Marker::within(dir.path()), dir.path().join("bird.ctl"));
        std::fs::write(&socket, "").unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20));
        marker.set(Purpose::Drain).unwrap();
        marker.clear_if_older(&socket);
        assert!(marker.present());
        std::thread::sleep(std::time::Duration::from_millis(20));
        std::fs::write(&socket, "").unwrap();
        marker.clear_if_older(&socket);
        assert!(!marker.present());
        marker.clear_if_older(&socket);
    }
}
