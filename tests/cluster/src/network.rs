//! How pods of a cluster get their network: what is installed on a node, what the router is told, what is applied.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;

use crate::fabric::{self, Fabric};
use crate::kubectl::Kubectl;
use crate::member::Member;
use crate::pki::Subject;
use crate::plan::Runtime;
use crate::programs::REFERENCE_PLUGINS;

/// Who the agent is, as a pod or as a program of the node.
const AGENT: &str = "system:serviceaccount:flock-system:flock-agent";

/// How pods get their network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Network {
    /// The reference plugin `ptp` with `host-local`; the router has static routes to the nodes' ranges.
    Ptp,
    /// flock, its agent a program of the node that runs BIRD itself.
    FlockHost(Flock),
    /// flock, installed by its own manifests.
    FlockDaemonSet(Flock),
}

/// Where flock is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flock {
    /// The folder of `flock`, `flock-agent` and `flockctl`.
    pub bin: PathBuf,
    /// The folder of the manifests, a kustomization.
    pub deploy: PathBuf,
}

impl Network {
    /// Where flock is.
    ///
    /// # Errors
    /// When it is not flock.
    pub fn flock(&self) -> Result<&Flock> {
        match self {
            Network::FlockHost(flock) | Network::FlockDaemonSet(flock) => Ok(flock),
            Network::Ptp => bail!("the network is not flock's"),
        }
    }

    /// What is applied before the nodes join.
    pub(crate) fn deploy(&self, kubectl: &Kubectl, nodes: u8) -> Result<()> {
        let (flock, daemons) = match self {
            Network::Ptp => return Ok(()),
            Network::FlockHost(flock) => (flock, false),
            Network::FlockDaemonSet(flock) => (flock, true),
        };
        let text = kubectl.run(&["kustomize", &flock.deploy.display().to_string()])?;
        let objects = text.split("\n---\n");
        let wanted = |object: &&str| daemons || !object.lines().any(is_for_pods);
        let (definitions, others): (Vec<&str>, Vec<&str>) = objects.filter(wanted).partition(|object| {
            object.lines().any(|line| ["kind: CustomResourceDefinition", "kind: Namespace"].contains(&line))
        });
        kubectl.apply(&definitions.join("\n---\n"))?;
        kubectl.run(&["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"])?;
        kubectl.apply(&others.join("\n---\n"))?;
        (1..=nodes).try_for_each(|number| kubectl.apply(&node_config(number)).map(drop))
    }
}

/// Whether a line makes its object one that agents need which are pods, and that others do without: certificates name no
/// nodes for the admission policy to compare.
fn is_for_pods(line: &str) -> bool {
    line == "kind: DaemonSet" || line.starts_with("kind: ValidatingAdmissionPolicy")
}

/// A session with the router over each family; the pods' ranges are those that the cluster gives the node.
fn node_config(number: u8) -> String {
    let port = fabric::port(number);
    let peer = |any: &str, family: &str| json!({"address": port.router(any), "asn": fabric::ROUTER_ASN, "families": [family]});
    let bgp = json!({
        "asn": fabric::asn(number),
        "peers": [peer("::/0", "IPv6"), peer("0.0.0.0/0", "IPv4")],
    });
    json!({
        "apiVersion": "flock.fritzlab.net/v1alpha1",
        "kind": "NodeConfig",
        "metadata": {"name": crate::member::name(number)},
        "spec": {"bgp": bgp},
    })
    .to_string()
}

/// What a node gets before its runtime starts, at every boot.
pub(crate) fn prepare(member: &Member, fabric: &Fabric) -> Result<()> {
    let reference = Path::new(REFERENCE_PLUGINS);
    let chained = match member.runtime {
        // It asks all plugins of a list for STATUS, and those of CNI 1.0 know none.
        Runtime::Containerd2 => member.site().programs.bin(),
        Runtime::Containerd1 => reference.to_owned(),
    };
    member.install(&chained, &["loopback", "portmap", "bandwidth"])?;
    match &member.site().plan.network {
        Network::Ptp => {
            member.install(reference, &["ptp", "host-local"])?;
            let netns = &member.machine()?.netns;
            netns.sysctl("ipv6/conf/all/forwarding", "1")?;
            netns.sysctl("ipv4/ip_forward", "1")?;
            // After its first boot the router knows nothing of it any more.
            route(member, fabric)
        }
        Network::FlockHost(flock) => member.install(&flock.bin, &["flock"]),
        Network::FlockDaemonSet(_) => Ok(()),
    }
}

/// What a node gets once the cluster knows it.
pub(crate) fn join(member: &mut Member, kubectl: &Kubectl, fabric: &Fabric) -> Result<()> {
    member.pod_cidrs = member.eventually(|| {
        let node = kubectl.json(&["node", &member.name])?;
        let cidrs = node["spec"]["podCIDRs"].as_array().into_iter().flatten();
        let cidrs: Vec<String> = cidrs.filter_map(|cidr| cidr.as_str().map(str::to_owned)).collect();
        ensure!(cidrs.len() == 2, "{} has no ranges of both families: {cidrs:?}", member.name);
        Ok(cidrs)
    })?;
    if member.site().plan.network == Network::Ptp {
        route(member, fabric)?;
        write_conflist(member, "10-ptp.conflist")?;
    }
    Ok(())
}

/// Lets the pods that a node of flock's takes from now on have `ptp` instead, which goes before it by its name. Their
/// addresses are of the same ranges.
pub(crate) fn give_ptp(member: &Member, fabric: &Fabric) -> Result<()> {
    member.install(Path::new(REFERENCE_PLUGINS), &["ptp", "host-local"])?;
    route(member, fabric)?;
    write_conflist(member, "00-ptp.conflist")
}

fn route(member: &Member, fabric: &Fabric) -> Result<()> {
    member.pod_cidrs.iter().try_for_each(|cidr| fabric.route(cidr, member.number()))
}

fn write_conflist(member: &Member, file: &str) -> Result<()> {
    let ranges: Vec<_> = member.pod_cidrs.iter().map(|cidr| json!([{"subnet": cidr}])).collect();
    let ipam = json!({
        "type": "host-local",
        // Leases outlive a reboot otherwise.
        "dataDir": "/run/cni-leases",
        "ranges": ranges,
        "routes": [{"dst": "::/0"}, {"dst": "0.0.0.0/0"}],
    });
    let list = json!({
        "cniVersion": "1.0.0",
        "name": "ptp",
        "plugins": [
            {"type": "ptp", "ipMasq": false, "ipam": ipam},
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ],
    });
    let folder = member.own_folder("/etc/cni/net.d");
    // containerd sees a file that is renamed within the folder, and only that.
    let hidden = folder.join("ptp.new");
    fs::write(&hidden, format!("{list:#}\n"))?;
    fs::rename(&hidden, folder.join(file)).context("put the conflist in place")
}

/// The agent as a program of the node.
pub(crate) fn agent(member: &Member) -> Result<Command> {
    let site = member.site();
    let Network::FlockHost(flock) = &site.plan.network else {
        bail!("{}'s agent is no program of the node", member.name);
    };
    let groups = ["system:serviceaccounts", "system:serviceaccounts:flock-system"];
    let file = format!("{}-agent", member.name);
    let kubeconfig = site.authority.kubeconfig(&file, &site.server(), Subject::client(AGENT, &groups))?;
    let mut command = member.machine()?.command(&flock.bin.join("flock-agent"));
    command.args(["run", "--bird=managed", "--cni-conf-dir=/etc/cni/net.d", "--node", &member.name]);
    command.arg("--kubeconfig").arg(kubeconfig);
    Ok(command)
}
