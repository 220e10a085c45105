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
//! * [`daemon`], [`frr`], [`bird`]: routers that speak BGP. [`speaker`], [`fabric`]: nodes that speak it with them.
//! * [`flow`]: traffic of which every packet is accounted for; [`service`]: connections that stay open.
//! * [`requirements`], [`suite`]: what a suite needs, and how its trials are run.

pub mod agent;
pub mod bird;
pub mod command;
pub mod daemon;
pub mod eventually;
pub mod fabric;
pub mod flow;
pub mod frr;
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
pub mod service;
pub mod speaker;
pub mod suite;
pub mod world;

pub use agent::AgentProcess;
pub use bird::{BirdFiles, BirdProcess};
pub use eventually::{PATIENCE, eventually};
pub use fabric::{Fabric, Plan, Running, SESSION_PATIENCE};
pub use flow::Flow;
pub use frr::{Frr, FrrConfig, Neighbor};
pub use manifest::{Bgp, NodeConfig, Peer, Pod};
pub use netns::Netns;
pub use node::Node;
pub use plugin::{CniError, Invocation, Outcome};
pub use router::Router;
pub use sandbox::{Attached, Sandbox};
pub use service::{Connection, Service};
pub use speaker::Speaker;
pub use world::{Site, World};
