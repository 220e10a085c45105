//! `flock-agent`: command line and logs; everything else is in the library.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use flock_agent::app::{self, Config};
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
    /// How logs are written. What is logged: the environment variable RUST_LOG, as `flock_agent=debug`.
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

fn main() -> ExitCode {
    let Command::Run(run) = Arguments::parse().command;
    log_to_stderr(run.log_format);
    match serve(run) {
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
    };
    // The work is netlink round trips; two workers are enough for a node, and each more costs memory.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async { app::run(config, LinuxKernel::open()?, Disk).await })
}

fn log_to_stderr(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => logs.with_ansi(false).init(),
        LogFormat::Json => logs.json().flatten_event(true).init(),
    }
}
