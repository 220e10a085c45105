//! The harness itself, on the reference plugin: an old and a new runtime.

use std::path::Path;
use std::process::ExitCode;

use flock_cluster::{Network, Plan, Runtime, suite};

#[path = "harness/trials.rs"]
mod trials;

fn main() -> ExitCode {
    let plan = Plan::new(2, Network::Ptp).runtime(1, Runtime::Containerd1);
    suite::run(plan, Path::new(env!("CARGO_BIN_EXE_flock-cluster")), trials::trials())
}
