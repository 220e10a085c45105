//! The loop that keeps BIRD's configuration as it should be, and looks at what comes of it.

mod anycast;
mod applying;
mod audit;
mod connection;
mod observing;
mod view;

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flock_core::bgp::explain::Md5Refusals;
use flock_core::bgp::observed::ObservedSession;
use flock_core::bgp::render::Base;
use flock_core::bgp::status::Observation;
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;

use self::applying::OnTrial;
use self::audit::AdvertisementLog;
use self::connection::ControlConnection;
use self::observing::md5_refusals;
use super::files::ConfFiles;
use super::inputs::{DesiredConfig, Inputs};
use crate::bird;
use crate::bird::client::BirdError;
use crate::bird::marker::Marker;

pub use self::audit::AnycastCounters;
pub use self::view::{BgpView, Counters};

/// Changes of the configuration that come faster are one.
const COALESCE: Duration = Duration::from_millis(500);

/// Password files are read this often: nobody tells when they change.
const REREAD_PASSWORDS: Duration = Duration::from_secs(5);

/// A configuration that was refused is tried again after this time: the disk may not be full any more. One that was
/// taken back too, if what was put in its place brings no session up either: then there is nothing to lose.
const TRY_AGAIN: Duration = Duration::from_secs(60);

/// The node's BGP controller.
#[derive(Debug)]
pub struct Controller {
    inputs: Inputs,
    files: ConfFiles,
    stopped: Marker,
    view: watch::Sender<Arc<BgpView>>,
    connection: ControlConnection,
    desired: Result<DesiredConfig, String>,
    /// What BIRD runs, if this agent has seen it proved; the status tells of its peers while `desired` is turned down.
    in_force: Option<DesiredConfig>,
    /// What bird.conf holds: the configuration that has proved itself, to which BIRD goes back; none if flock has not
    /// written it.
    last_good: Option<Base>,
    /// An input has changed since `desired` was made.
    stale: bool,
    /// Since bird.conf was last looked at.
    file_is_stale: bool,
    trial: Option<OnTrial>,
    refused: Option<Refused>,
    rolled_back: Option<RolledBack>,
    /// Anycast routes that BIRD has not taken.
    anycast_refused: Option<Refused>,
    applied_at: Option<Instant>,
    anycast_updated_at: Option<Instant>,
    advertisements: AdvertisementLog,
    observed: Option<Observation>,
    observe_at: Instant,
    passwords_at: Instant,
    /// The kernel's counters when all was well, or when the configuration last changed.
    md5_before: Md5Refusals,
    counters: Counters,
}

/// A configuration that BIRD has not taken, or that could not be written. A base goes by its own revision: another
/// announcement makes it no better. Anycast routes go by theirs.
#[derive(Debug)]
struct Refused {
    revision: String,
    reason: String,
    since: Instant,
}

/// A configuration that took sessions down.
#[derive(Debug)]
struct RolledBack {
    revision: String,
    reason: String,
    at: Timestamp,
    since: Instant,
}

impl Controller {
    /// A controller that drives the BIRD whose control socket is in `run_dir`.
    pub fn new(inputs: Inputs, files: ConfFiles, run_dir: &Path) -> Self {
        let now = Instant::now();
        let (last_good, routes) = Base::read(&files.read_last_good()).unzip();
        Self {
            desired: inputs.desired_config(None),
            inputs,
            files,
            stopped: Marker::within(run_dir),
            view: watch::channel(Arc::default()).0,
            connection: ControlConnection::new(bird::socket(run_dir)),
            in_force: None,
            last_good,
            stale: false,
            file_is_stale: true,
            trial: None,
            refused: None,
            rolled_back: None,
            anycast_refused: None,
            applied_at: None,
            anycast_updated_at: None,
            advertisements: AdvertisementLog::new(routes.unwrap_or_default()),
            observed: None,
            observe_at: now,
            passwords_at: now + REREAD_PASSWORDS,
            md5_before: md5_refusals(),
            counters: Counters::default(),
        }
    }

