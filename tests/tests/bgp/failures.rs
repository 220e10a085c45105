//! Links that go silent, and configurations that would cut the node off.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use flock_tests::{Bgp, Netns, PATIENCE, Plan, SESSION_PATIENCE, Speaker, World, eventually, fabric, trials};
use libtest_mimic::Trial;
use serde_json::Value;

use crate::site::{eventually_status, pods, ups};

pub(crate) fn trials() -> Vec<Trial> {
    trials![
        bfd_takes_routes_away_within_a_second,
        without_bfd_the_hold_time_counts,
        a_wrong_asn_of_the_router_is_taken_back,
        a_wrong_asn_of_the_node_is_taken_back,
        a_corrected_configuration_is_taken,
        an_agent_that_dies_during_a_trial_leaves_the_old_configuration,
        a_configuration_by_hand_is_replaced,
    ]
}

/// From now on nothing passes a router's interface, while the interface looks as sound as before.
fn silence(router: &Netns, ifname: &str) -> Result<()> {
    for hook in ["input", "forward", "output"] {
        let direction = if hook == "output" { "oifname" } else { "iifname" };
        router.exec(&["nft", "add", "table", "inet", "silence"])?;
        let chain = format!("{{ type filter hook {hook} priority 0; }}");
        router.exec(&["nft", "add", "chain", "inet", "silence", hook, &chain])?;
        router.exec(&["nft", "add", "rule", "inet", "silence", hook, direction, ifname, "drop"])?;
    }
    Ok(())
}

const BFD: &str = "bfd: {minRx: 50ms, minTx: 50ms, multiplier: 3}";

fn bfd_takes_routes_away_within_a_second(world: &World) -> Result<()> {
    let site = Plan::new(world, 2)?
        .each(|bgp| bgp.each(|peer| peer.with(BFD)))
        .each_neighbor(|neighbor| neighbor.with("bfd 3 50 50"))
        .up()?;
    site.eventually_learned()?;
    for speaker in &site.nodes {
        eventually_status(speaker, SESSION_PATIENCE, |status| {
            let mut peers = status["peers"].as_array().into_iter().flatten();
            peers.all(|peer| peer["bfd"]["state"] == "Up")
        })?;
    }
    let [a, b] = site.nodes.as_slice() else { anyhow::bail!("two nodes") };
    silence(&site.fabric.router.netns, &a.node.port().ifname)?;
    let cut = Instant::now();
    eventually(Duration::from_secs(1), || {
        // Each end of the dead link, and who has heard of it from there.
        lacks(&a.node.netns, &fabric::prefixes(&b.node))?;
        lacks(&b.node.netns, &fabric::prefixes(&a.node))?;
        lacks_at_router(&site.fabric.router.netns, &fabric::prefixes(&a.node))
    })
    .with_context(|| format!("{:?} after the link was cut", cut.elapsed()))
}

fn lacks(netns: &Netns, prefixes: &[String]) -> Result<()> {
    let learned = netns.learned()?;
    ensure!(
        !prefixes.iter().any(|prefix| learned.contains(prefix)),
        "{} still has {learned:?}",
        netns.name()
    );
    Ok(())
}

fn lacks_at_router(router: &Netns, prefixes: &[String]) -> Result<()> {
    for family in ["-6", "-4"] {
        let rows = router.ip_json(&[family, "route", "show", "proto", "bgp"])?;
        let left = rows.iter().find(|row| prefixes.iter().any(|prefix| row["dst"] == **prefix));
        ensure!(left.is_none(), "the router still has {left:?}");
    }
    Ok(())
}

fn without_bfd_the_hold_time_counts(world: &World) -> Result<()> {
    let plan = Plan::new(world, 1)?.router(|frr| frr.with("timers bgp 1 3"));
    let site = plan.up()?;
    silence(&site.fabric.router.netns, &site.nodes[0].node.port().ifname)?;
    eventually(SESSION_PATIENCE, || {
        let established = site.neighbors.iter().map(|neighbor| site.frr.state(neighbor));
        ensure!(established.collect::<Result<Vec<_>>>()?.iter().all(|state| state != "Established"));
        Ok(())
    })?;
    eventually_status(&site.nodes[0], SESSION_PATIENCE, |status| {
        let mut peers = status["peers"].as_array().into_iter().flatten();
        peers.all(|peer| peer["state"] != "Established" && peer["reason"].is_string())
    })
    .map(drop)
}

/// Waits until the node has taken a configuration back, and returns what it says of that.
fn eventually_rolled_back(speaker: &Speaker) -> Result<Value> {
    let status =
        eventually_status(speaker, SESSION_PATIENCE, |status| status["config"]["state"] == "RolledBack")?;
    Ok(status["config"].clone())
}

