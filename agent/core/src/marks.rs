//! The bits of packet marks and connection marks that flock uses.
//!
//! A mark has 32 bits, which all programs of a node share; kube-proxy has 14 and 15. Each use here has bits of its own and
//! leaves all others as they are.

/// The pod that a connection to an anycast address is with ([`crate::steering::FlowSlot`]). On packets within the node,
/// and on their connections.
pub const STEERING: u32 = 0xfff0_0000;

/// A connection that policy has allowed and does not any more: reserved for NetworkPolicy. On connections only.
pub const REVOKED: u32 = 0x0008_0000;

const _: () = assert!(STEERING & REVOKED == 0, "each use has bits of its own");
