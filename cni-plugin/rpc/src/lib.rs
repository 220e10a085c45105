//! The contract between the CNI plugin (and `flockctl`) and the agent of the same node.
//!
//! * [`v1alpha1`]: messages and both halves of the services, generated from `proto/flock.proto`;
//! * [`name`]: the alphabets of the names that both sides check;
//! * [`error`]: CNI errors and how they travel in a gRPC status;
//! * [`client`]: a gRPC transport over one Unix socket (feature `client`);
//! * [`tombstone`]: what the plugin leaves behind when a DEL finds no agent.
//!
//! The service traits and servers need the feature `server`. The generated code is committed; the test `codegen`
//! compares it with the proto file and, with `FLOCK_BLESS=1`, rewrites it.

#[cfg(feature = "client")]
pub mod client;
pub mod error;
pub mod name;
pub mod tombstone;

/// Generated from `proto/flock.proto`.
#[allow(missing_docs, unreachable_pub, clippy::all, reason = "generated")]
pub mod v1alpha1 {
    include!("gen/flock.v1alpha1.rs");
}

pub use error::CniCode;
pub use v1alpha1::{AttachmentId, CniError};
