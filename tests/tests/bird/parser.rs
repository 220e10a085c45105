//! `bird -p`: parse a configuration and say nothing, or say what is wrong with it.

use std::env;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Where the program is. Debian puts it where only root's PATH leads.
pub(crate) fn bird() -> Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let dirs = env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    dirs.map(|dir| dir.join("bird"))
        .find(|file| file.is_file())
        .context("no bird on this machine: run `apt-get install --yes bird2`, or `make deps`")
}

/// Whether BIRD takes the file.
pub(crate) fn accepts_file(bird: &Path, file: &Path) -> Result<()> {
    let outcome = Command::new(bird).arg("-p").arg("-c").arg(file).output()?;
    let said = String::from_utf8_lossy(&outcome.stderr);
    ensure!(outcome.status.success(), "bird -p -c {}: {said}", file.display());
    Ok(())
}

/// Whether BIRD takes the text.
pub(crate) fn accepts(bird: &Path, text: &str) -> Result<()> {
    let mut file = tempfile::NamedTempFile::new()?;
    file.write_all(text.as_bytes())?;
    accepts_file(bird, file.path()).with_context(|| text.to_owned())
}
