//! The connection to BIRD, if there is one.

use std::path::{Path, PathBuf};
use std::time::Duration;

use flock_core::bgp::config::{ANYCAST, REVISION};
use flock_core::bgp::control::{BirdVersion, Reply};
use flock_core::bgp::pipeline::{Conf, Running};
use tokio::time::{Instant, sleep};

use crate::bird::client::{BirdError, Client, Command};

/// BIRD puts off a configuration as long as it is busy with the one before, whose sessions it has to end: that long at
/// most.
const BUSY: Duration = Duration::from_secs(2);

/// The time between two questions whether it still is.
const ASK_EVERY: Duration = Duration::from_millis(10);

/// The connection to one BIRD, over its comings and goings.
#[derive(Debug)]
pub(super) struct ControlConnection {
    socket: PathBuf,
    client: Option<(Client, BirdVersion)>,
}

impl ControlConnection {
    pub(super) fn new(socket: PathBuf) -> Self {
        Self { socket, client: None }
    }

    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    pub(super) fn version(&self) -> Option<BirdVersion> {
        self.client.as_ref().map(|(_, version)| *version)
    }

    /// One attempt.
    pub(super) async fn connect(&mut self) -> Result<(BirdVersion, Running), BirdError> {
        let (client, version) = Client::connect(&self.socket).await?;
        self.client = Some((client, version));
        let running = self.running(None).await;
        if running.is_err() {
            self.lose();
        }
        running.map(|running| (version, running))
    }

    /// It cannot be used any more.
    pub(super) fn lose(&mut self) {
        self.client = None;
    }

    pub(super) async fn ask(&mut self, command: &Command) -> Result<Reply, BirdError> {
        match &mut self.client {
            Some((client, _)) => client.ask(command).await,
            None => Err(BirdError::Spent(self.socket.clone())),
        }
    }

    /// What BIRD runs; if it is to run this, when it does, or when that takes too long.
    pub(super) async fn running(&mut self, expected: Option<&Conf>) -> Result<Running, BirdError> {
        let until = Instant::now() + BUSY;
        loop {
            let running =
                Running { revision: self.value_of(REVISION).await?, anycast: self.value_of(ANYCAST).await? };
            if expected.is_none_or(|conf| conf.is(&running)) || Instant::now() >= until {
                return Ok(running);
            }
            sleep(ASK_EVERY).await;
        }
    }

    /// None of a constant that BIRD's configuration does not have.
    async fn value_of(&mut self, constant: &'static str) -> Result<Option<String>, BirdError> {
        let reply = self.ask(&Command::Eval(constant)).await?;
        Ok(reply.lines.last().filter(|_| reply.failure().is_none()).map(|line| line.text.clone()))
    }
}
