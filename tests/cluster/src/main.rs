//! `flock-cluster`: brings a cluster up for people; for itself it is a node's first process, and the one that cleans up.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand, ValueEnum};
use flock_cluster::network::Flock;
use flock_cluster::{Cluster, Family, Network, Plan, Runtime, crowd, guard, init, keeper};

/// A Kubernetes cluster on this machine, its nodes namespaces. Needs root.
#[derive(Debug, Parser)]
#[command(name = "flock-cluster")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Bring a cluster up and leave it running.
    Up(Wanted),
    /// Take all of them down.
    Down,
    /// Measure how long a crowd of pods takes, with flock and with ptp.
    Crowd(Wanted),
    /// Bring a cluster up and hold it: what `up` starts.
    #[command(hide = true)]
    Keep(Wanted),
    /// Be a node's first process.
    #[command(hide = true)]
    Init {
        /// The node's name.
        name: String,
        /// What outlasts its reboots.
        disk: PathBuf,
    },
    /// Wait for a process's end and remove what it has left.
    #[command(hide = true)]
    Guard {
        /// The process.
        pid: i32,
    },
}

#[derive(Debug, Args)]
struct Wanted {
    /// How many nodes.
    #[arg(long, env = "NODES", default_value_t = 2)]
    nodes: usize,
    /// How pods get their network.
    #[arg(long, env = "NETWORK", value_enum, default_value_t = Networks::FlockDaemonSet)]
    network: Networks,
    /// IPv4 first.
    #[arg(long)]
    ipv4_first: bool,
    /// The last node runs Debian's containerd 1.6.
    #[arg(long)]
    old_runtime: bool,
    /// The repository that has flock's programs, manifests and image.
    #[arg(long, value_name = "DIR", default_value = ".")]
    repository: PathBuf,
    /// An image for all nodes, as an archive that `docker save` would write.
    #[arg(long)]
    image: Vec<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Networks {
    Ptp,
    FlockHost,
    FlockDaemonSet,
}

impl Wanted {
    fn plan(self) -> Result<Plan> {
        let root = self.repository.canonicalize()?;
        let flock = Flock { bin: root.join("bin"), deploy: root.join("deploy") };
        let (network, image) = match self.network {
            Networks::Ptp => (Network::Ptp, None),
            Networks::FlockHost => (Network::FlockHost(flock), None),
            Networks::FlockDaemonSet => {
                (Network::FlockDaemonSet(flock), Some(root.join("target/image/flock.tar")))
            }
        };
        let primary = if self.ipv4_first { Family::V4 } else { Family::V6 };
        let mut plan = Plan::new(self.nodes, network).primary(primary);
        if self.old_runtime {
            plan = plan.runtime(self.nodes - 1, Runtime::Containerd1);
        }
        Ok(self.image.into_iter().chain(image).fold(plan, Plan::image))
    }
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("flock-cluster: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    let harness = std::env::current_exe()?;
    match command {
        Command::Up(_) => keeper::up(&harness, &std::env::args().skip(2).collect::<Vec<_>>()),
        Command::Down => keeper::down(),
        Command::Crowd(wanted) => {
            let cluster = Cluster::up(wanted.plan()?, &harness)?;
            let measured = crowd::measure(&cluster);
            cluster.close()?;
            measured
        }
        Command::Keep(wanted) => keeper::keep(wanted.plan()?, &harness),
        Command::Init { name, disk } => init::run(&name, &disk),
        Command::Guard { pid } => guard::run(pid),
    }
}
