//! The agent on a node in memory.
//!
//! * [`admission`]: what is in force before a link comes up.
//! * [`anycast`]: what is announced, routed and steered.
//! * [`attachments`]: ADD, DEL, CHECK, GC, repair and recovery, each fault on its own.
//! * [`crash`]: any sequence of them, cut off anywhere.
//! * [`support`]: the node.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod admission;
mod anycast;
mod attachments;
mod crash;
mod support;
