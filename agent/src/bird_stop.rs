//! `flock-agent bird-stop`: ends BIRD in the way that the purpose asks for. SIGTERM, which is what everything else
//! sends, withdraws all routes at once, whether graceful restart is configured or not.
//!
//! * rollout: a new BIRD follows in seconds. `graceful restart`: peers and the kernel keep the routes meanwhile. Newer
//!   BIRDs say good-bye at it with a NOTIFICATION, at which peers drop the routes (RFC 4724, section 4.1): those are
//!   killed instead, which does all of the same.
//! * drain: pods still run, or run down. The routes are withdrawn first, while the session is up and the node still
//!   forwards; after a moment in which routers act on that, the sessions end.
//! * shutdown: the node goes. `down`: peers drop everything at once instead of waiting for the hold timer.
//!
//! [`auto`]: which of them it is, as far as the API server can tell.

pub mod auto;
pub mod stop_reason;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flock_core::bgp::control::Reply;
use flock_core::bgp::observed::{self, SessionState};
use rustix::process::{Signal, kill_process};
use tokio::time::{Instant, sleep};

use crate::bird::client::{BirdError, Client, Command};
use crate::bird::marker::{Marker, Purpose};
use crate::bird::socket;

/// The static protocols from which the node's routes come, in every bird.conf that flock writes, in the order in which
/// they are withdrawn: anycast has other nodes to go to.
pub const ORIGINATING: [&str; 4] = ["anycast6", "anycast4", "own6", "own4"];
/// The time that BIRD has to withdraw everything.
const WITHDRAW: Duration = Duration::from_secs(5);
/// The time that BIRD has to end.
const END: Duration = Duration::from_secs(10);
/// The time between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// What is to be done.
#[derive(Debug, Clone)]
pub struct Stop {
    /// `RUN_DIR`, with BIRD's control socket and the marker.
    pub run_dir: PathBuf,
    pub purpose: Purpose,
    /// Of a drain: the time between the withdrawal and the end of the sessions, in which routers act on it.
    pub wait: Duration,
}

/// What was done, in order; for people, one line for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The marker could not be written; BIRD was stopped all the same.
    Unmarked(String),
    /// There is no BIRD.
    NotRunning,
    /// These protocols were disabled, and no session advertises anything any more.
    Withdrawn(Vec<&'static str>),
    /// There was nothing to withdraw.
    NothingToWithdraw,
    /// Not everything was withdrawn, for this reason; BIRD was stopped all the same.
    NotWithdrawn(String),
    /// This time was given to the routers.
    Waited(Duration),
    /// BIRD, this process, was killed.
    Killed(i32),
    /// BIRD was told to end with this command.
    Told(&'static str),
    Ended,
}

/// BIRD could not be stopped.
#[derive(Debug, thiserror::Error)]
pub enum StopError {
    /// It cannot be asked.
    #[error(transparent)]
    Bird(#[from] BirdError),
    #[error(
        "BIRD refuses {asked:?}: {said}; is the socket restricted? SIGTERM ends it too, without keeping routes"
    )]
    Refused { asked: String, said: String },
    #[error("BIRD still listens on {} {END:?} after it was told to end; SIGKILL ends it, and peers keep its routes for their graceful restart time", .0.display())]
    Remains(PathBuf),
}

/// Stops BIRD. One that is not running is a success: a container's end must not fail for it.
///
/// # Errors
/// When a BIRD is there and does not end.
pub async fn stop(stop: &Stop) -> Result<Report, StopError> {
    // First, so that the supervisor does not take the end for a crash.
    let mut steps = Vec::from_iter(mark(stop));
    let socket = socket(&stop.run_dir);
    let (mut bird, version) = match Client::connect(&socket).await {
        Ok(connected) => connected,
        Err(error) if error.absent() => {
            steps.push(Step::NotRunning);
            return Ok(Report { steps });
        }
        Err(error) => return Err(error.into()),
    };
    if stop.purpose == Purpose::Drain {
        steps.append(&mut drain(&mut bird, stop.wait).await);
        // The old connection may be spent by what went wrong.
        bird = match Client::connect(&socket).await {
            Ok((bird, _)) => bird,
            Err(error) if error.absent() => {
                steps.push(Step::Ended);
                return Ok(Report { steps });
            }
            Err(error) => return Err(error.into()),
        };
        // An agent that came up in between has removed the marker.
        mark(stop);
    }
    let killed = match stop.purpose {
        Purpose::Rollout if version.notifies_at_graceful_restart() => kill(&bird),
        _ => None,
    };
    steps.push(match killed {
        Some(step) => step,
        None => tell(&mut bird, stop.purpose).await?,
    });
    drop(bird);
    ended(&socket).await?;
    steps.push(Step::Ended);
    Ok(Report { steps })
}

fn mark(stop: &Stop) -> Option<Step> {
    let marked = Marker::within(&stop.run_dir).set(stop.purpose);
    marked.err().map(|error| Step::Unmarked(error.to_string()))
}

