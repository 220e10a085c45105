//! A node of the cluster: its machine, and containerd, kubelet, kube-proxy, and where it is a program of the node the
//! agent, on it.

mod config;
mod runtime;
mod services;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, ensure};
use flock_tests::router::Port;
use flock_tests::{Netns, command, eventually};

use crate::cluster::Site;
use crate::fabric::{self, Fabric};
use crate::init;
use crate::kubectl::{Kubectl, PATIENCE, condition};
use crate::machine::{Hardware, Machine, Process};
use crate::network::{self, Network};
use crate::pki::Subject;
use crate::plan::Runtime;

/// A node. It is running, or switched off.
#[derive(Debug)]
pub struct Member {
    /// Its name in the cluster.
    pub name: String,
    number: u8,
    /// Its container runtime.
    pub runtime: Runtime,
    /// Its pods' ranges, the primary family's first; none before the cluster has given it some.
    pub pod_cidrs: Vec<String>,
    site: Arc<Site>,
    running: Option<Running>,
}

/// What runs on a node. The fields are dropped in this order.
#[derive(Debug)]
struct Running {
    agent: Option<Process>,
    proxy: Option<Process>,
    kubelet: Option<Process>,
    containerd: Option<Process>,
    machine: Machine,
}

/// The name of the node with this number: `node-a` for 1.
pub fn name(number: u8) -> String {
    format!("node-{}", char::from(b'a' + number - 1))
}

impl Member {
    /// A node that is switched off: `node-a` for number 1.
    ///
    /// # Errors
    /// When its credentials cannot be made.
    pub(crate) fn new(site: &Arc<Site>, number: u8, runtime: Runtime) -> Result<Self> {
        let (name, site) = (name(number), Arc::clone(site));
        let member = Self { name, number, runtime, pod_cidrs: Vec::new(), site, running: None };
        fs::create_dir_all(member.dir()).with_context(|| format!("make {}", member.dir().display()))?;
        member.credentials()?;
        config::write(&member)?;
        Ok(member)
    }

    /// Its files: logs, configuration, and its disk below.
    pub fn dir(&self) -> PathBuf {
        self.site.dir.join(&self.name)
    }

    /// What the node calls `place`, as `/etc/cni/net.d` or `/run/flock`, as seen from outside. While it is switched off
    /// that is only there for folders that are its alone.
    pub fn own_folder(&self, place: &str) -> PathBuf {
        match &self.running {
            Some(running) => PathBuf::from(format!("/proc/{}/root{place}", running.machine.first_pid())),
            None => init::own_folder(&self.disk(), place),
        }
    }

    fn disk(&self) -> PathBuf {
        self.dir().join("disk")
    }

    fn log(&self, program: &str) -> PathBuf {
        self.dir().join(format!("{program}.log"))
    }

    /// Its number at the router, from 1.
    pub fn number(&self) -> u8 {
        self.number
    }

    /// Its cable.
    pub fn port(&self) -> Port {
        fabric::port(self.number)
    }

    /// Its addresses, the primary family's first.
    pub fn addresses(&self) -> [String; 2] {
        let primary = self.site.plan.primary;
        [primary, primary.other()].map(|family| self.port().node(family.any()))
    }

    /// Its machine.
    ///
    /// # Errors
    /// When it is switched off.
    pub fn machine(&self) -> Result<&Machine> {
        Ok(&self.running.as_ref().with_context(|| format!("{} is switched off", self.name))?.machine)
    }

    fn running(&mut self) -> Result<&mut Running> {
        self.running.as_mut().with_context(|| format!("{} is switched off", self.name))
    }

    /// Switches it on: machine, containerd, kubelet, kube-proxy. Its CNI plugin may be another's affair.
    ///
    /// # Errors
    /// When one of them does not come up.
    pub fn switch_on(&mut self, fabric: &Fabric) -> Result<()> {
        self.power_on(fabric)?;
        self.join()
    }

