//! Looks at the sessions.

use std::collections::BTreeSet;
use std::time::Duration;

use flock_core::bgp::explain::Md5Refusals;
use flock_core::bgp::observed::{self, ObservedSession};
use flock_core::bgp::status::Observation;
use tokio::time::Instant;

use super::Controller;
use crate::bird::client::{BirdError, Command};

/// The time between two looks.
const OBSERVE_INTERVAL: Duration = Duration::from_secs(1);

impl Controller {
    pub(super) async fn observe(&mut self) -> Result<(), BirdError> {
        self.observe_at = Instant::now() + OBSERVE_INTERVAL;
        let sessions = observed::sessions(&self.connection.ask(&Command::ShowProtocols).await?);
        let plan = self.desired.as_ref().ok().and_then(|desired| desired.plan.as_ref());
        let with_bfd = plan.is_some_and(|plan| plan.peers.iter().any(|peer| peer.bfd.is_some()));
        // A BIRD without the protocol says so with an error, which is none of ours.
        let bfd = if with_bfd {
            observed::bfd(&self.connection.ask(&Command::ShowBfd).await?)
        } else {
            Default::default()
        };
        let md5 = md5_refusals();
        if sessions.values().all(ObservedSession::is_established) {
            self.md5_before = md5;
        }
        let look = Observation { sessions, bfd, refusals: md5.since(self.md5_before) };
        log_changes(self.observed.as_ref(), &look);
        self.observed = Some(look);
        Ok(())
    }

    /// Sessions that are up.
    pub(super) fn up(&self) -> BTreeSet<String> {
        let sessions = self.observed.iter().flat_map(|look| &look.sessions);
        sessions.filter(|(_, session)| session.is_established()).map(|(name, _)| name.clone()).collect()
    }
}

/// Of the agent's own network namespace, which is the node's and BIRD's.
pub(super) fn md5_refusals() -> Md5Refusals {
    // Where the file cannot be read there is one hint less.
    Md5Refusals::parse(&std::fs::read_to_string("/proc/net/netstat").unwrap_or_default())
}

fn log_changes(before: Option<&Observation>, now: &Observation) {
    for (name, session) in &now.sessions {
        let former = before.and_then(|look| look.sessions.get(name));
        let was_up = former.is_some_and(ObservedSession::is_established);
        let error = session.last_error.as_deref().unwrap_or_default();
        match (was_up, session.is_established()) {
            (false, true) => tracing::info!(session = name, "established"),
            (true, false) => {
                tracing::warn!(session = name, state = session.state.as_str(), error, "session down");
            }
            _ => {}
        }
    }
}
