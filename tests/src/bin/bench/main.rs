//! `make bench`: what CNI calls cost, flock beside `ptp` + `host-local`, and what BGP and anycast cost, flock beside BIRD
//! by hand, on this machine in one run. Prints; judges nothing but by the word beside a budget.

mod anycast;
mod bgp;
mod cluster;
mod reference;
mod sample;
mod steering;

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flock_tests::{Attached, Invocation, Netns, Pod, Sandbox, Site, World, leaks, requirements};

use reference::Reference;
use sample::{Resident, Row, Sample, bytes, print};

/// Calls before the ones that count: they find cold caches and modules yet to be loaded.
const WARM_UP: usize = 5;
/// Calls of flock's plugin that count.
const CALLS: usize = 200;
/// Calls of the reference that count, dual-stack: each waits seconds for duplicate address detection.
const SLOW_CALLS: usize = 20;
/// Attachments when the agent's memory is looked at.
const PODS: usize = 250;

/// Measures something in a world, and says what it was.
type Measure = fn(&World) -> Result<Vec<Row>>;

/// What can be measured by itself, as `bench cluster`.
const PARTS: [(&str, Measure); 5] = [
    ("cni", measure),
    ("cluster", cluster::measure),
    ("bgp", bgp::measure),
    ("anycast", anycast::measure),
    ("steering", steering::measure),
];

fn main() -> Result<()> {
    requirements::check()?;
    leaks::sweep_dead_runs();
    let chosen: Vec<String> = std::env::args().skip(1).collect();
    let mut rows = Vec::new();
    for (name, measure) in PARTS {
        if chosen.is_empty() || chosen.iter().any(|part| part == name) {
            rows.extend(in_world(measure)?);
        }
    }
    ensure!(!rows.is_empty(), "there are the parts {:?}, and not {chosen:?}", PARTS.map(|(name, _)| name));
    print(&rows);
    Ok(())
}

/// Measures in a world of its own, which is gone afterwards.
fn in_world(measure: Measure) -> Result<Vec<Row>> {
    let world = World::new()?;
    let rows = measure(&world).with_context(|| world.diagnosis())?;
    world.close()?;
    Ok(rows)
}

fn measure(world: &World) -> Result<Vec<Row>> {
    let site = world.site()?;
    site.node.configure(&site.node.config().with_cidr4(&["10.64.0.0/16"]))?;
    let mut rows = plugin(world, &site)?;
    let dual = calls(&site, &Pod::new("dual"))?;
    let four = calls(&site, &Pod::new("four").annotated("ipv6", "false"))?;
    let reference = Reference::new(world)?;
    let reference_dual = reference.calls(&["2001:db8:b:1::/64", "203.0.113.128/25"], SLOW_CALLS)?;
    let reference_four = reference.calls(&["203.0.113.128/25"], CALLS / 2)?;
    rows.extend(compared("dual-stack", &dual, &reference_dual));
    rows.extend(compared("IPv4 only", &four, &reference_four));
    rows.extend(dual.echo_rows("flock"));
    rows.extend(reference_dual.echo_rows("ptp + host-local"));
    rows.push(memory(&site)?);
    Ok(rows)
}

/// The times of one kind of call.
#[derive(Debug, Default)]
struct Calls {
    add: Sample,
    del: Sample,
    echo: Sample,
}

impl Calls {
    fn echo_rows(&self, whose: &str) -> Vec<Row> {
        let what =
            format!("{whose}: ADD returned to first IPv6 echo answered, `ping` started and ended within");
        vec![Row::new(what, self.echo.summary(), None)]
    }
}

