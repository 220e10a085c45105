//! Nodes that speak BGP with real routers: FRR, which shares no line with BIRD, and a second BIRD.

use std::process::ExitCode;

use flock_tests::suite;

#[path = "bgp/export.rs"]
mod export;
#[path = "bgp/failures.rs"]
mod failures;
#[path = "bgp/harness.rs"]
mod harness;
#[path = "bgp/hostile.rs"]
mod hostile;
#[path = "bgp/import.rs"]
mod import;
#[path = "bgp/managed.rs"]
mod managed;
#[path = "bgp/restarts.rs"]
mod restarts;
#[path = "bgp/security.rs"]
mod security;
#[path = "bgp/sessions.rs"]
mod sessions;
#[path = "bgp/site.rs"]
mod site;

fn main() -> ExitCode {
    let modules = [
        harness::trials(),
        sessions::trials(),
        security::trials(),
        import::trials(),
        export::trials(),
        restarts::trials(),
        failures::trials(),
        managed::trials(),
        hostile::trials(),
    ];
    suite::run_routing(modules.into_iter().flatten().collect())
}
