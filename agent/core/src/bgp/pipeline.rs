//! The way of a configuration to BIRD: a state machine. Events go in, commands come out; who executes them decides
//! nothing.
//!
//! A base (everything but anycast routes) is checked, tried with a way back, and confirmed once the sessions that were up
//! before are up again, or taken back: [`State`] shows it. Only what was confirmed becomes `bird.conf`.
//!
//! Anycast routes come and go in the configuration that BIRD runs, whichever that is, also while it is on trial: no session
//! can be affected, so there is nothing to try, and a withdrawal goes before everything else.
//!
//! BIRD's own way back leads to the configuration before. After an anycast update during a trial, that is the one on trial
//! with the routes of a moment ago: it would bring back an address that is withdrawn, and nothing else. So an update leaves
//! BIRD without a timeout, and taking back is told explicitly: `bird.conf`, which is kept in step with the announcement.
//! Should the agent die in these seconds, BIRD stays with what was on trial until an agent is back. That one finds that BIRD
//! runs something else than `bird.conf`, and takes it back before it tries it anew.

mod look;
mod message;
mod routes;
mod state;
mod status;
mod trial;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

pub use self::message::{Command, Conf, DesiredConfig, Event, Look, Note, Now, Reply, Running, Undesired};
use self::state::{Asked, Refused, RolledBack};
pub use self::state::{OnTrial, State};
use super::advertisements::AdvertisementLog;
use super::explain::Md5Refusals;
use super::render::{AnycastRoutes, Base};
use super::status::{BirdStatus, Observation};
use crate::anycast::Announcement;
use crate::backoff::Backoff;

/// BIRD reverts by itself after this time, should the agent not be there any more.
pub const UNDO_AFTER: Duration = Duration::from_secs(30);

/// Changes of the configuration that come faster are one.
pub const COALESCE: Duration = Duration::from_millis(500);

/// A configuration that was refused is tried again after this time: the disk may not be full any more. One that was
/// taken back too, if what was put in its place brings no session up either: then there is nothing to lose.
const TRY_AGAIN: Duration = Duration::from_secs(60);

/// The last good configuration is brought back again after this time, and `bird.conf` written again.
const REPEAT: Duration = Duration::from_secs(5);

/// The time between two looks.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Between two attempts to connect, at first. A BIRD that was away for long is found within the second.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// The pipeline of one BIRD.
#[derive(Debug)]
pub struct Pipeline {
    state: State,
    asked: Option<Asked>,
    bird: BirdStatus,
    desired: Result<Arc<DesiredConfig>, Undesired>,
    /// The anycast routes that BIRD is to have, and why; none: nobody knows.
    routes: Option<AnycastRoutes>,
    announcement: Arc<Announcement>,
    is_draining: bool,
    /// What BIRD runs, as it last said.
    running: Running,
    /// What has proved itself, to which BIRD goes back; none if flock has not written `bird.conf`.
    last_good: Option<Base>,
    /// What BIRD runs, if this agent has seen it proved; the status shows its peers while the desired one is turned down.
    in_force: Option<Arc<DesiredConfig>>,
    /// What `bird.conf` holds, if it is flock's.
    file: Option<Conf>,
    advertisements: AdvertisementLog,
    refused: Option<Refused>,
    routes_refused: Option<Refused>,
    /// The last few, each revision once.
    rolled_back: Vec<RolledBack>,
    applied_at: Option<Instant>,
    updated_at: Option<Instant>,
    look_at: Instant,
    /// Not before.
    revert_at: Instant,
    keep_at: Instant,
    observed: Option<Observation>,
    /// The kernel's counters, as last seen.
    md5: Md5Refusals,
    /// The same when all was well, or when the configuration last changed.
    md5_before: Md5Refusals,
    backoff: Backoff,
    commands: Vec<Command>,
}

