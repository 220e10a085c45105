//! Check, configure with a way back, confirm or take back.

use std::time::Duration;

use flock_core::bgp::trial::{Trial, Verdict, changed_lines};
use jiff::Timestamp;
use tokio::time::Instant;

use super::super::inputs::Wanted;
use super::{Refused, RolledBack, Speaker, md5_refusals};
use crate::bird::client::{BirdError, Command};

/// How long sessions that were up may take to come up again. BIRD and FRR need one to five seconds.
const PATIENCE: Duration = Duration::from_secs(25);

/// BIRD reverts by itself after this time, should the agent not be there any more.
const UNDO_AFTER: Duration = Duration::from_secs(30);

/// The time between two looks during a trial.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A configuration that BIRD runs but that has not proved itself.
#[derive(Debug)]
pub(super) struct OnTrial {
    pub(super) wanted: Wanted,
    trial: Trial,
    deadline: Instant,
}

impl Speaker {
    /// An agent that was killed between `configure` and `confirm` has left a configuration that BIRD is about to
    /// take back; nobody knows how it did. It is taken back now and tried again.
    pub(super) async fn settle_what_was_left(&mut self) -> Result<(), BirdError> {
        let Ok(wanted) = &self.wanted else { return Ok(()) };
        if self.link.running() != Some(&wanted.conf.revision) {
            return Ok(());
        }
        self.in_force = Some(wanted.clone());
        if !self.files.is_last_good(&wanted.conf.text) {
            tracing::warn!("BIRD runs a configuration that was not confirmed; taking it back to try it anew");
            self.link.ask(&Command::Undo).await?;
            self.link.ask_running().await?;
        }
        Ok(())
    }

    pub(super) async fn apply(&mut self, wanted: Wanted) -> Result<(), BirdError> {
        self.applied_at = Some(Instant::now());
        if let Err(error) = self.files.write_candidate(&wanted.conf.text) {
            self.refuse(&wanted, error.to_string());
            return Ok(());
        }
        let candidate = self.files.candidate();
        let checked = self.link.ask(&Command::CheckConfig(candidate.clone())).await?;
        if let Some(error) = checked.failure() {
            self.refuse(&wanted, format!("BIRD does not take it: {error}"));
            return Ok(());
        }
        self.observe().await?;
        let trial = Trial::new(&self.up(), &wanted.sessions);
        let configure = Command::Configure { path: candidate, undo_after: UNDO_AFTER };
        let configured = self.link.ask(&configure).await?;
        if let Some(error) = configured.failure() {
            self.refuse(&wanted, format!("BIRD does not take it: {error}"));
            return Ok(());
        }
        self.md5_before = md5_refusals();
        self.trial = Some(OnTrial { wanted, trial, deadline: Instant::now() + PATIENCE });
        self.observe().await?;
        self.judge().await
    }

    fn refuse(&mut self, wanted: &Wanted, reason: String) {
        tracing::error!(reason, "the configuration is refused; the one before stays");
        self.counters.refused += 1;
        let revision = wanted.conf.revision.clone();
        self.refused = Some(Refused { revision, reason, since: Instant::now() });
    }

    /// Decides about what is on trial, as the last look shows it.
    pub(super) async fn judge(&mut self) -> Result<(), BirdError> {
        let (Some(on_trial), Some(look)) = (&self.trial, &self.look) else { return Ok(()) };
        match on_trial.trial.judge(&look.sessions) {
            Verdict::Keep => self.keep().await,
            Verdict::Wait(_) if Instant::now() < on_trial.deadline => {
                self.look_at = Instant::now() + LOOK_EVERY;
                Ok(())
            }
            Verdict::Wait(down) => {
                let down: Vec<String> = down.into_iter().collect();
                let seconds = PATIENCE.as_secs();
                self.take_back(format!("{} did not come up again within {seconds} s", down.join(", "))).await
            }
            Verdict::TakeBack { session, error } => self.take_back(format!("{session} says: {error}")).await,
        }
    }

    async fn keep(&mut self) -> Result<(), BirdError> {
        let confirmed = self.link.ask(&Command::Confirm).await?;
        let Some(OnTrial { wanted, .. }) = self.trial.take() else { return Ok(()) };
        if let Some(error) = confirmed.failure() {
            self.note_rollback(&wanted, format!("BIRD did not take the confirmation: {error}"));
            return self.link.ask_running().await;
        }
        if let Err(error) = self.files.keep(&wanted.conf.text) {
            tracing::error!(%error, "BIRD runs the new configuration, but would start with the one before");
        }
        self.counters.applied += 1;
        tracing::info!(revision = wanted.conf.revision, "BIRD runs the configuration");
        self.in_force = Some(wanted);
        self.link.ask_running().await
    }

    async fn take_back(&mut self, reason: String) -> Result<(), BirdError> {
        self.link.ask(&Command::Undo).await?;
        if let Some(OnTrial { wanted, .. }) = self.trial.take() {
            self.note_rollback(&wanted, reason);
        }
        self.look_at = Instant::now();
        self.link.ask_running().await
    }

    pub(super) fn note_rollback(&mut self, wanted: &Wanted, cause: String) {
        let changes = changed_lines(&self.files.read_last_good(), &wanted.conf.text).join(" ");
        let reason = format!("{cause}; taken back: {changes}");
        tracing::error!(reason, candidate = %self.files.candidate().display(), "the configuration was taken back");
        self.counters.rolled_back += 1;
        let revision = wanted.conf.revision.clone();
        self.rolled_back = Some(RolledBack { revision, reason, at: Timestamp::now(), since: Instant::now() });
    }
}
