//! A pod that leaves takes no connection along but its own, and not even these, if it is let.

use std::net::IpAddr;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use flock_core::nft::Table;
use flock_core::steering::table_id;
use flock_kernel::linux::LinuxKernel;
use flock_kernel::{Firewall, KernelError};
use flock_tests::service::{Asker, cut, with_pod};
use flock_tests::{Connection, Node, PATIENCE, Running, World, eventually, trials};
use libtest_mimic::Trial;

use crate::site::{self, Replica, both, ensure_kept, eventually_hops};

pub(crate) fn trials() -> Vec<Trial> {
    trials![
        a_pod_that_becomes_unready_keeps_its_connections_and_gets_no_new_ones,
        a_pod_that_terminates_keeps_its_connections_until_it_is_gone,
        with_move_only_the_leaving_pods_connections_are_cut,
        a_pod_that_comes_back_takes_nobodys_connections,
        the_last_pod_of_a_node_keeps_what_still_comes,
        connections_outlive_the_agent,
        questions_from_one_port_follow_readiness_streams_stay,
        a_flushed_ruleset_cuts_nothing,
        another_owners_table_is_left_and_the_node_says_so,
    ]
}

/// For each family.
const CONNECTIONS: usize = 500;

const PODS: [&str; 4] = ["a-0", "a-1", "a-2", "a-3"];

fn four(site: &Running) -> Result<Vec<Replica>> {
    let pods =
        PODS.iter().map(|name| Replica::start(&site.nodes[0].node, name)).collect::<Result<Vec<_>>>()?;
    eventually_hops(site, 1)?;
    eventually(PATIENCE, || ensure_members(site, 4))?;
    Ok(pods)
}

fn ensure_members(site: &Running, count: usize) -> Result<()> {
    let shown = site.nodes[0].node.ctl(&["anycast", "-o", "json"])?.result()?;
    for address in shown.as_array().into_iter().flatten() {
        let serving =
            address["pods"].as_array().into_iter().flatten().filter(|pod| pod["state"] == "Serving");
        ensure!(serving.count() == count, "{shown}");
    }
    for address in both() {
        let family = if address.is_ipv6() { "-6" } else { "-4" };
        let route = site.nodes[0].node.netns.ip(&["-d", family, "route", "show", &site::host(address)])?;
        ensure!(route.matches("dev flock").count() == count, "{route}");
    }
    Ok(())
}

fn connections(site: &Running) -> Result<Vec<Connection>> {
    let mut all = Vec::new();
    for address in both() {
        all.extend(Connection::open(&site.fabric.client, address, CONNECTIONS)?);
    }
    for pod in PODS {
        ensure!(with_pod(&all, pod) > CONNECTIONS / 10, "{pod} has {} connections", with_pod(&all, pod));
    }
    Ok(all)
}

/// Opens as many new ones: none must be with the pod.
fn ensure_avoided(site: &Running, pod: &Replica) -> Result<()> {
    let before = pod.service.accepted();
    for address in both() {
        let new = Connection::open(&site.fabric.client, address, CONNECTIONS)?;
        ensure!(with_pod(&new, &pod.pod.name) == 0, "{} is still reached at {address}", pod.pod.name);
    }
    ensure!(pod.service.accepted() == before);
    Ok(())
}

fn a_pod_that_becomes_unready_keeps_its_connections_and_gets_no_new_ones(world: &World) -> Result<()> {
    let site = site::start(world, 1, |plan| plan)?;
    let mut pods = four(&site)?;
    let mut open = connections(&site)?;
    pods[1].ready(&site.nodes[0].node, false)?;
    eventually(PATIENCE, || ensure_members(&site, 3))?;
    ensure_kept(&mut open)?;
    ensure_avoided(&site, &pods[1])?;
    ensure_kept(&mut open)
}

fn a_pod_that_terminates_keeps_its_connections_until_it_is_gone(world: &World) -> Result<()> {
    let site = site::start(world, 1, |plan| plan)?;
    let node = &site.nodes[0].node;
    let mut pods = four(&site)?;
    let mut open = connections(&site)?;
    let pod = pods[2].pod.clone().terminating();
    pods[2].tell(node, pod)?;
    eventually(PATIENCE, || ensure_members(&site, 3))?;
    ensure_kept(&mut open)?;
    ensure_avoided(&site, &pods[2])?;
    let gone = pods.remove(2);
    let its_own = with_pod(&open, &gone.pod.name);
    node.del(&gone.attached.sandbox)?.success()?;
    let cut = cut(&mut open);
    ensure!(cut == its_own, "{cut} connections are cut, {its_own} were with the pod that is gone");
    Ok(())
}

