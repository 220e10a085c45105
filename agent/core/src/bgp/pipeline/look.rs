//! Looks at the sessions, and at what BIRD runs.

use std::collections::BTreeSet;

use super::super::observed::ObservedSession;
use super::super::status::Observation;
use super::state::Asked;
use super::{Command, LOOK_INTERVAL, Look, Now, Pipeline, State};

impl Pipeline {
    pub(super) fn look(&self) -> (Asked, Command) {
        let plan = self.desired.as_ref().ok().and_then(|desired| desired.plan.as_ref());
        let bfd = plan.is_some_and(|plan| plan.peers.iter().any(|peer| peer.bfd.is_some()));
        (Asked::Look, Command::Look { bfd })
    }

    pub(super) fn looked(&mut self, look: Look, now: Now) {
        let Look { sessions, bfd, md5, running } = look;
        self.look_at = now.at + LOOK_INTERVAL;
        self.md5 = md5;
        if sessions.values().all(ObservedSession::is_established) {
            self.md5_before = md5;
        }
        self.observed = Some(Observation { sessions, bfd, refusals: md5.since(self.md5_before) });
        self.recognize("BIRD was configured by somebody else", now);
        match &self.state {
            State::Baseline(_) => self.measured(),
            State::OnTrial(on_trial)
                if running.revision.as_deref() != Some(on_trial.candidate.base.revision()) =>
            {
                self.overtaken(now);
            }
            State::OnTrial(_) => self.judge(now),
            _ => {}
        }
    }

    pub(super) fn is_any_up(&self) -> bool {
        self.observed.as_ref().is_some_and(|look| look.sessions.values().any(ObservedSession::is_established))
    }

    /// Sessions that are up.
    pub(super) fn up(&self) -> BTreeSet<String> {
        let sessions = self.observed.iter().flat_map(|look| &look.sessions);
        sessions.filter(|(_, session)| session.is_established()).map(|(name, _)| name.clone()).collect()
    }
}
