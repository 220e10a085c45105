//! NodeConfig `status`: written by the agent, read by people and programs.

use serde::{Deserialize, Serialize};

/// BGP on the node.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BgpStatus {
    /// BIRD itself.
    pub bird: BirdStatus,
    /// What became of `spec.bgp`.
    pub config: BgpConfigStatus,
    /// The peers, in the order of `spec.bgp.peers`.
    #[serde(default)]
    pub peers: Vec<BgpPeerStatus>,
}

/// BIRD itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BirdStatus {
    /// `Running`, `Away` or `Unknown`.
    pub state: String,
    /// Its version, while it is running.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Why it is away, and what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What became of `spec.bgp`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BgpConfigStatus {
    /// `None` (there is no `spec.bgp`), `Pending`, `OnTrial`, `Applied`, `Refused` or `RolledBack`.
    pub state: String,
    /// The configuration that this is about, as `birdc eval flock_revision` says it when BIRD runs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Why it was refused or taken back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it was taken back (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
}

/// One peer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BgpPeerStatus {
    /// Its address, as in `spec`.
    pub address: String,
    /// Its autonomous system.
    pub asn: u32,
    /// `eBGP` or `iBGP`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The session's state (RFC 4271, section 8.2.2), `Down` for one that BIRD has not started, or `Unknown`.
    pub state: String,
    /// Since when (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// The last error, in BIRD's words. It stays after the session is up again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// Why the session is not up, or what is wrong with one that is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The families of the session.
    pub families: Vec<BgpFamilyStatus>,
    /// BFD, where it is configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bfd: Option<BfdStatus>,
}

/// One family of a session.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BgpFamilyStatus {
    /// `IPv6` or `IPv4`.
    pub family: String,
    /// Whether its routes are exchanged.
    pub up: bool,
    /// Prefixes taken from the peer.
    pub imported: u64,
    /// Prefixes of the peer that the import filter has refused.
    pub filtered: u64,
    /// Prefixes advertised to the peer.
    pub exported: u64,
}

/// A BFD session.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BfdStatus {
    /// `Up`, `Down`, `Init` or `AdminDown` (RFC 5880, section 4.1).
    pub state: String,
    /// Since when (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
}
