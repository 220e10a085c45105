//! The harness of the tests that need a kernel: namespaces, a router, nodes with the real agent, the real plugin.
//!
//! Bottom up:
//!
//! * [`command`]: programs, bounded in time; [`eventually`](mod@eventually): waiting for what others do.
//! * [`netns`]: network namespaces that take everything in them along when they go; [`inspect`], [`ping`]: looking
//!   at them from outside, with other programs than ours.
//! * [`world`]: one trial's names and files; [`leaks`]: proof that nothing of them stays behind.
//! * [`manifest`], [`router`], [`node`], [`sandbox`]: the machines of a trial and what is written for them.
//! * [`agent`], [`plugin`]: `flock-agent` and `flock` as systemd and kubelet start them.
//! * [`requirements`], [`suite`]: what a suite needs, and how its trials are run.

pub mod agent;
pub mod command;
pub mod eventually;
pub mod inspect;
pub mod leaks;
pub mod manifest;
pub mod netns;
pub mod node;
pub mod ping;
pub mod plugin;
pub mod requirements;
pub mod router;
pub mod sandbox;
pub mod suite;
pub mod world;

pub use agent::AgentProcess;
pub use eventually::{PATIENCE, eventually};
pub use manifest::{NodeConfig, Pod};
pub use netns::Netns;
pub use node::Node;
pub use plugin::{CniError, Invocation, Outcome};
pub use router::Router;
pub use sandbox::{Attached, Sandbox};
pub use world::{Site, World};
