//! How the agent begins, goes on and ends on a node.
//!
//! * [`recovery`]: store and kernel joined after a restart.
//! * [`sweep`]: what is an orphan.
//! * [`uninstall`]: how flock is taken off a node.

pub mod recovery;
pub mod sweep;
pub mod uninstall;
