//! `--bird managed`: the agent starts BIRD and looks after it, and BIRD outlives the agent.

use std::thread;

use anyhow::{Context, Result, ensure};
use flock_tests::netns::processes;
use flock_tests::{
    PATIENCE, Plan, Pod, Running, SESSION_PATIENCE, Speaker, World, eventually, speaker, trials,
};
use libtest_mimic::Trial;
use rustix::process::{Pid, Signal, kill_process};

use crate::site::{ensure_lossless, flows, pods_reach_each_other, ups};

pub(crate) fn trials() -> Vec<Trial> {
    trials![
        the_agent_starts_bird,
        a_killed_agent_leaves_bird_and_its_successor_adopts_it,
        a_killed_bird_is_started_again_without_a_lost_packet,
        a_stopped_bird_is_not_started_again_before_its_time,
    ]
}

fn site(world: &World) -> Result<Running<'_>> {
    let mut plan = Plan::new(world, 2)?;
    plan.nodes = plan.nodes.into_iter().map(Speaker::managed).collect();
    plan.up()
}

/// The one BIRD of a node.
fn bird(speaker: &Speaker) -> Result<Pid> {
    let name = |pid: &Pid| std::fs::read_to_string(format!("/proc/{}/comm", pid.as_raw_pid()));
    let all = processes(speaker.node.netns.name()).into_iter();
    let birds: Vec<Pid> = all.filter(|pid| name(pid).is_ok_and(|name| name.trim() == "bird")).collect();
    ensure!(birds.len() <= 1, "{} BIRDs on one node", birds.len());
    birds.first().copied().context("no BIRD")
}

fn the_agent_starts_bird(world: &World) -> Result<()> {
    let site = site(world)?;
    pods_reach_each_other(&site)
}

fn a_killed_agent_leaves_bird_and_its_successor_adopts_it(world: &World) -> Result<()> {
    let mut site = site(world)?;
    site.eventually_learned()?;
    let pod = site.nodes[0].node.run(&Pod::new("web-0"))?;
    eventually(PATIENCE, || pod.answers(&site.fabric.client))?;
    let (flows, before, own) = (flows(&site, &pod)?, ups(&site)?, bird(&site.nodes[0])?);
    for end in [flock_tests::AgentProcess::kill, flock_tests::AgentProcess::terminate] {
        let node = site.node()?;
        end(node.take_agent()?)?;
        thread::sleep(speaker::RESTART);
        ensure!(bird(node)? == own, "BIRD should outlive the agent");
        node.start_agent()?;
        eventually(SESSION_PATIENCE, || node.ensure_established())?;
        ensure!(bird(node)? == own, "BIRD should be adopted");
    }
    ensure!(ups(&site)? == before);
    // Adopted also means looked after.
    kill_process(own, Signal::KILL)?;
    eventually(SESSION_PATIENCE, || {
        ensure!(bird(&site.nodes[0])? != own);
        site.ensure_established()
    })?;
    ensure_lossless(flows)
}

fn a_killed_bird_is_started_again_without_a_lost_packet(world: &World) -> Result<()> {
    let site = site(world)?;
    site.eventually_learned()?;
    let pod = site.nodes[0].node.run(&Pod::new("web-0"))?;
    eventually(PATIENCE, || pod.answers(&site.fabric.client))?;
    let (flows, before, own) = (flows(&site, &pod)?, ups(&site)?, bird(&site.nodes[0])?);
    kill_process(own, Signal::KILL)?;
    eventually(SESSION_PATIENCE, || {
        ensure!(bird(&site.nodes[0])? != own);
        ensure!(ups(&site)?[0] > before[0] && ups(&site)?[1] > before[1], "the sessions are not back");
        site.ensure_established()
    })?;
    flows[0].pass(1000);
    ensure_lossless(flows)
}

/// Who drains a node does not want BIRD back a moment later.
fn a_stopped_bird_is_not_started_again_before_its_time(world: &World) -> Result<()> {
    let site = site(world)?;
    site.nodes[0].bird_stop("drain")?;
    let own = flock_tests::fabric::prefixes(&site.nodes[0].node);
    let gone = || own.iter().try_for_each(|prefix| site.frr.ensure_lacks(prefix));
    eventually(PATIENCE, gone)?;
    thread::sleep(PATIENCE);
    gone()
}
