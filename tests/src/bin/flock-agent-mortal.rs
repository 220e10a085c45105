//! The agent, with an end of its own choosing. Otherwise it is the real agent on the real kernel, with the real one's
//! arguments.
//!
//! * `FLOCK_DIE_AT=N` (from 0): kills itself with SIGKILL just before one step of what it does for attachments. Every single
//!   change of a link and every change of a file counts, those of the node as a whole (sysctls, blackholes) do not. Each step
//!   is told on standard error.
//! * `FLOCK_PANIC_IN=TASK`: lets a task panic as soon as it begins, and says when (milliseconds of Unix time). Each task that
//!   begins is told on standard error.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};
use clap::Parser as _;
use flock_agent::app;
use flock_agent::cli::agent::{Arguments, Command};
use flock_agent::store::{Disk, Files};
use flock_agent::supervision::{self, Tasks};
use flock_kernel::KernelError;
use flock_kernel::gate::Gate;
use flock_kernel::linux::LinuxKernel;
use rustix::process::{Signal, getpid, kill_process};

/// Counts steps, and ends the process before the chosen one.
#[derive(Debug, Clone)]
struct Mortal {
    taken: Arc<AtomicUsize>,
    last: usize,
    planted: Planted,
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

    fn resident(&self, name: &str) {
        self.planted.begin(name);
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

/// Tells of each task, and lets one panic.
#[derive(Debug, Clone)]
struct Planted {
    told: Arc<Mutex<BTreeSet<String>>>,
    victim: Option<String>,
}

impl Planted {
    fn begin(&self, task: &str) {
        let is_new = self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(task.to_owned());
        if is_new {
            eprintln!("task {task} begins");
        }
        let is_victim = self.victim.as_deref() == Some(task);
        if is_victim {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            eprintln!("planted at {}", now.as_millis());
        }
        assert!(!is_victim, "planted");
    }
}

impl supervision::Gate for Planted {
    fn poll(&self, task: &str) {
        self.begin(task);
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            app::exit_code(&error)
        }
    }
}

fn run() -> Result<()> {
    let Command::Run(run) = Arguments::parse().command else { bail!("only `run` is mortal") };
    let last = std::env::var("FLOCK_DIE_AT").map_or(Ok(usize::MAX), |step| step.parse())?;
    let planted = Planted { told: Arc::default(), victim: std::env::var("FLOCK_PANIC_IN").ok() };
    let gate = Mortal { taken: Arc::default(), last, planted: planted.clone() };
    let files = MortalFiles { gate: gate.clone(), disk: Disk };
    app::block_on(async {
        let kernel = LinuxKernel::open()?.behind(gate);
        app::run(run.into(), kernel, files, &Tasks::through(planted)).await
    })
}
