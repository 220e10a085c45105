//! The plugin without an agent, and peers that the agent does not talk to.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use anyhow::{Context, Result, ensure};
use flock_tests::{PATIENCE, Pod, Router, World, eventually, trials};
use libtest_mimic::Trial;

pub(crate) fn trials() -> Vec<Trial> {
    trials![
        add_says_try_again_and_names_the_socket,
        status_says_that_the_plugin_is_not_available,
        check_says_try_again,
        del_succeeds_and_the_agent_makes_up_for_it,
        del_succeeds_on_a_node_that_never_had_an_agent,
        the_socket_is_roots_alone,
        a_peer_that_is_not_root_is_refused,
    ]
}

/// The two ways in which an agent is away: no socket, and a socket that nobody listens on.
const WAYS: [&str; 2] = ["terminated", "killed"];

fn leave(agent: flock_tests::AgentProcess, way: &str) -> Result<()> {
    if way == "killed" { agent.kill() } else { agent.terminate() }.map(drop)
}

fn add_says_try_again_and_names_the_socket(world: &World) -> Result<()> {
    let site = world.site()?;
    let sandbox = site.node.schedule(&Pod::new("web-0"))?;
    let socket = site.node.socket().display().to_string();
    let mut agent = site.agent;
    for way in WAYS {
        leave(agent, way)?;
        site.node.add(&sandbox)?.error()?.is(11, &[&socket]).context(way)?;
        ensure!(sandbox.netns.links()? == ["lo"]);
        agent = site.node.start_agent()?;
    }
    // Back again, all is well.
    let result = site.node.add_scheduled(&sandbox)?.result()?;
    ensure!(flock_tests::sandbox::addresses(&result).len() == 2);
    Ok(())
}

fn status_says_that_the_plugin_is_not_available(world: &World) -> Result<()> {
    let site = world.site()?;
    let socket = site.node.socket().display().to_string();
    site.agent.kill()?;
    site.node.invocation("STATUS")?.run()?.error()?.is(50, &[&socket])
}

fn check_says_try_again(world: &World) -> Result<()> {
    let site = world.site()?;
    let pod = site.node.run(&Pod::new("web-0"))?;
    site.agent.kill()?;
    let socket = site.node.socket().display().to_string();
    site.node.check(&pod)?.error()?.is(11, &[&socket])
}

fn del_succeeds_and_the_agent_makes_up_for_it(world: &World) -> Result<()> {
    let site = world.site()?;
    let mut agent = site.agent;
    for way in WAYS {
        let (kept, gone) = (site.node.run(&Pod::new("kept"))?, site.node.run(&Pod::new("gone"))?);
        leave(agent, way)?;
        site.node.del(&gone.sandbox)?.success().context(way)?;
        site.node.del(&gone.sandbox)?.success().context("twice")?;
        agent = site.node.start_agent()?;
        eventually(PATIENCE, || {
            let links = site.node.netns.flock_links()?;
            ensure!(links == [kept.host_link()?], "{way}: {links:?}");
            ensure!(site.node.records()?.len() == 1);
            Ok(())
        })?;
        kept.answers(&site.node.netns)?;
        site.node.del(&kept.sandbox)?.success()?;
    }
    // A tombstone is replayed once: a later ADD of the same attachment is a new one.
    let pod = site.node.run(&Pod::new("kept"))?;
    agent.terminate()?;
    let _agent = site.node.start_agent()?;
    site.node.check(&pod)?.success()
}

fn del_succeeds_on_a_node_that_never_had_an_agent(world: &World) -> Result<()> {
    let router = Router::new(world)?;
    let node = router.node("node-a")?;
    node.del(&node.sandbox("never-added")?)?.success()
}

fn the_socket_is_roots_alone(world: &World) -> Result<()> {
    let site = world.site()?;
    let mode = fs::metadata(site.node.socket())?.permissions().mode() & 0o777;
    ensure!(mode == 0o600, "{mode:o}");
    Ok(())
}

fn a_peer_that_is_not_root_is_refused(world: &World) -> Result<()> {
    let site = world.site()?;
    let sandbox = site.node.schedule(&Pod::new("web-0"))?;
    // Somebody has opened the door; the agent still looks at who comes in.
    fs::set_permissions(site.node.run_dir(), Permissions::from_mode(0o755))?;
    fs::set_permissions(site.node.socket(), Permissions::from_mode(0o666))?;
    for command in ["ADD", "CHECK", "STATUS"] {
        let call = site.node.call(command, &sandbox)?.with("prevResult", serde_json::json!({"ips": []}));
        let error = call.as_nobody()?.run()?.error()?;
        ensure!(error.text.contains("root") || error.text.contains("65534"), "{command}: {error:?}");
    }
    site.node.ensure_empty()?;
    let result = site.node.add_scheduled(&sandbox)?.result()?;
    // DEL may leave a tombstone where it can and succeed, but the attachment is not nobody's to remove.
    site.node.call("DEL", &sandbox)?.as_nobody()?.run()?;
    site.node.check(&flock_tests::Attached { sandbox, result })?.success()
}
