//! The client of BIRD's control socket: one command at a time, each with a deadline.

mod command;

#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flock_core::bgp::control::{self, BirdVersion, ProtocolError, Reply};
use rustix::process::Pid;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::supervision::turn;

pub use self::command::Command;

/// The time that BIRD has for its greeting and for each answer.
const ANSWER: Duration = Duration::from_secs(5);
/// The same where it reads a configuration: prefix lists may be long, and its disk slow.
const CONFIGURE: Duration = Duration::from_secs(30);

/// Why BIRD cannot be asked. All but [`BirdError::Path`] end the connection: the next answer on it might belong to
/// another question.
#[derive(Debug, thiserror::Error)]
pub enum BirdError {
    /// There is nobody at the socket.
    #[error("cannot connect to {}: {cause}; is BIRD running? it must be started with -s {}", socket.display(), socket.display())]
    Connect { socket: PathBuf, cause: io::Error },
    /// Somebody is, but says what BIRD does not.
    #[error("what listens on {} is not BIRD: it says {said:?}; is another program started with this socket?", socket.display())]
    Stranger { socket: PathBuf, said: String },
    /// What came is no answer.
    #[error("on {}, to {asked:?}: {cause}; see BIRD's log", socket.display())]
    Protocol {
        socket: PathBuf,
        asked: String,
        /// What is wrong with it.
        cause: ProtocolError,
    },
    /// The connection ended too early.
    #[error("BIRD closed {} before it answered {asked:?}; has it ended? see its log", socket.display())]
    Closed { socket: PathBuf, asked: String },
    #[error("BIRD on {} did not answer {asked:?} within {after:?}; if that goes on, restart it", socket.display())]
    Silent {
        socket: PathBuf,
        asked: String,
        /// The time that it had.
        after: Duration,
    },
    #[error("the connection to BIRD on {} broke at {asked:?}: {cause}; has it ended? see its log", socket.display())]
    Broken { socket: PathBuf, asked: String, cause: io::Error },
    /// An earlier command was not answered, or not waited for.
    #[error("the connection to BIRD on {} is spent since an earlier command failed: connect again", .0.display())]
    Spent(PathBuf),
    /// BIRD cannot be told this path.
    #[error(
        "BIRD cannot be told the path {0:?}: it must be UTF-8 without \" and control characters; choose another --run-dir"
    )]
    Path(PathBuf),
}

impl BirdError {
    /// Nobody listens on the socket: BIRD is not running (or was started with another one).
    pub fn absent(&self) -> bool {
        matches!(self, BirdError::Connect { cause, .. }
            if matches!(cause.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused))
    }
}

/// A connection to BIRD.
#[derive(Debug)]
pub struct Client {
    socket: PathBuf,
    stream: UnixStream,
    buffer: Vec<u8>,
    /// A command was sent and its answer not read, for whatever reason: also because nobody waited for it.
    spent: bool,
}

impl Client {
    /// Connects, and learns BIRD's version from its greeting.
    ///
    /// # Errors
    /// When there is no BIRD, or it says nothing within 5 seconds.
    pub async fn connect(socket: &Path) -> Result<(Self, BirdVersion), BirdError> {
        let connecting = UnixStream::connect(socket);
        let stream =
            connecting.await.map_err(|cause| BirdError::Connect { socket: socket.to_owned(), cause })?;
        let mut client = Self { socket: socket.to_owned(), stream, buffer: Vec::new(), spent: false };
        let greeting = match client.answer("the connection", ANSWER).await {
            Ok(greeting) => greeting,
            Err(BirdError::Protocol { socket, cause, .. }) => {
                return Err(BirdError::Stranger { socket, said: cause.to_string() });
            }
            Err(error) => return Err(error),
        };
        match BirdVersion::of_greeting(&greeting) {
            Some(version) => Ok((client, version)),
            None => {
                let said = greeting.lines.into_iter().next_back().map(|line| line.text).unwrap_or_default();
                Err(BirdError::Stranger { socket: client.socket, said })
            }
        }
    }

    /// The process that listens on the socket; none when it is in another PID namespace.
    pub fn process(&self) -> Option<Pid> {
        let peer = self.stream.peer_cred().ok()?;
        peer.pid().and_then(Pid::from_raw)
    }

    /// Sends a command and waits for its answer, which may well be a failure: see [`Reply::failure`].
    ///
    /// # Errors
    /// When there is no answer within 5 seconds (30 where BIRD reads a configuration), or none that makes sense; the
    /// client is spent then. Also when this future was dropped before it ended.
    pub async fn ask(&mut self, command: &Command) -> Result<Reply, BirdError> {
        let line = format!("{}\n", command.line()?);
        if std::mem::replace(&mut self.spent, true) {
            return Err(BirdError::Spent(self.socket.clone()));
        }
        let asked = command.to_string();
        self.quiet(&asked)?;
        let sending = self.stream.write_all(line.as_bytes());
        match timeout(command.deadline(), sending).await {
            Err(_) => return Err(self.silent(&asked, command.deadline())),
            Ok(Err(cause)) => return Err(self.broken(&asked, cause)),
            Ok(Ok(())) => {}
        }
        let reply = self.answer(&asked, command.deadline()).await?;
        self.spent = false;
        Ok(reply)
    }

    async fn answer(&mut self, asked: &str, deadline: Duration) -> Result<Reply, BirdError> {
        let _turn = turn();
        match timeout(deadline, self.read(asked)).await {
            Ok(result) => result,
            Err(_) => Err(self.silent(asked, deadline)),
        }
    }

    async fn read(&mut self, asked: &str) -> Result<Reply, BirdError> {
        loop {
            let decoded = control::decode(&self.buffer);
            if let Some((reply, taken)) = decoded.map_err(|cause| self.nonsense(asked, cause))? {
                self.buffer.drain(..taken);
                return if self.buffer.is_empty() { Ok(reply) } else { Err(self.unasked(asked)) };
            }
            self.buffer.reserve(64 * 1024);
            match self.stream.read_buf(&mut self.buffer).await {
                Ok(0) => return Err(self.closed(asked)),
                Ok(_) => {}
                Err(cause) => return Err(self.broken(asked, cause)),
            }
        }
    }

    /// Nothing came since the last answer. What did would be taken for the answer to the next command.
    fn quiet(&mut self, asked: &str) -> Result<(), BirdError> {
        match self.stream.try_read_buf(&mut self.buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(cause) => Err(self.broken(asked, cause)),
            Ok(0) => Err(self.closed(asked)),
            Ok(_) => Err(self.unasked(asked)),
        }
    }

    fn unasked(&self, asked: &str) -> BirdError {
        let beginning = String::from_utf8_lossy(&self.buffer).chars().take(80).collect();
        self.nonsense(asked, ProtocolError::Nonsense(beginning))
    }

    fn nonsense(&self, asked: &str, cause: ProtocolError) -> BirdError {
        BirdError::Protocol { socket: self.socket.clone(), asked: asked.to_owned(), cause }
    }

    fn silent(&self, asked: &str, after: Duration) -> BirdError {
        BirdError::Silent { socket: self.socket.clone(), asked: asked.to_owned(), after }
    }

    fn closed(&self, asked: &str) -> BirdError {
        BirdError::Closed { socket: self.socket.clone(), asked: asked.to_owned() }
    }

    fn broken(&self, asked: &str, cause: io::Error) -> BirdError {
        // What Linux says when the other end is gone and has not read what was sent to it.
        match cause.kind() {
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => self.closed(asked),
            _ => BirdError::Broken { socket: self.socket.clone(), asked: asked.to_owned(), cause },
        }
    }
}
