//! `flock-agent bird`: what BIRD's container runs: waits for a configuration and becomes BIRD.

use std::convert::Infallible;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use super::marker::Marker;

/// The time between two looks for the configuration.
const LOOK: Duration = Duration::from_millis(200);

/// After so many looks without it, the log says so, and again.
const PATIENCE: u32 = 150;

/// What BIRD is started with.
#[derive(Debug, Clone, clap::Args)]
pub struct Start {
    /// Folder of the configuration and the control socket, as with `run`.
    #[arg(long, value_name = "DIR", default_value = "/run/flock")]
    pub run_dir: PathBuf,
    /// The BIRD that is started.
    #[arg(long, value_name = "PROGRAM", default_value = "bird")]
    pub program: PathBuf,
}

/// BIRD cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// It was stopped on purpose, which is over, and the sign of it stays.
    #[error("cannot remove {}: {cause}; while it is there, BIRD is not configured", path.display())]
    Marker { path: PathBuf, cause: io::Error },
    /// There is no such program, or it is none.
    #[error("cannot execute {}: {cause}; is BIRD installed?", program.display())]
    Execute { program: PathBuf, cause: io::Error },
}

/// Becomes BIRD as soon as there is a configuration: signals are then BIRD's, and so is the exit status.
///
/// # Errors
/// When it cannot.
pub fn become_bird(start: &Start) -> Result<Infallible, StartError> {
    let conf = super::dir(&start.run_dir).join("bird.conf");
    wait_for(&conf);
    // Whoever has stopped BIRD on purpose has had it started again. The agent waits for that.
    let marker = Marker::within(&start.run_dir);
    marker.clear().map_err(|cause| StartError::Marker { path: marker.path().to_owned(), cause })?;
    let cause = command(start, &conf).exec();
    Err(StartError::Execute { program: start.program.clone(), cause })
}

/// The agent writes one before anything else, whether it knows of the node or not.
fn wait_for(conf: &Path) {
    let mut looks = 0_u32;
    while !conf.exists() {
        if looks.is_multiple_of(PATIENCE) {
            tracing::info!(file = %conf.display(), "waiting for the agent to write it");
        }
        looks = looks.wrapping_add(1);
        sleep(LOOK);
    }
}

fn command(start: &Start, conf: &Path) -> Command {
    let mut command = Command::new(&start.program);
    // -R: peers may have kept our routes, and the kernel theirs; both are to be taken over, not flushed.
    command.args(["-f", "-R", "-c"]).arg(conf).arg("-s").arg(super::socket(&start.run_dir));
    command
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bird::marker::Purpose;

    fn start(run_dir: &Path) -> Start {
        Start { run_dir: run_dir.to_owned(), program: run_dir.join("no-such-bird") }
    }

    #[test]
    fn bird_takes_over_what_peers_and_kernel_have_kept() {
        let start = start(Path::new("/run/flock"));
        let command = command(&start, Path::new("/run/flock/bird/bird.conf"));
        let arguments: Vec<_> = command.get_args().filter_map(|argument| argument.to_str()).collect();
        assert_eq!(arguments.join(" "), "-f -R -c /run/flock/bird/bird.conf -s /run/flock/bird.ctl");
    }

    #[test]
    fn the_marker_of_an_earlier_stop_goes_when_there_is_a_configuration() {
        let run_dir = tempfile::tempdir().unwrap();
        let marker = Marker::within(run_dir.path());
        marker.set(Purpose::Drain).unwrap();
        let path = crate::bird::dir(run_dir.path()).join("bird.conf");
        let writing = std::thread::spawn(move || {
            sleep(LOOK);
            std::fs::write(path, "").unwrap();
        });
        let error = become_bird(&start(run_dir.path())).unwrap_err();
        writing.join().unwrap();
        assert!(!marker.present());
        assert!(error.to_string().ends_with("is BIRD installed?"), "{error}");
    }
}
