//! BIRD and the agent come and go. What a client behind the router sends to a pod arrives all the same, each packet
//! counted.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flock_tests::{
    PATIENCE, Plan, Pod, Running, SESSION_PATIENCE, World, eventually, fabric, speaker, trials,
};
use libtest_mimic::Trial;

use crate::site::{ensure_lossless, eventually_status, flows, ups};

pub(crate) fn trials() -> Vec<Trial> {
    trials![
        a_killed_bird_loses_no_packet,
        a_rollout_of_bird_loses_no_packet,
        bfd_does_not_take_a_bird_that_restarts_for_a_dead_path,
        a_drain_withdraws_before_the_sessions_go,
        a_shutdown_leaves_no_route_behind,
        a_killed_agent_loses_neither_packet_nor_session,
        a_restarted_agent_loses_neither_packet_nor_session,
        a_change_made_while_the_agent_was_away_is_applied,
        a_bird_that_is_away_is_told_of_and_configured_when_it_is_back,
        a_bird_that_comes_first_gets_its_configuration,
    ]
}

/// A site of two nodes that know each other.
fn site(world: &World) -> Result<Running<'_>> {
    let site = Plan::new(world, 2)?.up()?;
    site.eventually_learned()?;
    Ok(site)
}

/// Waits until the sessions have come up once more than `before`.
fn eventually_up_again(site: &Running, before: &[u64]) -> Result<()> {
    let of_first = site.neighbors.iter().zip(before).take(2);
    eventually(SESSION_PATIENCE, || {
        for (neighbor, before) in of_first.clone() {
            let now = site.frr.established_times(neighbor)?;
            ensure!(now > *before, "the session with {neighbor} has come up {now} times");
        }
        site.ensure_established()
    })
}

/// What was kept for the restart, at the router or in the kernel, must still be there when nobody keeps it any more.
fn settle() {
    thread::sleep(Duration::from_secs(2));
}

/// Flows from the client to a pod on the first node, and back, while `disturb` goes on.
fn lossless(site: &mut Running, disturb: impl FnOnce(&mut Running) -> Result<()>) -> Result<()> {
    let pod = site.nodes[0].node.run(&Pod::new("web-0"))?;
    eventually(PATIENCE, || pod.answers(&site.fabric.client))?;
    let flows = flows(site, &pod)?;
    flows[0].pass(300);
    disturb(site)?;
    settle();
    ensure_lossless(flows)?;
    site.eventually_learned()
}

fn a_killed_bird_loses_no_packet(world: &World) -> Result<()> {
    lossless(&mut site(world)?, |site| {
        let before = ups(site)?;
        site.node()?.crash_bird()?;
        eventually_up_again(site, &before)
    })
}

fn a_rollout_of_bird_loses_no_packet(world: &World) -> Result<()> {
    lossless(&mut site(world)?, roll_out)
}

fn roll_out(site: &mut Running) -> Result<()> {
    let before = ups(site)?;
    let node = site.node()?;
    node.bird_stop("rollout")?;
    // As kubelet does after a preStop hook.
    node.take_bird()?.terminate()?;
    thread::sleep(speaker::RESTART);
    node.start_bird()?;
    eventually_up_again(site, &before)
}

/// The router sees the TCP connection end before BFD's packets are missed, and waits for BIRD.
fn bfd_does_not_take_a_bird_that_restarts_for_a_dead_path(world: &World) -> Result<()> {
    let plan = Plan::new(world, 2)?
        .each(|bgp| bgp.each(|peer| peer.with("bfd: {minRx: 50ms, minTx: 50ms, multiplier: 3}")));
    let mut site = plan.each_neighbor(|neighbor| neighbor.with("bfd 3 50 50")).up()?;
    site.eventually_learned()?;
    eventually_status(&site.nodes[0], SESSION_PATIENCE, |status| {
        let mut peers = status["peers"].as_array().into_iter().flatten();
        peers.all(|peer| peer["bfd"]["state"] == "Up")
    })?;
    lossless(&mut site, roll_out)?;
    lossless(&mut site, |site| {
        let before = ups(site)?;
        site.node()?.crash_bird()?;
        eventually_up_again(site, &before)
    })
}

/// FRR writes down what it was told, in order: every prefix withdrawn, and only then a session that ends.
fn a_drain_withdraws_before_the_sessions_go(world: &World) -> Result<()> {
    let plan = Plan::new(world, 2)?.router(|frr| frr.with_head("debug bgp updates in"));
    let mut site = plan.up()?;
    site.eventually_learned()?;
    // Routes of sessions that collide when they begin are none of this trial's.
    let begun = site.frr.log()?.len();
    stopped(&mut site, "drain")?;
    let log = site.frr.log()?.split_off(begun);
    for prefix in fabric::prefixes(&site.nodes[0].node) {
        let neighbor = site.nodes[0].node.next_hop(&prefix);
        let line = |words: &[&str]| log.lines().position(|line| words.iter().all(|word| line.contains(word)));
        let withdrawn = line(&["rcvd UPDATE", &prefix, "withdrawn"]);
        let withdrawn = withdrawn.with_context(|| format!("{prefix} was not withdrawn:\n{log}"))?;
        let ended = line(&["%ADJCHANGE", &neighbor, "Down"]).context("no session has ended")?;
        ensure!(withdrawn < ended, "{prefix} was withdrawn after its session had ended:\n{log}");
    }
    Ok(())
}

