//! Access to the API server, for all who ask it or tell it something.
//!
//! * [`client`]: the connection.
//! * [`call`]: single requests and their errors.
//! * [`retry`]: when to try again.

pub mod call;
pub mod client;
pub mod retry;

/// Whom server-side apply has our fields from.
pub const FIELD_MANAGER: &str = "flock-agent";
