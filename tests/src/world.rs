//! One trial's world: its names and its files. All names begin with `flk-PID-N-`, so that what a killed run left
//! behind can be told from what a living one uses.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, ensure};

use crate::agent::AgentProcess;
use crate::leaks;
use crate::netns::Netns;
use crate::node::Node;
use crate::requirements::Binaries;
use crate::router::Router;

static WORLDS: AtomicU32 = AtomicU32::new(0);

/// A trial's world.
#[derive(Debug)]
pub struct World {
    prefix: String,
    dir: PathBuf,
    containers: AtomicU32,
}

impl World {
    /// An empty one.
    ///
    /// # Errors
    /// When its directory cannot be made.
    pub fn new() -> Result<Self> {
        let prefix = format!("{}{}-", leaks::own_prefix(), WORLDS.fetch_add(1, Ordering::Relaxed));
        let dir = std::env::temp_dir().join(format!("{prefix}dir"));
        // A peer that is not root must get as far as the socket to be refused there.
        fs::create_dir(&dir).with_context(|| format!("make {}", dir.display()))?;
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755))?;
        Ok(Self { prefix, dir, containers: AtomicU32::new(0) })
    }

    /// Where its files are.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What all of its names begin with.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// A namespace of this world that stands for a machine: `lo` is up.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn machine(&self, role: &str) -> Result<Netns> {
        let netns = self.netns(role)?;
        netns.ip(&["link", "set", "lo", "up"])?;
        Ok(netns)
    }

    /// An empty namespace of this world.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn netns(&self, role: &str) -> Result<Netns> {
        Netns::new(&format!("{}{role}", self.prefix))
    }

    /// A container ID as containerd makes them: 64 hexadecimal digits, never used before.
    pub fn container_id(&self) -> String {
        let number = self.containers.fetch_add(1, Ordering::Relaxed);
        let world: u64 =
            self.prefix.bytes().fold(0, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        format!("{world:016x}{:08x}{number:040x}", process::id())
    }

    /// A router and one node on it, the agent running and ready.
    ///
    /// # Errors
    /// When anything of it cannot be had.
    pub fn site(&self) -> Result<Site<'_>> {
        let router = Router::new(self)?;
        let node = router.node("node-a")?;
        node.configure(&node.config())?;
        let agent = node.start_agent()?;
        Ok(Site { agent, node, router })
    }

    /// The programs under test.
    ///
    /// # Errors
    /// When they are not where they should be.
    pub fn binaries(&self) -> Result<Binaries> {
        Binaries::find()
    }

    /// The end of every log, for a failed trial's report.
    pub fn diagnosis(&self) -> String {
        let mut logs = Vec::new();
        collect_logs(&self.dir, &mut logs);
        logs.sort();
        logs.iter().map(|log| format!("--- {}\n{}\n", log.display(), tail(log, 40))).collect()
    }

    /// Removes the directory and proves that nothing else is left.
    ///
    /// # Errors
    /// Lists what was left; it is removed all the same.
    pub fn close(self) -> Result<()> {
        let left: Vec<_> = leaks::find(&self.prefix).into_iter().filter(|leak| !leak.is(&self.dir)).collect();
        leaks::remove_all(&self.prefix);
        ensure!(left.is_empty(), "left behind: {left:?}");
        Ok(())
    }
}

/// A router and one node with its agent. The fields are dropped in this order.
#[derive(Debug)]
pub struct Site<'w> {
    /// The agent.
    pub agent: AgentProcess,
    /// The node.
    pub node: Node<'w>,
    /// The router.
    pub router: Router<'w>,
}

fn collect_logs(dir: &Path, logs: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect_logs(&path, logs);
        } else if path.extension().is_some_and(|extension| extension == "log") {
            logs.push(path);
        }
    }
}

/// The last lines of a file; a line that repeats itself counts as one.
pub fn tail(file: &Path, lines: usize) -> String {
    let text = fs::read(file).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let mut all: Vec<&str> = text.lines().collect();
    all.dedup();
    all[all.len().saturating_sub(lines)..].join("\n")
}