/// Graceful restart would have the router keep the way to a node that is gone.
fn a_shutdown_leaves_no_route_behind(world: &World) -> Result<()> {
    let mut site = site(world)?;
    stopped(&mut site, "shutdown")
}

/// Stops the first node's BIRD for this purpose, and waits until the router has neither its prefixes nor a session
/// with it.
fn stopped(site: &mut Running, purpose: &str) -> Result<()> {
    let own = fabric::prefixes(&site.nodes[0].node);
    let facing: Vec<String> = own.iter().map(|prefix| site.nodes[0].node.next_hop(prefix)).collect();
    let node = site.node()?;
    node.bird_stop(purpose)?;
    node.take_bird()?.terminate()?;
    eventually(PATIENCE, || {
        own.iter().try_for_each(|prefix| site.frr.ensure_lacks(prefix))?;
        for neighbor in &facing {
            ensure!(site.frr.state(neighbor)? != "Established", "the session with {neighbor} is still up");
        }
        Ok(())
    })
}

fn a_killed_agent_loses_neither_packet_nor_session(world: &World) -> Result<()> {
    lossless(&mut site(world)?, |site| {
        let before = ups(site)?;
        let node = site.node()?;
        node.take_agent()?.kill()?;
        thread::sleep(speaker::RESTART);
        node.start_agent()?;
        eventually(PATIENCE, || node.ensure_established())?;
        ensure!(ups(site)? == before);
        Ok(())
    })
}

fn a_restarted_agent_loses_neither_packet_nor_session(world: &World) -> Result<()> {
    lossless(&mut site(world)?, |site| {
        let before = ups(site)?;
        let node = site.node()?;
        let conf = node.bird_conf()?;
        ensure!(node.take_agent()?.terminate()?.success());
        thread::sleep(speaker::RESTART);
        node.start_agent()?;
        eventually(PATIENCE, || node.ensure_established())?;
        ensure!(node.bird_conf()? == conf, "the same node should have the same configuration");
        ensure!(ups(site)? == before);
        Ok(())
    })
}

fn a_change_made_while_the_agent_was_away_is_applied(world: &World) -> Result<()> {
    let mut site = Plan::new(world, 1)?.up()?;
    let node = site.node()?;
    node.take_agent()?.kill()?;
    let changed = node.bgp.clone().each(|peer| peer.with("med: 77"));
    node.change(changed)?;
    node.start_agent()?;
    eventually(SESSION_PATIENCE, || {
        for prefix in fabric::prefixes(&site.nodes[0].node) {
            let path = site.frr.path_from(&site.nodes[0].node.next_hop(&prefix), &prefix)?;
            ensure!(path["metric"] == 77, "{path}");
        }
        Ok(())
    })
}

fn a_bird_that_is_away_is_told_of_and_configured_when_it_is_back(world: &World) -> Result<()> {
    let mut site = Plan::new(world, 1)?.up()?;
    let pod = site.nodes[0].node.run(&Pod::new("web-0"))?;
    let node = site.node()?;
    node.take_bird()?.kill()?;
    eventually_status(node, SESSION_PATIENCE, |status| {
        status["bird"]["state"] == "Away" && status["bird"]["reason"].is_string()
    })?;
    // The dataplane stays, and so does the node's readiness for pods.
    pod.answers(&node.node.netns)?;
    let other = node.node.run(&Pod::new("web-1"))?;
    other.answers(&node.node.netns)?;
    let changed = node.bgp.clone().each(|peer| peer.with("med: 88"));
    node.change(changed)?;
    thread::sleep(speaker::RESTART);
    node.start_bird()?;
    eventually_status(node, SESSION_PATIENCE, |status| {
        status["bird"]["state"] == "Running" && status["config"]["state"] == "Applied"
    })?;
    site.eventually_up()?;
    eventually(SESSION_PATIENCE, || {
        for prefix in fabric::prefixes(&site.nodes[0].node) {
            let path = site.frr.path_from(&site.nodes[0].node.next_hop(&prefix), &prefix)?;
            ensure!(path["metric"] == 88, "{path}");
        }
        Ok(())
    })
}

/// BIRD runs with what the last agent left, or with nothing, before the agent has said a word.
fn a_bird_that_comes_first_gets_its_configuration(world: &World) -> Result<()> {
    let mut site = Plan::new(world, 1)?.up()?;
    let node = site.node()?;
    node.take_agent()?.kill()?;
    node.take_bird()?.kill()?;
    node.start_bird()?;
    // The last good configuration is on disk: sessions need no agent.
    site.eventually_up()?;
    let node = site.node()?;
    node.start_agent()?;
    eventually(SESSION_PATIENCE, || node.ensure_established())
}
