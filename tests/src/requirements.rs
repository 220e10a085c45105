//! What a suite needs. Something missing fails it with the line to have it; nothing is skipped in silence.

use std::collections::BTreeSet;
use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// The only thing that skips the trials that need root.
pub const SKIP: &str = "FLOCK_SKIP_ROOT_TESTS";

/// Where the programs under test are.
pub const BIN_DIR: &str = "FLOCK_BIN_DIR";

/// Programs that the harness uses, with the Debian package of each.
const TOOLS: &[(&str, &str)] = &[
    ("ip", "iproute2"),
    ("ping", "iputils-ping"),
    ("mount", "mount"),
    ("umount", "mount"),
    ("setpriv", "util-linux"),
];

/// What trials with routers use beside them: programs in PATH, and daemons where Debian has them.
const ROUTING: &[(&str, &str)] = &[
    ("bird", "bird2"),
    ("birdc", "bird2"),
    ("nft", "nftables"),
    ("ss", "iproute2"),
    ("vtysh", "frr"),
    ("/usr/lib/frr/zebra", "frr"),
    ("/usr/lib/frr/bgpd", "frr"),
    ("/usr/lib/frr/bfdd", "frr"),
];

/// Whether the user has asked to skip what needs root.
pub fn skip_requested() -> bool {
    env::var_os(SKIP).is_some_and(|value| value == "1")
}

/// Checks for root and for all tools.
///
/// # Errors
/// Names everything that is missing and the line to type.
pub fn check() -> Result<()> {
    ensure!(
        rustix::process::geteuid().is_root(),
        "namespace tests need root: run `sudo -E env \"PATH=$PATH\" make test`, or skip them with `{SKIP}=1 make test`"
    );
    ensure_installed(TOOLS)
}

/// Checks for root, for all tools, and for BIRD and FRR.
///
/// # Errors
/// Names everything that is missing and the line to type.
pub fn check_routing() -> Result<()> {
    check()?;
    ensure_installed(ROUTING)
}

/// Checks for programs in PATH or where their path says, each with its Debian package.
///
/// # Errors
/// Names everything that is missing and the line to type.
pub fn ensure_installed(tools: &[(&str, &str)]) -> Result<()> {
    let missing: Vec<&(&str, &str)> = tools.iter().filter(|(program, _)| which(program).is_none()).collect();
    let programs: Vec<&str> = missing.iter().map(|(program, _)| *program).collect();
    let packages: BTreeSet<&str> = missing.iter().map(|(_, package)| *package).collect();
    ensure!(
        missing.is_empty(),
        "no {} on this machine: run `apt-get install --yes {}`, or `make deps`",
        programs.join(", "),
        packages.into_iter().collect::<Vec<_>>().join(" ")
    );
    Ok(())
}

/// A path is looked for where it says.
fn which(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file())
}

/// The programs under test: release builds, as they are shipped.
#[derive(Debug, Clone)]
pub struct Binaries {
    /// The directory.
    pub dir: PathBuf,
    /// The plugin.
    pub plugin: PathBuf,
    /// The agent.
    pub agent: PathBuf,
    /// The command line.
    pub ctl: PathBuf,
}

impl Binaries {
    /// Looks into `FLOCK_BIN_DIR`.
    ///
    /// # Errors
    /// When it is not set or a program is not there.
    pub fn find() -> Result<Self> {
        let hint = format!("run `make test`, or `make build` and then with {BIN_DIR}=$PWD/bin");
        let dir = env::var_os(BIN_DIR).map(PathBuf::from);
        let dir =
            dir.with_context(|| format!("{BIN_DIR} does not say where flock's programs are: {hint}"))?;
        let dir = dir.canonicalize().with_context(|| format!("{BIN_DIR}={}: {hint}", dir.display()))?;
        Ok(Self {
            plugin: existing(&dir, "flock", &hint)?,
            agent: existing(&dir, "flock-agent", &hint)?,
            ctl: existing(&dir, "flockctl", &hint)?,
            dir,
        })
    }
}

fn existing(dir: &Path, name: &str, hint: &str) -> Result<PathBuf> {
    let file = dir.join(name);
    ensure!(file.is_file(), "{} does not exist: {hint}", file.display());
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_named_once_with_the_line_to_have_it() {
        let missing = [("no-such-birdc", "bird2"), ("/no/such/bird", "bird2"), ("sh", "dash")];
        let message = ensure_installed(&missing).unwrap_err().to_string();
        assert!(message.contains("no no-such-birdc, /no/such/bird on this machine"), "{message}");
        assert!(message.contains("`apt-get install --yes bird2`"), "{message}");
    }
}