    /// Switches it on as far as it needs nobody else: machine and containerd.
    pub(crate) fn power_on(&mut self, fabric: &Fabric) -> Result<()> {
        ensure!(self.running.is_none(), "{} is switched on already", self.name);
        let netns = Netns::new(&format!("{}{}", self.site.prefix, self.name))?;
        netns.ip(&["link", "set", "lo", "up"])?;
        fabric.plug(&netns, self.number)?;
        let machine = Machine::boot(&self.site.programs, netns, &self.hardware())?;
        self.running = Some(Running { agent: None, proxy: None, kubelet: None, containerd: None, machine });
        network::prepare(self, fabric)?;
        self.start_containerd()
    }

    /// Starts what speaks with the API server.
    pub(crate) fn join(&mut self) -> Result<()> {
        self.start_kubelet()?;
        self.start_proxy()?;
        if matches!(self.site.plan.network, Network::FlockHost(_)) {
            self.start_agent()?;
        }
        Ok(())
    }

    /// Switches it off as a power cut does. Its disk stays.
    pub fn switch_off(&mut self) {
        self.running = None;
    }

    /// A power cut, and the same machine again.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn reboot(&mut self, fabric: &Fabric) -> Result<()> {
        self.switch_off();
        self.switch_on(fabric)
    }

    fn hardware(&self) -> Hardware {
        let debian = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        let path = match self.runtime {
            Runtime::Containerd2 => format!("{}:{debian}", self.site.programs.bin().display()),
            Runtime::Containerd1 => debian.to_owned(),
        };
        let cgroup = format!("{}{}", self.site.prefix, self.name);
        Hardware { name: self.name.clone(), disk: self.disk(), cgroup, path }
    }

    fn credentials(&self) -> Result<()> {
        let (site, name) = (&self.site, &self.name);
        let user = format!("system:node:{name}");
        site.authority.kubeconfig(name, &site.server(), Subject::client(&user, &["system:nodes"]))?;
        let [first, second] = self.addresses();
        let names = format!("DNS:{name},IP:{first},IP:{second}");
        let serving = Subject { user: &user, groups: &["system:nodes"], names: &names };
        site.authority.issue(&format!("{name}-serving"), serving)?;
        let proxy = Subject::client("system:kube-proxy", &["system:node-proxier"]);
        site.authority.kubeconfig(&format!("{name}-proxy"), &site.server(), proxy).map(drop)
    }

    /// What `flockctl` prints on the node.
    ///
    /// # Errors
    /// When it fails.
    pub fn ctl(&self, arguments: &[&str]) -> Result<String> {
        let ctl = self.site.plan.network.flock()?.bin.join("flockctl").display().to_string();
        self.machine()?.run(&[&[ctl.as_str()], arguments].concat())
    }

    /// Waits until the cluster says that it is ready.
    ///
    /// # Errors
    /// Says what it is instead.
    pub fn ready(&self, kubectl: &Kubectl) -> Result<()> {
        self.eventually(|| {
            let node = kubectl.json(&["node", &self.name])?;
            ensure!(
                condition(&node, "Ready"),
                "{} is not ready: {}",
                self.name,
                node["status"]["conditions"]
            );
            Ok(())
        })
    }

    /// Waits until `attempt` succeeds, and no longer than kubelet lives.
    pub(crate) fn eventually<T>(&self, mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
        let kubelet = self.running.as_ref().and_then(|running| running.kubelet.as_ref());
        eventually(PATIENCE, || match kubelet.map(Process::pid) {
            Some(Ok(_)) => attempt().map(Ok),
            _ => Ok(Err(anyhow!("{}'s kubelet does not run", self.name))),
        })?
    }

    /// The site that it belongs to.
    pub(crate) fn site(&self) -> &Site {
        &self.site
    }

    /// Copies reference CNI plugins to where the node's runtime looks for plugins.
    pub(crate) fn install(&self, from: &Path, plugins: &[&str]) -> Result<()> {
        plugins.iter().try_for_each(|plugin| {
            let to = self.own_folder("/opt/cni/bin").join(plugin);
            command::run(&[
                "install",
                "--mode=755",
                &from.join(plugin).display().to_string(),
                &to.display().to_string(),
            ])
            .map(drop)
        })
    }
}
