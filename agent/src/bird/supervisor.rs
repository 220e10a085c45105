//! Keeps BIRD running on a node where nothing else does (`--bird=managed`).
//!
//! BIRD outlives the agent, so that an agent's restart drops no session: it has its own process group, and the agent
//! never stops it. An agent that starts *adopts* a BIRD that answers on the socket.
//!
//! ```text
//!           +-- answers --> adopted: look again each second
//!  look ----+-- there, but does not answer --> leave it alone: two BIRDs would fight over routes and port 179
//!   ^       +-- gone, marker there --> stopped on purpose: wait
//!   |       +-- gone --> start --> wait for its end --> back off
//!   +--------------------------------------------------------+
//! ```

#[cfg(test)]
mod tests;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use flock_core::backoff::Backoff;
use flock_core::bgp::control::BirdVersion;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use super::client::Client;
use super::log::Log;
use super::marker::Marker;
use crate::store::{Disk, Files as _};
use crate::supervision::turn;

/// The time between two looks.
const LOOK: Duration = Duration::from_secs(1);

/// Before BIRD is started again.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// A BIRD that lived this long was well.
const WELL: Duration = Duration::from_secs(30);

/// What BIRD is started with.
#[derive(Debug, Clone)]
pub struct Supervisor {
    /// The program: `bird`, or a path.
    pub program: PathBuf,
    pub conf: PathBuf,
    pub socket: PathBuf,
    /// `RUN_DIR`: BIRD's log, process ID and the marker are in its folder `bird`.
    pub run_dir: PathBuf,
}

/// What is seen of BIRD.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    Answers(BirdVersion),
    /// It is there and does not answer, for this reason.
    Mute(String),
    /// It is not there, and was stopped on purpose.
    Stopped,
    /// It is not there.
    Gone,
}

impl Supervisor {
    /// Keeps BIRD running until `shutdown`; BIRD then goes on. A marker of an earlier stop is removed: the agent was
    /// started to have a BIRD.
    ///
    /// # Errors
    /// When BIRD's folder or log cannot be made.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        let dir = super::dir(&self.run_dir);
        Disk.make_dir(&dir)?;
        let mut watch = Watch {
            marker: Marker::within(&self.run_dir),
            pid_file: dir.join("bird.pid"),
            log: Log::open(&dir.join("bird.log"))?,
            backoff: Backoff::new(FIRST_PAUSE, LONGEST_PAUSE),
            seen: None,
            bird: self,
        };
        watch.marker.clear()?;
        tokio::select! {
            () = shutdown => {}
            () = watch.keep_running() => {}
        }
        watch.log.copy();
        tracing::info!("BIRD goes on without the agent");
        Ok(())
    }
}

/// A supervisor at work.
struct Watch {
    bird: Supervisor,
    marker: Marker,
    pid_file: PathBuf,
    log: Log,
    backoff: Backoff,
    /// What was seen the last time: only changes are logged.
    seen: Option<Seen>,
}

impl Watch {
    async fn keep_running(&mut self) {
        loop {
            let seen = self.look().await;
            self.note(&seen);
            if seen == Seen::Gone {
                let started = Instant::now();
                self.start_and_wait().await;
                self.seen = None;
                let pause = pause(&mut self.backoff, started.elapsed());
                self.pause(pause).await;
            } else {
                self.pause(LOOK).await;
            }
        }
    }

    async fn look(&self) -> Seen {
        let _turn = turn();
        match Client::connect(&self.bird.socket).await {
            Ok((_, version)) => Seen::Answers(version),
            Err(error) if !error.absent() => Seen::Mute(error.to_string()),
            Err(_) => match running(&self.pid_file, &self.bird.socket) {
                // It is on its way up or down; or somebody has removed its socket.
                Some(pid) => {
                    Seen::Mute(format!("process {pid} has no control socket; if that goes on, kill it"))
                }
                None if self.marker.present() => Seen::Stopped,
                None => Seen::Gone,
            },
        }
    }

    fn note(&mut self, seen: &Seen) {
        if self.seen.as_ref() == Some(seen) {
            return;
        }
        match seen {
            Seen::Answers(version) => tracing::info!(%version, "BIRD is running already: adopted"),
            Seen::Mute(reason) => {
                tracing::warn!(reason, "BIRD does not answer; no other one is started beside it")
            }
            Seen::Stopped => {
                let marker = self.marker.path().display();
                tracing::info!(%marker, "BIRD was stopped on purpose; remove the marker to have it started");
            }
            Seen::Gone => {}
        }
        self.seen = Some(seen.clone());
    }

    async fn start_and_wait(&mut self) {
        let program = self.bird.program.display().to_string();
        let mut child = match self.start() {
            Ok(child) => child,
            Err(error) => {
                tracing::error!(program, %error, "cannot start BIRD; is it installed? it will be tried again");
                return;
            }
        };
        tracing::info!(program, process = child.id(), "BIRD started");
        let status = self.wait(&mut child).await;
        self.log.copy();
        match status {
            Ok(status) if self.marker.present() => tracing::info!(%status, "BIRD has ended, on purpose"),
            Ok(status) => tracing::error!(%status, "BIRD has ended; it is started again"),
            Err(error) => tracing::error!(%error, "cannot wait for BIRD"),
        }
    }

    fn start(&self) -> io::Result<Child> {
        let Supervisor { program, conf, socket, .. } = &self.bird;
        Command::new(program)
            // -R: peers may have kept our routes, and the kernel theirs; both are to be taken over, not flushed.
            .args(["-f", "-R"])
            .arg("-c")
            .arg(conf)
            .arg("-s")
            .arg(socket)
            .arg("-P")
            .arg(&self.pid_file)
            .stdin(Stdio::null())
            .stdout(self.log.handle()?)
            .stderr(self.log.handle()?)
            // Signals to the agent's group, as an interrupt from a terminal, are not for BIRD.
            .process_group(0)
            .spawn()
    }

    async fn wait(&mut self, child: &mut Child) -> io::Result<ExitStatus> {
        loop {
            tokio::select! {
                status = child.wait() => return status,
                () = sleep(LOOK) => self.log.copy(),
            }
        }
    }

    async fn pause(&mut self, time: Duration) {
        self.log.copy();
        sleep(time).await;
    }
}

/// The process in BIRD's PID file, if it is still that one: another may have got its number since.
fn running(pid_file: &Path, socket: &Path) -> Option<u32> {
    let pid = fs::read_to_string(pid_file).ok()?.trim().parse().ok()?;
    let command = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let socket = socket.as_os_str().as_encoded_bytes();
    command.split(|&byte| byte == 0).any(|argument| argument == socket).then_some(pid)
}

/// Before a BIRD that lived so long is started again.
fn pause(backoff: &mut Backoff, lived: Duration) -> Duration {
    if lived >= WELL {
        backoff.reset();
    }
    backoff.pause()
}
