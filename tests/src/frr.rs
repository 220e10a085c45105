//! FRRouting as the router at the top of the rack: bgpd, zebra and bfdd, started by hand in its namespace.

mod config;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::command;
use crate::daemon::Daemon;
use crate::eventually::{PATIENCE, eventually};
use crate::netns::Netns;

pub use config::{FrrConfig, Neighbor};

/// Where Debian has the daemons.
pub const DIRECTORY: &str = "/usr/lib/frr";

/// How long vtysh may take. It answers in some 50 ms, and has been seen to wait for ever on a busy machine.
const VTYSH: Duration = Duration::from_secs(10);

/// A router's daemons; dropped, they are killed.
#[derive(Debug)]
pub struct Frr {
    dir: PathBuf,
    /// Held for their drop: bgpd first, zebra last.
    _daemons: [Daemon; 3],
}

impl Frr {
    /// Starts a router in `netns` that keeps everything of it in `dir`, which is made here.
    ///
    /// # Errors
    /// When a daemon does not start, or does not take the configuration as it is.
    pub fn start(netns: &Netns, dir: &Path, config: &FrrConfig) -> Result<Self> {
        fs::create_dir(dir).with_context(|| format!("make {}", dir.display()))?;
        // vtysh says on standard error that it misses one, and reads nothing else of it.
        for file in ["vtysh.conf", "zebra.conf", "bfdd.conf"] {
            fs::write(dir.join(file), "hostname router\n")?;
        }
        fs::write(dir.join("bgpd.conf"), config.text())?;
        // The daemons give up root at once, and refuse any user outside of their own group.
        command::run(&["chown", "-R", "frr:frr", &dir.display().to_string()])?;
        let zebra = daemon(netns, dir, "zebra", &[])?;
        let bfd = dir.join("bfdd.sock").display().to_string();
        let bfdd = daemon(netns, dir, "bfdd", &["--bfdctl", &bfd])?;
        let bgpd = daemon(netns, dir, "bgpd", &[])?;
        let frr = Self { dir: dir.to_owned(), _daemons: [bgpd, bfdd, zebra] };
        frr.ensure_read()?;
        Ok(frr)
    }

    /// An unknown line of a configuration is a line in the log, and the daemon goes on without it. It reads its
    /// configuration after it has made its socket, but before it answers there.
    fn ensure_read(&self) -> Result<()> {
        self.vtysh(&["show running-config bgpd"])?;
        let said = fs::read_to_string(self.dir.join("bgpd.log"))?;
        let objections: Vec<&str> =
            said.lines().filter(|line| line.contains("ERROR") || line.contains("No such command")).collect();
        ensure!(objections.is_empty(), "FRR does not take its configuration: {objections:?}");
        Ok(())
    }

    /// What vtysh prints for these commands.
    ///
    /// # Errors
    /// When a command is unknown or fails.
    pub fn vtysh(&self, commands: &[&str]) -> Result<String> {
        let dir = self.dir.display().to_string();
        let mut argv = vec!["vtysh", "--vty_socket", &dir, "--config_dir", &dir];
        commands.iter().for_each(|command| argv.extend(["-c", command]));
        let said = command::run_within(VTYSH, &argv)?;
        ensure!(!said.contains("% "), "vtysh {commands:?}: {said}");
        Ok(said)
    }

    /// What a `show ... json` prints.
    ///
    /// # Errors
    /// When it prints none.
    pub fn json(&self, command: &str) -> Result<Value> {
        let asked = format!("{command} json");
        // A question can be asked again.
        let said = self.vtysh(&[&asked]).or_else(|_| self.vtysh(&[&asked]))?;
        serde_json::from_str(&said).with_context(|| format!("{command}: {said}"))
    }

    /// Types these lines after `configure terminal`.
    ///
    /// # Errors
    /// When a line is refused.
    pub fn configure(&self, lines: &[&str]) -> Result<()> {
        self.vtysh(&[&["configure terminal"], lines].concat()).map(drop)
    }

    /// The state of the session with a neighbour, as `Established`.
    ///
    /// # Errors
    /// When there is no such neighbour.
    pub fn state(&self, neighbor: &str) -> Result<String> {
        let all = self.json("show bgp neighbors")?;
        let state = all[neighbor]["bgpState"].as_str();
        state.map(str::to_owned).with_context(|| format!("FRR has no neighbour {neighbor}: {all}"))
    }

