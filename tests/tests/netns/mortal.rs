//! The agent is killed with SIGKILL before each single step of ADD and of DEL, against the real kernel. After its
//! restart and the runtime's retry there is one address, one veth and no leak.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use flock_tests::{Attached, Node, Pod, Router, Sandbox, World, trials};
use libtest_mimic::Trial;

const MORTAL: &str = env!("CARGO_BIN_EXE_flock-agent-mortal");

pub(crate) fn trials() -> Vec<Trial> {
    trials![killed_before_each_step_of_add, killed_before_each_step_of_del]
}

fn killed_before_each_step_of_add(world: &World) -> Result<()> {
    let router = Router::new(world)?;
    let steps = steps(&router)?;
    ensure!(steps.add >= 10, "an ADD of {} steps", steps.add);
    let node = router.node("node-b")?;
    node.configure(&node.config())?;
    let mut sandbox = node.schedule(&Pod::new("web-0"))?;
    for step in 0..steps.add {
        sandbox = survive(&node, sandbox, step, "ADD").with_context(|| format!("step {step} of ADD"))?;
    }
    Ok(())
}

fn killed_before_each_step_of_del(world: &World) -> Result<()> {
    let router = Router::new(world)?;
    let steps = steps(&router)?;
    let node = router.node("node-b")?;
    node.configure(&node.config())?;
    let mut sandbox = node.schedule(&Pod::new("web-0"))?;
    for step in 0..steps.del {
        let agent = node.start_agent()?;
        node.add_scheduled(&sandbox)?.result()?;
        agent.kill()?;
        sandbox = survive(&node, sandbox, step, "DEL").with_context(|| format!("step {step} of DEL"))?;
    }
    Ok(())
}

/// One death, the restart, the retry, and the end of the attachment.
fn survive(node: &Node, sandbox: Sandbox, step: usize, verb: &str) -> Result<Sandbox> {
    let mut mortal = node.start_program(Path::new(MORTAL), &[("FLOCK_DIE_AT", &step.to_string())])?;
    let unanswered = node.call(verb, &sandbox)?.run()?;
    mortal.wait()?;
    let _agent = node.start_agent()?;
    if verb == "DEL" {
        // The plugin has left a tombstone, since nobody answered; the new agent has carried it out.
        unanswered.success()?;
        node.ensure_empty()?;
    } else {
        unanswered.error()?.is(11, &["agent"])?;
        node.ensure_empty()?;
    }
    let result = node.add_scheduled(&sandbox)?.result()?;
    ensure!(node.netns.flock_links()?.len() == 1 && node.records()?.len() == 1, "one veth, one record");
    let pod = Attached { sandbox, result };
    pod.answers(&node.netns)?;
    node.check(&pod)?.success()?;
    node.del(&pod.sandbox)?.success()?;
    node.ensure_empty()?;
    Ok(pod.sandbox)
}

struct Steps {
    add: usize,
    del: usize,
}

/// How many steps an ADD and a DEL have when nothing ends them.
fn steps(router: &Router) -> Result<Steps> {
    let node = router.node("node-a")?;
    node.configure(&node.config())?;
    let sandbox = node.schedule(&Pod::new("web-0"))?;
    let mortal = node.start_program(Path::new(MORTAL), &[("FLOCK_DIE_AT", "1000000")])?;
    node.add_scheduled(&sandbox)?.result()?;
    let add = count(&mortal.log()?);
    node.del(&sandbox)?.success()?;
    let del = count(&mortal.log()?) - add;
    mortal.kill()?;
    Ok(Steps { add, del })
}

fn count(log: &str) -> usize {
    log.lines().filter(|line| line.starts_with("step ")).count()
}
