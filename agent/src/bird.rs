//! BIRD: what it is to run becomes `bird.conf`, it is told, and its sessions are watched.
//!
//! ```text
//!  NodeConfig, pods, addresses, passwords --> inputs: what BIRD is to run (resolve, render: core, pure)
//!  anycast addresses that are served now ----/  |
//!                        +----------------------v-------------------+
//!                        |  controller                              |
//!                        |  base: check -> configure timeout ->     |---- control socket ---- BIRD
//!                        |    confirm or take back                  |                          |
//!                        |  anycast routes: configure, at once      |                          v
//!                        |  look every second                       |                     advertised:
//!                        +---+-----------------------+--------------+                     for flockctl
//!                            v                       v
//!                   files: bird.conf, the       BgpView: status,
//!                   last good configuration     sessions, counters
//!                   with today's routes
//! ```
//!
//! As a program:
//!
//! * [`client`]: typed commands over its control socket.
//! * [`start`]: `flock-agent bird`: becomes BIRD, in a container of its own.
//! * [`supervisor`]: `--bird=managed`: starts it, adopts one that runs already, never stops it.
//! * [`marker`]: BIRD is being stopped on purpose ([`crate::bird_stop`]).
//! * [`log`]: what it says goes to a file, and from there to the agent's log.

mod advertised;
pub mod client;
mod controller;
#[cfg(test)]
mod examples;
mod files;
mod inputs;
pub mod log;
pub mod marker;
pub mod start;
pub mod supervisor;

pub use advertised::{Advertised, advertised};
pub use controller::{AnycastCounters, BgpView, Controller, Counters};
pub use files::ConfFiles;
pub use inputs::Inputs;

use std::path::{Path, PathBuf};

/// BIRD's control socket below `run_dir`.
pub fn socket(run_dir: &Path) -> PathBuf {
    run_dir.join("bird.ctl")
}

/// The folder of BIRD's other files below `run_dir`.
pub fn dir(run_dir: &Path) -> PathBuf {
    run_dir.join("bird")
}