    /// Follows what others are told.
    pub fn follow(&self) -> watch::Receiver<Arc<BgpView>> {
        self.view.subscribe()
    }

    /// Runs until `shutdown` is there. BIRD goes on as it is.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            self.step().await;
            let wake_at = self.wake_at();
            tokio::select! {
                () = &mut shutdown => return,
                true = self.inputs.changed() => self.stale = true,
                () = tokio::time::sleep_until(wake_at) => {}
            }
        }
    }

    fn wake_at(&self) -> Instant {
        let now = Instant::now();
        let of_connection = match self.connection.retry_at() {
            Some(retry_at) => retry_at,
            None => {
                let due = self.anycast_due_at(now).into_iter().chain(self.apply_at(now));
                due.fold(self.observe_at, Instant::min)
            }
        };
        if self.inputs.has_passwords() { of_connection.min(self.passwords_at) } else { of_connection }
    }

    async fn step(&mut self) {
        let now = Instant::now();
        if self.stale || (now >= self.passwords_at && self.inputs.has_passwords()) {
            self.refresh(now);
        }
        if self.connection.is_due(now) {
            self.connect().await;
        }
        if self.connection.is_up()
            && let Err(error) = self.drive(now).await
        {
            self.lost(&error);
        }
        if std::mem::take(&mut self.file_is_stale) {
            self.sync_file();
        }
        self.publish();
    }

    fn refresh(&mut self, now: Instant) {
        self.desired = self.inputs.desired_config(self.connection.version());
        if let Err(reason) = &self.desired {
            tracing::error!(reason, "there is no configuration for BIRD; the one that it has stays");
        }
        self.stale = false;
        self.file_is_stale = true;
        self.passwords_at = now + REREAD_PASSWORDS;
    }

    async fn connect(&mut self) {
        let expected = self.desired.as_ref().is_ok_and(|desired| desired.plan.is_some());
        if self.connection.connect(expected).await {
            self.stopped.clear_if_older(self.connection.socket());
            self.refresh(Instant::now());
            if let Err(error) = self.recover().await {
                self.lost(&error);
            }
        }
    }

    /// The connection cannot be used any more.
    fn lost(&mut self, error: &BirdError) {
        self.connection.lost(error);
        self.observed = None;
        if let Some(OnTrial { desired, .. }) = self.trial.take() {
            self.note_rollback(&desired, "BIRD went away while it was on trial".to_owned());
        }
    }

    async fn drive(&mut self, now: Instant) -> Result<(), BirdError> {
        if self.anycast_due_at(now).is_some_and(|at| now >= at) {
            self.update_anycast().await?;
        }
        if self.apply_at(now).is_some_and(|at| now >= at) {
            return self.apply().await;
        }
        if now >= self.observe_at {
            self.observe().await?;
            self.judge().await?;
        }
        Ok(())
    }

    /// What BIRD is to run, does not run, and has not turned down. A BIRD that is being drained would begin anew with
    /// it.
    fn pending(&self) -> Option<&DesiredConfig> {
        let desired =
            self.desired.as_ref().ok().filter(|_| self.trial.is_none() && !self.stopped.present())?;
        let revision = desired.base.revision();
        let is_refused = self
            .refused
            .as_ref()
            .is_some_and(|refused| refused.revision == revision && refused.since.elapsed() < TRY_AGAIN);
        let is_rolled_back = self.rolled_back.as_ref().is_some_and(|back| {
            back.revision == revision && (self.is_any_up() || back.since.elapsed() < TRY_AGAIN)
        });
        let is_running = self.connection.running() == Some(revision);
        (!is_running && !is_refused && !is_rolled_back).then_some(desired)
    }

    fn is_any_up(&self) -> bool {
        self.observed.as_ref().is_some_and(|look| look.sessions.values().any(ObservedSession::is_established))
    }

    /// When it is told, if there is one. The first is told at once.
    fn apply_at(&self, now: Instant) -> Option<Instant> {
        self.pending().map(|_| self.applied_at.map_or(now, |at| at + COALESCE))
    }
}

#[cfg(test)]
mod tests;
