//! Passwords and TTLs: who does not know the one or comes from too far does not get a session, and the status says
//! why.

use std::fs;
use std::time::Instant;

use anyhow::{Result, ensure};
use flock_tests::{PATIENCE, Plan, Running, SESSION_PATIENCE, World, eventually, fabric, trials};
use libtest_mimic::Trial;

use crate::site::eventually_status;

pub(crate) fn trials() -> Vec<Trial> {
    trials![
        the_right_password,
        a_wrong_password_keeps_the_session_down_until_it_is_right,
        a_missing_password_keeps_the_session_down_until_it_is_there,
        a_password_is_told_to_nobody,
        ttl_security_on_both_ends,
        ttl_security_on_one_end_keeps_the_session_down,
    ]
}

const PASSWORD: &str = "correct;horse}battery";

/// One node that reads its password from a file, which is not there yet; the router knows [`PASSWORD`].
fn with_password(world: &World) -> Result<Plan<'_>> {
    let plan = Plan::new(world, 1)?;
    let file = format!("passwordFile: {:?}", plan.nodes[0].file("password").display().to_string());
    let password = format!("password {PASSWORD}");
    Ok(plan.each(|bgp| bgp.each(|peer| peer.with(&file))).each_neighbor(|neighbor| neighbor.with(&password)))
}

fn write_password(site: &Plan, password: &str) -> Result<()> {
    Ok(fs::write(site.nodes[0].file("password"), format!("{password}\n"))?)
}

fn the_right_password(world: &World) -> Result<()> {
    let plan = with_password(world)?;
    write_password(&plan, PASSWORD)?;
    plan.up().map(drop)
}

/// Waits until the status of each peer has a reason with these words, and proves that the sessions are down.
fn eventually_down_because(site: &Running, words: &[&str]) -> Result<()> {
    eventually_status(&site.nodes[0], SESSION_PATIENCE, |status| {
        let mut peers = status["peers"].as_array().into_iter().flatten();
        let told = |peer: &serde_json::Value| {
            let reason = peer["reason"].as_str().unwrap_or_default();
            peer["state"] != "Established" && words.iter().all(|word| reason.contains(word))
        };
        status["peers"].as_array().is_some_and(|peers| peers.len() == 2) && peers.all(told)
    })?;
    for neighbor in &site.neighbors {
        ensure!(site.frr.state(neighbor)? != "Established" && site.frr.established_times(neighbor)? == 0);
    }
    Ok(())
}

fn a_wrong_password_keeps_the_session_down_until_it_is_right(world: &World) -> Result<()> {
    let plan = with_password(world)?;
    write_password(&plan, "correct;horse}batterie")?;
    let site = plan.start()?;
    eventually_down_because(&site, &["password"])?;
    fs::write(site.nodes[0].file("password"), PASSWORD)?;
    site.eventually_up()
}

fn a_missing_password_keeps_the_session_down_until_it_is_there(world: &World) -> Result<()> {
    let plan = with_password(world)?;
    let file = plan.nodes[0].file("password");
    let site = plan.start()?;
    eventually_down_because(&site, &["passwordFile", &file.display().to_string()])?;
    fs::write(&file, PASSWORD)?;
    site.eventually_up()
}

fn a_password_is_told_to_nobody(world: &World) -> Result<()> {
    let plan = with_password(world)?;
    write_password(&plan, PASSWORD)?;
    let site = plan.up()?;
    let node = &site.nodes[0];
    let told = [
        node.status()?.to_string(),
        node.node.ctl(&["bgp"])?.stdout,
        node.node.ctl(&["node"])?.stdout,
        fs::read_to_string(node.node.agent_log())?,
        fs::read_to_string(node.bird_files().log)?,
    ];
    for text in told {
        ensure!(!text.contains(PASSWORD), "{text}");
    }
    // The one place where BIRD reads it from is root's alone.
    ensure!(node.bird_conf()?.contains(PASSWORD));
    let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(node.bird_files().config)?) & 0o777;
    ensure!(mode == 0o600, "bird.conf has mode {mode:o}");
    Ok(())
}

fn ttl_security_on_both_ends(world: &World) -> Result<()> {
    let site = Plan::new(world, 1)?
        .each(|bgp| bgp.each(|peer| peer.with("ttlSecurity: true")))
        .each_neighbor(|neighbor| neighbor.with("ttl-security hops 1"))
        .up()?;
    eventually(PATIENCE, || site.nodes[0].ensure_established())
}

/// FRR sends eBGP with a TTL of 1 unless told otherwise, which is too far away for who demands 255. What it has sent
/// before the node's end of the connection was accepted may still be read, so that FRR believes in a session for a
/// moment; the node never does.
fn ttl_security_on_one_end_keeps_the_session_down(world: &World) -> Result<()> {
    let site = Plan::new(world, 1)?.each(|bgp| bgp.each(|peer| peer.with("ttlSecurity: true"))).start()?;
    let node = &site.nodes[0];
    eventually_status(node, SESSION_PATIENCE, |status| status["config"]["state"] == "Applied")?;
    // Long enough for several attempts of both ends.
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        for peer in &node.bgp.peers {
            let shown = node.peer_status(&peer.address)?;
            ensure!(shown["state"] != "Established", "{shown}");
        }
        fabric::prefixes(&node.node).iter().try_for_each(|prefix| site.frr.ensure_lacks(prefix))?;
    }
    for peer in &node.bgp.peers {
        let shown = node.peer_status(&peer.address)?;
        ensure!(shown["reason"].is_string(), "{shown}");
    }
    Ok(())
}
