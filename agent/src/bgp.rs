//! The BGP speaker: what is wanted becomes `bird.conf`, BIRD is told, and its sessions are watched.
//!
//! ```text
//!  NodeConfig, pods, addresses, password files --> inputs: Wanted (resolve, render: core, pure)
//!                                                     |
//!                        +----------------------------v-------------+
//!                        |  speaker: check -> configure timeout ->  |---- control socket ---- BIRD
//!                        |  confirm or take back; look every second |
//!                        +---+---------------------------+----------+
//!                            v                           v
//!                   files: bird.conf, the       publish: status for flockctl,
//!                   last good configuration     metrics and the NodeConfig
//! ```

#[cfg(test)]
mod examples;
mod files;
mod inputs;
pub mod publish;
mod speaker;

pub use files::ConfFiles;
pub use inputs::Inputs;
pub use speaker::{BgpView, Counters, Speaker};
