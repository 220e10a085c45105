//! Peers' passwords out of Secrets.

use std::collections::BTreeMap;

use super::config::Password;
use super::plan::PasswordSource;

/// What Secrets say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secrets {
    /// Passwords, or why there is none, by where they are named.
    pub read: BTreeMap<PasswordSource, Result<Password, String>>,
    /// Why a password is not among them.
    pub otherwise: &'static str,
    /// One that is not among them will be: somebody is asking for it.
    pub is_asking: bool,
}

impl Default for Secrets {
    /// Of an agent without an API server.
    fn default() -> Self {
        let otherwise = "Secrets are in an API server, and this agent has none: use passwordFile";
        Self { read: BTreeMap::new(), otherwise, is_asking: false }
    }
}
