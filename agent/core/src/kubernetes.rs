//! What Kubernetes is told of the node, and what it tells of the agent's own end.
//!
//! * [`condition`]: the Node's condition `NetworkUnavailable`.
//! * [`stop_reason`]: why BIRD's container is stopped.

pub mod condition;
pub mod stop_reason;
