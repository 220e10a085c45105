//! The agent, which kills itself with SIGKILL just before one chosen step of what it does for attachments.
//!
//! `FLOCK_DIE_AT=N` (from 0) chooses the step; every single change of a link and every change of a file counts, those
//! of the node as a whole (sysctls, blackholes) do not. Each step is told on standard error. Otherwise it is the real
//! agent on the real kernel, with the real one's arguments.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use flock_agent::app::{self, Config};
use flock_agent::store::{Disk, Files};
use flock_agent::supervision::Tasks;
use flock_kernel::KernelError;
use flock_kernel::gate::Gate;
use flock_kernel::linux::LinuxKernel;
use rustix::process::{Signal, getpid, kill_process};

/// Counts steps, and ends the process before the chosen one.
#[derive(Debug, Clone)]
struct Mortal {
    taken: Arc<AtomicUsize>,
    last: usize,
}

impl Mortal {
    fn step(&self, what: &str) {
        let step = self.taken.fetch_add(1, Ordering::SeqCst);
        eprintln!("step {step}: {what}");
        if step == self.last {
            let _ = kill_process(getpid(), Signal::KILL);
            // The signal is on its way; nothing more may happen.
            std::thread::park();
        }
    }
}

impl Gate for Mortal {
    fn before(&self, step: &str) -> Result<(), KernelError> {
        let of_the_node = ["Sysctl(", "AddBlackhole(", "RemoveBlackhole("];
        if !of_the_node.iter().any(|change| step.starts_with(change)) {
            self.step(step);
        }
        Ok(())
    }

    fn after(&self, _: &str) -> Result<(), KernelError> {
        Ok(())
    }

    fn observe(&self) -> Result<(), KernelError> {
        Ok(())
    }
}

/// Files on disk, whose changes are steps.
#[derive(Debug)]
struct MortalFiles {
    gate: Mortal,
    disk: Disk,
}

impl Files for MortalFiles {
    fn make_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.make_dir(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        self.disk.list(dir)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.disk.read(path)
    }

    fn write(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        self.gate.step(&format!("write {}", path.display()));
        self.disk.write(path, content)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.gate.step(&format!("rename {}", from.display()));
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.gate.step(&format!("remove {}", path.display()));
        self.disk.remove(path)
    }
}

fn argument(arguments: &[String], flag: &str) -> Result<String> {
    let position = arguments.iter().position(|argument| argument == flag);
    position.and_then(|at| arguments.get(at + 1)).cloned().with_context(|| format!("no {flag}"))
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let config = Config {
        node: argument(&arguments, "--node")?,
        source: app::Origin::Manifests(PathBuf::from(argument(&arguments, "--manifests")?)),
        run_dir: PathBuf::from(argument(&arguments, "--run-dir")?),
        sweep_interval: Duration::from_secs(30),
        bird: app::Bird::External,
        metrics: None,
        cni: None,
    };
    let last = std::env::var("FLOCK_DIE_AT").context("FLOCK_DIE_AT")?.parse()?;
    let gate = Mortal { taken: Arc::default(), last };
    let files = MortalFiles { gate: gate.clone(), disk: Disk };
    app::block_on(async {
        let kernel = LinuxKernel::open()?.behind(gate);
        app::run(config, kernel, files, &Tasks::default()).await
    })
}
