//! A node: a namespace with an uplink, a folder of manifests, and what flock keeps in its run directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::agent::AgentProcess;
use crate::eventually::{PATIENCE, eventually};
use crate::manifest::{NodeConfig, Pod};
use crate::netns::Netns;
use crate::plugin::{Invocation, Outcome, is_try_again};
use crate::router::Port;
use crate::sandbox::{Attached, Sandbox};
use crate::world::World;

/// A node.
#[derive(Debug)]
pub struct Node<'w> {
    world: &'w World,
    /// Its namespace.
    pub netns: Netns,
    number: u8,
    config: NodeConfig,
    dir: PathBuf,
}

impl<'w> Node<'w> {
    /// A node in `netns`, whose manifests folder is empty. Routers make nodes.
    pub(crate) fn new(world: &'w World, netns: Netns, number: u8, config: NodeConfig) -> Result<Self> {
        let dir = world.dir().join(format!("n{number}"));
        let node = Self { world, netns, number, config, dir };
        fs::create_dir(&node.dir)?;
        fs::create_dir(node.manifests())?;
        Ok(node)
    }

    /// The node's name.
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// The configuration that fits the router's routes, for [`Node::configure`].
    pub fn config(&self) -> NodeConfig {
        self.config.clone()
    }

    /// Its files: logs, and the two directories below.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// `--manifests`.
    pub fn manifests(&self) -> PathBuf {
        self.dir.join("manifests")
    }

    /// `--run-dir`. The agent makes it.
    pub fn run_dir(&self) -> PathBuf {
        self.dir.join("run")
    }

    /// The agent's socket.
    pub fn socket(&self) -> PathBuf {
        self.run_dir().join("agent.sock")
    }

    /// The agent's log.
    pub fn agent_log(&self) -> PathBuf {
        self.dir.join("agent.log")
    }

    /// The link to its router.
    pub fn port(&self) -> Port {
        Port { ifname: format!("port{}", self.number), number: self.number }
    }

    /// The node's own address of the family of `cidr`.
    pub fn next_hop(&self, cidr: &str) -> String {
        self.port().node(cidr)
    }

