//! The kernel, as the agent sees it. The only crate that knows netlink, network namespaces and sysctls; no type of
//! theirs crosses its border.
//!
//! * [`Links`], [`Node`], [`Routes`], [`Firewall`], [`Events`]: what can be observed and changed, in `flock-core`'s
//!   vocabulary, one trait for each concern. A new operation is written in its trait, in `linux` and in `fake`.
//! * [`events`]: what the kernel tells by itself.
//! * [`steer()`]: what takes two of them.
//! * [`Residents`]: whether what it keeps at work between calls still is.
//! * [`linux`]: the real one: netlink sockets in the node's and the pods' namespaces, on short-lived threads.
//! * `fake`: one in memory for tests (feature `fake`), which can fail at any step.
//! * [`gate`]: where tests stop, fail or kill either of them.

mod error;
pub mod events;
#[cfg(any(test, feature = "fake"))]
pub mod fake;
mod firewall;
pub mod gate;
mod links;
pub mod linux;
mod node;
mod residents;
mod routes;
mod steer;

pub use error::KernelError;
pub use events::{Events, KernelEvent, KernelEvents};
pub use firewall::Firewall;
pub use links::Links;
pub use node::Node;
pub use residents::Residents;
pub use routes::Routes;
pub use steer::steer;

pub use flock_core::host::ROUTE_PROTOCOL;

/// The whole kernel of one node: a handle that is cheap to clone and to call from many tasks at once. Whoever needs
/// one concern only asks for that one.
pub trait Kernel: Links + Node + Routes + Firewall + Events + Residents + Clone {}

impl<K: Links + Node + Routes + Firewall + Events + Residents + Clone> Kernel for K {}
