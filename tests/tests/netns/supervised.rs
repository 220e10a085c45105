//! A panic is planted in each task of the agent in turn, as soon as it begins: the process ends at once, with the task's
//! name, and is to be started anew. On the node nothing changes.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use flock_tests::command::finished_within;
use flock_tests::{Node, PATIENCE, Pod, Router, World, eventually, trials};
use libtest_mimic::Trial;

const MORTAL: &str = env!("CARGO_BIN_EXE_flock-agent-mortal");

/// `EX_SOFTWARE` of `sysexits.h`.
const SOFTWARE: i32 = 70;

/// Less than what a shutdown waits for, and enough for a machine that is busy with other trials.
const AT_ONCE: Duration = Duration::from_secs(5);

/// Tasks of every agent from its start on. That of others' nftables commits is there on kernels before 6.9 only.
const ALWAYS: &[&str] =
    &["conflist", "kernel-events", "metrics", "publisher", "reconciler", "rpc", "signals", "supervisor"];

/// Those of one that knows what is desired: a folder says so at once.
const KNOWING: &[&str] = &["manifests", "announcer", "programmer", "steerer", "flock-nft", "controller"];

/// Those that speak with an API server.
const OF_API_SERVER: &[&str] = &[
    "condition",
    "events",
    "lister-watcher AddressPools",
    "lister-watcher Namespaces",
    "lister-watcher NodeConfigs",
    "lister-watcher Nodes",
    "lister-watcher Peers",
    "lister-watcher Pods",
    "publishing",
    "saving",
    "secrets",
    "status",
];

pub(crate) fn trials() -> Vec<Trial> {
    trials![a_task_that_panics_ends_the_process, a_task_that_panics_ends_the_process_with_an_api_server]
}

fn a_task_that_panics_ends_the_process(world: &World) -> Result<()> {
    let router = Router::new(world)?;
    let node = router.node("node-a")?;
    node.configure(&node.config())?;
    let agent = node.start_agent()?;
    let pod = node.run(&Pod::new("web-0"))?;
    agent.terminate()?;
    let manifests = ["--manifests".to_owned(), node.manifests().display().to_string()];
    let mortal = MortalAgent { node: &node, source: &manifests };
    mortal.has_tasks(&[ALWAYS, KNOWING].concat())?;
    for task in [ALWAYS, KNOWING].concat() {
        mortal.ends_with(task).with_context(|| format!("a panic in {task}"))?;
        pod.answers(&node.netns)?;
    }
    let _agent = node.start_agent()?;
    node.check(&pod)?.success()
}

/// It does not answer: what is there before anything is known is enough.
fn a_task_that_panics_ends_the_process_with_an_api_server(world: &World) -> Result<()> {
    let router = Router::new(world)?;
    let node = router.node("node-a")?;
    let kubeconfig = node.dir().join("kubeconfig");
    fs::write(&kubeconfig, KUBECONFIG)?;
    let kubeconfig = ["--kubeconfig".to_owned(), kubeconfig.display().to_string()];
    let mortal = MortalAgent { node: &node, source: &kubeconfig };
    mortal.has_tasks(&[ALWAYS, OF_API_SERVER].concat())?;
    for task in OF_API_SERVER {
        mortal.ends_with(task).with_context(|| format!("a panic in {task}"))?;
    }
    Ok(())
}

const KUBECONFIG: &str = "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
    contexts: [{name: c, context: {cluster: c, user: u}}]\nusers: [{name: u, user: {token: t}}]\n\
    clusters: [{name: c, cluster: {server: \"http://127.0.0.1:1\"}}]\n";

/// The agent that a panic can be planted in, with everything that it may have.
struct MortalAgent<'a> {
    node: &'a Node<'a>,
    source: &'a [String],
}

impl MortalAgent<'_> {
    fn command(&self) -> Command {
        let mut command = Command::new(MORTAL);
        // A backtrace takes its time, and what ends the process waits for it.
        command.env("RUST_BACKTRACE", "0");
        command.args(["run", "--node", self.node.name(), "--run-dir"]).arg(self.node.run_dir());
        command.arg("--cni-conf-dir").arg(self.node.dir().join("net.d"));
        command.args(["--bird", "managed", "--bird-program", "true"]).args(self.source);
        command
    }

    /// Whether these are all of its tasks.
    fn has_tasks(&self, expected: &[&str]) -> Result<()> {
        let log = self.node.dir().join("mortal.log");
        let mut command = self.command();
        command.stderr(fs::File::create(&log)?);
        let mut agent = self.node.netns.enter(|| command.spawn())?.context("start it")?;
        let seen = eventually(PATIENCE, || {
            let seen = tasks(&fs::read_to_string(&log)?);
            let missing: Vec<_> = expected.iter().filter(|task| !seen.contains(**task)).collect();
            ensure!(missing.is_empty(), "no {missing:?}");
            Ok(seen)
        });
        agent.kill()?;
        agent.wait()?;
        let mut others = seen?;
        others.retain(|task| !expected.contains(&task.as_str()) && task != "nft-generations");
        ensure!(others.is_empty(), "nobody has tried a panic in {others:?}");
        let page = fs::read_to_string(page()).context("read the page that names the tasks")?;
        let kinds = |task: &&&str| page.contains(task.split_once(' ').map_or(**task, |(task, _)| task));
        let unknown: Vec<_> = expected.iter().filter(|task| !kinds(task)).collect();
        ensure!(unknown.is_empty(), "docs/ARCHITECTURE.md does not know {unknown:?}");
        Ok(())
    }

    /// Whether a panic in the task ends it as it should.
    fn ends_with(&self, task: &str) -> Result<()> {
        let mut command = self.command();
        command.env("FLOCK_PANIC_IN", task);
        let Output { status, stderr, .. } =
            self.node.netns.enter(|| finished_within(Duration::from_secs(20), &mut command, &[]))??;
        let ended = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let log = String::from_utf8_lossy(&stderr);
        ensure!(status.code() == Some(SOFTWARE), "{status}: {log}");
        ensure!(log.contains(&format!(": task {task} has panicked: planted\n")), "{log}");
        let planted = log.lines().find_map(|line| line.strip_prefix("planted at ")).context("not planted")?;
        let lasted = ended.saturating_sub(Duration::from_millis(planted.parse()?));
        ensure!(lasted < AT_ONCE, "it went on for {lasted:?}: {log}");
        Ok(())
    }
}

/// The tasks that have begun.
fn tasks(log: &str) -> BTreeSet<String> {
    let begun = |line: &str| Some(line.strip_prefix("task ")?.strip_suffix(" begins")?.to_owned());
    log.lines().filter_map(begun).collect()
}

fn page() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/ARCHITECTURE.md")
}