    /// Writes a manifest in one step, as an editor or a ConfigMap volume does.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, file: &str, text: &str) -> Result<()> {
        let hidden = self.manifests().join(format!(".{file}.new"));
        fs::write(&hidden, text)?;
        fs::rename(&hidden, self.manifests().join(file)).context("put the manifest in place")
    }

    /// Writes the node's configuration.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn configure(&self, config: &NodeConfig) -> Result<()> {
        self.write("node.yaml", &config.yaml())
    }

    /// Starts the agent and waits until it is ready for pods.
    ///
    /// # Errors
    /// When it ends or does not become ready.
    pub fn start_agent(&self) -> Result<AgentProcess> {
        let mut agent = AgentProcess::start(self)?;
        agent.ready(self)?;
        Ok(agent)
    }

    /// Starts another program than the agent, which takes the agent's arguments, and waits until it is ready.
    ///
    /// # Errors
    /// When it ends or does not become ready.
    pub fn start_program(&self, program: &Path, environment: &[(&str, &str)]) -> Result<AgentProcess> {
        let mut command = Command::new(program);
        command.envs(environment.iter().copied());
        let mut agent = AgentProcess::start_command(self, command)?;
        agent.ready(self)?;
        Ok(agent)
    }

    /// Starts the agent with this many seconds between two sweeps, and waits until it is ready.
    ///
    /// # Errors
    /// When it ends or does not become ready.
    pub fn start_agent_sweeping(&self, seconds: u32) -> Result<AgentProcess> {
        let mut command = Command::new(self.world.binaries()?.agent);
        command.env("FLOCK_SWEEP_INTERVAL", seconds.to_string());
        let mut agent = AgentProcess::start_command(self, command)?;
        agent.ready(self)?;
        Ok(agent)
    }

    /// What the names of the trial's namespaces begin with.
    pub fn prefix(&self) -> &str {
        self.world.prefix()
    }

    /// A call of the plugin with the conflist's configuration and without an attachment.
    ///
    /// # Errors
    /// When there is no plugin.
    pub fn invocation(&self, command: &str) -> Result<Invocation<'_>> {
        let plugin = self.world.binaries()?.plugin;
        let config =
            json!({"cniVersion": "1.1.0", "name": "flock", "type": "flock", "socket": self.socket()});
        Ok(Invocation::new(&self.netns, &plugin, config, self.dir.join("cni.log"), command))
    }

    /// A call of the plugin for `sandbox`, as kubelet's runtime makes it.
    ///
    /// # Errors
    /// When there is no plugin.
    pub fn call(&self, command: &str, sandbox: &Sandbox) -> Result<Invocation<'_>> {
        Ok(self.invocation(command)?.of(sandbox))
    }

    /// ADD, once.
    ///
    /// # Errors
    /// When the plugin cannot be run; its answer is the outcome.
    pub fn add(&self, sandbox: &Sandbox) -> Result<Outcome> {
        self.call("ADD", sandbox)?.run()
    }

    /// DEL, once.
    ///
    /// # Errors
    /// When the plugin cannot be run; its answer is the outcome.
    pub fn del(&self, sandbox: &Sandbox) -> Result<Outcome> {
        self.call("DEL", sandbox)?.run()
    }

    /// CHECK of what ADD has answered.
    ///
    /// # Errors
    /// When the plugin cannot be run; its answer is the outcome.
    pub fn check(&self, pod: &Attached) -> Result<Outcome> {
        self.call("CHECK", &pod.sandbox)?.with("prevResult", pod.result.clone()).run()
    }

    /// A sandbox for a pod of namespace `default`, not known to the agent by this alone.
    ///
    /// # Errors
    /// When its namespace cannot be made.
    pub fn sandbox(&self, pod: &str) -> Result<Sandbox> {
        self.sandbox_of(&Pod::new(pod))
    }

    /// A sandbox for a pod, whose manifest is there already or never.
    ///
    /// # Errors
    /// When its namespace cannot be made.
    pub fn sandbox_of(&self, pod: &Pod) -> Result<Sandbox> {
        let container = self.world.container_id();
        let count = usize::from_str_radix(&container[container.len() - 6..], 16)?;
        let netns = self.world.netns(&format!("p{count}"))?;
        // Runtimes do that; ADD waits for it before it gives `lo` an address.
        if pod.annotations.contains_key("flock.fritzlab.net/anycast") {
            netns.ip(&["link", "set", "lo", "up"])?;
        }
        Ok(Sandbox {
            netns,
            ifname: "eth0".to_owned(),
            namespace: pod.namespace.clone(),
            pod: pod.name.clone(),
            uid: format!("11111111-2222-4333-8444-{}", &container[container.len() - 12..]),
            container,
        })
    }

    /// Writes the pod's manifest and makes its sandbox.
    ///
    /// # Errors
    /// When either cannot be made.
    pub fn schedule(&self, pod: &Pod) -> Result<Sandbox> {
        self.write(&format!("pod-{}-{}.yaml", pod.namespace, pod.name), &pod.yaml())?;
        self.sandbox_of(pod)
    }

    /// ADD, repeated as kubelet does while the agent has not read the manifest yet.
    ///
    /// # Errors
    /// When the plugin cannot be run, or still says "try again"; any other answer is the outcome.
    pub fn add_scheduled(&self, sandbox: &Sandbox) -> Result<Outcome> {
        eventually(PATIENCE, || {
            let outcome = self.add(sandbox)?;
            ensure!(!is_try_again(&outcome), "{}", outcome.stdout);
            Ok(outcome)
        })
    }

    /// Schedules the pod and attaches it.
    ///
    /// # Errors
    /// When it gets no addresses.
    pub fn run(&self, pod: &Pod) -> Result<Attached> {
        let sandbox = self.schedule(pod)?;
        let result = self.add_scheduled(&sandbox)?.result()?;
        Ok(Attached { sandbox, result })
    }

    /// `flockctl` with these arguments, asking this node's agent.
    ///
    /// # Errors
    /// When it cannot be run.
    pub fn ctl(&self, arguments: &[&str]) -> Result<Outcome> {
        let binaries = self.world.binaries()?;
        let (program, socket) = (binaries.ctl.display().to_string(), self.socket().display().to_string());
        let argv = [&[program.as_str()], arguments, &["--socket", socket.as_str()]].concat();
        self.netns.enter(|| crate::plugin::outcome(&mut crate::command::command(&argv)?, &[]))?
    }

    /// Fails unless the node holds no attachment: not in the kernel, not in the store.
    ///
    /// # Errors
    /// Names what it holds.
    pub fn ensure_empty(&self) -> Result<()> {
        self.netns.ensure_no_attachments()?;
        let records = self.records()?;
        ensure!(records.is_empty(), "the store still has {records:?}");
        Ok(())
    }

    /// The store's files, one for each attachment.
    ///
    /// # Errors
    /// When the directory cannot be read; that it does not exist is none.
    pub fn records(&self) -> Result<Vec<PathBuf>> {
        let dir = self.run_dir().join("attachments");
        if !dir.exists() {
            return Ok(Vec::new());
        }
        let files: std::io::Result<Vec<PathBuf>> =
            fs::read_dir(&dir)?.map(|entry| Ok(entry?.path())).collect();
        let mut files = files?;
        files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
        Ok(files)
    }

    /// The store's file of a sandbox's attachment.
    ///
    /// # Errors
    /// When there is none.
    pub fn record(&self, sandbox: &Sandbox) -> Result<PathBuf> {
        let named = |file: &PathBuf| file.to_string_lossy().contains(&sandbox.container);
        self.records()?.into_iter().find(named).with_context(|| format!("no record of {}", sandbox.container))
    }
}
