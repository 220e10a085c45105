//! The connection to BIRD: there, or away and why.

use std::path::{Path, PathBuf};
use std::time::Duration;

use flock_core::bgp::config::{ANYCAST, REVISION};
use flock_core::bgp::control::{BirdVersion, Reply};
use tokio::time::Instant;

use crate::bird::client::{BirdError, Client, Command};
use flock_core::backoff::Backoff;

/// The first pause before another attempt.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The longest pause. A BIRD that was away for long is found within this time.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// The connection to one BIRD, over its comings and goings.
#[derive(Debug)]
pub(super) struct ControlConnection {
    socket: PathBuf,
    state: State,
    backoff: Backoff,
}

#[derive(Debug)]
enum State {
    Away { retry_at: Instant, reason: Option<String> },
    Up { client: Client, version: BirdVersion, running: Running },
}

/// What BIRD says of the configuration that it runs. One that is not flock's says nothing.
#[derive(Debug, Default)]
struct Running {
    revision: Option<String>,
    anycast: Option<String>,
}

impl ControlConnection {
    pub(super) fn new(socket: PathBuf) -> Self {
        let backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        Self { socket, state: State::Away { retry_at: Instant::now(), reason: None }, backoff }
    }

    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    pub(super) fn is_up(&self) -> bool {
        matches!(self.state, State::Up { .. })
    }

    /// When the next attempt is due; none while BIRD is there.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        match self.state {
            State::Away { retry_at, .. } => Some(retry_at),
            State::Up { .. } => None,
        }
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.retry_at().is_some_and(|at| now >= at)
    }

    pub(super) fn version(&self) -> Option<BirdVersion> {
        match self.state {
            State::Up { version, .. } => Some(version),
            State::Away { .. } => None,
        }
    }

    /// The revision of the configuration that BIRD runs, but for its anycast routes; none if it is not one of flock's.
    pub(super) fn running(&self) -> Option<&str> {
        match &self.state {
            State::Up { running, .. } => running.revision.as_deref(),
            State::Away { .. } => None,
        }
    }

    /// The revision of its anycast routes.
    pub(super) fn anycast(&self) -> Option<&str> {
        match &self.state {
            State::Up { running, .. } => running.anycast.as_deref(),
            State::Away { .. } => None,
        }
    }

    pub(super) fn away_because(&self) -> Option<&str> {
        match &self.state {
            State::Away { reason, .. } => reason.as_deref(),
            State::Up { .. } => None,
        }
    }

    /// One attempt; whether it succeeded. That an unexpected BIRD is not there is nothing to complain about.
    pub(super) async fn connect(&mut self, expected: bool) -> bool {
        match Client::connect(&self.socket).await {
            Ok((client, version)) => {
                tracing::info!(%version, socket = %self.socket.display(), "BIRD answers");
                self.state = State::Up { client, version, running: Running::default() };
                match self.ask_running().await {
                    Ok(()) => true,
                    Err(error) => {
                        self.lost(&error);
                        false
                    }
                }
            }
            Err(error) => {
                self.away(error.to_string(), expected);
                false
            }
        }
    }

    /// The connection cannot be used any more.
    pub(super) fn lost(&mut self, error: &BirdError) {
        self.away(error.to_string(), true);
    }

    fn away(&mut self, reason: String, complain: bool) {
        if self.is_up() {
            self.backoff.reset();
        }
        if complain && self.away_because() != Some(&reason) {
            tracing::warn!(reason, "BIRD is away; what is programmed stays");
        }
        self.state = State::Away { retry_at: Instant::now() + self.backoff.pause(), reason: Some(reason) };
    }

    pub(super) async fn ask(&mut self, command: &Command) -> Result<Reply, BirdError> {
        match &mut self.state {
            State::Up { client, .. } => client.ask(command).await,
            State::Away { .. } => Err(BirdError::Spent(self.socket.clone())),
        }
    }

    /// Asks BIRD which configuration it runs.
    pub(super) async fn ask_running(&mut self) -> Result<(), BirdError> {
        let now =
            Running { revision: self.value_of(REVISION).await?, anycast: self.value_of(ANYCAST).await? };
        if let State::Up { running, .. } = &mut self.state {
            *running = now;
        }
        Ok(())
    }

    /// None of a constant that BIRD's configuration does not have.
    async fn value_of(&mut self, constant: &'static str) -> Result<Option<String>, BirdError> {
        let reply = self.ask(&Command::Eval(constant)).await?;
        Ok(reply.lines.last().filter(|_| reply.failure().is_none()).map(|line| line.text.clone()))
    }
}
