//! Agents come and go; pods do not notice.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flock_tests::{AgentProcess, Attached, Node, Pod, Router, World, trials};
use libtest_mimic::Trial;

pub(crate) fn trials() -> Vec<Trial> {
    trials![
        a_clean_shutdown_keeps_the_dataplane,
        a_kill_keeps_the_dataplane,
        a_kill_amid_adds_leaks_nothing,
        a_second_agent_refuses_to_start,
        a_lost_record_is_rebuilt_from_the_kernel,
    ]
}

/// Pings a pod over both families from another node's while the agent goes away and comes back.
fn lossless(world: &World, end: impl Fn(AgentProcess) -> Result<()>) -> Result<()> {
    let site = world.site()?;
    let pod = site.node.run(&Pod::new("web-0"))?;
    let pings = [site.router.netns.keep_pinging(pod.v6()?)?, site.router.netns.keep_pinging(pod.v4()?)?];
    end(site.agent)?;
    thread::sleep(Duration::from_millis(500));
    ensure!(site.node.netns.flock_links()? == [pod.host_link()?]);
    let _agent = site.node.start_agent()?;
    thread::sleep(Duration::from_millis(500));
    for pinging in pings {
        pinging.stop()?.ensure_lossless()?;
    }
    ensure!(site.node.add(&pod.sandbox)?.result()? == pod.result, "the answer should survive a restart");
    site.node.check(&pod)?.success()
}

fn a_clean_shutdown_keeps_the_dataplane(world: &World) -> Result<()> {
    lossless(world, |agent| {
        let status = agent.terminate()?;
        ensure!(status.success(), "a clean shutdown is a success, not {status}");
        Ok(())
    })
}

fn a_kill_keeps_the_dataplane(world: &World) -> Result<()> {
    lossless(world, |agent| agent.kill().map(drop))
}

/// Ten times: the agent dies a little later after an ADD has begun, and is started again. The runtime retries.
fn a_kill_amid_adds_leaks_nothing(world: &World) -> Result<()> {
    let site = world.site()?;
    let warm = site.node.run(&Pod::new("web-0"))?;
    site.node.del(&warm.sandbox)?.success()?;
    let mut agent = site.agent;
    for step in 0..10 {
        let sandbox = site.node.sandbox("web-0")?;
        interrupt(&site.node, agent, &sandbox, Duration::from_micros(500 * step))?;
        agent = site.node.start_agent()?;
        let result = site.node.add_scheduled(&sandbox)?.result().with_context(|| format!("step {step}"))?;
        ensure!(site.node.netns.flock_links()?.len() == 1 && site.node.records()?.len() == 1, "step {step}");
        let pod = Attached { sandbox, result };
        pod.answers(&site.node.netns)?;
        site.node.check(&pod)?.success()?;
        site.node.del(&pod.sandbox)?.success()?;
        site.node.ensure_empty().with_context(|| format!("step {step}"))?;
    }
    Ok(())
}

/// Kills the agent `after` an ADD was sent.
fn interrupt(
    node: &Node,
    agent: AgentProcess,
    sandbox: &flock_tests::Sandbox,
    after: Duration,
) -> Result<()> {
    thread::scope(|scope| {
        let add = scope.spawn(|| node.add(sandbox));
        // Not a wait for anything: each round is to hit another moment.
        thread::sleep(after + Duration::from_millis(1));
        agent.kill()?;
        // Whatever came of it, the runtime will retry.
        add.join().ok();
        Ok(())
    })
}

fn a_second_agent_refuses_to_start(world: &World) -> Result<()> {
    let site = world.site()?;
    let mut second = AgentProcess::start(&site.node)?;
    let status = second.wait()?;
    ensure!(!status.success(), "two agents on one node");
    let log = second.log()?;
    ensure!(log.contains(&site.node.run_dir().display().to_string()), "{log}");
    let pod = site.node.run(&Pod::new("web-0"))?;
    site.node.check(&pod)?.success()
}

fn a_lost_record_is_rebuilt_from_the_kernel(world: &World) -> Result<()> {
    let router = Router::new(world)?;
    let node = router.node("node-a")?;
    node.configure(&node.config())?;
    let agent = node.start_agent()?;
    let pod = node.run(&Pod::new("web-0"))?;
    agent.kill()?;
    // The kernel is the second copy.
    std::fs::remove_file(node.record(&pod.sandbox)?)?;
    let _agent = node.start_agent()?;
    pod.answers(&node.netns)?;
    node.check(&pod)?.success()?;
    node.del(&pod.sandbox)?.success()?;
    node.ensure_empty()
}
