//! `flock-agent`: command line and logs; everything else is in the library.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use flock_agent::api::client::Access;
use flock_agent::app::{self, Bird, Config, Origin};
use flock_agent::bird::marker::Purpose;
use flock_agent::bird::start::{self, Start};
use flock_agent::bird_stop::stop_reason::Identity;
use flock_agent::bird_stop::{self, Stop, auto};
use flock_agent::conflist::Folders;
use flock_agent::install::{self, Install};
use flock_agent::store::Disk;
use flock_agent::uninstall;
use flock_kernel::linux::LinuxKernel;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// flock's per-node agent: gives pods their addresses, links and routes.
#[derive(Debug, Parser)]
#[command(name = "flock-agent", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
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
struct Uninstall {
    /// The node's name, for its Node's condition NetworkUnavailable; needs an API server.
    #[arg(long, env = "NODE_NAME")]
    node: Option<String>,
    /// How the API server is reached; unless said, as a pod's service account does, and in no pod not at all.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The runtime's folder of network configurations.
    #[arg(long, value_name = "DIR", default_value = "/etc/cni/net.d")]
    cni_conf_dir: PathBuf,
    /// The runtime's folder of plugins.
    #[arg(long, value_name = "DIR", default_value = "/opt/cni/bin")]
    cni_bin_dir: PathBuf,
    /// Folder of the socket and the state, as with `run`.
    #[arg(long, value_name = "DIR", default_value = "/run/flock")]
    run_dir: PathBuf,
    /// Only say what would be done.
    #[arg(long)]
    dry_run: bool,
    /// When all is done, wait for SIGTERM: for a DaemonSet, whose pods are Ready when their nodes are done.
    #[arg(long)]
    then_wait: bool,
}

#[derive(Debug, clap::Args)]
struct BirdStop {
    /// What BIRD is stopped for: `rollout` lets routers and kernel keep its routes until it is back (RFC 4724), `drain`
    /// withdraws the node's routes before the sessions end, `shutdown` ends the sessions at once. `auto` asks the API
    /// server: drain if the node is cordoned or flock is being removed from it, shutdown if the node goes, else, and if it
    /// cannot be asked, rollout.
    #[arg(long = "for", value_enum)]
    purpose: For,
    /// Whose fate is asked for, with `--for auto`: this node's, and that of the DaemonSet of the pod below.
    #[arg(long, env = "NODE_NAME", required_if_eq("purpose", "auto"))]
    node: Option<String>,
    /// The pod that BIRD runs in, with `--for auto`.
    #[arg(long, env = "POD_NAME", required_if_eq("purpose", "auto"))]
    pod: Option<String>,
    /// The pod's namespace, with `--for auto`.
    #[arg(long, env = "POD_NAMESPACE", default_value = "flock-system")]
    namespace: String,
    /// How the API server is reached, with `--for auto`; unless said, as a pod's service account does.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Seconds between the last withdrawal and the end of the sessions, with `--for drain`.
    #[arg(long, value_name = "SECONDS", default_value_t = 1)]
    wait: u64,
    /// Folder of the socket and the state, as with `run`.
    #[arg(long, value_name = "DIR", default_value = "/run/flock")]
    run_dir: PathBuf,
}

