//! The agent on a node in memory.
//!
//! * [`attachments`]: ADD, DEL, CHECK, GC, repair and recovery, each fault on its own.
//! * [`crash`]: any sequence of them, cut off anywhere.
//! * [`support`]: the node.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod attachments;
mod crash;
mod support;
