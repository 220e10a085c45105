//! Network namespaces, made and looked at as `ip netns` does.

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::panic;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::command;

/// Where `ip netns` keeps its bind mounts.
pub const DIRECTORY: &str = "/run/netns";

/// A network namespace; dropped, it goes, with the processes in it and every link.
#[derive(Debug)]
pub struct Netns {
    name: String,
    path: PathBuf,
}

impl Netns {
    /// Makes the namespace, as empty as a container runtime makes one for a pod.
    ///
    /// # Errors
    /// When `ip netns` refuses.
    pub fn new(name: &str) -> Result<Self> {
        command::run(&["ip", "netns", "add", name])?;
        Ok(Self { name: name.to_owned(), path: Path::new(DIRECTORY).join(name) })
    }

    /// Its name, for `ip netns exec`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its bind mount, what a runtime gives as CNI_NETNS.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs a program in the namespace and returns its standard output.
    ///
    /// # Errors
    /// When it fails.
    pub fn exec(&self, argv: &[&str]) -> Result<String> {
        self.enter(|| command::run(argv))?.with_context(|| format!("in {}", self.name))
    }

    /// Runs `ip` with `arguments` in the namespace.
    ///
    /// # Errors
    /// When it fails.
    pub fn ip(&self, arguments: &[&str]) -> Result<String> {
        self.exec(&[&["ip"], arguments].concat())
    }

    /// Runs `work` on a thread of its own in the namespace. Programs that it starts stay there.
    ///
    /// # Errors
    /// When the namespace cannot be entered.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        let inside = || -> Result<T> {
            let namespace =
                File::open(&self.path).with_context(|| format!("open {}", self.path.display()))?;
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
                .with_context(|| format!("enter {}", self.name))?;
            Ok(work())
        };
        thread::scope(|scope| scope.spawn(inside).join().unwrap_or_else(|cause| panic::resume_unwind(cause)))
    }

    /// Writes a sysctl below `net/`, written with slashes.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn sysctl(&self, key: &str, value: &str) -> Result<()> {
        let file = Path::new("/proc/sys/net").join(key);
        self.enter(|| fs::write(&file, value))?.with_context(|| format!("write {}", file.display()))
    }

    /// Reads a sysctl below `net/`.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn read_sysctl(&self, key: &str) -> Result<String> {
        let file = Path::new("/proc/sys/net").join(key);
        let value = self.enter(|| fs::read_to_string(&file))?;
        Ok(value.with_context(|| format!("read {}", file.display()))?.trim().to_owned())
    }

    /// Makes a veth pair with one end in each namespace, both up and without duplicate address detection.
    ///
    /// # Errors
    /// When a name is taken.
    pub fn veth(&self, ifname: &str, peer: &Netns, peer_ifname: &str) -> Result<()> {
        let far = ["peer", "name", peer_ifname, "netns", peer.name()];
        self.ip(&[&["link", "add", ifname, "type", "veth"], far.as_slice()].concat())?;
        for (netns, ifname) in [(self, ifname), (peer, peer_ifname)] {
            netns.sysctl(&format!("ipv6/conf/{ifname}/accept_dad"), "0")?;
            netns.ip(&["link", "set", ifname, "up"])?;
        }
        Ok(())
    }

    /// Adds an address, with its prefix length.
    ///
    /// # Errors
    /// When the interface does not exist.
    pub fn address(&self, ifname: &str, address: &str) -> Result<()> {
        let nodad: &[&str] = if address.contains(':') { &["nodad"] } else { &[] };
        self.ip(&[&["address", "add", address, "dev", ifname], nodad].concat()).map(drop)
    }

    /// Removes the namespace. What runs in it would keep it alive without a name, so that is ended first.
    pub fn remove(name: &str) {
        for pid in processes(name) {
            kill_process(pid, Signal::KILL).ok();
        }
        let mut delete = Command::new("ip");
        delete.args(["netns", "delete", name]).stdout(Stdio::null()).stderr(Stdio::null()).status().ok();
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        Self::remove(&self.name);
    }
}

/// The processes in a namespace. It was made here, so whatever runs in it was started here.
pub fn processes(name: &str) -> Vec<Pid> {
    let pids = command::run(&["ip", "netns", "pids", name]).unwrap_or_default();
    pids.lines().filter_map(|pid| Pid::from_raw(pid.trim().parse().ok()?)).collect()
}
