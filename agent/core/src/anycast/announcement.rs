//! What routers are told of single addresses.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Instant;

use ipnet::IpNet;

use super::Announced;

/// What BIRD is to tell of single addresses.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Announcement {
    /// The addresses.
    pub announced: Announced,
    /// What pods may claim: the export filter's second wall.
    pub claimable: BTreeSet<IpNet>,
    /// Why each address was last announced or withdrawn, those that are withdrawn among them; for the audit.
    pub causes: BTreeMap<IpAddr, Cause>,
}

/// Why an address is announced or withdrawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// In words, as `pod dns/resolver-0 is not ready`.
    pub text: String,
    /// When the agent learned of it.
    pub seen: Instant,
}
