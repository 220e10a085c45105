//! Kubernetes itself as the judge: two nodes, real kubelets and runtimes, flock installed by its own manifests.
//! `make cluster-test` runs this; it needs root and the programs that `scripts/cluster-programs` builds.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "cluster/configuration.rs"]
mod configuration;
#[path = "cluster/deployment.rs"]
mod deployment;
#[path = "cluster/node_state.rs"]
mod node_state;
#[path = "cluster/objects.rs"]
mod objects;
#[path = "cluster/pods.rs"]
mod pods;
#[path = "cluster/resilience.rs"]
mod resilience;
#[path = "cluster/services.rs"]
mod services;
#[path = "cluster/streams.rs"]
mod streams;
#[path = "cluster/workloads.rs"]
mod workloads;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use flock_cluster::network::Flock;
use flock_cluster::{Network, Plan, Runtime, suite};

fn main() -> ExitCode {
    match plan() {
        Ok(plan) => {
            let trials = [
                deployment::first_trials(),
                pods::trials(),
                services::trials(),
                workloads::trials(),
                configuration::trials(),
                node_state::trials(),
                resilience::trials(),
                deployment::last_trials(),
            ];
            suite::run(plan, Path::new(env!("CARGO_BIN_EXE_flock-cluster")), trials.concat())
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Two nodes with flock as an operator installs it, an old and a new runtime. The trials that ask nothing of flock itself
/// pass on other networks, too.
fn plan() -> Result<Plan> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
    let bin = std::env::var_os("FLOCK_BIN_DIR").map_or_else(|| repository.join("bin"), PathBuf::from);
    let flock =
        Flock { bin: bin.canonicalize().context("bin: make build")?, deploy: repository.join("deploy") };
    let network = std::env::var("FLOCK_CLUSTER_NETWORK").unwrap_or_else(|_| "flock-daemon-set".to_owned());
    let plan = match network.as_str() {
        "ptp" => Plan::new(2, Network::Ptp),
        "flock-host" => Plan::new(2, Network::FlockHost(flock)),
        "flock-daemon-set" => {
            let image =
                repository.join("target/image/flock.tar").canonicalize().context("image: make image")?;
            Plan::new(2, Network::FlockDaemonSet(flock)).image(image)
        }
        other => bail!("FLOCK_CLUSTER_NETWORK={other}: ptp, flock-host or flock-daemon-set"),
    };
    Ok(plan.runtime(1, Runtime::Containerd1))
}
