//! What the pipeline is told, and what it asks for.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;

use super::super::advertisements::Advertisement;
use super::super::control::BirdVersion;
use super::super::explain::Md5Refusals;
use super::super::observed::{ObservedBfd, ObservedSession};
use super::super::plan::BgpPlan;
use super::super::render::{AnycastRoutes, Base, BirdConf};
use crate::anycast::Announcement;

/// The time at which something happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// What pauses and deadlines go by.
    pub at: Instant,
    /// What people read.
    pub wall: Timestamp,
}

/// What BIRD is to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredConfig {
    /// The plan; none: the node is to speak no BGP.
    pub plan: Option<BgpPlan>,
    /// The configuration, but for its anycast routes.
    pub base: Base,
    /// Its anycast routes: today's announcement.
    pub routes: AnycastRoutes,
    /// Where they come from.
    pub announcement: Arc<Announcement>,
    /// The names of its sessions.
    pub sessions: BTreeSet<String>,
    /// Peers that cannot be started, by index, and why.
    pub refused: BTreeMap<usize, String>,
}

/// Why there is no configuration to run. What runs stays, but for what is withdrawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undesired {
    /// In words.
    pub reason: String,
    /// What is announced all the same; none: nobody knows.
    pub announcement: Option<Arc<Announcement>>,
}

/// A whole configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conf {
    /// All but the routes.
    pub base: Base,
    /// The anycast routes.
    pub routes: AnycastRoutes,
}

impl Conf {
    /// The file.
    pub fn file(&self) -> BirdConf {
        self.base.with(&self.routes)
    }

    /// Whether that is what runs.
    pub fn is(&self, running: &Running) -> bool {
        running.revision.as_deref() == Some(self.base.revision())
            && running.anycast.as_deref() == Some(self.routes.revision())
    }
}

/// What BIRD says of the configuration that it runs. One that is not flock's says nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Running {
    /// The revision of all but its anycast routes.
    pub revision: Option<String>,
    /// The revision of its anycast routes.
    pub anycast: Option<String>,
}

/// What has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The inputs have changed.
    Desired(Result<DesiredConfig, Undesired>),
    /// Whether BIRD is being stopped on purpose. A configuration would begin anew what a drain has ended.
    Draining(bool),
    /// BIRD answers.
    Connected {
        /// Which BIRD.
        version: BirdVersion,
        /// What it runs.
        running: Running,
    },
    /// BIRD cannot be asked: it was not there, or it went away.
    Lost(String),
    /// The answer to what was asked last.
    Replied(Reply),
    /// [`Command::Keep`] has failed.
    NotKept,
    /// Time has passed.
    Tick,
}

/// BIRD's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// It did as it was asked, and runs this now.
    Done(Running),
    /// It did not, or a file that it needs could not be written.
    Refused(String),
    /// What [`Command::Look`] has found.
    Looked(Look),
}

/// The sessions, as BIRD and the kernel tell of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Look {
    /// BGP protocols by name.
    pub sessions: BTreeMap<String, ObservedSession>,
    /// BFD sessions by neighbour and interface.
    pub bfd: BTreeMap<(IpAddr, String), ObservedBfd>,
    /// The kernel's counters.
    pub md5: Md5Refusals,
    /// What BIRD runs.
    pub running: Running,
}

/// What the shell is to do, in this order. Of those that BIRD answers there is one at a time, the last of a list; the
/// answer comes as an [`Event`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Connect to BIRD. Answered by `Connected` or `Lost`.
    Connect,
    /// Look at the sessions, and at BFD where it is used.
    Look {
        /// Whether it is.
        bfd: bool,
    },
    /// `configure check`: would BIRD take it?
    Check(Conf),
    /// `configure timeout`: BIRD goes back by itself unless that is confirmed.
    Try(Conf),
    /// `configure`, of what runs with other anycast routes.
    Update(Conf),
    /// `configure confirm`.
    Confirm,
    /// `configure`, of the last good configuration; `configure undo` where there is none.
    Revert(Option<Conf>),
    /// Make it `bird.conf`: what BIRD is started with.
    Keep(Conf),
    /// The file that was tried is not needed any more.
    DiscardCandidate,
    /// Log and count.
    Note(Note),
}

impl Command {
    /// For the log.
    pub fn name(&self) -> &'static str {
        match self {
            Command::Connect => "connect",
            Command::Look { .. } => "look",
            Command::Check(_) => "check",
            Command::Try(_) => "try",
            Command::Update(_) => "update",
            Command::Confirm => "confirm",
            Command::Revert(_) => "revert",
            Command::Keep(_) => "keep",
            Command::DiscardCandidate => "discard candidate",
            Command::Note(_) => "note",
        }
    }
}

/// What people want to know of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// There is no configuration: why.
    Undesired(String),
    /// BIRD answers.
    Answers(BirdVersion),
    /// BIRD does not answer: why.
    Away(String),
    /// BIRD runs what has not proved itself: an earlier agent was interrupted, or somebody else has configured it.
    Unproved,
    /// BIRD runs a configuration that has proved itself: its revision.
    Applied(String),
    /// BIRD does not take a configuration: why.
    Refused(String),
    /// BIRD does not take anycast routes: why.
    RoutesRefused(String),
    /// A configuration was taken back: why.
    RolledBack(String),
    /// The last good configuration could not be brought back: why.
    NotReverted(String),
    /// What routers are told of an anycast address has changed.
    Advertised(Advertisement),
}
