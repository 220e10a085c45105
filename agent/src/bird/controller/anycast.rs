//! Anycast routes come and go in the configuration that BIRD runs, whichever that is, also while it is on trial: no
//! session can be affected, so there is nothing to try, and a withdrawal waits for nobody.
//!
//! BIRD's own way back leads to the configuration before. During a trial that is, after an anycast update, the one on trial
//! with the routes of a moment ago: it would bring back an address that is withdrawn, and nothing else. So an anycast update
//! leaves BIRD without a timeout. Taking back is told explicitly: bird.conf, which is kept in step with the
//! announcement. Should the agent die in these seconds, BIRD stays with what was on trial until an agent is back, which
//! begins with that: [`Controller::recover`].

use std::time::Duration;

use flock_core::bgp::render::{AnycastRoutes, Base, BirdConf, Change};
use tokio::time::Instant;

use super::super::inputs::DesiredConfig;
use super::{COALESCE, Controller, Refused};
use crate::bird::client::{BirdError, Command};

/// Routes that BIRD has not taken are told again after this time: one that should be withdrawn may be among them.
const RETRY_ANYCAST: Duration = Duration::from_secs(5);

/// BIRD is that busy at most with the configuration before, whose sessions it has to end.
const BUSY: Duration = Duration::from_secs(2);

/// The time between two questions whether it still is.
const ASK_EVERY: Duration = Duration::from_millis(10);

impl Controller {
    /// When BIRD is told of other anycast routes, if it is to have others: at once when one is withdrawn, or when
    /// nobody knows which it has.
    pub(super) fn anycast_due_at(&self, now: Instant) -> Option<Instant> {
        let (_, desired) = self.anycast_update()?;
        let routes = self.advertisements.routes();
        let withdrawn =
            routes.changes(&desired.routes).into_values().any(|change| change == Change::Withdrawn);
        let is_known = self.connection.anycast() == Some(routes.revision());
        if withdrawn || !is_known {
            return Some(now);
        }
        // A new base brings them along.
        if self.pending().is_some() {
            return None;
        }
        let last = self.applied_at.max(self.anycast_updated_at);
        Some(last.map_or(now, |at| at + COALESCE))
    }

    /// What BIRD runs, and what names the routes that it is to have and has not. A BIRD that is being drained would
    /// begin anew.
    fn anycast_update(&self) -> Option<(&Base, &DesiredConfig)> {
        let desired = self.desired.as_ref().ok().filter(|_| !self.stopped.present())?;
        let base = self.base_in_bird()?;
        let revision = desired.routes.revision();
        let refused = self.anycast_refused.as_ref().filter(|refused| refused.revision == revision);
        let is_refused = refused.is_some_and(|refused| refused.since.elapsed() < RETRY_ANYCAST);
        (self.connection.anycast() != Some(revision) && !is_refused).then_some((base, desired))
    }

    fn base_in_bird(&self) -> Option<&Base> {
        let running = self.connection.running()?;
        let on_trial = self.trial.iter().map(|trial| &trial.desired.base);
        on_trial.chain(&self.last_good).find(|base| base.revision() == running)
    }

    /// Why BIRD does not have the routes that it is to have.
    pub(super) fn anycast_refused_because(&self) -> Option<&str> {
        let desired = self.desired.as_ref().ok()?;
        let refused = self.anycast_refused.as_ref()?;
        (refused.revision == desired.routes.revision()).then_some(refused.reason.as_str())
    }

    pub(super) async fn update_anycast(&mut self) -> Result<(), BirdError> {
        let Some((base, desired)) = self.anycast_update() else { return Ok(()) };
        let (conf, routes) = (base.with(&desired.routes), desired.routes.clone());
        self.anycast_updated_at = Some(Instant::now());
        match self.configure_anycast(&conf, &routes).await? {
            Ok(()) => {
                self.record(&routes, "the announcement has changed");
                self.anycast_refused = None;
                self.sync_file();
                self.files.discard(self.files.anycast_update());
            }
            Err(reason) => self.refuse_routes(&routes, reason),
        }
        Ok(())
    }

    async fn configure_anycast(
        &mut self,
        conf: &BirdConf,
        routes: &AnycastRoutes,
    ) -> Result<Result<(), String>, BirdError> {
        if let Err(error) = self.files.write_anycast_update(&conf.text) {
            return Ok(Err(error.to_string()));
        }
        let configured = self.connection.ask(&Command::Configure(self.files.anycast_update())).await?;
        if let Some(error) = configured.failure() {
            return Ok(Err(format!("BIRD does not take it: {error}")));
        }
        let runs = self.runs(&conf.revision, Some(routes)).await?;
        Ok(if runs { Ok(()) } else { Err("BIRD is busy with the configuration before".to_owned()) })
    }

    fn refuse_routes(&mut self, routes: &AnycastRoutes, reason: String) {
        tracing::error!(reason, "BIRD goes on with the anycast routes that it has");
        self.counters.refused += 1;
        self.anycast_refused =
            Some(Refused { revision: routes.revision().to_owned(), reason, since: Instant::now() });
    }

    /// Whether BIRD runs this now, with these routes or whichever. It puts off a configuration as long as it is busy
    /// with the one before.
    pub(super) async fn runs(
        &mut self,
        revision: &str,
        routes: Option<&AnycastRoutes>,
    ) -> Result<bool, BirdError> {
        let until = Instant::now() + BUSY;
        let routes = routes.map(|routes| routes.revision().to_owned());
        loop {
            self.connection.ask_running().await?;
            let has_routes = routes.is_none() || self.connection.anycast() == routes.as_deref();
            if self.connection.running() == Some(revision) && has_routes {
                return Ok(true);
            }
            if Instant::now() >= until {
                return Ok(false);
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }

    /// BIRD has these routes.
    pub(super) fn record(&mut self, routes: &AnycastRoutes, otherwise: &str) {
        let now = Instant::now().into_std();
        let announcement =
            self.desired.as_ref().map(|desired| desired.announcement.clone()).unwrap_or_default();
        for entry in self.advertisements.record(routes, &announcement, otherwise, now) {
            entry.log();
            entry.count(&mut self.counters.anycast);
        }
    }

    /// Finds out which routes BIRD has when this agent has not told it: those that it had before, those of bird.conf,
    /// or those that it is to have.
    pub(super) async fn identify_anycast(&mut self, cause: &str) -> Result<(), BirdError> {
        self.connection.ask_running().await?;
        let in_file = Base::read(&self.files.read_last_good()).map(|(_, routes)| routes);
        let desired = self.desired.as_ref().ok().map(|desired| desired.routes.clone());
        let known = [Some(self.advertisements.routes().clone()), in_file, desired].into_iter().flatten();
        let has = self.connection.anycast().map(str::to_owned);
        let found = match has {
            None => Some(AnycastRoutes::default()),
            Some(has) => known.into_iter().find(|routes| routes.revision() == has),
        };
        if let Some(found) = found {
            self.record(&found, cause);
        }
        Ok(())
    }

    /// Keeps bird.conf in step: the last good configuration with those of today's routes that BIRD has taken before. A
    /// BIRD that is started with it announces nothing that is withdrawn meanwhile.
    pub(super) fn sync_file(&self) {
        let (Some(base), Ok(desired)) = (&self.last_good, &self.desired) else { return };
        let text = base.with(&self.advertisements.routes().only_of(&desired.routes)).text;
        if self.files.is_last_good(&text) {
            return;
        }
        if let Err(error) = self.files.keep(&text) {
            tracing::error!(%error, "BIRD would be started with another configuration than the last good one");
        }
    }
}
