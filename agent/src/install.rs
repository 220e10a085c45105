//! `flock-agent install`: the plugin comes onto the node. What a pod's init container calls.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::replace;

/// The plugin's name, beside this program as in the runtime's folder.
pub const PLUGIN: &str = "flock";

/// The permissions of what a runtime executes.
const MODE: u32 = 0o755;

/// What is installed, and where.
#[derive(Debug, Clone, clap::Args)]
pub struct Install {
    /// The runtime's folder of plugins.
    #[arg(long, value_name = "DIR", default_value = "/opt/cni/bin")]
    pub cni_bin_dir: PathBuf,
    /// The plugin; unless said, the one beside this program.
    #[arg(long, value_name = "FILE")]
    pub plugin: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Installed {
    New,
    /// Another one was there.
    Replaced,
    /// The same one was there.
    Unchanged,
}

/// Installs the plugin and says so on standard output.
///
/// # Errors
/// When the plugin cannot be read, or its place not be written to.
pub fn run(install: &Install) -> anyhow::Result<()> {
    let from = match &install.plugin {
        Some(plugin) => plugin.clone(),
        None => beside_this_program()?,
    };
    let to = install.cni_bin_dir.join(PLUGIN);
    let before = version(&to);
    let done = put(&from, &to)?;
    println!("{}", report(done, &to, &version(&to), &before));
    Ok(())
}

fn beside_this_program() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe().context("cannot tell where this program is; name --plugin")?;
    Ok(program.with_file_name(PLUGIN))
}

/// Puts the plugin there, unless it is there already.
fn put(from: &Path, to: &Path) -> anyhow::Result<Installed> {
    let plugin = fs::read(from).with_context(|| format!("cannot read the plugin {}", from.display()))?;
    if plugin.is_empty() {
        bail!("the plugin {} is empty", from.display());
    }
    let done = match fs::read(to) {
        Ok(there) if there == plugin && is_executable(to) => return Ok(Installed::Unchanged),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Installed::New,
        _ => Installed::Replaced,
    };
    let folder = to.parent().unwrap_or(Path::new("/"));
    let written = fs::create_dir_all(folder).and_then(|()| replace::replace(to, &plugin, MODE));
    match written {
        Ok(()) => Ok(done),
        Err(error) => bail!("cannot write {}: {error}{}", to.display(), replace::advice(&error)),
    }
}

fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o7777 == MODE)
}

/// What the plugin says that it is. One that says nothing of use is still a plugin.
fn version(plugin: &Path) -> String {
    let said = Command::new(plugin).arg("--version").env_clear().output();
    let said = said.ok().filter(|said| said.status.success());
    let line = said.and_then(|said| String::from_utf8(said.stdout).ok());
    let line = line.and_then(|text| text.lines().next().map(str::to_owned));
    line.filter(|line| !line.is_empty()).unwrap_or_else(|| "an unknown version".to_owned())
}

fn report(done: Installed, to: &Path, now: &str, before: &str) -> String {
    let to = to.display();
    match done {
        Installed::New => format!("{to}: installed {now}"),
        Installed::Replaced => format!("{to}: installed {now} in the place of {before}"),
        Installed::Unchanged => format!("{to}: {now} is there already"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with a plugin of this content.
    fn plugin(content: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("built");
        fs::write(&path, content).unwrap();
        (folder, path)
    }

    #[test]
    fn the_plugin_is_installed_once_and_replaced_when_it_is_another_one() {
        let (folder, first) = plugin("flock 1");
        let (_other, second) = plugin("flock 2");
        let to = folder.path().join("opt/cni/bin/flock");
        assert_eq!(put(&first, &to).unwrap(), Installed::New);
        assert_eq!(put(&first, &to).unwrap(), Installed::Unchanged);
        assert_eq!(put(&second, &to).unwrap(), Installed::Replaced);
        assert_eq!(fs::read_to_string(&to).unwrap(), "flock 2");
    }

    #[test]
    fn what_is_the_same_is_not_written_again() {
        let (folder, plugin) = plugin("flock 1");
        let to = folder.path().join("flock");
        put(&plugin, &to).unwrap();
        let before = to.metadata().unwrap().modified().unwrap();
        put(&plugin, &to).unwrap();
        assert_eq!(to.metadata().unwrap().modified().unwrap(), before);
    }

    #[test]
    fn a_plugin_that_cannot_be_executed_is_written_again() {
        let (folder, plugin) = plugin("flock 1");
        let to = folder.path().join("flock");
        put(&plugin, &to).unwrap();
        fs::set_permissions(&to, fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(put(&plugin, &to).unwrap(), Installed::Replaced);
        assert!(is_executable(&to));
    }

    #[test]
    fn a_plugin_that_is_missing_or_empty_leaves_the_one_that_is_there() {
        let (folder, plugin) = plugin("flock 1");
        let to = folder.path().join("flock");
        put(&plugin, &to).unwrap();
        let empty = folder.path().join("empty");
        fs::write(&empty, "").unwrap();
        for from in [empty, folder.path().join("nowhere")] {
            let error = format!("{:#}", put(&from, &to).unwrap_err());
            assert!(error.contains(&from.display().to_string()), "{error}");
        }
        assert_eq!(fs::read_to_string(&to).unwrap(), "flock 1");
    }

    #[test]
    fn a_failure_names_the_place_and_what_to_do() {
        let (folder, plugin) = plugin("flock 1");
        let to = folder.path().join("flock");
        fs::create_dir_all(to.join("in the way")).unwrap();
        let error = put(&plugin, &to).unwrap_err().to_string();
        assert!(error.starts_with(&format!("cannot write {}: ", to.display())), "{error}");
        assert!(error.ends_with("remove it"), "{error}");
    }

    #[test]
    fn the_report_tells_both_versions() {
        let told = |done| report(done, Path::new("/opt/cni/bin/flock"), "flock 2", "flock 1");
        assert_eq!(told(Installed::New), "/opt/cni/bin/flock: installed flock 2");
        assert_eq!(
            told(Installed::Replaced),
            "/opt/cni/bin/flock: installed flock 2 in the place of flock 1"
        );
        assert_eq!(told(Installed::Unchanged), "/opt/cni/bin/flock: flock 2 is there already");
        assert_eq!(version(Path::new("/nowhere")), "an unknown version");
        assert_eq!(version(Path::new("/proc/self/exe")), "an unknown version", "which knows no --version");
    }
}
