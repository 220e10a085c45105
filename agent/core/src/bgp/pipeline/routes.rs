//! Anycast routes, in whichever configuration BIRD runs; and `bird.conf` in step with them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::render::{AnycastRoutes, Base, Change};
use super::{COALESCE, Command, Conf, DesiredConfig, Note, Now, Pipeline, Refused};

/// Routes that BIRD has not taken are told again after this time: one that should be withdrawn may be among them.
const RETRY: Duration = Duration::from_secs(5);

impl Pipeline {
    /// When BIRD is told of other anycast routes, if it is to have others: at once when one is withdrawn, or when
    /// nobody knows which it has.
    pub(super) fn update_at(&self, now: Instant) -> Option<Instant> {
        let desired = self.unmet_routes()?;
        if self.routes_refused.as_ref().is_some_and(|refused| refused.revision == desired.revision()) {
            return self.routes_refused.as_ref().map(|refused| refused.since + RETRY);
        }
        let routes = self.advertisements.routes();
        let withdrawn = routes.changes(desired).into_values().any(|change| change == Change::Withdrawn);
        let is_known = self.running.anycast.as_deref() == Some(routes.revision());
        if withdrawn || !is_known {
            return Some(now);
        }
        // A new base brings them along.
        if self.pending(now).is_some() || self.state.is_before_trial() {
            return None;
        }
        let last = self.applied_at.max(self.updated_at);
        Some(last.map_or(now, |at| at + COALESCE))
    }

    /// What BIRD runs, with the routes that it is to have and has not.
    pub(super) fn update(&self) -> Option<Conf> {
        let routes = self.unmet_routes()?.clone();
        self.base_in_bird().map(|base| Conf { base: base.clone(), routes })
    }

    /// The routes that BIRD is to have and has not. A BIRD that is being drained would begin anew.
    fn unmet_routes(&self) -> Option<&AnycastRoutes> {
        let routes = self.routes.as_ref().filter(|_| !self.is_draining)?;
        self.base_in_bird()?;
        (self.running.anycast.as_deref() != Some(routes.revision())).then_some(routes)
    }

    fn base_in_bird(&self) -> Option<&Base> {
        let running = self.running.revision.as_deref()?;
        let candidate = self.state.candidate().map(|candidate| &candidate.base);
        candidate.into_iter().chain(&self.last_good).find(|base| base.revision() == running)
    }

    /// The base with today's announcement.
    pub(super) fn with_todays_routes(&self, candidate: &Arc<DesiredConfig>) -> Conf {
        let todays = self.routes.as_ref().unwrap_or(&candidate.routes);
        Conf { base: candidate.base.clone(), routes: todays.clone() }
    }

    pub(super) fn updated(&mut self, conf: &Conf, now: Now) {
        if !conf.is(&self.running) {
            let reason = "BIRD is busy with the configuration before".to_owned();
            return self.refuse_routes(conf, reason, now);
        }
        self.record(&conf.routes, "the announcement has changed", now);
    }

    pub(super) fn refuse_routes(&mut self, conf: &Conf, reason: String, now: Now) {
        let revision = conf.routes.revision().to_owned();
        self.routes_refused = Some(Refused { revision, reason: reason.clone(), since: now.at });
        self.note(Note::RoutesRefused(reason));
    }

    /// Why BIRD does not have the routes that it is to have.
    pub(super) fn routes_refused_because(&self) -> Option<&str> {
        let (routes, refused) = self.routes.as_ref().zip(self.routes_refused.as_ref())?;
        (refused.revision == routes.revision()).then_some(refused.reason.as_str())
    }

    /// BIRD has these routes.
    pub(super) fn record(&mut self, routes: &AnycastRoutes, otherwise: &str, now: Now) {
        let revision = routes.revision();
        self.routes_refused = self.routes_refused.take().filter(|refused| refused.revision != revision);
        let changes = self.advertisements.record(routes, &self.announcement, otherwise, now.at);
        self.commands.extend(changes.into_iter().map(|change| Command::Note(Note::Advertised(change))));
    }

    /// Finds out which routes BIRD has when it was not told by this agent: those that it had before, those of
    /// `bird.conf`, or those that it is to have.
    pub(super) fn recognize(&mut self, cause: &str, now: Now) {
        let found = match &self.running.anycast {
            None => Some(AnycastRoutes::default()),
            Some(has) => {
                let in_file = self.file.as_ref().map(|file| &file.routes);
                let known =
                    [Some(self.advertisements.routes()), in_file, self.routes.as_ref()].into_iter().flatten();
                known.into_iter().find(|routes| routes.revision() == *has).cloned()
            }
        };
        if let Some(found) = found {
            self.record(&found, cause, now);
        }
    }

    /// What `bird.conf` is to hold: the last good configuration with those of today's routes that BIRD has taken before. A
    /// BIRD that is started with it announces nothing that is withdrawn meanwhile.
    pub(super) fn file_conf(&self) -> Option<Conf> {
        let base = self.last_good.clone()?;
        let taken = self.advertisements.routes();
        let routes = match &self.routes {
            Some(todays) => taken.only_of(todays),
            None => self.file.as_ref().map_or_else(|| taken.clone(), |file| file.routes.clone()),
        };
        Some(Conf { base, routes })
    }

    pub(super) fn keep_file(&mut self, now: Instant) {
        let Some(conf) = self.file_conf().filter(|_| now >= self.keep_at) else { return };
        let is_kept = self
            .file
            .as_ref()
            .is_some_and(|file| file.base.revision() == conf.base.revision() && file.routes == conf.routes);
        if !is_kept {
            self.file = Some(conf.clone());
            self.commands.push(Command::Keep(conf));
        }
    }
}
