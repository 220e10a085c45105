//! A program on a node. `nsenter` stands between it and us: it forks to enter the node's process namespace.

use std::fs;
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flock_tests::daemon::Daemon;
use flock_tests::eventually;
use rustix::process::{Pid, Signal, kill_process};

/// How long a program may take to end.
const LIMIT: Duration = Duration::from_secs(40);

/// A running program on a node; dropped, it is killed.
#[derive(Debug)]
pub struct Process {
    daemon: Option<Daemon>,
}

impl Process {
    pub(super) fn new(daemon: Daemon) -> Self {
        Self { daemon: Some(daemon) }
    }

    /// Waits until `attempt` succeeds, and no longer than the program lives.
    ///
    /// # Errors
    /// When it ends, or `attempt` goes on failing.
    pub fn serving(&mut self, attempt: impl FnMut() -> Result<()>) -> Result<()> {
        self.daemon.as_mut().context("has ended")?.serving(attempt)
    }

    /// The program itself, as seen from outside of the node.
    ///
    /// # Errors
    /// When it has ended.
    pub fn pid(&self) -> Result<Pid> {
        let nsenter = self.daemon.as_ref().context("has ended")?.pid();
        child_of(nsenter)?.context("the program has ended")
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// When it has ended.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill_process(self.pid()?, signal).context("send a signal")
    }

    /// Ends it by SIGTERM, as systemd does; that it has ended already is fine.
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn terminate(self) -> Result<ExitStatus> {
        self.end(Signal::TERM)
    }

    /// Ends it without a chance to say good-bye.
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn kill(self) -> Result<ExitStatus> {
        self.end(Signal::KILL)
    }

    fn end(mut self, signal: Signal) -> Result<ExitStatus> {
        let daemon = self.daemon.take().context("has ended")?;
        if let Some(pid) = child_of(daemon.pid())? {
            kill_process(pid, signal).ok();
        }
        eventually(LIMIT, || {
            let left = child_of(daemon.pid())?;
            ensure!(left.is_none(), "process {left:?} does not end");
            Ok(())
        })?;
        daemon.terminate()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(pid) = self.daemon.as_ref().and_then(|daemon| child_of(daemon.pid()).ok()?) {
            kill_process(pid, Signal::KILL).ok();
        }
    }
}

/// The first child of a process of one thread; none when it has none, or is gone.
pub(super) fn child_of(pid: Pid) -> Result<Option<Pid>> {
    let pid = pid.as_raw_pid();
    let Ok(children) = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")) else {
        return Ok(None);
    };
    let first = children.split_whitespace().next();
    Ok(first.map(str::parse).transpose()?.and_then(Pid::from_raw))
}