impl Pipeline {
    /// Nothing is known of BIRD yet. `file` is what `bird.conf` holds, if it is flock's.
    pub fn new(
        desired: Result<DesiredConfig, Undesired>,
        file: Option<(Base, AnycastRoutes)>,
        now: Now,
    ) -> Self {
        let file = file.map(|(base, routes)| Conf { base, routes });
        let in_file = file.as_ref().map(|file| file.routes.clone());
        let mut pipeline = Self {
            state: State::Away(now.at),
            asked: None,
            bird: BirdStatus::Unknown,
            desired: Err(Undesired { reason: String::new(), announcement: None }),
            routes: None,
            announcement: Arc::default(),
            is_draining: false,
            running: Running::default(),
            last_good: file.as_ref().map(|file| file.base.clone()),
            in_force: None,
            file,
            advertisements: AdvertisementLog::new(in_file.unwrap_or_default()),
            refused: None,
            routes_refused: None,
            rolled_back: Vec::new(),
            applied_at: None,
            updated_at: None,
            look_at: now.at,
            revert_at: now.at,
            keep_at: now.at,
            observed: None,
            md5: Md5Refusals::default(),
            md5_before: Md5Refusals::default(),
            backoff: Backoff::new(FIRST_PAUSE, LONGEST_PAUSE),
            commands: Vec::new(),
        };
        pipeline.desire(desired);
        pipeline
    }

    /// Where it is.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// What was last seen of the sessions, if BIRD is there.
    pub fn observed(&self) -> Option<&Observation> {
        self.observed.as_ref()
    }

    /// Takes an event in, and says what is to be done.
    pub fn on(&mut self, event: Event, now: Now) -> Vec<Command> {
        match event {
            Event::Desired(desired) => self.desire(desired),
            Event::Draining(is_draining) => self.is_draining = is_draining,
            Event::Connected { version, running } => {
                (self.state, self.asked) = (State::Idle, None);
                (self.bird, self.running) = (BirdStatus::Running(version), running);
                self.backoff.reset();
                (self.look_at, self.revert_at) = (now.at, now.at);
                self.note(Note::Answers(version));
                self.recognize("BIRD was started", now);
            }
            Event::Lost(reason) => self.lost(reason, now),
            Event::Replied(reply) => self.replied(reply, now),
            Event::NotKept => (self.file, self.keep_at) = (None, now.at + REPEAT),
            Event::Tick => {}
        }
        self.keep_file(now.at);
        self.advance(now.at);
        std::mem::take(&mut self.commands)
    }

    /// When [`Event::Tick`] may change something, if it ever does.
    pub fn wake_at(&self, now: Instant) -> Option<Instant> {
        if self.asked.is_some() {
            return None;
        }
        let of_file = (self.file.is_none() && self.last_good.is_some()).then_some(self.keep_at);
        let due = match self.state {
            State::Away(retry_at) => retry_at,
            _ => {
                let due = [self.update_at(now), self.leave_idle_at(now)];
                due.into_iter().flatten().fold(self.look_at, Instant::min)
            }
        };
        Some(of_file.map_or(due, |keep_at| due.min(keep_at)))
    }

    fn note(&mut self, note: Note) {
        self.commands.push(Command::Note(note));
    }

    fn desire(&mut self, desired: Result<DesiredConfig, Undesired>) {
        match &desired {
            Ok(desired) => {
                self.routes = Some(desired.routes.clone());
                self.announcement = Arc::clone(&desired.announcement);
            }
            Err(Undesired { reason, announcement }) => {
                if let Some(announcement) = announcement {
                    let before = self.routes.as_ref().unwrap_or_else(|| self.advertisements.routes());
                    self.routes = Some(
                        before.filtered(|address| announcement.announced.anycast.contains_key(&address)),
                    );
                    self.announcement = Arc::clone(announcement);
                }
                if self.desired.as_ref().err().is_none_or(|before| before.reason != *reason) {
                    self.note(Note::Undesired(reason.clone()));
                }
            }
        }
        self.desired = desired.map(Arc::new);
    }