/// Withdraws what the node originates. Whatever fails, BIRD is to end afterwards.
async fn drain(bird: &mut Client, wait: Duration) -> Vec<Step> {
    let disabled = match disable(bird).await {
        Ok(disabled) if disabled.is_empty() => return vec![Step::NothingToWithdraw],
        Ok(disabled) => disabled,
        Err(error) => return vec![Step::NotWithdrawn(error.to_string())],
    };
    let withdrawn = match withdrawn(bird).await {
        Ok(sessions) if sessions.is_empty() => Step::Withdrawn(disabled),
        Ok(sessions) => {
            let names: Vec<_> = sessions.iter().map(String::as_str).collect();
            Step::NotWithdrawn(format!("{} still advertise routes after {WITHDRAW:?}", names.join(", ")))
        }
        Err(error) => Step::NotWithdrawn(error.to_string()),
    };
    sleep(wait).await;
    vec![withdrawn, Step::Waited(wait)]
}

/// Disables those of [`ORIGINATING`] that there are.
async fn disable(bird: &mut Client) -> Result<Vec<&'static str>, StopError> {
    let protocols = ask(bird, &Command::ShowProtocols).await?;
    let there: BTreeSet<&str> =
        protocols.lines.iter().filter_map(|line| protocol(line.code, &line.text)).collect();
    let mut disabled = Vec::new();
    for name in ORIGINATING.into_iter().filter(|name| there.contains(name)) {
        ask(bird, &Command::Disable(name)).await?;
        disabled.push(name);
    }
    Ok(disabled)
}

/// The name in a row of `show protocols`.
fn protocol(code: u16, row: &str) -> Option<&str> {
    row.split_whitespace().next().filter(|_| code == 1002)
}

/// Waits until no session advertises anything; those that still do when the time is over.
async fn withdrawn(bird: &mut Client) -> Result<BTreeSet<String>, StopError> {
    let until = Instant::now() + WITHDRAW;
    loop {
        let advertising = advertising(&ask(bird, &Command::ShowProtocols).await?);
        if advertising.is_empty() || Instant::now() >= until {
            return Ok(advertising);
        }
        sleep(LOOK).await;
    }
}

fn advertising(protocols: &Reply) -> BTreeSet<String> {
    let sessions = observed::sessions(protocols).into_iter();
    let established = sessions.filter(|(_, session)| session.state == SessionState::Established);
    established
        .filter(|(_, session)| session.channels.values().any(|it| it.exported > 0))
        .map(|(name, _)| name)
        .collect()
}

/// Kills the BIRD at the other end of the connection, if it is a process that this one can see.
fn kill(bird: &Client) -> Option<Step> {
    let pid = bird.process()?;
    kill_process(pid, Signal::KILL).is_ok().then_some(Step::Killed(pid.as_raw_nonzero().get()))
}

/// Tells BIRD to end.
async fn tell(bird: &mut Client, purpose: Purpose) -> Result<Step, StopError> {
    let (command, name) = match purpose {
        Purpose::Rollout => (Command::GracefulRestart, "graceful restart"),
        Purpose::Drain | Purpose::Shutdown => (Command::Down, "down"),
    };
    match ask(bird, &command).await {
        // It may be faster with its end than with its answer.
        Ok(_) | Err(StopError::Bird(BirdError::Closed { .. })) => Ok(Step::Told(name)),
        Err(error) => Err(error),
    }
}

async fn ask(bird: &mut Client, command: &Command) -> Result<Reply, StopError> {
    let reply = bird.ask(command).await?;
    match reply.failure() {
        Some(said) => Err(StopError::Refused { asked: command.to_string(), said: said.to_owned() }),
        None => Ok(reply),
    }
}

/// Waits until nobody listens on the socket any more.
async fn ended(socket: &Path) -> Result<(), StopError> {
    let until = Instant::now() + END;
    while Instant::now() < until {
        match Client::connect(socket).await {
            Err(error) if error.absent() => return Ok(()),
            // One that ends closes connections without a greeting.
            _ => sleep(LOOK).await,
        }
    }
    Err(StopError::Remains(socket.to_owned()))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.steps.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Unmarked(error) => {
                write!(f, "cannot write the marker ({error}): an agent that manages BIRD will start it again")
            }
            Step::NotRunning => f.write_str("BIRD is not running: nothing to stop"),
            Step::Withdrawn(protocols) => {
                write!(f, "withdrawn from all peers: everything of {}", protocols.join(", "))
            }
            Step::NothingToWithdraw => {
                f.write_str("BIRD advertises nothing of this node: nothing to withdraw")
            }
            Step::NotWithdrawn(reason) => write!(f, "not everything was withdrawn ({reason}); going on"),
            Step::Waited(time) => write!(f, "waited {time:?} for the routers to act on it"),
            Step::Killed(pid) => write!(f, "killed BIRD (process {pid}): peers keep its routes"),
            Step::Told("graceful restart") => {
                f.write_str("told BIRD to restart gracefully: peers keep its routes")
            }
            Step::Told(command) => write!(f, "told BIRD to end: {command}"),
            Step::Ended => f.write_str("BIRD has ended"),
        }
    }
}
