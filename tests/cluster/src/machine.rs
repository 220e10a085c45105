//! A node's namespaces, and programs in them.

mod process;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use flock_tests::daemon::Daemon;
use flock_tests::{Netns, command, leaks};
use rustix::process::{Pid, Signal, kill_process};

use crate::init;
use crate::programs::Programs;

pub use process::Process;

/// A node's network, mount, process, host name and IPC namespaces, held by its first process. Dropped, all of it goes,
/// with everything that runs in it; its disk stays.
#[derive(Debug)]
pub struct Machine {
    first: Pid,
    daemon: Option<Daemon>,
    path: String,
    cgroup: String,
    /// Its network namespace.
    pub netns: Netns,
}

/// What a machine is made of.
#[derive(Debug, Clone)]
pub struct Hardware {
    /// Its host name.
    pub name: String,
    /// What outlasts a reboot.
    pub disk: PathBuf,
    /// Its control group in every hierarchy, a name without slashes.
    pub cgroup: String,
    /// Where it looks for programs.
    pub path: String,
}

impl Machine {
    /// Boots a machine in a network namespace.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn boot(programs: &Programs, netns: Netns, hardware: &Hardware) -> Result<Self> {
        let Hardware { name, disk, cgroup, path } = hardware;
        fs::create_dir_all(disk)?;
        make_cgroups(cgroup)?;
        let log = disk.join("init.log");
        fs::write(&log, "")?;
        let mut unshare = Command::new("unshare");
        unshare.args([
            "--mount",
            "--uts",
            "--ipc",
            "--pid",
            "--fork",
            "--kill-child",
            "--propagation",
            "private",
        ]);
        unshare.arg(&programs.harness).args(["init", name]).arg(disk);
        let mut daemon = Daemon::start(&netns, unshare, &log)?;
        daemon.serving(|| {
            let said = fs::read_to_string(&log)?;
            ensure!(said.lines().any(|line| line == init::READY), "{name} is not up: {said}");
            Ok(())
        })?;
        let first =
            process::child_of(daemon.pid())?.with_context(|| format!("{name} has no first process"))?;
        Ok(Self { first, daemon: Some(daemon), path: path.clone(), cgroup: cgroup.clone(), netns })
    }

    /// Its first process, as seen from outside.
    pub fn first_pid(&self) -> i32 {
        self.first.as_raw_pid()
    }

    /// A program on the node, for [`Machine::start`] or [`Machine::run`].
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command.arg("--target").arg(self.first_pid().to_string());
        command.args(["--mount", "--uts", "--ipc", "--pid", "--net", "--wd=/"]).arg("--").arg(program);
        command.env_clear().env("PATH", &self.path).env("HOME", "/run");
        command
    }

    /// Starts a program that goes on, its output appended to `log`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&self, command: Command, log: &Path) -> Result<Process> {
        Ok(Process::new(Daemon::start(&self.netns, command, log)?))
    }

    /// Runs a program on the node to its end.
    ///
    /// # Errors
    /// When it cannot be started or hangs; how it ends is the caller's affair.
    pub fn finish(&self, argv: &[&str]) -> Result<Output> {
        let (program, arguments) = argv.split_first().context("a command needs a program")?;
        command::finished(self.command(Path::new(program)).args(arguments), &[])
    }

    /// Runs a program on the node and returns its standard output.
    ///
    /// # Errors
    /// When it fails.
    pub fn run(&self, argv: &[&str]) -> Result<String> {
        let output = self.finish(argv)?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "`{}`: {}: {errors}{said}", argv.join(" "), output.status);
        Ok(said)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // The kernel ends the others, and `unshare` ends with its child.
        kill_process(self.first, Signal::KILL).ok();
        drop(self.daemon.take().map(Daemon::terminate));
        cgroups(&self.cgroup).iter().for_each(|dir| leaks::remove_cgroup(dir));
    }
}

/// The control group's directories, existing or not.
fn cgroups(name: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
    let hierarchies = entries.map(|entry| entry.path()).filter(|dir| dir.join("cgroup.procs").exists());
    hierarchies.map(|dir| dir.join(name)).collect()
}

/// A kubelet makes its own groups below this one, but not this one.
fn make_cgroups(name: &str) -> Result<()> {
    for dir in cgroups(name).into_iter().filter(|dir| !dir.ends_with(Path::new("unified").join(name))) {
        fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
        for file in ["cpuset.cpus", "cpuset.mems"] {
            // A new group of the cpuset hierarchy has none, and takes no process before it has.
            if let Ok(value) = fs::read(dir.with_file_name(file)) {
                fs::write(dir.join(file), value)?;
            }
        }
    }
    Ok(())
}
