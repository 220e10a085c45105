//! A cluster that stays up for people, held by a process in the background. Its end is the cluster's.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal, setsid};

use crate::cluster::Cluster;
use crate::guard;
use crate::plan::Plan;

/// The file in a cluster's folder that says so.
const MARK: &str = "kept";

/// The last line that the keeper prints.
const READY: &str = "ready";

/// Starts a keeper with these arguments and waits until its cluster is up, telling what it tells.
///
/// # Errors
/// When the cluster does not come up.
pub fn up(harness: &Path, arguments: &[String]) -> Result<()> {
    let mut keeper = Command::new(harness);
    keeper.arg("keep").args(arguments).stdin(Stdio::null()).stdout(Stdio::piped());
    // It outlives whoever reads ours.
    keeper.stderr(Stdio::null());
    let mut child = keeper.spawn().context("start the keeper")?;
    for line in BufReader::new(child.stdout.take().context("the keeper's output")?).lines() {
        match line?.as_str() {
            READY => return Ok(()),
            line => println!("{line}"),
        }
    }
    bail!("the cluster did not come up: {}", child.wait()?)
}

/// Brings a cluster up, says how to use it, and holds it until this process is ended. All is said on standard output.
///
/// # Errors
/// When the cluster does not come up.
pub fn keep(plan: Plan, harness: &Path) -> Result<()> {
    // The terminal may go, and its Ctrl-C is meant for others. But nobody waits for a cluster that is on its way any
    // more when `up` has ended.
    setsid()?;
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let cluster = Cluster::up(plan, harness).inspect_err(|error| println!("{error:#}"))?;
    tell(&cluster)?;
    fs::write(cluster.dir().join(MARK), "")?;
    set_parent_process_death_signal(None)?;
    println!("{READY}");
    io::stdout().flush()?;
    loop {
        thread::park();
    }
}

fn tell(cluster: &Cluster) -> Result<()> {
    for (what, after) in &cluster.times {
        println!("{:5.1} s  {what}", after.as_secs_f64());
    }
    let (dir, kubectl) = (cluster.dir().display(), cluster.kubectl().script().display());
    println!("\nThe cluster is up; its files and logs are in {dir}");
    println!("  kubectl:            {kubectl} get nodes");
    println!(
        "  kubeconfig:         {dir}/pki/admin.kubeconfig (in the namespace {})",
        cluster.control.netns.name()
    );
    for member in &cluster.members {
        println!(
            "  a shell on {}:  nsenter --all --target {} --wd=/",
            member.name,
            member.machine()?.first_pid()
        );
    }
    println!("  the router:         vtysh --vty_socket {dir}/frr");
    println!("  take it down:       make cluster-down");
    Ok(())
}

/// Takes all kept clusters down.
///
/// # Errors
/// When something of one cannot be removed.
pub fn down() -> Result<()> {
    let kept = kept();
    if kept.is_empty() {
        println!("no cluster is up");
    }
    for (pid, dir) in kept {
        println!("taking down the cluster in {}", dir.display());
        // What the others run in must be known before it goes.
        let prefix = format!("flk-{pid}-");
        let running = guard::running(&prefix);
        if let Some(pid) = Pid::from_raw(pid) {
            kill_process(pid, Signal::TERM).ok();
        }
        guard::clean(&prefix)?;
        guard::ended(&running)?;
    }
    Ok(())
}

/// Their keepers and folders.
fn kept() -> Vec<(i32, PathBuf)> {
    let entries = fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten();
    let dirs = entries.map(|entry| entry.path()).filter(|dir| dir.join(MARK).exists());
    dirs.filter_map(|dir| {
        let pid = dir.file_name()?.to_str()?.strip_prefix("flk-")?.split('-').next()?.parse().ok()?;
        Some((pid, dir))
    })
    .collect()
}