    fn lost(&mut self, reason: String, now: Now) {
        let was_tried = matches!(self.asked, Some(Asked::Try(_)))
            || matches!(self.state, State::OnTrial(_) | State::Confirming(_));
        let candidate = self.state.candidate().filter(|_| was_tried).cloned();
        let was_up = matches!(self.bird, BirdStatus::Running(_));
        // That a BIRD which nobody needs is not there is nothing to complain about.
        let is_expected = self.desired.as_ref().is_ok_and(|desired| desired.plan.is_some());
        let is_news = !matches!(&self.bird, BirdStatus::Away(before) if *before == reason);
        if (was_up || is_expected) && is_news {
            self.note(Note::Away(reason.clone()));
        }
        (self.bird, self.running) = (BirdStatus::Away(reason), Running::default());
        (self.asked, self.observed) = (None, None);
        self.state = State::Away(now.at + self.backoff.pause());
        if let Some(candidate) = candidate {
            self.roll_back(&candidate, "BIRD went away while it was on trial", now);
        }
    }

    fn replied(&mut self, reply: Reply, now: Now) {
        let Some(asked) = self.asked.take() else { return };
        if let Reply::Done(running) | Reply::Looked(Look { running, .. }) = &reply {
            self.running.clone_from(running);
        }
        match (asked, reply) {
            (Asked::Look, Reply::Looked(look)) => self.looked(look, now),
            (Asked::Check, Reply::Done(_)) => self.checked(),
            (Asked::Try(conf), Reply::Done(_)) => self.tried(&conf, now),
            (Asked::Update(conf), Reply::Done(_)) => self.updated(&conf, now),
            (Asked::Confirm, Reply::Done(_)) => self.confirmed(now),
            (Asked::Revert, Reply::Done(_)) => {
                self.state = State::Idle;
                self.look_at = now.at;
                self.recognize("the configuration was taken back", now);
            }
            (Asked::Check | Asked::Try(_), Reply::Refused(reason)) => self.refuse(reason, now),
            (Asked::Update(conf), Reply::Refused(reason)) => self.refuse_routes(&conf, reason, now),
            (Asked::Confirm, Reply::Refused(reason)) => {
                self.take_back(&format!("BIRD did not take the confirmation: {reason}"), now);
            }
            (Asked::Revert, Reply::Refused(reason)) => {
                (self.state, self.revert_at) = (State::Idle, now.at + REPEAT);
                self.note(Note::NotReverted(reason));
            }
            (Asked::Look, _) => self.look_at = now.at + LOOK_INTERVAL,
            (Asked::Connect, _) | (_, Reply::Looked(_)) => {}
        }
    }

    /// Asks for what comes next, if nothing is asked.
    fn advance(&mut self, now: Instant) {
        if self.asked.is_some() {
            return;
        }
        self.begin(now);
        let Some((asked, command)) = self.next(now) else { return };
        match asked {
            Asked::Check => self.applied_at = Some(now),
            Asked::Update(_) => self.updated_at = Some(now),
            Asked::Revert => self.revert_at = now + REPEAT,
            _ => {}
        }
        self.asked = Some(asked);
        self.commands.push(command);
    }