/// Writes a configuration that BIRD takes and the router does not, and proves that the node takes it back.
fn is_taken_back(world: &World, wrong: impl Fn(Bgp) -> Bgp, named: &str) -> Result<()> {
    let mut site = Plan::new(world, 2)?.up()?;
    site.eventually_learned()?;
    let [a, b] = pods(&site)?;
    b.answers(&a.sandbox.netns)?;
    let conf = site.nodes[0].bird_conf()?;
    let node = site.node()?;
    let bgp = wrong(node.bgp.clone());
    node.change(bgp)?;
    let told = eventually_rolled_back(node)?;
    let reason = told["reason"].as_str().unwrap_or_default();
    ensure!(reason.contains(named) && told["revision"].is_string(), "{told}");
    ensure!(node.bird_conf()? == conf, "the last good configuration should still be on disk");
    eventually(SESSION_PATIENCE, || site.ensure_established())?;
    site.eventually_learned()?;
    b.answers(&a.sandbox.netns)?;
    a.answers(&site.fabric.client)?;
    let shown = site.nodes[0].node.ctl(&["bgp"])?;
    ensure!(shown.stdout.contains(named), "{shown:?}");
    // It is not tried again while the sessions of the old one are up.
    let before = ups(&site)?;
    std::thread::sleep(PATIENCE);
    ensure!(ups(&site)? == before && site.nodes[0].status()?["config"]["state"] == "RolledBack");
    site.ensure_established()
}

fn a_wrong_asn_of_the_router_is_taken_back(world: &World) -> Result<()> {
    let wrong = |bgp: Bgp| {
        bgp.each(|mut peer| {
            peer.asn = 65099;
            peer
        })
    };
    is_taken_back(world, wrong, "65099")
}

fn a_wrong_asn_of_the_node_is_taken_back(world: &World) -> Result<()> {
    is_taken_back(world, |bgp| Bgp { asn: 65099, ..bgp }, "65099")
}

fn a_corrected_configuration_is_taken(world: &World) -> Result<()> {
    let mut site = Plan::new(world, 1)?.up()?;
    let node = site.node()?;
    let good = node.bgp.clone();
    node.change(Bgp { asn: 65099, ..good.clone() })?;
    eventually_rolled_back(node)?;
    node.change(good.each(|peer| peer.with("med: 99")))?;
    eventually_status(node, SESSION_PATIENCE, |status| status["config"]["state"] == "Applied")?;
    eventually(SESSION_PATIENCE, || {
        site.ensure_established()?;
        for prefix in fabric::prefixes(&site.nodes[0].node) {
            let path = site.frr.path_from(&site.nodes[0].node.next_hop(&prefix), &prefix)?;
            ensure!(path["metric"] == 99, "{path}");
        }
        Ok(())
    })
}

/// BIRD holds the old configuration and a clock; nobody has to be there to save the node.
fn an_agent_that_dies_during_a_trial_leaves_the_old_configuration(world: &World) -> Result<()> {
    let mut site = Plan::new(world, 1)?.up()?;
    let conf = site.nodes[0].bird_conf()?;
    let node = site.node()?;
    let wrong = Bgp { asn: 65099, ..node.bgp.clone() };
    node.change(wrong)?;
    eventually(SESSION_PATIENCE, || {
        let shown = node.birdc("show protocols all")?;
        ensure!(shown.contains("65099"), "{shown}");
        Ok(())
    })?;
    node.take_agent()?.kill()?;
    eventually(SESSION_PATIENCE * 2, || site.ensure_established())?;
    ensure!(site.nodes[0].bird_conf()? == conf);
    Ok(())
}

/// Somebody tells BIRD another configuration, in which the node has no session.
fn a_configuration_by_hand_is_replaced(world: &World) -> Result<()> {
    let mut site = Plan::new(world, 1)?.up()?;
    let by_hand = site.node()?.node.dir().join("by-hand.conf");
    std::fs::write(&by_hand, "router id 192.0.2.99;\nprotocol device { }\n")?;
    let answer = site.node()?.birdc(&format!("configure \"{}\"", by_hand.display()))?;
    ensure!(answer.contains("Reconfigur"), "{answer}");
    eventually(SESSION_PATIENCE, || {
        let shown = site.nodes[0].birdc("eval flock_revision")?;
        ensure!(!shown.contains("syntax error"), "{shown}");
        site.ensure_established()
    })?;
    eventually_status(site.node()?, SESSION_PATIENCE, |status| status["config"]["state"] == "Applied")?;
    Ok(())
}
