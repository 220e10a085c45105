//! The agent as a process in its node's namespace.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::command;
use crate::eventually::eventually;
use crate::node::Node;
use crate::requirements::Binaries;
use crate::world::tail;

/// How long an agent may take to start or to end.
const LIMIT: Duration = Duration::from_secs(20);

/// A running agent; dropped, it is killed.
#[derive(Debug)]
pub struct AgentProcess {
    child: Child,
    log: PathBuf,
}

impl AgentProcess {
    /// Starts the agent of a node, without waiting for it.
    ///
    /// # Errors
    /// When there is no such program.
    pub fn start(node: &Node) -> Result<Self> {
        Self::start_with(node, &[])
    }

    /// Starts the agent of a node with further arguments, without waiting for it.
    ///
    /// # Errors
    /// When there is no such program.
    pub fn start_with(node: &Node, arguments: &[&str]) -> Result<Self> {
        Self::spawn(node, Command::new(Binaries::find()?.agent), arguments)
    }

    /// Starts `agent`, a program that takes the agent's arguments, as the agent of a node, without waiting for it.
    ///
    /// # Errors
    /// When there is no such program.
    pub fn start_command(node: &Node, agent: Command) -> Result<Self> {
        Self::spawn(node, agent, &[])
    }

    fn spawn(node: &Node, mut agent: Command, arguments: &[&str]) -> Result<Self> {
        let log = File::options().create(true).append(true).open(node.agent_log())?;
        agent.args(["run", "--node", node.name(), "--manifests"]).arg(node.manifests());
        agent.arg("--run-dir").arg(node.run_dir()).args(arguments);
        // A group of its own: what a terminal's Ctrl-C ends is the suite, which then ends its agents.
        agent.process_group(0).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = node.netns.enter(|| agent.spawn())?.with_context(|| format!("start {agent:?}"))?;
        Ok(Self { child, log: node.agent_log() })
    }

    /// Waits until STATUS says that the node can take pods.
    ///
    /// # Errors
    /// When the agent ends, or does not become ready.
    pub fn ready(&mut self, node: &Node) -> Result<()> {
        eventually(LIMIT, || {
            if let Some(status) = self.child.try_wait()? {
                // Nothing will become of it: report now.
                return Ok(Err(status));
            }
            node.invocation("STATUS")?.run()?.success().map(Ok)
        })?
        .or_else(|status| bail!("the agent ended with {status}:\n{}", tail(&self.log, 40)))
    }

    /// Its process ID.
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Ends it as systemd does, by SIGTERM.
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn terminate(mut self) -> Result<ExitStatus> {
        kill_process(self.pid(), Signal::TERM)?;
        self.wait()
    }

    /// Ends it as the kernel does when memory is short, by SIGKILL.
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn kill(mut self) -> Result<ExitStatus> {
        kill_process(self.pid(), Signal::KILL)?;
        self.wait()
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        command::wait(&mut self.child, LIMIT).context("wait for the agent's end")
    }

    /// All that it has written so far, agents before it on the same node included.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn log(&self) -> Result<String> {
        std::fs::read_to_string(&self.log).context("read the agent's log")
    }
}

impl Drop for AgentProcess {
    fn drop(&mut self) {
        // Once it has been waited for, its ID may belong to somebody else.
        if let Ok(None) = self.child.try_wait() {
            kill_process_group(self.pid(), Signal::KILL).ok();
            self.child.wait().ok();
        }
    }
}
