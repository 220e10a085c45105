//! Two thousand attachments come and go, fifty at a time. Each pod answers over both families; nothing leaks.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context, Result, ensure};
use flock_tests::{Attached, Node, PATIENCE, Pod, Router, World, eventually, trials};
use libtest_mimic::Trial;

const ATTACHMENTS: usize = 2000;
const IN_FLIGHT: usize = 50;

pub(crate) fn trials() -> Vec<Trial> {
    trials![two_thousand_attachments_leak_nothing]
}

/// What a leak would show in.
#[derive(Debug, PartialEq, Eq)]
struct Inventory {
    links: usize,
    routes: usize,
    neighbours: usize,
    namespaces: usize,
    records: usize,
    open_files: usize,
    threads_over_limit: bool,
}

fn inventory(node: &Node, agent: rustix::process::Pid) -> Result<Inventory> {
    let lines = |arguments: &[&str]| -> Result<usize> { Ok(node.netns.ip(arguments)?.lines().count()) };
    let entries = |dir: &str| -> Result<usize> { Ok(std::fs::read_dir(dir)?.count()) };
    let process = format!("/proc/{}", agent.as_raw_nonzero());
    Ok(Inventory {
        links: lines(&["-o", "link"])?,
        routes: lines(&["-4", "route", "show", "proto", "70"])?
            + lines(&["-6", "route", "show", "proto", "70"])?,
        neighbours: lines(&["neighbour", "show", "nud", "permanent"])?,
        namespaces: Path::new("/run/netns").read_dir()?.filter(|entry| is_pods(node, entry)).count(),
        records: node.records()?.len(),
        open_files: entries(&format!("{process}/fd"))?,
        threads_over_limit: entries(&format!("{process}/task"))? > 16,
    })
}

/// Whether a namespace is one of this trial's pods'.
fn is_pods(node: &Node, entry: &std::io::Result<std::fs::DirEntry>) -> bool {
    let prefix = format!("{}p", node.prefix());
    entry.as_ref().is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
}

fn two_thousand_attachments_leak_nothing(world: &World) -> Result<()> {
    let router = Router::new(world)?;
    let node = router.node("node-a")?;
    // A second for addresses to rest: with fifty in flight, none is ever short.
    node.configure(&node.config().with("cooldown: 1s"))?;
    for pod in 0..IN_FLIGHT {
        node.write(&format!("pod-{pod}.yaml"), &Pod::new(&format!("pod-{pod}")).yaml())?;
    }
    let agent = node.start_agent_sweeping(1)?;
    cycle(&node, &Pod::new("pod-0")).context("the first one")?;
    eventually(PATIENCE, || resting(&node, 0))?;
    let before = inventory(&node, agent.pid())?;

    let next = AtomicUsize::new(0);
    let outcomes: Vec<Result<()>> = thread::scope(|scope| {
        let workers: Vec<_> = (0..IN_FLIGHT)
            .map(|worker| {
                scope.spawn({
                    let (node, next) = (&node, &next);
                    move || -> Result<()> {
                        let pod = Pod::new(&format!("pod-{worker}"));
                        while next.fetch_add(1, Ordering::Relaxed) < ATTACHMENTS {
                            cycle(node, &pod)?;
                        }
                        Ok(())
                    }
                })
            })
            .collect();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    outcomes.into_iter().collect::<Result<Vec<()>>>()?;

    node.ensure_empty()?;
    eventually(PATIENCE, || resting(&node, 0))?;
    eventually(PATIENCE, || {
        let after = inventory(&node, agent.pid())?;
        ensure!(after == before, "before {before:?}, after {after:?}");
        Ok(())
    })?;
    let usage = node.ctl(&["node", "-o", "json"])?.result()?;
    ensure!(usage["pools"].as_array().into_iter().flatten().all(|pool| pool["used"] == 0), "{usage}");
    Ok(())
}

/// One attachment's life: attached, pinged over both families at once, detached.
fn cycle(node: &Node, pod: &Pod) -> Result<()> {
    let sandbox = node.sandbox_of(pod)?;
    let result = node.add_scheduled(&sandbox)?.result()?;
    let attached = Attached { sandbox, result };
    ensure!(attached.addresses().len() == 2, "{:?}", attached.result);
    attached.answers(&node.netns).with_context(|| diagnosis(node, &attached))?;
    node.del(&attached.sandbox)?.success()
}

fn resting(node: &Node, expected: usize) -> Result<()> {
    let resting = std::fs::read_dir(node.run_dir().join("resting"))?.count();
    ensure!(resting == expected, "{resting} addresses rest");
    Ok(())
}

/// What a lost packet may have been lost by.
fn diagnosis(node: &Node, pod: &Attached) -> String {
    let look = |netns: &flock_tests::Netns, arguments: &[&str]| {
        netns.ip(arguments).unwrap_or_else(|error| format!("{error:#}"))
    };
    let host = pod.host_link().unwrap_or_default();
    let again =
        pod.answers(&node.netns).map_or_else(|error| format!("{error:#}"), |()| "answered".to_owned());
    [
        format!("a second time: {again}"),
        look(&node.netns, &["-s", "-d", "link", "show", &host]),
        look(&node.netns, &["neighbour", "show", "dev", &host]),
        look(&node.netns, &["-6", "route", "show", "dev", &host]),
        look(&pod.sandbox.netns, &["-s", "-d", "link", "show", "eth0"]),
        look(&pod.sandbox.netns, &["address"]),
        look(&pod.sandbox.netns, &["neighbour"]),
        look(&pod.sandbox.netns, &["-6", "route", "show", "table", "all"]),
        pod.sandbox
            .netns
            .exec(&["grep", "-v", "[^0-9]0$", "/proc/thread-self/net/snmp6"])
            .unwrap_or_default(),
    ]
    .join("\n")
}
