//! The few things that the store does with files, behind a trait: so that a test can cut them off at any step.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use crate::replace;

/// Files, as the store needs them. Each call is one step: it happens whole, or not at all.
pub trait Files: fmt::Debug + Send + Sync + 'static {
    /// Makes a directory, readable by its owner alone, with those above it. One that exists is fine.
    fn make_dir(&self, dir: &Path) -> io::Result<()>;
    /// The names in a directory, sorted.
    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>>;
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// Replaces a file's content: a reader, or a restart, sees the old or the new one.
    fn write(&self, path: &Path, content: &[u8]) -> io::Result<()>;
    /// Moves a file, over another one if need be.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file. One that is not there is fine.
    fn remove(&self, path: &Path) -> io::Result<()>;
}

#[derive(Debug, Clone, Copy, Default)]
pub struct Disk;

/// The suffix of a file that is being written; what a crash leaves of it is no record.
pub(super) const TEMPORARY: &str = ".tmp";

impl Files for Disk {
    fn make_dir(&self, dir: &Path) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        let mut names =
            fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()?;
        names.sort();
        Ok(names)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn write(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(TEMPORARY);
        replace::replace_through(Path::new(&temporary), path, content, 0o600)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to).and_then(|()| replace::sync_folder(to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        replace::remove_if_there(path).map(drop)
    }
}
