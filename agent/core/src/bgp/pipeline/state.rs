//! Where a configuration is on its way to BIRD.

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;

use super::super::trial::Trial;
use super::message::{Conf, DesiredConfig};

/// Where the pipeline is.
///
/// ```text
///      Lost, from everywhere
///   .-------------------------.
///   v                         |
/// Away --Connected--> Idle ---+--- wanted and not run --> Checking --refused--> Idle
///                     ^  ^ ^                                 | BIRD would take it
///                     |  | |                                 v
///                     |  | |                              Baseline
///                     |  | |                                 | which sessions are up is known
///                     |  | |                                 v
///                     |  | '---------- refused, busy ----- Trying
///                     |  |                                   | BIRD runs it
///                     |  |                                   v
///                     |  '- Confirming <--- sessions up --- OnTrial
///                     |         | BIRD runs something else     | a peer refuses it, or time is up
///                     |         v                              v
///                     '--- Reverting <-------------------------'
///                              ^
///                              '--- Idle, and BIRD runs what has not proved itself
/// ```
///
/// Anycast routes change in every state but `Away`, between two commands.
#[derive(Debug, Clone)]
pub enum State {
    /// BIRD does not answer. The next attempt is due then.
    Away(Instant),
    /// Nothing is under way. BIRD is looked at.
    Idle,
    /// Would BIRD take it?
    Checking(Arc<DesiredConfig>),
    /// Which sessions are up before it?
    Baseline(Arc<DesiredConfig>),
    /// BIRD is to run it, with a way back.
    Trying(Arc<DesiredConfig>, Trial),
    /// BIRD runs it.
    OnTrial(OnTrial),
    /// It has proved itself, and BIRD is to stay with it.
    Confirming(Arc<DesiredConfig>),
    /// BIRD is to run the last good configuration.
    Reverting,
}

/// A configuration that BIRD runs but that has not proved itself.
#[derive(Debug, Clone)]
pub struct OnTrial {
    /// What is tried.
    pub candidate: Arc<DesiredConfig>,
    /// What it must show.
    pub trial: Trial,
    /// Until when.
    pub deadline: Instant,
}

impl State {
    /// What is on its way.
    pub fn candidate(&self) -> Option<&Arc<DesiredConfig>> {
        match self {
            State::Away(_) | State::Idle | State::Reverting => None,
            State::Checking(candidate)
            | State::Baseline(candidate)
            | State::Trying(candidate, _)
            | State::OnTrial(OnTrial { candidate, .. })
            | State::Confirming(candidate) => Some(candidate),
        }
    }

    /// Whether BIRD has not been told of the candidate yet.
    pub(super) fn is_before_trial(&self) -> bool {
        matches!(self, State::Checking(_) | State::Baseline(_) | State::Trying(..))
    }
}

/// What BIRD was asked and has not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    Connect,
    Look,
    Check,
    Try(Conf),
    Update(Conf),
    Confirm,
    Revert,
}

/// A configuration that BIRD has not taken, or that could not be written. A base goes by its own revision: another
/// announcement makes it no better. Anycast routes go by theirs.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) revision: String,
    pub(super) reason: String,
    pub(super) since: Instant,
}

/// A configuration that took sessions down.
#[derive(Debug)]
pub(super) struct RolledBack {
    pub(super) revision: String,
    pub(super) reason: String,
    pub(super) at: Timestamp,
    pub(super) since: Instant,
}
