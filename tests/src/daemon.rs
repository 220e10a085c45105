//! Routing daemons in namespaces: children of the test, ended with it, their words in a log.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::command;
use crate::eventually::eventually;
use crate::netns::Netns;
use crate::world::tail;

/// How long a daemon may take to start or to end.
const LIMIT: Duration = Duration::from_secs(20);

/// A daemon in the foreground; dropped, it is killed.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts it in `netns`, its output appended to `log`.
    ///
    /// # Errors
    /// When there is no such program.
    pub fn start(netns: &Netns, mut program: Command, log: &Path) -> Result<Self> {
        let file = File::options().create(true).append(true).open(log)?;
        program.process_group(0).stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let child = netns.enter(|| program.spawn())?.with_context(|| format!("start {program:?}"))?;
        Ok(Self { child, log: log.to_owned() })
    }

    /// Waits until `attempt` succeeds, and no longer than the daemon lives.
    ///
    /// # Errors
    /// When it ends, or `attempt` goes on failing.
    pub fn serving(&mut self, mut attempt: impl FnMut() -> Result<()>) -> Result<()> {
        eventually(LIMIT, || match self.child.try_wait()? {
            // Nothing will become of it: report now.
            Some(status) => Ok(Err(status)),
            None => attempt().map(Ok),
        })?
        .or_else(|status| bail!("a daemon ended with {status}:\n{}", tail(&self.log, 40)))
    }

    /// Its process.
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Ends it without a chance to say good-bye.
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn kill(mut self) -> Result<ExitStatus> {
        kill_process(Pid::from_child(&self.child), Signal::KILL)?;
        self.wait()
    }

    /// Ends it as kubelet ends a container, by SIGTERM; that it has ended already is fine.
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn terminate(mut self) -> Result<ExitStatus> {
        if self.child.try_wait()?.is_none() {
            kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        }
        self.wait()
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it does not end in time.
    fn wait(&mut self) -> Result<ExitStatus> {
        command::wait(&mut self.child, LIMIT).with_context(|| format!("the daemon of {}", self.log.display()))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Once it has been waited for, its ID may belong to somebody else.
        if let Ok(None) = self.child.try_wait() {
            self.child.kill().ok();
            self.child.wait().ok();
        }
    }
}
