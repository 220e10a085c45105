//! BIRD as a process, in a node's namespace or as a router of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use anyhow::{Context, Result, ensure};

use crate::daemon::Daemon;
use crate::netns::Netns;

/// A BIRD's files.
#[derive(Debug, Clone)]
pub struct BirdFiles {
    /// Its configuration.
    pub config: PathBuf,
    /// Its control socket.
    pub socket: PathBuf,
    /// What it says.
    pub log: PathBuf,
}

impl BirdFiles {
    /// In one directory.
    pub fn within(dir: &Path) -> Self {
        Self { config: dir.join("bird.conf"), socket: dir.join("bird.ctl"), log: dir.join("bird.log") }
    }
}

/// A running BIRD; dropped, it is killed.
#[derive(Debug)]
pub struct BirdProcess {
    daemon: Daemon,
    files: BirdFiles,
}

impl BirdProcess {
    /// Starts it as a container does, with recovery from a graceful restart, and waits until it answers.
    ///
    /// # Errors
    /// When its configuration is wrong or it does not answer.
    pub fn start(netns: &Netns, files: &BirdFiles) -> Result<Self> {
        let mut bird = Command::new("bird");
        bird.args(["-f", "-R", "-c"]).arg(&files.config).arg("-s").arg(&files.socket);
        let daemon = Daemon::start(netns, bird, &files.log)?;
        let mut bird = Self { daemon, files: files.clone() };
        bird.daemon.serving(|| ask(netns, &files.socket, "show status").map(drop))?;
        Ok(bird)
    }

    /// Writes `config` and starts a BIRD with it as a router.
    ///
    /// # Errors
    /// When the configuration is wrong.
    pub fn router(netns: &Netns, dir: &Path, config: &str) -> Result<Self> {
        fs::create_dir(dir).with_context(|| format!("make {}", dir.display()))?;
        let files = BirdFiles::within(dir);
        fs::write(&files.config, config)?;
        Self::start(netns, &files)
    }

    /// Its files.
    pub fn files(&self) -> &BirdFiles {
        &self.files
    }

    /// Ends it as the kernel does when memory is short, by SIGKILL.
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn kill(self) -> Result<ExitStatus> {
        self.daemon.kill()
    }

    /// Ends it as kubelet does, by SIGTERM; that it has ended already is fine.
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn terminate(self) -> Result<ExitStatus> {
        self.daemon.terminate()
    }
}

/// What `birdc` answers to a command.
///
/// # Errors
/// When there is no BIRD at the socket.
pub fn ask(netns: &Netns, socket: &Path, command: &str) -> Result<String> {
    let text = netns.exec(&["birdc", "-s", &socket.display().to_string(), command])?;
    ensure!(!text.contains("Unable to connect"), "{text}");
    Ok(text)
}

/// A session of a BIRD router.
#[derive(Debug, Clone)]
pub struct RouterPeer {
    /// The peer's address.
    pub address: String,
    /// The router's own address towards it.
    pub local: String,
    /// The peer's autonomous system.
    pub asn: u32,
}

/// The configuration of a BIRD that is a router: it takes whatever its peers say, passes it on, and originates
/// nothing.
pub fn router_config(asn: u32, peers: &[RouterPeer]) -> String {
    let fixed = format!(
        "log stderr all;\nrouter id 192.0.2.254;\nprotocol device {{}}\n{}{}",
        kernel("ipv6", "::/0"),
        kernel("ipv4", "0.0.0.0/0")
    );
    let sessions = peers.iter().enumerate().map(|(index, peer)| session(asn, index, peer));
    std::iter::once(fixed).chain(sessions).collect()
}

fn kernel(family: &str, all: &str) -> String {
    format!("protocol kernel {{ {family} {{ import none; export where net != {all}; }}; }}\n")
}

fn session(asn: u32, index: usize, peer: &RouterPeer) -> String {
    let RouterPeer { address, local, asn: peer_asn } = peer;
    let family = if address.contains(':') { "ipv6" } else { "ipv4" };
    format!(
        "protocol bgp peer{index} {{
    local {local} as {asn};
    neighbor {address} as {peer_asn};
    connect delay time 1;
    connect retry time 1;
    error wait time 1, 2;
    hold time 9;
    graceful restart on;
    {family} {{ import all; export all; next hop self; }};
}}\n"
    )
}
