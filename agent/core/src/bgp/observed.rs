//! What BIRD's answers say of its sessions. Read as loosely as can be: BIRD 2.0.12 to 3.x differ in details, and what
//! is not understood is left out, never a reason to fail.

mod routes;

#[cfg(test)]
mod tests;

pub use routes::addresses;

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

/// The codes of an answer's lines (BIRD's `doc/reply_codes`).
mod code {
    pub(super) const PROTOCOL: u16 = 1002;
    pub(super) const PROTOCOL_DETAILS: u16 = 1006;
    pub(super) const ROUTES: u16 = 1007;
    pub(super) const BFD_SESSIONS: u16 = 1020;
}

/// All BGP protocols of an answer to `show protocols all`, by name.
pub fn sessions(reply: &Reply) -> BTreeMap<String, ObservedSession> {
    let mut sessions = BTreeMap::new();
    let mut reading: Option<(String, Reading)> = None;
    for line in &reply.lines {
        match (line.code, &mut reading) {
            (code::PROTOCOL, _) => {
                let finished = std::mem::replace(&mut reading, Reading::of_row(&line.text));
                sessions.extend(finished.map(|(name, reading)| (name, reading.session)));
            }
            (code::PROTOCOL_DETAILS, Some((_, reading))) => reading.detail(&line.text),
            _ => {}
        }
    }
    sessions.extend(reading.map(|(name, reading)| (name, reading.session)));
    sessions
}

/// A session whose details are being read.
struct Reading {
    session: ObservedSession,
    section: Section,
}

/// Whose details they are.
enum Section {
    Session,
    Channel(Family),
    /// A channel of a family that flock does not speak.
    Foreign,
}

impl Reading {
    /// A row of the table: `Name Proto Table State Since Info`. None of a protocol that is not BGP.
    fn of_row(row: &str) -> Option<(String, Self)> {
        let mut columns = row.split_whitespace();
        let name = columns.next()?.to_owned();
        if columns.next()? != "BGP" {
            return None;
        }
        let protocol_state = columns.nth(1)?;
        let rest: Vec<&str> = columns.collect();
        let info = rest.iter().find_map(|word| SessionState::of_word(word));
        let down = (protocol_state == "down").then_some(SessionState::Down);
        let session = ObservedSession {
            state: info.or(down).unwrap_or(SessionState::Unknown),
            since: rest.first().copied().and_then(timestamp),
            last_error: None,
            channels: BTreeMap::new(),
        };
        Some((name, Self { session, section: Section::Session }))
    }

    /// A line below the row: `Channel ipv6`, or `Key: value` of the session or the channel above it.
    fn detail(&mut self, line: &str) {
        let line = line.trim();
        if let Some(family) = line.strip_prefix("Channel ") {
            self.section = Section::of_channel(family);
            if let Section::Channel(family) = self.section {
                self.session.channels.insert(family, ObservedChannel::default());
            }
            return;
        }
        let Some((key, value)) = line.split_once(':').map(|(key, value)| (key, value.trim())) else { return };
        match self.section {
            Section::Session => self.session.learn(key, value),
            Section::Channel(family) => self.session.channels.entry(family).or_default().learn(key, value),
            Section::Foreign => {}
        }
    }
}

impl Section {
    fn of_channel(name: &str) -> Self {
        match name {
            "ipv6" => Section::Channel(Family::IPv6),
            "ipv4" => Section::Channel(Family::IPv4),
            _ => Section::Foreign,
        }
    }
}

impl ObservedSession {
    fn learn(&mut self, key: &str, value: &str) {
        match key {
            "BGP state" => self.state = SessionState::of_word(value).unwrap_or(SessionState::Unknown),
            "Last error" => self.last_error = Some(value.to_owned()),
            _ => {}
        }
    }
}

impl SessionState {
    /// The state's name (RFC 4271, section 8.2.2), or BIRD's.
    pub fn as_str(self) -> &'static str {
        match self {
            SessionState::Idle => "Idle",
            SessionState::Connect => "Connect",
            SessionState::Active => "Active",
            SessionState::OpenSent => "OpenSent",
            SessionState::OpenConfirm => "OpenConfirm",
            SessionState::Established => "Established",
            SessionState::Down => "Down",
            SessionState::Unknown => "Unknown",
        }
    }

    fn of_word(word: &str) -> Option<Self> {
        Some(match word {
            "Idle" => Self::Idle,
            "Connect" => Self::Connect,
            "Active" => Self::Active,
            "OpenSent" => Self::OpenSent,
            "OpenConfirm" => Self::OpenConfirm,
            "Established" => Self::Established,
            "Down" => Self::Down,
            _ => return None,
        })
    }
}

impl ObservedChannel {
    fn learn(&mut self, key: &str, value: &str) {
        match key {
            "State" => self.up = value == "UP",
            "Import limit" => self.import_limit_hit = value.ends_with("[HIT]"),
            "Export limit" => self.export_limit_hit = value.ends_with("[HIT]"),
            "Routes" => self.count(value),
            _ => {}
        }
    }

    /// `3 imported, 1 filtered, 1 exported, 3 preferred`; `filtered` only with `import keep filtered`.
    fn count(&mut self, routes: &str) {
        for (number, what) in routes.split(',').filter_map(|part| part.trim().split_once(' ')) {
            let Ok(number) = number.parse() else { continue };
            match what {
                "imported" => self.imported = number,
                "filtered" => self.filtered = number,
                "exported" => self.exported = number,
                _ => {}
            }
        }
    }
}

/// BIRD's time in the format that flock configures: `2026-11-21T09:26:46+0000`.
fn timestamp(text: &str) -> Option<Timestamp> {
    Timestamp::strptime("%Y-%m-%dT%H:%M:%S%z", text).ok()
}

/// All BFD sessions of an answer to `show bfd sessions`, by the neighbour's address and interface. A session over
/// several hops has no interface: its name is empty.
pub fn bfd(reply: &Reply) -> BTreeMap<(IpAddr, String), ObservedBfd> {
    let lines = reply.lines.iter().filter(|line| line.code == code::BFD_SESSIONS);
    lines.filter_map(|line| bfd_row(&line.text)).collect()
}

/// A row of the table: `IP address, Interface, State, Since, Interval, Timeout`.
fn bfd_row(row: &str) -> Option<((IpAddr, String), ObservedBfd)> {
    let mut columns = row.split_whitespace();
    let address = columns.next()?.parse().ok()?;
    let interface = columns.next().map(|name| if name == "---" { "" } else { name })?;
    let state = columns.next()?.to_owned();
    Some(((address, interface.to_owned()), ObservedBfd { state, since: columns.next().and_then(timestamp) }))
}
