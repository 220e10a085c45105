//! Executes what the pipeline asks for, and tells it what has come of it: [`Pipeline`] decides.

mod connection;
mod notes;

use std::collections::VecDeque;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flock_core::bgp::explain::Md5Refusals;
use flock_core::bgp::observed::{self, ObservedSession};
use flock_core::bgp::pipeline::{Command, Conf, Event, Look, Now, Pipeline, Reply, UNDO_AFTER};
use flock_core::bgp::render::Base;
use flock_core::bgp::status::Observation;
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;

use self::connection::ControlConnection;
pub use self::notes::{AnycastCounters, BgpView, Counters};
use super::files::{ConfError, ConfFiles};
use super::inputs::Inputs;
use crate::bird;
use crate::bird::client::{self, BirdError};
use crate::bird::marker::Marker;
use crate::environment::sleep_until;
use crate::metrics::{BirdCommands, BirdOutcome};
use crate::publish::publish_change;

/// Password files are read this often: nobody tells when they change.
const REREAD_PASSWORDS: Duration = Duration::from_secs(5);

/// The node's BGP controller.
#[derive(Debug)]
pub struct Controller {
    inputs: Inputs,
    files: ConfFiles,
    stopped: Marker,
    connection: ControlConnection,
    pipeline: Pipeline,
    counters: Counters,
    commands: BirdCommands,
    view: watch::Sender<Arc<BgpView>>,
    /// An input has changed since the pipeline was told.
    is_stale: bool,
    is_draining: bool,
    passwords_at: Instant,
}

impl Controller {
    /// A controller that drives the BIRD whose control socket is in `run_dir`. `view` is what others are told.
    pub fn new(
        inputs: Inputs,
        files: ConfFiles,
        run_dir: &Path,
        commands: BirdCommands,
        view: watch::Sender<Arc<BgpView>>,
    ) -> Self {
        let in_file = Base::read(&files.read_last_good());
        Self {
            pipeline: Pipeline::new(inputs.desired_config(None), in_file, now()),
            inputs,
            files,
            stopped: Marker::within(run_dir),
            connection: ControlConnection::new(bird::socket(run_dir)),
            counters: Counters::default(),
            commands,
            view,
            is_stale: false,
            is_draining: false,
            passwords_at: Instant::now() + REREAD_PASSWORDS,
        }
    }

