//! Check, configure with a way back, confirm or take back.

use std::time::Duration;

use flock_core::bgp::trial::{Trial, Verdict, changed_lines};
use jiff::Timestamp;
use tokio::time::Instant;

use super::super::inputs::DesiredConfig;
use super::{Controller, Refused, RolledBack, md5_refusals};
use crate::bird::client::{BirdError, Command};

/// How long sessions that were up may take to come up again. BIRD and FRR need one to five seconds.
const PATIENCE: Duration = Duration::from_secs(25);

/// BIRD reverts by itself after this time, should the agent not be there any more.
const UNDO_AFTER: Duration = Duration::from_secs(30);

/// The time between two looks during a trial.
const OBSERVE_INTERVAL: Duration = Duration::from_millis(100);

/// A configuration that BIRD runs but that has not proved itself.
#[derive(Debug)]
pub(super) struct OnTrial {
    pub(super) desired: DesiredConfig,
    trial: Trial,
    deadline: Instant,
}

impl Controller {
    /// Learns what BIRD runs. An agent that was killed during a trial has left a configuration that nobody knows the
    /// worth of: what was good before comes back now, and it is tried again. One that runs although there is nothing to
    /// go back to has nothing to prove.
    pub(super) async fn recover(&mut self) -> Result<(), BirdError> {
        self.identify_anycast("BIRD was started").await?;
        // A configuration without it is not flock's, or an older flock's: it stays until there is a better one.
        let running =
            self.connection.running().filter(|_| self.connection.anycast().is_some()).map(str::to_owned);
        let Some(running) = running.filter(|_| !self.stopped.present()) else { return Ok(()) };
        match &self.last_good {
            Some(good) if good.revision() == running => {}
            Some(_) => {
                tracing::warn!(
                    "BIRD runs a configuration that was not confirmed; taking it back to try it anew"
                );
                self.restore().await?;
            }
            None => drop(self.connection.ask(&Command::Confirm).await?),
        }
        if let Some(desired) =
            self.desired.as_ref().ok().filter(|it| self.connection.running() == Some(it.base.revision()))
        {
            self.adopt(desired.clone());
        }
        Ok(())
    }

    pub(super) async fn apply(&mut self) -> Result<(), BirdError> {
        let Some(desired) = self.pending().cloned() else { return Ok(()) };
        self.applied_at = Some(Instant::now());
        let conf = desired.base.with(&desired.routes);
        if let Err(error) = self.files.write_candidate(&conf.text) {
            self.refuse(&desired, error.to_string());
            return Ok(());
        }
        let path = self.files.candidate();
        if !self.is_taken(&desired, &Command::CheckConfig(path.clone())).await? {
            return Ok(());
        }
        self.observe().await?;
        let trial = Trial::new(&self.up(), &desired.sessions);
        if !self.is_taken(&desired, &Command::Try { path, undo_after: UNDO_AFTER }).await? {
            return Ok(());
        }
        if !self.runs(&conf.revision, Some(&desired.routes)).await? {
            self.refuse(&desired, "BIRD is busy with the configuration before".to_owned());
            return Ok(());
        }
        self.record(&desired.routes, "the configuration has changed");
        self.md5_before = md5_refusals();
        self.trial = Some(OnTrial { desired, trial, deadline: Instant::now() + PATIENCE });
        self.observe().await?;
        self.judge().await
    }

    async fn is_taken(&mut self, desired: &DesiredConfig, command: &Command) -> Result<bool, BirdError> {
        let reply = self.connection.ask(command).await?;
        if let Some(error) = reply.failure() {
            self.refuse(desired, format!("BIRD does not take it: {error}"));
        }
        Ok(reply.failure().is_none())
    }

    fn refuse(&mut self, desired: &DesiredConfig, reason: String) {
        tracing::error!(reason, "the configuration is refused; the one before stays");
        self.counters.refused += 1;
        let revision = desired.base.revision().to_owned();
        self.refused = Some(Refused { revision, reason, since: Instant::now() });
    }

    /// Decides about what is on trial, if anything is, as the last look shows it.
    pub(super) async fn judge(&mut self) -> Result<(), BirdError> {
        let (Some(on_trial), Some(look)) = (&self.trial, &self.observed) else { return Ok(()) };
        match on_trial.trial.judge(&look.sessions) {
            Verdict::Keep => self.keep().await,
            Verdict::Wait(_) if Instant::now() < on_trial.deadline => {
                self.observe_at = Instant::now() + OBSERVE_INTERVAL;
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
        let confirmed = self.connection.ask(&Command::Confirm).await?;
        self.connection.ask_running().await?;
        let Some(OnTrial { desired, .. }) = self.trial.take() else { return Ok(()) };
        if let Some(error) = confirmed.failure() {
            self.note_rollback(&desired, format!("BIRD did not take the confirmation: {error}"));
            return Ok(());
        }
        if self.connection.running() != Some(desired.base.revision()) {
            self.note_rollback(&desired, "BIRD runs another configuration meanwhile".to_owned());
            return self.identify_anycast("the configuration was taken back").await;
        }
        self.counters.applied += 1;
        tracing::info!(revision = desired.base.revision(), "BIRD runs the configuration");
        self.adopt(desired);
        self.files.discard(self.files.candidate());
        Ok(())
    }

    /// It has proved itself: BIRD goes back to it from now on, and starts with it.
    fn adopt(&mut self, desired: DesiredConfig) {
        self.last_good = Some(desired.base.clone());
        self.in_force = Some(desired);
        self.sync_file();
    }

    async fn take_back(&mut self, reason: String) -> Result<(), BirdError> {
        let Some(OnTrial { desired, .. }) = self.trial.take() else { return Ok(()) };
        self.note_rollback(&desired, reason);
        self.observe_at = Instant::now();
        self.restore().await
    }

    /// Brings back what was good before, with today's anycast routes. BIRD's own `configure undo` would bring back
    /// yesterday's.
    async fn restore(&mut self) -> Result<(), BirdError> {
        self.sync_file();
        let good = self.last_good.as_ref().map(|good| good.revision().to_owned());
        let back = if good.is_some() { Command::Configure(self.files.last_good()) } else { Command::Undo };
        if let Some(error) = self.connection.ask(&back).await?.failure() {
            tracing::error!(error, "BIRD does not go back to the last good configuration");
        } else if let Some(good) = good {
            self.runs(&good, None).await?;
        }
        self.identify_anycast("the configuration was taken back").await
    }

    pub(super) fn note_rollback(&mut self, desired: &DesiredConfig, cause: String) {
        let before = self.last_good.as_ref().map(|good| good.text().to_owned());
        let before = before.unwrap_or_else(|| self.files.read_last_good());
        let changes = changed_lines(&before, desired.base.text()).join(" ");
        let reason = format!("{cause}; taken back: {changes}");
        tracing::error!(reason, candidate = %self.files.candidate().display(), "the configuration was taken back");
        self.counters.rolled_back += 1;
        let revision = desired.base.revision().to_owned();
        self.rolled_back = Some(RolledBack { revision, reason, at: Timestamp::now(), since: Instant::now() });
    }
}
