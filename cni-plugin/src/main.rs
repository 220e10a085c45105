//! The CNI plugin of flock: what a container runtime executes for each operation on a pod. It knows nothing of
//! networks: it checks the call, asks the node's agent and prints the answer. CNI spec 1.1.
//!
//! * [`mod@env`]: the `CNI_*` variables and CNI_ARGS;
//! * [`config`]: the network configuration on standard input;
//! * [`version`]: versions of the CNI spec;
//! * [`call`]: both together, checked: one call of the agent;
//! * [`agent`]: the connection, with its patience and deadlines;
//! * [`loopback`]: the runtime's own plugin for `lo`, which may run at the same time;
//! * [`verbs`]: what each verb makes of the agent's answer, or of its absence;
//! * [`result`]: CNI results of every version, ours and `prevResult`;
//! * [`output`]: what standard output gets.

mod agent;
mod call;
mod config;
mod env;
mod loopback;
mod output;
mod result;
mod verbs;
mod version;

use std::io::{IsTerminal, Read};
use std::process::ExitCode;

fn main() -> ExitCode {
    if std::env::args_os().skip(1).any(|arg| arg == "--version" || arg == "-V") {
        return output::print(&format!("flock {}", env!("CARGO_PKG_VERSION")));
    }
    let vars = env::Vars::read(|name| std::env::var_os(name));
    if vars.command.is_empty() {
        return output::explain();
    }
    let stdin = std::io::stdin().lock();
    // By hand, VERSION needs no end-of-file key; the other verbs then say what they miss.
    let limit = if stdin.is_terminal() { 0 } else { u64::MAX };
    let stdin = config::read(stdin.take(limit));
    let cni_version = stdin.as_deref().ok().and_then(config::cni_version);
    match stdin.and_then(|stdin| call::parse(&vars, &stdin)).and_then(verbs::run) {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some(result)) => output::print(&result),
        Err(error) => output::print_error(&error, cni_version.as_deref()),
    }
}