    /// Runs until `shutdown` is there. BIRD goes on as it is.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = std::pin::pin!(shutdown);
        let mut events = VecDeque::from([Event::Tick]);
        loop {
            while let Some(event) = events.pop_front() {
                events.extend(self.step(event).await);
            }
            let wake_at = self.wake_at();
            tokio::select! {
                () = &mut shutdown => return,
                true = self.inputs.changed() => self.is_stale = true,
                () = sleep_until(wake_at) => {}
            }
            events.push_back(Event::Tick);
        }
    }

    fn wake_at(&self) -> Option<Instant> {
        let due = self.pipeline.wake_at(Instant::now().into_std()).map(Instant::from_std);
        let passwords_at = self.inputs.has_passwords().then_some(self.passwords_at);
        due.into_iter().chain(passwords_at).min()
    }

    /// Takes an event in, after what has happened meanwhile, and executes what follows; what comes of that are the next events.
    async fn step(&mut self, event: Event) -> Vec<Event> {
        let passwords_are_due = self.inputs.has_passwords() && Instant::now() >= self.passwords_at;
        let is_new_bird = matches!(event, Event::Connected { .. });
        if is_new_bird {
            self.stopped.clear_if_older(self.connection.socket());
        }
        let mut events = Vec::new();
        let is_draining = self.stopped.present();
        if std::mem::replace(&mut self.is_draining, is_draining) != is_draining {
            events.push(Event::Draining(is_draining));
        }
        if std::mem::take(&mut self.is_stale) || passwords_are_due || is_new_bird {
            events.push(Event::Desired(self.inputs.desired_config(self.connection.version())));
            self.passwords_at = Instant::now() + REREAD_PASSWORDS;
        }
        events.push(event);
        let mut next = Vec::new();
        for event in events {
            let before = self.pipeline.observed().cloned();
            for command in self.pipeline.on(event, now()) {
                next.extend(self.execute(command).await);
            }
            log_changes(before.as_ref(), self.pipeline.observed());
        }
        self.publish();
        next
    }

    /// Does it; the event is what has come of it.
    async fn execute(&mut self, command: Command) -> Option<Event> {
        match command {
            Command::Note(note) => {
                self.counters.count(&note);
                notes::log(&note, &self.files);
                return None;
            }
            Command::DiscardCandidate => {
                self.files.discard(self.files.candidate()).await;
                return None;
            }
            Command::Keep(conf) => {
                let kept = self.files.keep(conf).await;
                return kept.err().map(|error| {
                    tracing::error!(%error, "BIRD would be started with another configuration than the last good one");
                    Event::NotKept
                });
            }
            Command::Connect => return Some(self.connect().await),
            _ => {}
        }
        let name = command.name();
        let answer = self.ask(command).await;
        self.commands.count(
            name,
            match &answer {
                Ok(Reply::Done(_) | Reply::Looked(_)) => BirdOutcome::Done,
                Ok(Reply::Refused(_)) => BirdOutcome::Refused,
                Err(_) => BirdOutcome::Lost,
            },
        );
        Some(answer.map_or_else(
            |error| {
                self.connection.lose();
                Event::Lost(error.to_string())
            },
            Event::Replied,
        ))
    }

    async fn connect(&mut self) -> Event {
        match self.connection.connect().await {
            Ok((version, running)) => {
                tracing::debug!(%version, ?running, "connected");
                Event::Connected { version, running }
            }
            Err(error) => Event::Lost(error.to_string()),
        }
    }

    async fn ask(&mut self, command: Command) -> Result<Reply, BirdError> {
        tracing::debug!(command = command.name(), "BIRD is asked");
        match command {
            Command::Look { bfd } => self.look(bfd).await.map(Reply::Looked),
            Command::Check(conf) => match self.files.write_candidate(conf).await {
                Ok(path) => self.tell(client::Command::CheckConfig(path), None).await,
                Err(error) => Ok(refused(&error)),
            },
            Command::Try(conf) => match self.files.write_candidate(conf.clone()).await {
                Ok(path) => {
                    let command = client::Command::Try { path, undo_after: UNDO_AFTER };
                    self.tell(command, Some(conf)).await
                }
                Err(error) => Ok(refused(&error)),
            },
            Command::Update(conf) => match self.files.write_anycast_update(conf.clone()).await {
                Ok(path) => {
                    let reply = self.tell(client::Command::Configure(path), Some(conf)).await;
                    self.files.discard(self.files.anycast_update()).await;
                    reply
                }
                Err(error) => Ok(refused(&error)),
            },
            Command::Revert(Some(conf)) => match self.files.keep(conf.clone()).await {
                Ok(()) => self.tell(client::Command::Configure(self.files.last_good()), Some(conf)).await,
                Err(error) => Ok(refused(&error)),
            },
            Command::Revert(None) => self.tell(client::Command::Undo, None).await,
            Command::Confirm => self.tell(client::Command::Confirm, None).await,
            Command::Connect | Command::Keep(_) | Command::DiscardCandidate | Command::Note(_) => {
                Ok(Reply::Refused("BIRD cannot be asked that".to_owned()))
            }
        }
    }

    /// `expected` is what BIRD is to run then.
    async fn tell(&mut self, command: client::Command, expected: Option<Conf>) -> Result<Reply, BirdError> {
        let reply = self.connection.ask(&command).await?;
        if let Some(error) = reply.failure() {
            return Ok(Reply::Refused(format!("BIRD does not take it: {error}")));
        }
        self.connection.running(expected.as_ref()).await.map(Reply::Done)
    }

    async fn look(&mut self, with_bfd: bool) -> Result<Look, BirdError> {
        let sessions = observed::sessions(&self.connection.ask(&client::Command::ShowProtocols).await?);
        // A BIRD without the protocol says so with an error, which is none of ours.
        let bfd = if with_bfd {
            observed::bfd(&self.connection.ask(&client::Command::ShowBfd).await?)
        } else {
            Default::default()
        };
        let running = self.connection.running(None).await?;
        Ok(Look { sessions, bfd, md5: md5_refusals(), running })
    }

    fn publish(&self) {
        let status = self.pipeline.status();
        let (sessions, counters) = (status.established(), self.counters);
        let view = BgpView { sessions, anycast: self.pipeline.anycast(), counters, status };
        publish_change(&self.view, Arc::new(view));
    }
}

fn now() -> Now {
    Now { at: Instant::now().into_std(), wall: Timestamp::now() }
}

fn refused(error: &ConfError) -> Reply {
    Reply::Refused(error.to_string())
}

/// Of the agent's own network namespace, which is the node's and BIRD's.
fn md5_refusals() -> Md5Refusals {
    // Where the file cannot be read there is one hint less.
    Md5Refusals::parse(&std::fs::read_to_string("/proc/net/netstat").unwrap_or_default())
}

fn log_changes(before: Option<&Observation>, now: Option<&Observation>) {
    for (name, session) in now.iter().flat_map(|look| &look.sessions) {
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

#[cfg(test)]
mod tests;
