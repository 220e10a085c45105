//! `flock-agent`'s arguments.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::builder::PossibleValue;
use clap::{Parser, Subcommand, ValueEnum};

use crate::bird::marker::Purpose;
use crate::bird::start::Start;
use crate::install::Install;

/// flock's per-node agent: gives pods their addresses, links and routes.
#[derive(Debug, Parser)]
#[command(name = "flock-agent", version)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the CNI plugin on this node until SIGTERM.
    Run(Run),
    /// Put the CNI plugin onto this node, or a newer one in its place: what an init container calls.
    Install(Install),
    /// Become BIRD as soon as an agent has written its configuration: what BIRD's container runs.
    Bird(Start),
    /// Stop BIRD on purpose: what a preStop hook calls. Succeeds when there is no BIRD.
    BirdStop(BirdStop),
    /// Take flock off this node. Pods that still run keep their network until they are deleted. Not beside an agent.
    Uninstall(Uninstall),
}

#[derive(Debug, clap::Args)]
pub struct Uninstall {
    /// The node's name, for its Node's condition NetworkUnavailable; needs an API server.
    #[arg(long, env = "NODE_NAME")]
    pub node: Option<String>,
    /// How the API server is reached; unless said, as a pod's service account does, and in no pod not at all.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// The runtime's folder of network configurations.
    #[arg(long, value_name = "DIR", default_value = "/etc/cni/net.d")]
    pub cni_conf_dir: PathBuf,
    /// The runtime's folder of plugins.
    #[arg(long, value_name = "DIR", default_value = "/opt/cni/bin")]
    pub cni_bin_dir: PathBuf,
    /// Folder of the socket and the state, as with `run`.
    #[arg(long, value_name = "DIR", default_value = "/run/flock")]
    pub run_dir: PathBuf,
    /// Only say what would be done.
    #[arg(long)]
    pub dry_run: bool,
    /// When all is done, wait for SIGTERM: for a DaemonSet, whose pods are Ready when their nodes are done.
    #[arg(long)]
    pub then_wait: bool,
}

#[derive(Debug, clap::Args)]
pub struct BirdStop {
    /// What BIRD is stopped for: `rollout` lets routers and kernel keep its routes until it is back (RFC 4724), `drain`
    /// withdraws the node's routes before the sessions end, `shutdown` ends the sessions at once. `auto` asks the API
    /// server: drain if the node is cordoned or flock is being removed from it, shutdown if the node goes, else, and if it
    /// cannot be asked, rollout.
    #[arg(long = "for", value_enum)]
    pub purpose: For,
    /// Whose fate is asked for, with `--for auto`: this node's, and that of the DaemonSet of the pod below.
    #[arg(long, env = "NODE_NAME", required_if_eq("purpose", "auto"))]
    pub node: Option<String>,
    /// The pod that BIRD runs in, with `--for auto`.
    #[arg(long, env = "POD_NAME", required_if_eq("purpose", "auto"))]
    pub pod: Option<String>,
    /// The pod's namespace, with `--for auto`.
    #[arg(long, env = "POD_NAMESPACE", default_value = "flock-system")]
    pub namespace: String,
    /// How the API server is reached, with `--for auto`; unless said, as a pod's service account does.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Seconds between the last withdrawal and the end of the sessions, with `--for drain`.
    #[arg(long, value_name = "SECONDS", default_value_t = 1)]
    pub wait: u64,
    /// Folder of the socket and the state, as with `run`.
    #[arg(long, value_name = "DIR", default_value = "/run/flock")]
    pub run_dir: PathBuf,
}

#[derive(Debug, clap::Args)]
pub struct Run {
    /// The node's name: that of its NodeConfig.
    #[arg(long, env = "NODE_NAME")]
    pub node: String,
    /// Folder of NodeConfig, AddressPool, Pod, Namespace and Node YAML, followed live, instead of an API server.
    #[arg(long, value_name = "DIR", conflicts_with = "kubeconfig")]
    pub manifests: Option<PathBuf>,
    /// How the API server is reached; unless said, as a pod's service account does.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// The agent's namespace: that of the Secrets that peers' `passwordSecret` names.
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAME", default_value = "flock-system")]
    pub namespace: String,
    /// The runtime's folder of network configurations, which gets flock's once the node can take pods (`/etc/cni/net.d`);
    /// unless said, somebody else puts it there.
    #[arg(long, value_name = "DIR")]
    pub cni_conf_dir: Option<PathBuf>,
    /// The runtime's folder of plugins; what flock's is chained with is looked for there.
    #[arg(long, value_name = "DIR", default_value = "/opt/cni/bin")]
    pub cni_bin_dir: PathBuf,
    /// Folder of the socket, the state and the lock; a tmpfs, since network namespaces do not outlive a reboot.
    #[arg(long, value_name = "DIR", default_value = "/run/flock")]
    pub run_dir: PathBuf,
    /// The node's folder of sysctls; in a container that is not privileged, where the node's own is mounted once more,
    /// since such a container cannot write to /proc/sys.
    #[arg(long, value_name = "DIR", default_value = "/proc/sys/net")]
    pub proc_sys_net: PathBuf,
    /// Seconds between two sweeps for orphans, and between the two looks that make one.
    #[arg(long, env = "FLOCK_SWEEP_INTERVAL", value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..))]
    pub sweep_interval: u64,
    /// Who runs BIRD: `external`, somebody beside the agent (`bird -f -R -c RUN_DIR/bird/bird.conf -s RUN_DIR/bird.ctl`);
    /// `managed`, the agent, which leaves it running when it ends itself.
    #[arg(long, value_enum, default_value_t = BirdMode::External)]
    pub bird: BirdMode,
    /// The BIRD that is started with `--bird managed`.
    #[arg(long, value_name = "PROGRAM", default_value = "bird")]
    pub bird_program: PathBuf,
    /// Where metrics are served (`GET /metrics`, OpenMetrics), or `off`.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9469", value_parser = metrics_address)]
    pub metrics_address: MetricsAddress,
    /// How logs are written. What is logged: the environment variable RUST_LOG, as `flock_agent=debug`.
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

/// A purpose, or whatever the API server lets it be.
#[derive(Debug, Clone, Copy)]
pub enum For {
    Auto,
    Purpose(Purpose),
}

impl ValueEnum for For {
    fn value_variants<'a>() -> &'a [Self] {
        &[
            For::Auto,
            For::Purpose(Purpose::Rollout),
            For::Purpose(Purpose::Drain),
            For::Purpose(Purpose::Shutdown),
        ]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(match self {
            For::Auto => "auto",
            For::Purpose(purpose) => purpose.as_str(),
        }))
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum BirdMode {
    External,
    Managed,
}

#[derive(Debug, Clone, Copy)]
pub struct MetricsAddress(pub Option<SocketAddr>);

fn metrics_address(text: &str) -> Result<MetricsAddress, String> {
    match text {
        "off" => Ok(MetricsAddress(None)),
        _ => text
            .parse()
            .map(|address| MetricsAddress(Some(address)))
            .map_err(|_| "write an address and a port, as 127.0.0.1:9469 or [::1]:9469, or off".to_owned()),
    }
}
