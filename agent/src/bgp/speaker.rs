//! The loop that keeps BIRD's configuration as it should be, and looks at what comes of it.

mod applying;
mod link;

use std::collections::BTreeSet;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flock_core::bgp::explain::Md5Refusals;
use flock_core::bgp::observed::{self, ObservedSession};
use flock_core::bgp::status::{self, BgpStatus, BirdStatus, ConfigStatus, Look};
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;

use self::applying::OnTrial;
use self::link::Link;
use super::files::ConfFiles;
use super::inputs::{Inputs, Wanted};
use super::publish;
use crate::bird;
use crate::bird::client::{BirdError, Command};
use crate::bird::marker::Marker;

/// The time between two looks at the sessions.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Changes of the configuration that come faster are one.
const COALESCE: Duration = Duration::from_millis(500);

/// Password files are read this often: nobody tells when they change.
const REREAD_PASSWORDS: Duration = Duration::from_secs(5);

/// A configuration that was refused is tried again after this time: the disk may not be full any more. One that was
/// taken back too, if what was put in its place brings no session up either: then there is nothing to lose.
const TRY_AGAIN: Duration = Duration::from_secs(60);

/// What others are told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BgpView {
    /// BGP on this node.
    pub status: BgpStatus,
    /// What has happened so far.
    pub counters: Counters,
}

/// What has happened since the agent was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Configurations that BIRD runs or has run.
    pub applied: u64,
    /// Configurations that BIRD did not take.
    pub refused: u64,
    /// Configurations that were taken back.
    pub rolled_back: u64,
}

/// The node's BGP speaker.
#[derive(Debug)]
pub struct Speaker {
    inputs: Inputs,
    files: ConfFiles,
    stopped: Marker,
    view: watch::Sender<Arc<BgpView>>,
    link: Link,
    wanted: Result<Wanted, String>,
    /// What BIRD runs, if this agent has seen it proved; the status tells of its peers while `wanted` is turned down.
    in_force: Option<Wanted>,
    /// An input has changed since `wanted` was made.
    stale: bool,
    trial: Option<OnTrial>,
    refused: Option<Refused>,
    rolled_back: Option<RolledBack>,
    applied_at: Option<Instant>,
    look: Option<Look>,
    look_at: Instant,
    passwords_at: Instant,
    /// The kernel's counters when all was well, or when the configuration last changed.
    md5_before: Md5Refusals,
    counters: Counters,
}

/// A configuration that BIRD has not taken, or that could not be written.
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

