//! The real plugin and the real agent against the real kernel: issue by issue, what pods and their runtime see.

use std::process::ExitCode;

use flock_tests::suite;

#[path = "netns/addresses.rs"]
mod addresses;
#[path = "netns/agent_away.rs"]
mod agent_away;
#[path = "netns/chain.rs"]
mod chain;
#[path = "netns/drift.rs"]
mod drift;
#[path = "netns/harness.rs"]
mod harness;
#[path = "netns/input.rs"]
mod input;
#[path = "netns/loopback.rs"]
mod loopback;
#[path = "netns/mortal.rs"]
mod mortal;
#[path = "netns/node.rs"]
mod node;
#[path = "netns/people.rs"]
mod people;
#[path = "netns/restart.rs"]
mod restart;
#[path = "netns/retries.rs"]
mod retries;
#[path = "netns/soak.rs"]
mod soak;
#[path = "netns/state.rs"]
mod state;
#[path = "netns/supervised.rs"]
mod supervised;
#[path = "netns/traffic.rs"]
mod traffic;
#[path = "netns/verbs.rs"]
mod verbs;

fn main() -> ExitCode {
    let modules = [
        harness::trials(),
        verbs::trials(),
        chain::trials(),
        loopback::trials(),
        input::trials(),
        addresses::trials(),
        traffic::trials(),
        retries::trials(),
        drift::trials(),
        agent_away::trials(),
        restart::trials(),
        state::trials(),
        node::trials(),
        people::trials(),
        mortal::trials(),
        supervised::trials(),
        soak::trials(),
    ];
    suite::run(modules.into_iter().flatten().collect())
}
