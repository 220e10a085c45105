//! `flock-agent uninstall`: flock is taken off a node. Pods that still run keep their links, addresses and routes.
//!
//! The runtime's configuration goes first, so that no pod comes any more; then routers are told; then the kernel is cleaned;
//! then the plugin goes, unless it is needed to delete pods; at last the API server is told that nobody stands by the node's
//! network any more. A step that fails does not keep the others from being made, and each can be made again.

mod report;

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use flock_core::attachment::IfName;
use flock_core::lifecycle::uninstall::Removal;
use flock_core::steering::{Steering, TABLE};
use flock_kernel::{Kernel, KernelError};

use self::report::Report;
use crate::api::client::{self, Access};
use crate::bird::marker::Purpose;
use crate::bird_stop::{Stop, stop};
use crate::conflist::{FILE, Folders};
use crate::install::PLUGIN;
use crate::replace;
use crate::report::condition;

/// The time between the last withdrawal and the end of the sessions.
const WAIT: Duration = Duration::from_secs(1);

/// What flock is taken off, and how far.
#[derive(Debug, Clone)]
pub struct Uninstall {
    pub folders: Folders,
    /// `RUN_DIR`.
    pub run_dir: PathBuf,
    /// The API server, and the node's name there; none: there is none.
    pub cluster: Option<(Access, String)>,
    /// Only say what would be done.
    pub dry_run: bool,
}

/// Takes flock off, and says each step to `out`.
///
/// # Errors
/// When an agent runs, or when a step has failed.
pub async fn run<K: Kernel>(uninstall: &Uninstall, kernel: &K, out: impl Write) -> anyhow::Result<()> {
    // Held to the end: an agent that starts meanwhile would make everything anew.
    let _lock = lock(&uninstall.run_dir)?;
    let mut report = Report::new(out, uninstall.dry_run);
    steps(uninstall, kernel, &mut report).await;
    match report.failures() {
        0 => Ok(()),
        count => bail!("{count} of the steps failed; when what they name is mended, run it again"),
    }
}

async fn steps<K: Kernel>(uninstall: &Uninstall, kernel: &K, report: &mut Report<impl Write>) {
    remove_file(report, &uninstall.folders.conf.join(FILE)).await;
    drain(report, &uninstall.run_dir).await;
    match clean(report, kernel).await {
        Ok(removal) => remove_plugin(report, &uninstall.folders.bin.join(PLUGIN), &removal).await,
        Err(error) => report.failed("look at the kernel", &error),
    }
    if let Some((access, node)) = &uninstall.cluster {
        let step = format!("give up the condition NetworkUnavailable of Node {node}");
        report.step(&step, release(access, node)).await;
    }
    report.say("left: the node's sysctls, and what BIRD has learned (ip route show proto bird)".to_owned());
}

/// The agents' lock; none where no agent has ever been.
fn lock(run_dir: &Path) -> anyhow::Result<Option<File>> {
    let path = run_dir.join("agent.lock");
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot open {}", path.display())),
    };
    if file.try_lock().is_err() {
        let pid = std::fs::read_to_string(&path).unwrap_or_default();
        bail!(
            "an agent (process {}) works in {} and would make everything anew: stop it first, with \
             `kubectl --namespace flock-system delete daemonset flock`, or where it was started",
            pid.trim(),
            run_dir.display()
        );
    }
    Ok(Some(file))
}

async fn remove_file(report: &mut Report<impl Write>, path: &Path) {
    if !path.exists() {
        report.say(format!("{} is not there", path.display()));
        return;
    }
    let removing = async {
        let removed = replace::remove_if_there(path).map(drop);
        removed.map_err(|error| format!("{error}{}", replace::advice(&error)))
    };
    report.step(&format!("remove {}", path.display()), removing).await;
}

/// Routers send elsewhere before the node's routes go.
async fn drain(report: &mut Report<impl Write>, run_dir: &Path) {
    if report.is_dry() {
        report.say("would withdraw the node's routes and end BIRD, if it runs".to_owned());
        return;
    }
    let request = Stop { run_dir: run_dir.to_owned(), purpose: Purpose::Drain, wait: WAIT };
    match stop(&request).await {
        Ok(stopped) => stopped.steps.iter().for_each(|step| report.say(step.to_string())),
        Err(error) => report.failed("end BIRD", &error),
    }
}

/// Takes the kernel's state away, but for the pods'.
async fn clean<K: Kernel>(report: &mut Report<impl Write>, kernel: &K) -> Result<Removal, KernelError> {
    let removal = Removal::of(&kernel.host().await?, &kernel.anycast_routes().await?);
    // First: what steers connections refers to the same pods.
    let step = format!("remove the nftables table {TABLE}, policy rules and routes that steer connections");
    report.step(&step, flock_kernel::steer(kernel, &Steering::default())).await;
    for change in &removal.anycast {
        let made = kernel.change_anycast_routes(std::slice::from_ref(change));
        report.step(&change.to_string(), made).await;
    }
    for change in &removal.host {
        report.step(&change.to_string(), kernel.change_host(std::slice::from_ref(change))).await;
    }
    Ok(removal)
}

async fn remove_plugin(report: &mut Report<impl Write>, plugin: &Path, removal: &Removal) {
    if !removal.keeps_plugin() {
        return remove_file(report, plugin).await;
    }
    let names: Vec<&str> = removal.pods.iter().map(IfName::as_str).collect();
    report.say(format!(
        "left: the links, addresses and routes of {} pods: {}",
        names.len(),
        names.join(", ")
    ));
    let plugin = plugin.display();
    report.say(format!("left: {plugin}, since they are deleted with it: when they are gone, run this again"));
}

async fn release(access: &Access, node: &str) -> Result<(), String> {
    let released = match client::connect(access).await {
        Ok(client) => condition::release(&client, node).await,
        Err(error) => Err(error),
    };
    released.map_err(|error| format!("{error:#}"))
}

#[cfg(test)]
mod tests;