#[derive(Debug, clap::Args)]
struct Run {
    /// The node's name: that of its NodeConfig.
    #[arg(long, env = "NODE_NAME")]
    node: String,
    /// Folder of NodeConfig, AddressPool, Pod, Namespace and Node YAML, followed live, instead of an API server.
    #[arg(long, value_name = "DIR", conflicts_with = "kubeconfig")]
    manifests: Option<PathBuf>,
    /// How the API server is reached; unless said, as a pod's service account does.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The agent's namespace: that of the Secrets that peers' `passwordSecret` names.
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAME", default_value = "flock-system")]
    namespace: String,
    /// The runtime's folder of network configurations, which gets flock's once the node can take pods (`/etc/cni/net.d`);
    /// unless said, somebody else puts it there.
    #[arg(long, value_name = "DIR")]
    cni_conf_dir: Option<PathBuf>,
    /// The runtime's folder of plugins; what flock's is chained with is looked for there.
    #[arg(long, value_name = "DIR", default_value = "/opt/cni/bin")]
    cni_bin_dir: PathBuf,
    /// Folder of the socket, the state and the lock; a tmpfs, since network namespaces do not outlive a reboot.
    #[arg(long, value_name = "DIR", default_value = "/run/flock")]
    run_dir: PathBuf,
    /// The node's folder of sysctls; in a container that is not privileged, where the node's own is mounted once more,
    /// since such a container cannot write to /proc/sys.
    #[arg(long, value_name = "DIR", default_value = "/proc/sys/net")]
    proc_sys_net: PathBuf,
    /// Seconds between two sweeps for orphans, and between the two looks that make one.
    #[arg(long, env = "FLOCK_SWEEP_INTERVAL", value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..))]
    sweep_interval: u64,
    /// Who runs BIRD: `external`, somebody beside the agent (`bird -f -R -c RUN_DIR/bird/bird.conf -s RUN_DIR/bird.ctl`);
    /// `managed`, the agent, which leaves it running when it ends itself.
    #[arg(long, value_enum, default_value_t = BirdMode::External)]
    bird: BirdMode,
    /// The BIRD that is started with `--bird managed`.
    #[arg(long, value_name = "PROGRAM", default_value = "bird")]
    bird_program: PathBuf,
    /// Where metrics are served (`GET /metrics`, OpenMetrics), or `off`.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9469", value_parser = metrics_address)]
    metrics_address: MetricsAddress,
    /// How logs are written. What is logged: the environment variable RUST_LOG, as `flock_agent=debug`.
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum For {
    Auto,
    Rollout,
    Drain,
    Shutdown,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum BirdMode {
    External,
    Managed,
}

#[derive(Debug, Clone, Copy)]
struct MetricsAddress(Option<SocketAddr>);

fn metrics_address(text: &str) -> Result<MetricsAddress, String> {
    match text {
        "off" => Ok(MetricsAddress(None)),
        _ => text
            .parse()
            .map(|address| MetricsAddress(Some(address)))
            .map_err(|_| "write an address and a port, as 127.0.0.1:9469 or [::1]:9469, or off".to_owned()),
    }
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Run(run) => {
            log_to_stderr(run.log_format);
            serve(run)
        }
        Command::Install(install) => {
            log_to_stderr(LogFormat::Text);
            install::run(&install)
        }
        Command::Uninstall(uninstall) => {
            log_to_stderr(LogFormat::Text);
            take_off(uninstall)
        }
        Command::Bird(bird) => {
            log_to_stderr(LogFormat::Text);
            start::become_bird(&bird).map(|never| match never {}).map_err(Into::into)
        }
        Command::BirdStop(stop) => {
            log_to_stderr(LogFormat::Text);
            stop_bird(stop)
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn serve(run: Run) -> anyhow::Result<()> {
    let config = Config {
        node: run.node,
        source: source(run.manifests, run.kubeconfig, run.namespace),
        run_dir: run.run_dir,
        sweep_interval: Duration::from_secs(run.sweep_interval),
        bird: match run.bird {
            BirdMode::External => Bird::External,
            BirdMode::Managed => Bird::Managed(run.bird_program),
        },
        metrics: run.metrics_address.0,
        cni: run.cni_conf_dir.map(|conf| Folders { conf, bin: run.cni_bin_dir }),
    };
    // The work is netlink round trips; two workers are enough for a node, and each more costs memory.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let kernel = LinuxKernel::open()?.with_sysctls_at(run.proc_sys_net);
        app::run(config, kernel, Disk).await
    })
}

fn source(manifests: Option<PathBuf>, kubeconfig: Option<PathBuf>, namespace: String) -> Origin {
    let access = access(kubeconfig);
    manifests.map_or(Origin::Kubernetes { access, namespace }, Origin::Manifests)
}

fn access(kubeconfig: Option<PathBuf>) -> Access {
    kubeconfig.map_or(Access::InCluster, Access::Kubeconfig)
}

fn stop_bird(stop: BirdStop) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (run_dir, wait) = (stop.run_dir.clone(), Duration::from_secs(stop.wait));
        let purpose = purpose(stop).await;
        let report = bird_stop::stop(&Stop { run_dir, purpose, wait }).await?;
        println!("{report}");
        Ok(())
    })
}

async fn purpose(stop: BirdStop) -> Purpose {
    match stop.purpose {
        For::Rollout => Purpose::Rollout,
        For::Drain => Purpose::Drain,
        For::Shutdown => Purpose::Shutdown,
        For::Auto => {
            let (node, pod) = (stop.node.unwrap_or_default(), stop.pod.unwrap_or_default());
            let identity = Identity { node, namespace: stop.namespace, pod };
            let decided = auto::decide(&access(stop.kubeconfig), &identity).await;
            println!("{decided}");
            decided.purpose
        }
    }
}

fn take_off(arguments: Uninstall) -> anyhow::Result<()> {
    let in_cluster = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
    let access = (arguments.kubeconfig.is_some() || in_cluster).then(|| access(arguments.kubeconfig));
    let uninstall = uninstall::Uninstall {
        folders: Folders { conf: arguments.cni_conf_dir, bin: arguments.cni_bin_dir },
        run_dir: arguments.run_dir,
        cluster: access.zip(arguments.node),
        dry_run: arguments.dry_run,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // Before anything is done, so that it is not lost.
        let mut terminated = signal(SignalKind::terminate())?;
        uninstall::run(&uninstall, &LinuxKernel::open()?, std::io::stdout()).await?;
        if arguments.then_wait {
            terminated.recv().await;
        }
        Ok(())
    })
}

fn log_to_stderr(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => logs.with_ansi(false).init(),
        LogFormat::Json => logs.json().flatten_event(true).init(),
    }
}
