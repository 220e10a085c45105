//! Nothing stays behind, however the harness ends: a process that waits for that end, and cleans up.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use flock_tests::leaks::{self, Leak};
use flock_tests::{PATIENCE, eventually};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::programs::Programs;

/// Starts a guard for this process. It ends by itself; when it is killed too, the next run sweeps.
///
/// # Errors
/// When it cannot be started.
pub fn post(programs: &Programs) -> Result<()> {
    let mut guard = Command::new(&programs.harness);
    guard.args(["guard", &std::process::id().to_string()]);
    // Ctrl-C goes to the whole group.
    guard.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    guard.spawn().map(drop).context("start the guard")
}

/// Waits for the end of a process and removes what it has left.
///
/// # Errors
/// When something cannot be removed.
pub fn run(pid: i32) -> Result<()> {
    let process = Pid::from_raw(pid).context("not a process")?;
    // That it is gone already is fine.
    if let Ok(end) = pidfd_open(process, PidfdFlags::empty()) {
        while poll(&mut [PollFd::new(&end, PollFlags::IN)], None)? == 0 {}
    }
    clean(&format!("flk-{pid}-"))
}

/// Removes everything whose name begins with `prefix`, whatever is still ending.
///
/// # Errors
/// Names what cannot be removed.
pub fn clean(prefix: &str) -> Result<()> {
    eventually(4 * PATIENCE, || {
        leaks::remove_all(prefix);
        let left = leaks::find(prefix);
        ensure!(left.is_empty(), "left behind: {left:?}");
        Ok(())
    })
}

/// The processes that belong to `prefix`: those of its namespaces, a node's first process among them, which ends when
/// all that runs on the node has ended.
pub fn running(prefix: &str) -> Vec<i32> {
    let pid = |leak| if let Leak::Process { pid, .. } = leak { Some(pid) } else { None };
    leaks::find(prefix).into_iter().filter_map(pid).collect()
}

/// Waits for the end of processes that have been killed.
///
/// # Errors
/// Names those that do not end.
pub fn ended(pids: &[i32]) -> Result<()> {
    eventually(4 * PATIENCE, || {
        let left: Vec<&i32> = pids.iter().filter(|pid| Path::new(&format!("/proc/{pid}")).exists()).collect();
        ensure!(left.is_empty(), "processes {left:?} do not end");
        Ok(())
    })
}