fn with_move_only_the_leaving_pods_connections_are_cut(world: &World) -> Result<()> {
    let mut site = site::start(world, 1, |plan| plan)?;
    let speaker = &mut site.nodes[0];
    speaker.config = speaker.config.clone().with("anycast: {establishedConnections: Move}");
    let bgp = speaker.bgp.clone();
    speaker.change(bgp)?;
    let mut pods = four(&site)?;
    let node = &site.nodes[0].node;
    ensure!(!node.netns.exec(&["nft", "list", "tables"])?.contains("flock-anycast"));
    let mut open = connections(&site)?;
    pods[1].ready(node, false)?;
    eventually(PATIENCE, || ensure_members(&site, 3))?;
    let its_own = with_pod(&open, "a-1");
    let cut = cut(&mut open);
    ensure!(cut > 0, "nothing was cut: this trial cannot fail");
    ensure!(cut <= its_own, "{cut} connections are cut, {its_own} were with the pod that left");
    Ok(())
}

fn a_pod_that_comes_back_takes_nobodys_connections(world: &World) -> Result<()> {
    let site = site::start(world, 1, |plan| plan)?;
    let node = &site.nodes[0].node;
    let mut pods = four(&site)?;
    let mut open = connections(&site)?;
    for _ in 0..3 {
        pods[0].ready(node, false)?;
        eventually(PATIENCE, || ensure_members(&site, 3))?;
        pods[0].ready(node, true)?;
        eventually(PATIENCE, || ensure_members(&site, 4))?;
        ensure_kept(&mut open)?;
    }
    let _fifth = Replica::start(node, "a-4")?;
    eventually(PATIENCE, || ensure_members(&site, 5))?;
    ensure_kept(&mut open)
}

/// The router goes elsewhere; what comes to the node all the same (from its own pods, say) reaches the pod.
fn the_last_pod_of_a_node_keeps_what_still_comes(world: &World) -> Result<()> {
    let site = site::start(world, 1, |plan| plan)?;
    let node = &site.nodes[0].node;
    let mut pod = Replica::start(node, "a-0")?;
    let near = node.run(&flock_tests::Pod::new("near"))?;
    eventually_hops(&site, 1)?;
    let mut open = Vec::new();
    for address in both() {
        open.extend(Connection::open(&near.sandbox.netns, address, 20)?);
        open.extend(Connection::open(&node.netns, address, 20)?);
    }
    pod.ready(node, false)?;
    eventually(PATIENCE, || ensure_members(&site, 0))?;
    eventually_hops(&site, 0)?;
    ensure_kept(&mut open)
}

fn connections_outlive_the_agent(world: &World) -> Result<()> {
    let mut site = site::start(world, 1, |plan| plan)?;
    let mut pods = four(&site)?;
    let mut open = connections(&site)?;
    site.nodes[0].take_agent()?.kill()?;
    ensure_kept(&mut open)?;
    pods[3].ready(&site.nodes[0].node, false)?;
    site.nodes[0].start_agent()?;
    eventually(PATIENCE, || ensure_members(&site, 3))?;
    ensure_kept(&mut open)?;
    ensure_avoided(&site, &pods[3])
}

/// DNS clients ask from the same port again and again: that is no connection. A stream of packets both ways is.
fn questions_from_one_port_follow_readiness_streams_stay(world: &World) -> Result<()> {
    let site = site::start(world, 1, |plan| plan)?;
    let node = &site.nodes[0].node;
    let mut pods = [Replica::start(node, "a-0")?, Replica::start(node, "a-1")?];
    eventually_hops(&site, 1)?;
    eventually(PATIENCE, || ensure_members(&site, 2))?;
    for address in both() {
        let stream = Asker::new(&site.fabric.client, address)?;
        let pod = stream.ask()?;
        // Longer than the two seconds after which connection tracking takes it for a stream.
        for _ in 0..40 {
            ensure!(stream.ask()? == pod);
            thread::sleep(Duration::from_millis(100));
        }
        let question = asker_of(&site, address, &pod)?;
        let index = pods.iter().position(|replica| replica.pod.name == pod).context("nobody's name")?;
        pods[index].ready(node, false)?;
        eventually(PATIENCE, || ensure_members(&site, 1))?;
        ensure!(stream.ask()? == pod, "the stream has moved");
        ensure!(question.ask()? != pod, "{pod} is asked although it is not ready");
        pods[index].ready(node, true)?;
        eventually(PATIENCE, || ensure_members(&site, 2))?;
    }
    Ok(())
}

/// One whose first question this pod has answered.
fn asker_of(site: &Running, address: IpAddr, pod: &str) -> Result<Asker> {
    for _ in 0..100 {
        let asker = Asker::new(&site.fabric.client, address)?;
        if asker.ask()? == pod {
            return Ok(asker);
        }
    }
    bail!("{pod} answers nobody")
}

