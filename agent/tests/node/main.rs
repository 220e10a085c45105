//! The agent on a node in memory.
//!
//! * [`anycast`]: what is announced, routed and steered.
//! * [`attachments`]: ADD, DEL, CHECK, GC, repair and recovery, each fault on its own.
//! * [`crash`]: any sequence of them, cut off anywhere.
//! * [`support`]: the node.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod anycast;
mod attachments;
mod crash;
mod support;