impl Speaker {
    /// A speaker that drives the BIRD whose control socket is in `run_dir`.
    pub fn new(inputs: Inputs, files: ConfFiles, run_dir: &Path) -> Self {
        let now = Instant::now();
        Self {
            wanted: inputs.wanted(None),
            inputs,
            files,
            stopped: Marker::within(run_dir),
            view: watch::channel(Arc::default()).0,
            link: Link::new(bird::socket(run_dir)),
            in_force: None,
            stale: false,
            trial: None,
            refused: None,
            rolled_back: None,
            applied_at: None,
            look: None,
            look_at: now,
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
        let of_link = match self.link.retry_at() {
            Some(retry_at) => retry_at,
            None if self.trial.is_none() && self.pending().is_some() => {
                self.apply_at(Instant::now()).min(self.look_at)
            }
            None => self.look_at,
        };
        if self.inputs.has_passwords() { of_link.min(self.passwords_at) } else { of_link }
    }

    async fn step(&mut self) {
        let now = Instant::now();
        if self.stale || (now >= self.passwords_at && self.inputs.has_passwords()) {
            self.refresh(now);
        }
        if self.link.is_due(now) {
            self.connect().await;
        }
        if self.link.is_up()
            && let Err(error) = self.drive(now).await
        {
            self.lost(&error);
        }
        self.publish();
    }

    fn refresh(&mut self, now: Instant) {
        self.wanted = self.inputs.wanted(self.link.version());
        if let Err(reason) = &self.wanted {
            tracing::error!(reason, "there is no configuration for BIRD; the one that it has stays");
        }
        self.stale = false;
        self.passwords_at = now + REREAD_PASSWORDS;
    }

    async fn connect(&mut self) {
        let expected = self.wanted.as_ref().is_ok_and(|wanted| wanted.plan.is_some());
        if self.link.connect(expected).await {
            self.stopped.clear_if_older(self.link.socket());
            self.refresh(Instant::now());
            if let Err(error) = self.settle_what_was_left().await {
                self.lost(&error);
            }
        }
    }

    /// The connection cannot be used any more.
    fn lost(&mut self, error: &BirdError) {
        self.link.lost(error);
        self.look = None;
        if let Some(OnTrial { wanted, .. }) = self.trial.take() {
            self.note_rollback(&wanted, "BIRD went away while it was on trial".to_owned());
        }
    }

    async fn drive(&mut self, now: Instant) -> Result<(), BirdError> {
        if self.trial.is_some() {
            if now >= self.look_at {
                self.observe().await?;
                self.judge().await?;
            }
            return Ok(());
        }
        if let Some(wanted) = self.pending().cloned()
            && now >= self.apply_at(now)
        {
            return self.apply(wanted).await;
        }
        if now >= self.look_at { self.observe().await } else { Ok(()) }
    }

    /// What BIRD is to run, does not run, and has not turned down. A BIRD that is being drained would begin anew with
    /// it.
    fn pending(&self) -> Option<&Wanted> {
        let wanted = self.wanted.as_ref().ok().filter(|_| !self.stopped.present())?;
        let revision = wanted.conf.revision.as_str();
        let is_refused = self
            .refused
            .as_ref()
            .is_some_and(|refused| refused.revision == revision && refused.since.elapsed() < TRY_AGAIN);
        let is_rolled_back = self.rolled_back.as_ref().is_some_and(|back| {
            back.revision == revision && (self.is_any_up() || back.since.elapsed() < TRY_AGAIN)
        });
        let is_running = self.link.running() == Some(revision);
        (!is_running && !is_refused && !is_rolled_back).then_some(wanted)
    }

    fn is_any_up(&self) -> bool {
        self.look.as_ref().is_some_and(|look| look.sessions.values().any(ObservedSession::is_established))
    }

    /// The first configuration is told at once.
    fn apply_at(&self, now: Instant) -> Instant {
        self.applied_at.map_or(now, |at| at + COALESCE)
    }

    /// Looks at the sessions.
    async fn observe(&mut self) -> Result<(), BirdError> {
        self.look_at = Instant::now() + LOOK_EVERY;
        let sessions = observed::sessions(&self.link.ask(&Command::ShowProtocols).await?);
        let plan = self.wanted.as_ref().ok().and_then(|wanted| wanted.plan.as_ref());
        let with_bfd = plan.is_some_and(|plan| plan.peers.iter().any(|peer| peer.bfd.is_some()));
        // A BIRD without the protocol says so with an error, which is none of ours.
        let bfd = if with_bfd {
            observed::bfd(&self.link.ask(&Command::ShowBfd).await?)
        } else {
            Default::default()
        };
        let md5 = md5_refusals();
        if sessions.values().all(ObservedSession::is_established) {
            self.md5_before = md5;
        }
        let look = Look { sessions, bfd, refusals: md5.since(self.md5_before) };
        tell_changes(self.look.as_ref(), &look);
        self.look = Some(look);
        Ok(())
    }

    /// Sessions that are up.
    fn up(&self) -> BTreeSet<String> {
        let sessions = self.look.iter().flat_map(|look| &look.sessions);
        sessions.filter(|(_, session)| session.is_established()).map(|(name, _)| name.clone()).collect()
    }

    fn publish(&self) {
        let config = self.config();
        let turned_down = matches!(config, ConfigStatus::Refused { .. } | ConfigStatus::RolledBack { .. });
        let in_force = self.in_force.as_ref().filter(|_| turned_down);
        let told = in_force.or(self.wanted.as_ref().ok());
        let plan = told.and_then(|told| Some((told, told.plan.as_ref()?)));
        let peers = plan.map(|(told, plan)| status::peers(plan, &told.refused, self.look.as_ref()));
        let status = BgpStatus { bird: self.bird(), config, peers: peers.unwrap_or_default() };
        let view = Arc::new(BgpView { status, counters: self.counters });
        self.view.send_if_modified(|current| {
            let changed = *current != view;
            *current = view;
            changed
        });
    }

    fn bird(&self) -> BirdStatus {
        match (self.link.version(), self.link.away_because()) {
            (Some(version), _) => BirdStatus::Running(version),
            (None, Some(reason)) => BirdStatus::Away(reason.to_owned()),
            (None, None) => BirdStatus::Unknown,
        }
    }

    fn config(&self) -> ConfigStatus {
        let wanted = match &self.wanted {
            Ok(wanted) if wanted.plan.is_none() => return ConfigStatus::None,
            Ok(wanted) => wanted,
            Err(reason) => return ConfigStatus::Refused { reason: reason.clone() },
        };
        let revision = wanted.conf.revision.clone();
        if let Some(trial) = &self.trial {
            return ConfigStatus::OnTrial { revision: trial.wanted.conf.revision.clone() };
        }
        if self.link.running() == Some(&revision) {
            return ConfigStatus::Applied { revision };
        }
        match (&self.rolled_back, &self.refused) {
            (Some(back), _) if back.revision == revision => {
                ConfigStatus::RolledBack { revision, reason: back.reason.clone(), at: back.at }
            }
            (_, Some(refused)) if refused.revision == revision => {
                ConfigStatus::Refused { reason: refused.reason.clone() }
            }
            _ => ConfigStatus::Pending,
        }
    }
}

/// Of the agent's own network namespace, which is the node's and BIRD's.
fn md5_refusals() -> Md5Refusals {
    // Where the file cannot be read there is one hint less.
    Md5Refusals::parse(&std::fs::read_to_string("/proc/net/netstat").unwrap_or_default())
}

fn tell_changes(before: Option<&Look>, now: &Look) {
    for (name, session) in &now.sessions {
        let former = before.and_then(|look| look.sessions.get(name));
        let was_up = former.is_some_and(ObservedSession::is_established);
        let error = session.last_error.as_deref().unwrap_or_default();
        match (was_up, session.is_established()) {
            (false, true) => tracing::info!(session = name, "established"),
            (true, false) => {
                tracing::warn!(session = name, state = publish::state(session.state), error, "session down");
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
