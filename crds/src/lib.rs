//! flock's Kubernetes types, API group `flock.fritzlab.net/v1alpha1`.
//!
//! * [`node_config`]: NodeConfig, what a node gives its pods.
//! * [`status`], [`anycast`]: what the agent says of it.
//! * [`bgp`]: NodeConfig `spec.bgp`, whom the node speaks BGP with.
//! * [`address_pool`]: AddressPool, which addresses pods may name themselves.
//! * [`duration`]: durations as Kubernetes writes them, `30s`.
//!
//! These are the shapes that people write. What they mean together is decided where they become core's types.

pub mod address_pool;
pub mod anycast;
pub mod bgp;
pub mod duration;
pub mod node_config;
pub mod status;

/// The API group and version of every type here.
pub const API_VERSION: &str = "flock.fritzlab.net/v1alpha1";
