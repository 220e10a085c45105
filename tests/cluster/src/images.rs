//! The images that pods run. They are made locally, and imported: nothing is pulled.

use std::path::PathBuf;

use crate::plan::Plan;
use crate::programs::Programs;

/// What holds a sandbox.
pub const PAUSE: &str = "flock.test/pause:1";

/// What test pods run: HTTP on port 8080 that says who asks and who answers, TCP and UDP lines on 8081, and the
/// client of both. Its usage is in `tests/cluster/programs/images/echo/main.go`.
pub const ECHO: &str = "flock.test/echo:1";

/// The archives that every node imports.
pub fn archives(programs: &Programs, plan: &Plan) -> Vec<PathBuf> {
    let own = ["pause.tar", "echo.tar"].map(|name| programs.images().join(name));
    own.into_iter().chain(plan.images.iter().cloned()).collect()
}
