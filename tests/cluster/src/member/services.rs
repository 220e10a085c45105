//! Starting and stopping what runs on a node, one by one.

use anyhow::{Context, Result};

use super::{Member, config, runtime};
use crate::network;

impl Member {
    /// Starts containerd and waits until it answers and has all images.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start_containerd(&mut self) -> Result<()> {
        let process = runtime::start(self)?;
        self.running()?.containerd = Some(process);
        runtime::import(self)
    }

    /// Ends containerd by SIGTERM. Containers go on.
    ///
    /// # Errors
    /// When it does not run or does not end.
    pub fn stop_containerd(&mut self) -> Result<()> {
        let process = self.running()?.containerd.take();
        process.context("containerd does not run")?.terminate().map(drop)
    }

    /// Starts kubelet, without waiting for what it does.
    ///
    /// # Errors
    /// When there is no such program.
    pub fn start_kubelet(&mut self) -> Result<()> {
        let kubelet = self.site.programs.built("kubelet");
        let mut command = self.machine()?.command(&kubelet);
        command.arg("--config").arg(config::kubelet_file(self));
        command.arg("--kubeconfig").arg(self.site.authority.kubeconfig_file(&self.name));
        command.arg(format!("--hostname-override={}", self.name));
        command.arg(format!("--node-ip={}", self.addresses().join(","))).arg("--v=2");
        let process = self.machine()?.start(command, &self.log("kubelet"))?;
        self.running()?.kubelet = Some(process);
        Ok(())
    }

    /// Ends kubelet by SIGTERM. Containers go on.
    ///
    /// # Errors
    /// When it does not run or does not end.
    pub fn stop_kubelet(&mut self) -> Result<()> {
        let process = self.running()?.kubelet.take();
        process.context("kubelet does not run")?.terminate().map(drop)
    }

    /// Starts kube-proxy, without waiting for what it does.
    ///
    /// # Errors
    /// When there is no such program.
    pub fn start_proxy(&mut self) -> Result<()> {
        let mut command = self.machine()?.command(&self.site.programs.built("kube-proxy"));
        command.arg("--config").arg(config::proxy_file(self)).arg("--v=2");
        let process = self.machine()?.start(command, &self.log("kube-proxy"))?;
        self.running()?.proxy = Some(process);
        Ok(())
    }

    /// Ends kube-proxy by SIGTERM. Its rules stay.
    ///
    /// # Errors
    /// When it does not run or does not end.
    pub fn stop_proxy(&mut self) -> Result<()> {
        let process = self.running()?.proxy.take();
        process.context("kube-proxy does not run")?.terminate().map(drop)
    }

    /// Starts `flock-agent` as a program of the node, without waiting for what it does.
    ///
    /// # Errors
    /// When there is no such program.
    pub fn start_agent(&mut self) -> Result<()> {
        let command = network::agent(self)?;
        let process = self.machine()?.start(command, &self.log("agent"))?;
        self.running()?.agent = Some(process);
        Ok(())
    }

    /// Ends the agent by SIGTERM, as systemd does. BIRD goes on.
    ///
    /// # Errors
    /// When it is no program of the node, or does not end.
    pub fn stop_agent(&mut self) -> Result<()> {
        let process = self.running()?.agent.take();
        process.context("no agent runs as a program of the node")?.terminate().map(drop)
    }

    /// Ends the agent by SIGKILL.
    ///
    /// # Errors
    /// When it is no program of the node, or does not end.
    pub fn kill_agent(&mut self) -> Result<()> {
        let process = self.running()?.agent.take();
        process.context("no agent runs as a program of the node")?.kill().map(drop)
    }
}