/// A flushed ruleset, a restarted firewall and a dead agent: the table is not theirs to remove (Linux 6.9 and later).
fn a_flushed_ruleset_cuts_nothing(world: &World) -> Result<()> {
    let mut site = site::start(world, 1, |plan| plan)?;
    let mut pods = four(&site)?;
    let mut open = connections(&site)?;
    ensure!(open.len() == 1000, "{} connections", open.len());
    let before = table(&site)?;
    site.nodes[0].node.netns.exec(&["nft", "flush", "ruleset"])?;
    ensure!(table(&site)? == before);
    ensure_undeletable(&site)?;
    // Without the table these would be with other pods now.
    pods[0].ready(&site.nodes[0].node, false)?;
    eventually(PATIENCE, || ensure_members(&site, 3))?;
    ensure_kept(&mut open)?;
    let before = table(&site)?;
    site.nodes[0].take_agent()?.kill()?;
    ensure_kept(&mut open)?;
    ensure!(table(&site)? == before);
    site.nodes[0].start_agent()?;
    eventually(PATIENCE, || ensure_undeletable(&site))?;
    ensure!(table(&site)? == before, "the agent that has come back has changed the table");
    site.nodes[0].node.netns.exec(&["nft", "flush", "ruleset"])?;
    pods[1].ready(&site.nodes[0].node, false)?;
    eventually(PATIENCE, || ensure_members(&site, 2))?;
    ensure_kept(&mut open)
}

/// The table with all handles, which tell a chain or a rule from its successor; without its owner.
fn table(site: &Running) -> Result<String> {
    let shown = site.nodes[0].node.netns.exec(&["nft", "-a", "list", "table", "inet", "flock-anycast"])?;
    let is_owner = |line: &&str| line.starts_with("table ") || line.starts_with("\tflags");
    Ok(shown.lines().filter(|line| !is_owner(line)).collect::<Vec<_>>().join("\n"))
}

/// Whoever tries to change the table in a way that would hurt nobody is refused.
fn ensure_undeletable(site: &Running) -> Result<()> {
    let netns = &site.nodes[0].node.netns;
    for attempt in [
        &["add", "counter", "inet", "flock-anycast", "probe"][..],
        &["delete", "table", "inet", "flock-anycast"],
    ] {
        let Err(error) = netns.exec(&[&["nft"], attempt].concat()) else {
            bail!("{attempt:?} is not refused")
        };
        ensure!(format!("{error:#}").contains("Operation not permitted"), "{error:#}");
    }
    Ok(())
}

/// The agent runs no nft: here it would find none. And whose table it is, is respected and told.
fn another_owners_table_is_left_and_the_node_says_so(world: &World) -> Result<()> {
    let mut site = site::start(world, 1, |plan| plan)?;
    site.nodes[0].take_agent()?.terminate()?;
    let node = &site.nodes[0].node;
    let other = Owner::of_table(node)?;
    let agent = world.binaries()?.agent;
    let started = node.start_program(&agent, &[("PATH", "/nonexistent")])?;
    let _pods = [Replica::start(node, "a-0")?, Replica::start(node, "a-1")?];
    eventually_hops(&site, 1)?;
    site::eventually_answers(&site, &["a-0", "a-1"])?;
    eventually(PATIENCE, || {
        let shown = node.ctl(&["node"])?.stdout;
        ensure!(
            shown.contains("established connections are not steered")
                && shown.contains("owned by another process"),
            "{shown}"
        );
        Ok(())
    })?;
    drop(other);
    eventually(PATIENCE, || {
        let shown = node.ctl(&["node"])?.stdout;
        ensure!(!shown.contains("not steered") && table(&site)?.contains("chain restore-mark"), "{shown}");
        Ok(())
    })?;
    let speaker = &mut site.nodes[0];
    speaker.config = speaker.config.clone().with("anycast: {establishedConnections: Move}");
    let bgp = speaker.bgp.clone();
    speaker.change(bgp)?;
    let node = &site.nodes[0].node;
    eventually(PATIENCE, || {
        let (shown, rules) = (node.ctl(&["node"])?.stdout, node.netns.ip(&["-6", "rule", "show"])?);
        ensure!(!shown.contains("not steered") && !rules.contains("fwmark"), "{shown}{rules}");
        Ok(())
    })?;
    drop(started);
    Ok(())
}

/// Another process, as far as the kernel is concerned: another socket.
struct Owner {
    _kernel: LinuxKernel,
    _runtime: tokio::runtime::Runtime,
}

impl Owner {
    fn of_table(node: &Node<'_>) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let kernel = node.netns.enter(|| {
            runtime.block_on(async {
                let kernel = LinuxKernel::open()?;
                kernel.replace_table(&table_id(), Some(&Table::default())).await?;
                Ok::<_, KernelError>(kernel)
            })
        })??;
        Ok(Self { _kernel: kernel, _runtime: runtime })
    }
}
