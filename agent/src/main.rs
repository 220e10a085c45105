//! `flock-agent`: command line and logs; everything else is in the library.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use flock_agent::app::{self, Bird, Config};
use flock_agent::bird::{
    self,
    stop::{Purpose, Stop},
};
use flock_agent::store::Disk;
use flock_kernel::linux::LinuxKernel;
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
    /// Stop BIRD on purpose: what a preStop hook calls. Succeeds when there is no BIRD.
    BirdStop(BirdStop),
}

#[derive(Debug, clap::Args)]
struct BirdStop {
    /// What BIRD is stopped for: `rollout` lets routers and kernel keep its routes until it is back (RFC 4724), `drain`
    /// withdraws the node's routes before the sessions end, `shutdown` ends the sessions at once.
    #[arg(long = "for", value_enum)]
    purpose: Purpose,
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
    /// Folder of NodeConfig, Pod and Namespace YAML, followed live.
    #[arg(long, value_name = "DIR")]
    manifests: PathBuf,
    /// Folder of the socket, the state and the lock; a tmpfs, since network namespaces do not outlive a reboot.
    #[arg(long, value_name = "DIR", default_value = "/run/flock")]
    run_dir: PathBuf,
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
        Command::BirdStop(stop) => {
            log_to_stderr(LogFormat::Text);
            stop_bird(&stop)
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
        manifests: run.manifests,
        run_dir: run.run_dir,
        sweep_interval: Duration::from_secs(run.sweep_interval),
        bird: match run.bird {
            BirdMode::External => Bird::External,
            BirdMode::Managed => Bird::Managed(run.bird_program),
        },
        metrics: run.metrics_address.0,
    };
    // The work is netlink round trips; two workers are enough for a node, and each more costs memory.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async { app::run(config, LinuxKernel::open()?, Disk).await })
}

fn stop_bird(stop: &BirdStop) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let stop =
        Stop { run_dir: stop.run_dir.clone(), purpose: stop.purpose, wait: Duration::from_secs(stop.wait) };
    let report = runtime.block_on(bird::stop::stop(&stop))?;
    println!("{report}");
    Ok(())
}

fn log_to_stderr(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => logs.with_ansi(false).init(),
        LogFormat::Json => logs.json().flatten_event(true).init(),
    }
}