    /// Leaves a state for which there is no reason any more, and idleness when there is one.
    fn begin(&mut self, now: Instant) {
        if self.state.is_before_trial() && !self.is_still_desired() {
            self.state = State::Idle;
        }
        if self.is_draining && matches!(self.state, State::Reverting) {
            self.state = State::Idle;
        }
        if !matches!(self.state, State::Idle) {
            return;
        }
        if let Ok(desired) = &self.desired
            && self.running.revision.as_deref() == Some(desired.base.revision())
        {
            let is_good =
                self.last_good.as_ref().is_some_and(|good| good.revision() == desired.base.revision());
            match &self.in_force {
                Some(in_force) if in_force.base.revision() == desired.base.revision() => {}
                _ if is_good => self.in_force = Some(Arc::clone(desired)),
                // There is nothing to go back to: it has nothing to prove.
                _ if self.last_good.is_none() && self.running.anycast.is_some() && !self.is_draining => {
                    self.state = State::Confirming(Arc::clone(desired));
                    return;
                }
                _ => {}
            }
        }
        if self.leave_idle_at(now).is_none_or(|at| now < at) {
            return;
        }
        if self.is_unproved() {
            self.state = State::Reverting;
            self.note(Note::Unproved);
        } else if let Some(desired) = self.pending(now) {
            self.state = State::Checking(Arc::clone(desired));
        }
    }

    fn next(&self, now: Instant) -> Option<(Asked, Command)> {
        if let State::Away(retry_at) = self.state {
            return (now >= retry_at).then_some((Asked::Connect, Command::Connect));
        }
        if let Some(conf) = self.update().filter(|_| self.update_at(now).is_some_and(|at| now >= at)) {
            return Some((Asked::Update(conf.clone()), Command::Update(conf)));
        }
        match &self.state {
            State::Away(_) => None,
            State::Checking(candidate) => {
                Some((Asked::Check, Command::Check(self.with_todays_routes(candidate))))
            }
            State::Baseline(_) => Some(self.look()),
            State::Trying(candidate, _) => {
                let conf = self.with_todays_routes(candidate);
                Some((Asked::Try(conf.clone()), Command::Try(conf)))
            }
            State::Confirming(_) => Some((Asked::Confirm, Command::Confirm)),
            State::Reverting => Some((Asked::Revert, Command::Revert(self.file_conf()))),
            State::Idle | State::OnTrial(_) => (now >= self.look_at).then(|| self.look()),
        }
    }

    /// What BIRD is to run, does not run, and has not turned down.
    fn pending(&self, now: Instant) -> Option<&Arc<DesiredConfig>> {
        let is_idle = matches!(self.state, State::Idle);
        let desired = self.desired.as_ref().ok().filter(|_| is_idle && !self.is_draining)?;
        let revision = desired.base.revision();
        let is_recent = |since: Instant| now.saturating_duration_since(since) < TRY_AGAIN;
        let is_refused = self
            .refused
            .as_ref()
            .is_some_and(|refused| refused.revision == revision && is_recent(refused.since));
        let back = self.rolled_back(revision);
        let is_rolled_back = back.is_some_and(|back| self.is_any_up() || is_recent(back.since));
        let is_running = self.running.revision.as_deref() == Some(revision);
        (!is_running && !is_refused && !is_rolled_back).then_some(desired)
    }

    /// When something is to be begun, if there is something. A first configuration is begun at once.
    fn leave_idle_at(&self, now: Instant) -> Option<Instant> {
        if self.is_unproved() {
            return Some(self.revert_at);
        }
        self.pending(now).map(|_| self.applied_at.map_or(now, |at| at + COALESCE))
    }

    fn rolled_back(&self, revision: &str) -> Option<&RolledBack> {
        self.rolled_back.iter().find(|back| back.revision == revision)
    }

    fn is_still_desired(&self) -> bool {
        let candidate = self.state.candidate().map(|candidate| candidate.base.revision());
        let desired = self.desired.as_ref().ok().map(|desired| desired.base.revision());
        candidate == desired && !self.is_draining
    }

    /// BIRD runs a configuration of flock's, and not the one that has proved itself.
    fn is_unproved(&self) -> bool {
        let Some(good) = self.last_good.as_ref().filter(|_| !self.is_draining) else { return false };
        let is_idle = matches!(self.state, State::Idle);
        is_idle
            && self.running.anycast.is_some()
            && self.running.revision.as_deref().is_some_and(|revision| revision != good.revision())
    }
}
