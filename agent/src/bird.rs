//! BIRD as a program: how it is spoken to, kept running and stopped.
//!
//! * [`client`]: typed commands over its control socket.
//! * [`start`]: `flock-agent bird`: becomes BIRD, in a container of its own.
//! * [`supervisor`]: `--bird=managed`: starts it, adopts one that runs already, never stops it.
//! * [`stop`]: `flock-agent bird-stop`: ends it in the way that the purpose asks for; [`marker`] says so to the others.
//! * [`log`]: what it says goes to a file, and from there to the agent's log.

pub mod client;
pub mod log;
pub mod marker;
pub mod start;
pub mod stop;
pub mod supervisor;

use std::path::{Path, PathBuf};

/// BIRD's control socket below `run_dir`.
pub fn socket(run_dir: &Path) -> PathBuf {
    run_dir.join("bird.ctl")
}

/// The folder of BIRD's other files below `run_dir`.
pub fn dir(run_dir: &Path) -> PathBuf {
    run_dir.join("bird")
}
