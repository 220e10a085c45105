//! A node that speaks BGP: the agent writes BIRD's configuration, the harness runs BIRD beside it, as a container
//! next to the agent's would.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::agent::AgentProcess;
use crate::bird::{self, BirdFiles, BirdProcess};
use crate::eventually::{PATIENCE, eventually};
use crate::manifest::{Bgp, NodeConfig};
use crate::node::Node;
use crate::plugin::{Outcome, outcome};
use crate::requirements::Binaries;

/// How long kubelet takes to start a container again that has ended.
pub const RESTART: Duration = Duration::from_millis(500);

/// A node with its agent and its BIRD. The fields are dropped in this order.
#[derive(Debug)]
pub struct Speaker<'w> {
    /// The agent; none while it is away.
    pub agent: Option<AgentProcess>,
    /// The BIRD that the harness runs; none while it is away, or when the agent runs it.
    pub bird: Option<BirdProcess>,
    /// The node.
    pub node: Node<'w>,
    /// What its NodeConfig says besides BGP.
    pub config: NodeConfig,
    /// What its NodeConfig says of BGP.
    pub bgp: Bgp,
    managed: bool,
}

impl<'w> Speaker<'w> {
    /// A node whose manifest is there, with nothing running yet.
    pub fn idle(node: Node<'w>, config: NodeConfig, bgp: Bgp) -> Self {
        Self { agent: None, bird: None, node, config, bgp, managed: false }
    }

    /// The agent is to run BIRD itself.
    #[must_use]
    pub fn managed(self) -> Self {
        Self { managed: true, ..self }
    }

    /// Starts the agent, and BIRD as soon as it has a configuration to start with.
    ///
    /// # Errors
    /// When either does not come up.
    pub fn start(&mut self) -> Result<()> {
        self.start_agent()?;
        if !self.managed {
            self.start_bird()?;
        }
        Ok(())
    }

    /// Starts the agent.
    ///
    /// # Errors
    /// When it does not become ready.
    pub fn start_agent(&mut self) -> Result<()> {
        let arguments: &[&str] = if self.managed { &["--bird", "managed"] } else { &[] };
        let mut agent = AgentProcess::start_with(&self.node, arguments)?;
        agent.ready(&self.node)?;
        self.agent = Some(agent);
        Ok(())
    }

    /// The agent, for what ends it.
    ///
    /// # Errors
    /// When it is away.
    pub fn take_agent(&mut self) -> Result<AgentProcess> {
        self.agent.take().context("the agent is away")
    }

    /// Starts BIRD beside the agent, which has written something for it to start with.
    ///
    /// # Errors
    /// When there is no configuration, or BIRD does not take it.
    pub fn start_bird(&mut self) -> Result<()> {
        let files = self.bird_files();
        eventually(PATIENCE, || {
            ensure!(files.config.exists(), "the agent has not written {}", files.config.display());
            Ok(())
        })?;
        self.bird = Some(BirdProcess::start(&self.node.netns, &files)?);
        Ok(())
    }

    /// BIRD, for what ends it.
    ///
    /// # Errors
    /// When it is away, or the agent's.
    pub fn take_bird(&mut self) -> Result<BirdProcess> {
        self.bird.take().context("BIRD is away")
    }

    /// Kills BIRD and starts it again as kubelet would.
    ///
    /// # Errors
    /// When it does not come back.
    pub fn crash_bird(&mut self) -> Result<()> {
        self.take_bird()?.kill()?;
        thread::sleep(RESTART);
        self.start_bird()
    }

    /// BIRD's files on this node.
    pub fn bird_files(&self) -> BirdFiles {
        let run = self.node.run_dir();
        BirdFiles {
            config: run.join("bird/bird.conf"),
            socket: run.join("bird.ctl"),
            log: self.node.dir().join("bird.log"),
        }
    }

    /// The text of bird.conf.
    ///
    /// # Errors
    /// When there is none.
    pub fn bird_conf(&self) -> Result<String> {
        let file = self.bird_files().config;
        fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))
    }

    /// What `birdc` answers on this node.
    ///
    /// # Errors
    /// When BIRD does not.
    pub fn birdc(&self, command: &str) -> Result<String> {
        bird::ask(&self.node.netns, &self.bird_files().socket, command)
    }

    /// `flock-agent bird-stop`, as a preStop hook calls it.
    ///
    /// # Errors
    /// When it cannot be run, or fails.
    pub fn bird_stop(&self, reason: &str) -> Result<Outcome> {
        let mut stop = Command::new(Binaries::find()?.agent);
        stop.args(["bird-stop", "--for", reason, "--run-dir"]).arg(self.node.run_dir());
        let outcome = self.node.netns.enter(|| outcome(&mut stop, &[]))??;
        ensure!(outcome.code == Some(0), "bird-stop --for {reason}: {outcome:?}");
        Ok(outcome)
    }

    /// `flockctl bgp -o json`.
    ///
    /// # Errors
    /// When the agent does not answer.
    pub fn status(&self) -> Result<Value> {
        self.node.ctl(&["bgp", "-o", "json"])?.result()
    }

    /// What the status says of one peer.
    ///
    /// # Errors
    /// When it says nothing.
    pub fn peer_status(&self, address: &str) -> Result<Value> {
        let status = self.status()?;
        let mut peers = status["peers"].as_array().into_iter().flatten();
        let peer = peers.find(|peer| peer["address"] == address);
        peer.cloned().with_context(|| format!("no peer {address} in {status}"))
    }

    /// Fails unless the status says that all sessions are up.
    ///
    /// # Errors
    /// When one is not.
    pub fn ensure_established(&self) -> Result<()> {
        self.bgp.peers.iter().try_for_each(|peer| {
            let shown = self.peer_status(&peer.address)?;
            ensure!(shown["state"] == "Established", "{shown}");
            Ok(())
        })
    }

    /// The NodeConfig's document.
    pub fn manifest(&self) -> NodeConfig {
        self.config.clone().with(&self.bgp.field())
    }

    /// Changes what the NodeConfig says of BGP, and writes it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn change(&mut self, bgp: Bgp) -> Result<()> {
        self.bgp = bgp;
        self.node.configure(&self.manifest())
    }

    /// Where a new file of the trial's can be put.
    pub fn file(&self, name: &str) -> PathBuf {
        self.node.dir().join(name)
    }
}
