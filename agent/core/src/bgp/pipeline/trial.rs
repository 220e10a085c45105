//! Check, configure with a way back, confirm or take back.

use std::sync::Arc;
use std::time::Duration;

use super::super::trial::{Trial, Verdict, changed_lines};
use super::{Command, Conf, DesiredConfig, Note, Now, OnTrial, Pipeline, Refused, RolledBack, State};

/// How long sessions that were up may take to come up again. BIRD and FRR need one to five seconds.
const PATIENCE: Duration = Duration::from_secs(25);

/// The time between two looks during a trial.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// So many configurations that were taken back are remembered: somebody who tries one after the other comes back to one.
const MOST_ROLLED_BACK: usize = 16;

const BUSY: &str = "BIRD is busy with the configuration before";

impl Pipeline {
    pub(super) fn checked(&mut self) {
        if let State::Checking(candidate) = &self.state {
            self.state = State::Baseline(Arc::clone(candidate));
        }
    }

    /// The sessions were looked at.
    pub(super) fn measured(&mut self) {
        if let State::Baseline(candidate) = &self.state {
            let trial = Trial::new(&self.up(), &candidate.sessions);
            self.state = State::Trying(Arc::clone(candidate), trial);
        }
    }

    pub(super) fn tried(&mut self, conf: &Conf, now: Now) {
        let State::Trying(candidate, trial) = &self.state else { return };
        if !conf.is(&self.running) {
            return self.refuse(BUSY.to_owned(), now);
        }
        let (candidate, trial) = (Arc::clone(candidate), trial.clone());
        self.state = State::OnTrial(OnTrial { candidate, trial, deadline: now.at + PATIENCE });
        self.record(&conf.routes, "the configuration has changed", now);
        self.md5_before = self.md5;
        self.look_at = now.at;
    }

    pub(super) fn refuse(&mut self, reason: String, now: Now) {
        if let Some(candidate) = self.state.candidate() {
            let revision = candidate.base.revision().to_owned();
            self.refused = Some(Refused { revision, reason: reason.clone(), since: now.at });
            self.note(Note::Refused(reason));
        }
        self.state = State::Idle;
    }

    /// Decides about what is on trial, as the last look shows it.
    pub(super) fn judge(&mut self, now: Now) {
        let (State::OnTrial(on_trial), Some(look)) = (&self.state, &self.observed) else { return };
        match on_trial.trial.judge(&look.sessions) {
            Verdict::Keep => self.state = State::Confirming(Arc::clone(&on_trial.candidate)),
            Verdict::Wait(_) if now.at < on_trial.deadline => self.look_at = now.at + LOOK_INTERVAL,
            Verdict::Wait(down) => {
                let down: Vec<String> = down.into_iter().collect();
                let seconds = PATIENCE.as_secs();
                self.take_back(&format!("{} did not come up again within {seconds} s", down.join(", ")), now);
            }
            Verdict::TakeBack { session, error } => self.take_back(&format!("{session} says: {error}"), now),
        }
    }

    pub(super) fn confirmed(&mut self, now: Now) {
        let State::Confirming(candidate) = &self.state else { return };
        let candidate = Arc::clone(candidate);
        if self.running.revision.as_deref() != Some(candidate.base.revision()) {
            return self.overtaken(now);
        }
        // It has proved itself: BIRD goes back to it from now on, and starts with it.
        self.state = State::Idle;
        self.last_good = Some(candidate.base.clone());
        self.rolled_back.retain(|back| back.revision != candidate.base.revision());
        self.note(Note::Applied(candidate.base.revision().to_owned()));
        self.commands.push(Command::DiscardCandidate);
        self.in_force = Some(candidate);
    }

    /// BIRD runs something else than what is on trial: its own time was up, or somebody else has configured it.
    pub(super) fn overtaken(&mut self, now: Now) {
        if let Some(candidate) = self.state.candidate().cloned() {
            self.roll_back(&candidate, "BIRD runs another configuration meanwhile", now);
        }
        self.state = State::Idle;
        self.recognize("the configuration was taken back", now);
    }

    /// Brings back what was good before. BIRD's own `configure undo` would bring back yesterday's routes.
    pub(super) fn take_back(&mut self, cause: &str, now: Now) {
        if let Some(candidate) = self.state.candidate().cloned() {
            self.roll_back(&candidate, cause, now);
        }
        self.state = State::Reverting;
    }

    pub(super) fn roll_back(&mut self, candidate: &DesiredConfig, cause: &str, now: Now) {
        let before = self.last_good.as_ref().map_or("", |good| good.text());
        let changes = changed_lines(before, candidate.base.text()).join(" ");
        let reason = format!("{cause}; taken back: {changes}");
        let revision = candidate.base.revision().to_owned();
        self.rolled_back.retain(|back| back.revision != revision);
        self.rolled_back.truncate(MOST_ROLLED_BACK - 1);
        let back = RolledBack { revision, reason: reason.clone(), at: now.wall, since: now.at };
        self.rolled_back.insert(0, back);
        self.note(Note::RolledBack(reason));
    }
}