fn compared(what: &str, ours: &Calls, theirs: &Calls) -> Vec<Row> {
    let ratio = ours.add.percentile(50).as_secs_f64() / theirs.add.percentile(50).as_secs_f64();
    // DESIGN.md has budgets for the dual-stack ADD alone.
    let dual = what == "dual-stack";
    let within = |limit: u64, percent| ours.add.percentile(percent) <= Duration::from_millis(limit);
    let add = dual.then(|| ("p50 <= 5 ms, p99 <= 15 ms".to_owned(), within(5, 50) && within(15, 99)));
    let share = dual.then(|| ("<= 1/20".to_owned(), ratio <= 0.05));
    vec![
        Row::new(format!("flock: ADD, {what}"), ours.add.summary(), add),
        Row::new(format!("ptp + host-local: ADD, {what}"), theirs.add.summary(), None),
        Row::new(format!("ADD, {what}: ratio of p50"), format!("1/{:.1}", 1.0 / ratio), share),
        Row::new(format!("flock: DEL, {what}"), ours.del.summary(), None),
        Row::new(format!("ptp + host-local: DEL, {what}"), theirs.del.summary(), None),
    ]
}

/// ADD, an echo, DEL; a sandbox each time, the pod's manifest known from the first on.
fn calls(site: &Site<'_>, pod: &Pod) -> Result<Calls> {
    let node = &site.node;
    let first = node.run(pod)?;
    node.del(&first.sandbox)?.success()?;
    rounds(CALLS, &node.netns, || node.sandbox(&pod.name), |command, sandbox| node.call(command, sandbox))
}

/// ADD, an echo where there is IPv6, DEL; as often as is told, after the warm-up.
fn rounds<'n>(
    count: usize,
    from: &Netns,
    sandbox: impl Fn() -> Result<Sandbox>,
    call: impl Fn(&str, &Sandbox) -> Result<Invocation<'n>>,
) -> Result<Calls> {
    let mut calls = Calls::default();
    for run in 0..WARM_UP + count {
        let sandbox = sandbox()?;
        let (add, answer) = call("ADD", &sandbox)?.time()?;
        let pod = Attached { result: answer.result()?, sandbox };
        let echo = pod.v6().ok().map(|v6| sample::echo(from, v6)).transpose()?;
        let (del, gone) = call("DEL", &pod.sandbox)?.time()?;
        gone.success()?;
        if run >= WARM_UP {
            calls.add.push(add);
            calls.del.push(del);
            echo.into_iter().for_each(|echo| calls.echo.push(echo));
        }
    }
    Ok(calls)
}

/// The plugin by itself: its size, and how long it takes to say its version.
fn plugin(world: &World, site: &Site<'_>) -> Result<Vec<Row>> {
    let size = fs::metadata(world.binaries()?.plugin)?.len();
    let mut start = Sample::default();
    for _ in 0..CALLS {
        let (time, answer) = site.node.invocation("VERSION")?.time()?;
        answer.result()?;
        start.push(time);
    }
    let fast = start.percentile(50) <= Duration::from_millis(2);
    Ok(vec![
        Row::new("plugin: size".to_owned(), bytes(size), Some(("<= 2.00 MiB".to_owned(), size <= 2 << 20))),
        Row::new(
            "plugin: start, VERSION, end".to_owned(),
            start.summary(),
            Some(("<= 2 ms".to_owned(), fast)),
        ),
    ])
}

/// The agent's resident memory with many pods.
fn memory(site: &Site<'_>) -> Result<Row> {
    let node = &site.node;
    let names: Vec<String> = (0..PODS).map(|number| format!("many-{number}")).collect();
    let manifests: Vec<String> = names.iter().map(|name| Pod::new(name).yaml()).collect();
    node.write("many.yaml", &manifests.join("---\n"))?;
    let mut pods = Vec::new();
    for name in &names {
        let sandbox = node.sandbox(name)?;
        node.add_scheduled(&sandbox)?.result()?;
        pods.push(sandbox);
    }
    let resident = Resident::of(site.agent.pid().as_raw_nonzero().get().unsigned_abs())?;
    for sandbox in &pods {
        node.del(sandbox)?.success()?;
    }
    ensure!(node.records()?.is_empty(), "records were left");
    let budget = ("<= 24.00 MiB".to_owned(), resident.all <= 24 << 10);
    Ok(Row::new(format!("agent: RSS with {PODS} attachments"), resident.to_string(), Some(budget)))
}
