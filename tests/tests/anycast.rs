//! Anycast on the real thing: two nodes with agent and BIRD, FRR as their router, a client behind it, pods added
//! through the plugin, TCP services in them.

use std::process::ExitCode;

use flock_tests::suite;

#[path = "anycast/addresses.rs"]
mod addresses;
#[path = "anycast/failures.rs"]
mod failures;
#[path = "anycast/leaving.rs"]
mod leaving;
#[path = "anycast/ownership.rs"]
mod ownership;
#[path = "anycast/reach.rs"]
mod reach;
#[path = "anycast/site.rs"]
mod site;
#[path = "anycast/telling.rs"]
mod telling;

fn main() -> ExitCode {
    let modules = [
        reach::trials(),
        leaving::trials(),
        failures::trials(),
        ownership::trials(),
        addresses::trials(),
        telling::trials(),
    ];
    suite::run_routing(modules.into_iter().flatten().collect())
}
