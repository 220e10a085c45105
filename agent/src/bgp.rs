//! The BGP speaker: what is wanted becomes `bird.conf`, BIRD is told, and its sessions are watched.
//!
//! ```text
//!  NodeConfig, pods, addresses, password files --> inputs: Wanted (resolve, render: core, pure)
//!  anycast addresses that are served now ----------/  |
//!                        +----------------------------v-------------+
//!                        |  speaker                                 |
//!                        |  base: check -> configure timeout ->     |---- control socket ---- BIRD
//!                        |    confirm or take back                  |                          |
//!                        |  anycast routes: configure, at once      |                          v
//!                        |  look every second                       |                     advertised:
//!                        +---+-----------------------+----------+---+                     for flockctl
//!                            v                       v          v
//!                   files: bird.conf, the       publish:     audit: a line for
//!                   last good configuration     status and   each address that
//!                   with today's routes         metrics      comes or goes
//! ```

#[cfg(test)]
mod examples;

mod advertised;
mod files;
mod inputs;
mod latency;
pub mod publish;
mod speaker;

pub use advertised::{Advertised, advertised};
pub use files::ConfFiles;
pub(crate) use inputs::password;
pub use inputs::{Inputs, Secrets};
pub use latency::Latencies;
pub use speaker::{AnycastCounters, BgpView, Counters, Speaker};