    /// How often the session with a neighbour has come up.
    ///
    /// # Errors
    /// When there is no such neighbour.
    pub fn established_times(&self, neighbor: &str) -> Result<u64> {
        let all = self.json("show bgp neighbors")?;
        let times = all[neighbor]["connectionsEstablished"].as_u64();
        times.with_context(|| format!("FRR has no neighbour {neighbor}: {all}"))
    }

    /// Fails unless the sessions with all of these neighbours are up.
    ///
    /// # Errors
    /// Names the first that is not.
    pub fn ensure_established<A: AsRef<str>>(&self, neighbors: &[A]) -> Result<()> {
        neighbors.iter().map(AsRef::as_ref).try_for_each(|neighbor| {
            let state = self.state(neighbor)?;
            ensure!(state == "Established", "FRR's session with {neighbor} is {state}");
            Ok(())
        })
    }

    /// The paths to a prefix, best or not; none when FRR does not have it.
    ///
    /// # Errors
    /// When FRR cannot be asked.
    pub fn paths(&self, prefix: &str) -> Result<Vec<Value>> {
        let family = if prefix.contains(':') { "ipv6" } else { "ipv4" };
        let shown = self.json(&format!("show bgp {family} unicast {prefix}"))?;
        Ok(shown["paths"].as_array().cloned().unwrap_or_default())
    }

    /// The path to a prefix that FRR has from `neighbor`.
    ///
    /// # Errors
    /// When it has none.
    pub fn path_from(&self, neighbor: &str, prefix: &str) -> Result<Value> {
        let paths = self.paths(prefix)?;
        let of_neighbor = paths.iter().find(|path| path["peer"]["peerId"] == neighbor);
        of_neighbor.cloned().with_context(|| format!("no path to {prefix} from {neighbor}: {paths:?}"))
    }

    /// The prefixes that FRR has of a family, `ipv6` or `ipv4`.
    ///
    /// # Errors
    /// When FRR cannot be asked.
    pub fn prefixes(&self, family: &str) -> Result<Vec<String>> {
        let shown = self.json(&format!("show bgp {family} unicast"))?;
        let routes = shown["routes"].as_object().into_iter().flatten();
        Ok(routes.map(|(prefix, _)| prefix.clone()).collect())
    }

    /// Fails unless FRR has a path to `prefix`.
    ///
    /// # Errors
    /// When it has none.
    pub fn ensure_has(&self, prefix: &str) -> Result<()> {
        ensure!(!self.paths(prefix)?.is_empty(), "FRR has no path to {prefix}");
        Ok(())
    }

    /// Fails if FRR has a path to `prefix`.
    ///
    /// # Errors
    /// When it has one.
    pub fn ensure_lacks(&self, prefix: &str) -> Result<()> {
        let paths = self.paths(prefix)?;
        ensure!(paths.is_empty(), "FRR still has {prefix}: {paths:?}");
        Ok(())
    }

    /// What bgpd has logged so far.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn log(&self) -> Result<String> {
        fs::read_to_string(self.dir.join("bgpd.log")).context("read bgpd's log")
    }
}

fn daemon(netns: &Netns, dir: &Path, name: &str, arguments: &[&str]) -> Result<Daemon> {
    let mut program = Command::new(Path::new(DIRECTORY).join(name));
    program.arg("--config_file").arg(dir.join(format!("{name}.conf")));
    program.arg("--pid_file").arg(dir.join(format!("{name}.pid")));
    program.arg("--socket").arg(dir.join("zserv.api")).arg("--vty_socket").arg(dir);
    program.args(["--user", "frr", "--group", "frr", "--vty_port", "0"]);
    program.args(["--log", "stdout", "--log-level", "debugging"]).args(arguments);
    let log = dir.join(format!("{name}.log"));
    let mut daemon = Daemon::start(netns, program, &log)?;
    let ready = dir.join(if name == "zebra" { "zserv.api".to_owned() } else { format!("{name}.vty") });
    daemon.serving(|| {
        ensure!(ready.exists(), "{name} has not made {}", ready.display());
        Ok(())
    })?;
    Ok(daemon)
}

/// Waits until FRR has a path to each of these prefixes.
///
/// # Errors
/// Names the first that it lacks.
pub fn eventually_has(frr: &Frr, prefixes: &[String]) -> Result<()> {
    eventually(PATIENCE, || prefixes.iter().try_for_each(|prefix| frr.ensure_has(prefix)))
}
