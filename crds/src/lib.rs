//! flock's Kubernetes types, API group `flock.fritzlab.net/v1alpha1`.
//!
//! * [`node_config`]: NodeConfig, what a node gives its pods.
//! * [`status`]: NodeConfig `status`, what other nodes need and whether the configuration is obeyed.
//! * [`node_state`], [`anycast`]: NodeState, what the agent reports of its node.
//! * [`bgp`]: NodeConfig `spec.bgp`, whom the node speaks BGP with.
//! * [`address_pool`]: AddressPool, which addresses pods may name themselves.
//! * [`selector`]: which nodes or namespaces an object is for.
//! * [`duration`]: durations as Kubernetes writes them, `30s`.
//! * [`crd`]: their CustomResourceDefinitions, with what the API server refuses.
//! * [`prune`]: what an object of a newer release has that this one does not know.
//!
//! These are the shapes that people write. What they mean together is decided where they become core's types.

pub mod address_pool;
pub mod anycast;
pub mod bgp;
pub mod crd;
pub mod duration;
pub mod node_config;
pub mod node_state;
pub mod prune;
pub mod selector;
pub mod status;

pub use prune::{Kind, unknown_fields};

/// The API group and version of every type here.
pub const API_VERSION: &str = "flock.fritzlab.net/v1alpha1";
