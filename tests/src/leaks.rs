//! What a trial may leave behind: namespaces, processes, mounts, cgroups, directories. Found by the names that all of them
//! carry, `flk-PID-N-`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::eventually::{PATIENCE, eventually};
use crate::netns;

/// Where the control groups' hierarchies are.
const CGROUPS: &str = "/sys/fs/cgroup";

/// Something that is still there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leak {
    /// A process in one of our namespaces, or an agent in one of our directories.
    Process {
        /// Its ID.
        pid: i32,
        /// Its arguments.
        command: String,
    },
    /// A mount below one of our directories.
    Mount(PathBuf),
    /// A network namespace.
    Namespace(String),
    /// A control group, in one hierarchy.
    Cgroup(PathBuf),
    /// A directory.
    Directory(PathBuf),
}

impl Leak {
    /// Whether it is this directory itself.
    pub fn is(&self, dir: &Path) -> bool {
        matches!(self, Leak::Directory(path) if path == dir)
    }

    fn remove(&self) {
        match self {
            Leak::Process { pid, .. } => {
                Pid::from_raw(*pid).map(|pid| kill_process(pid, Signal::KILL));
            }
            Leak::Mount(path) => {
                let mut umount = Command::new("umount");
                umount.arg("--lazy").arg(path).stdout(Stdio::null()).stderr(Stdio::null()).status().ok();
            }
            Leak::Namespace(name) => netns::Netns::remove(name),
            Leak::Cgroup(path) => remove_cgroup(path),
            Leak::Directory(path) => {
                fs::remove_dir_all(path).ok();
            }
        }
    }
}

/// What all names of this process begin with.
pub fn own_prefix() -> String {
    format!("flk-{}-", std::process::id())
}

/// Everything whose name begins with `prefix`, in the order in which it can be removed.
pub fn find(prefix: &str) -> Vec<Leak> {
    let namespaces = names(Path::new(netns::DIRECTORY), prefix);
    let inside = namespaces.iter().flat_map(|name| netns::processes(name)).map(Pid::as_raw_pid);
    let pids: BTreeSet<i32> = inside.chain(agents(prefix)).collect();
    let mut leaks: Vec<Leak> =
        pids.into_iter().map(|pid| Leak::Process { pid, command: arguments(pid).join(" ") }).collect();
    leaks.extend(mounts(prefix).into_iter().map(Leak::Mount));
    leaks.extend(namespaces.into_iter().map(Leak::Namespace));
    leaks.extend(cgroups(prefix).into_iter().map(Leak::Cgroup));
    let dir = std::env::temp_dir();
    leaks.extend(names(&dir, prefix).into_iter().map(|name| Leak::Directory(dir.join(name))));
    leaks
}

/// Removes everything whose name begins with `prefix`.
pub fn remove_all(prefix: &str) {
    for leak in find(prefix) {
        leak.remove();
    }
}

/// Removes what earlier runs left that were killed before they could do it themselves.
pub fn sweep_dead_runs() {
    let mut found = names(Path::new(netns::DIRECTORY), "flk-");
    found.extend(names(&std::env::temp_dir(), "flk-"));
    found.extend(cgroups("flk-").iter().filter_map(|path| path.file_name()?.to_str().map(str::to_owned)));
    let runs: BTreeSet<i32> = found.iter().filter_map(|name| run_of(name)).collect();
    for pid in runs.into_iter().filter(|pid| !is_alive(*pid)) {
        remove_all(&format!("flk-{pid}-"));
    }
}

/// The process that made `flk-PID-N-ROLE`.
fn run_of(name: &str) -> Option<i32> {
    name.strip_prefix("flk-")?.split_once('-')?.0.parse().ok()
}

fn is_alive(pid: i32) -> bool {
    Pid::from_raw(pid).is_some_and(|pid| test_kill_process(pid).is_ok())
}

fn names(dir: &Path, prefix: &str) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.starts_with(prefix))
        .collect()
}

/// Agents whose directories are ours, wherever they run.
fn agents(prefix: &str) -> Vec<i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| is_agent(&arguments(*pid), prefix)).collect()
}

fn is_agent(arguments: &[String], prefix: &str) -> bool {
    let program = arguments.first().and_then(|program| Path::new(program).file_name());
    program.is_some_and(|name| name == "flock-agent")
        && arguments.iter().any(|argument| argument.contains(&format!("/{prefix}")))
}

fn arguments(pid: i32) -> Vec<String> {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    line.split(|byte| *byte == 0).map(|part| String::from_utf8_lossy(part).into_owned()).collect()
}

/// Mount points below our directories, the innermost first; a namespace's bind mount counts as the namespace.
fn mounts(prefix: &str) -> Vec<PathBuf> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let points = table.lines().filter_map(|line| line.split(' ').nth(4));
    let ours = points.filter(|point| point.contains(&format!("/{prefix}")) && !point.contains("/netns/"));
    let mut mounts: Vec<PathBuf> = ours.map(PathBuf::from).collect();
    mounts.sort_by_key(|point| std::cmp::Reverse(point.components().count()));
    mounts
}

/// The control groups at the top of any hierarchy, of version 1 or 2.
fn cgroups(prefix: &str) -> Vec<PathBuf> {
    let hierarchies = fs::read_dir(CGROUPS).into_iter().flatten().flatten().map(|entry| entry.path());
    hierarchies
        .chain([PathBuf::from(CGROUPS)])
        .flat_map(|dir| names(&dir, prefix).into_iter().map(move |name| dir.join(name)))
        .collect()
}

/// Kills what runs in a control group and below, and removes it. Processes take a moment to be gone.
pub fn remove_cgroup(path: &Path) {
    let mut below = Vec::new();
    collect_dirs(path, &mut below);
    eventually(PATIENCE, || {
        // Children come after their parents.
        for dir in below.iter().rev().filter(|dir| dir.exists()) {
            let pids = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
            for pid in pids.lines().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)) {
                kill_process(pid, Signal::KILL).ok();
            }
            fs::remove_dir(dir)?;
        }
        Ok(())
    })
    .ok();
}

fn collect_dirs(dir: &Path, all: &mut Vec<PathBuf>) {
    all.push(dir.to_owned());
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        collect_dirs(&entry.path(), all);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_the_run_that_made_them() {
        assert_eq!(run_of("flk-4711-0-dir"), Some(4711));
        for foreign in ["flk-", "flk-x-1", "flock-1-2", "flk-12"] {
            assert_eq!(run_of(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn only_an_agent_in_our_directory_is_ours() {
        let agent =
            |args: &[&str]| is_agent(&args.iter().map(|a| (*a).to_owned()).collect::<Vec<_>>(), "flk-1-0-");
        assert!(agent(&["/x/flock-agent", "run", "--run-dir", "/tmp/flk-1-0-dir/a/run"]));
        assert!(!agent(&["/x/flock-agent", "run", "--run-dir", "/tmp/flk-1-01-dir/a/run"]));
        assert!(!agent(&["less", "/tmp/flk-1-0-dir/a/agent.log"]));
        assert!(!agent(&[]));
    }
}
