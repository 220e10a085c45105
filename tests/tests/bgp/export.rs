//! What a node says of its pods, and with which attributes.

use anyhow::{Result, ensure};
use flock_tests::fabric::{self, ROUTER_ASN};
use flock_tests::frr::eventually_has;
use flock_tests::{Bgp, Neighbor, PATIENCE, Plan, Pod, Running, SESSION_PATIENCE, World, eventually, trials};
use libtest_mimic::Trial;
use serde_json::Value;

use crate::site::{SENTINEL4, SENTINEL6, eventually_status, import};

pub(crate) fn trials() -> Vec<Trial> {
    trials![
        routes_carry_communities_med_and_prepended_path,
        a_local_preference_is_told_within_the_autonomous_system,
        nothing_but_the_nodes_own_is_exported,
        pods_are_advertised_one_by_one,
        pods_are_advertised_beside_the_nodes_prefixes,
        an_import_limit_keeps_what_is_below_it,
        an_export_limit_keeps_what_is_below_it,
        a_change_of_attributes_does_not_touch_the_session,
        a_node_without_bgp_any_more_falls_silent_and_forgets,
    ]
}

fn path(site: &Running, prefix: &str) -> Result<Value> {
    site.frr.path_from(&site.nodes[0].node.next_hop(prefix), prefix)
}

fn routes_carry_communities_med_and_prepended_path(world: &World) -> Result<()> {
    let said = r#"communities: {standard: ["65001:100", "no-export"], large: ["65001:1:2"], extended: ["rt:65001:100"]}"#;
    let each = |bgp: Bgp| bgp.each(|peer| peer.with(said).with("med: 100").with("prepend: 2"));
    let site = Plan::new(world, 1)?.each(each).up()?;
    for prefix in fabric::prefixes(&site.nodes[0].node) {
        let path = path(&site, &prefix)?;
        ensure!(path["aspath"]["string"] == "65001 65001 65001", "{path}");
        ensure!(path["metric"] == 100, "{path}");
        for (field, words) in [
            ("community", ["65001:100", "no-export"].as_slice()),
            ("largeCommunity", ["65001:1:2"].as_slice()),
            ("extendedCommunity", ["RT:65001:100"].as_slice()),
        ] {
            let text = path[field]["string"].as_str().unwrap_or_default();
            ensure!(words.iter().all(|word| text.contains(word)), "{field} should be {words:?}: {path}");
        }
    }
    Ok(())
}

fn a_local_preference_is_told_within_the_autonomous_system(world: &World) -> Result<()> {
    let site = Plan::new(world, 1)?
        .each(|bgp| Bgp { asn: ROUTER_ASN, ..bgp }.each(|peer| peer.with("localPref: 200")))
        .each_neighbor(|neighbor| Neighbor { asn: ROUTER_ASN, ..neighbor })
        .up()?;
    for prefix in fabric::prefixes(&site.nodes[0].node) {
        let path = path(&site, &prefix)?;
        ensure!(path["locPrf"] == 200 || path["localPref"] == 200, "{path}");
    }
    Ok(())
}

/// A node with all kinds of routes of its own, one of them learned, is not a way to anything but its pods.
fn nothing_but_the_nodes_own_is_exported(world: &World) -> Result<()> {
    let plan = Plan::new(world, 2)?.each(|bgp| bgp.with(&import(&[])));
    let netns = &plan.nodes[0].node.netns;
    netns.address("lo", "2001:db8:dead::1/64")?;
    netns.ip(&[
        "-6",
        "route",
        "add",
        "2001:db8:beef::/48",
        "via",
        &plan.nodes[0].node.port().router("::/0"),
    ])?;
    netns.ip(&["-4", "route", "add", "blackhole", "10.9.0.0/16"])?;
    let site = plan.up()?;
    site.eventually_learned()?;
    let _pod = site.nodes[0].node.run(&Pod::new("web-0"))?;
    for (family, own) in [
        ("ipv6", ["2001:db8:a:1::/64", "2001:db8:a:2::/64"]),
        ("ipv4", ["203.0.113.0/26", "203.0.113.64/26"]),
    ] {
        let mut prefixes = site.frr.prefixes(family)?;
        prefixes.sort();
        ensure!(prefixes == own, "{prefixes:?}");
    }
    Ok(())
}

/// The prefixes of a pod's addresses.
fn hosts(pod: &flock_tests::Attached) -> Vec<String> {
    let length = |address: &std::net::IpAddr| if address.is_ipv6() { 128 } else { 32 };
    pod.addresses().iter().map(|address| format!("{address}/{}", length(address))).collect()
}

/// A site of one node that advertises its pods in this manner, the sessions up.
fn aggregating<'w>(world: &'w World, aggregation: &str, more: &str) -> Result<Running<'w>> {
    let aggregation = format!("aggregation: {aggregation}");
    let plan = Plan::new(world, 1)?.each(|bgp| {
        let bgp = bgp.with(&aggregation);
        if more.is_empty() { bgp } else { bgp.each(|peer| peer.with(more)) }
    });
    let site = plan.start()?;
    eventually(SESSION_PATIENCE, || site.ensure_established())?;
    Ok(site)
}

fn pods_are_advertised_one_by_one(world: &World) -> Result<()> {
    let site = aggregating(world, "Pods", "")?;
    let node = &site.nodes[0].node;
    let (first, second) = (node.run(&Pod::new("web-0"))?, node.run(&Pod::new("web-1"))?);
    eventually_has(&site.frr, &[hosts(&first), hosts(&second)].concat())?;
    fabric::prefixes(node).iter().try_for_each(|prefix| site.frr.ensure_lacks(prefix))?;
    eventually(PATIENCE, || first.answers(&site.fabric.client))?;
    node.del(&first.sandbox)?.success()?;
    eventually(PATIENCE, || hosts(&first).iter().try_for_each(|prefix| site.frr.ensure_lacks(prefix)))?;
    eventually_has(&site.frr, &hosts(&second))?;
    second.answers(&site.fabric.client)?;
    site.ensure_established()
}

fn pods_are_advertised_beside_the_nodes_prefixes(world: &World) -> Result<()> {
    let site = aggregating(world, "Both", "")?;
    let node = &site.nodes[0].node;
    let pod = node.run(&Pod::new("web-0"))?;
    eventually_has(&site.frr, &[hosts(&pod), fabric::prefixes(node)].concat())?;
    node.del(&pod.sandbox)?.success()?;
    eventually(PATIENCE, || hosts(&pod).iter().try_for_each(|prefix| site.frr.ensure_lacks(prefix)))?;
    fabric::prefixes(node).iter().try_for_each(|prefix| site.frr.ensure_has(prefix))
}

/// Waits until the status of a session says these words, the session being up.
fn eventually_up_but(site: &Running, words: &str) -> Result<()> {
    let told = |status: &Value| {
        let mut peers = status["peers"].as_array().into_iter().flatten();
        peers.any(|peer| peer["state"] == "Established" && peer["reason"].to_string().contains(words))
    };
    eventually_status(&site.nodes[0], SESSION_PATIENCE, told).map(drop)
}

fn an_import_limit_keeps_what_is_below_it(world: &World) -> Result<()> {
    let many: Vec<String> = (1..7).map(|number| format!("2001:db8:5e:{number}::/64")).collect();
    let site = Plan::new(world, 1)?
        .each(|bgp| {
            let bgp = bgp.each(|peer| peer.with("importLimit: 3"));
            bgp.with(r#"import: {prefixes: [{cidr: "2001:db8:5e::/48", le: 64}]}"#)
        })
        .router(|frr| many.iter().fold(frr.network(SENTINEL4), |frr, prefix| frr.network(prefix)))
        .up()?;
    eventually_up_but(&site, "importLimit")?;
    let learned = site.nodes[0].node.netns.learned()?;
    let taken = learned.iter().filter(|destination| many.contains(destination)).count();
    ensure!(taken == 3, "{learned:?}");
    site.ensure_established()
}

fn an_export_limit_keeps_what_is_below_it(world: &World) -> Result<()> {
    let site = aggregating(world, "Pods", "exportLimit: 2")?;
    let node = &site.nodes[0].node;
    let pods =
        (0..4).map(|number| node.run(&Pod::new(&format!("web-{number}")))).collect::<Result<Vec<_>>>()?;
    for family in ["ipv6", "ipv4"] {
        eventually(SESSION_PATIENCE, || {
            let advertised = site.frr.prefixes(family)?.len();
            ensure!(advertised == 2, "{advertised} of {} pods are advertised", pods.len());
            Ok(())
        })?;
    }
    eventually_up_but(&site, "exportLimit")?;
    site.ensure_established()
}

fn a_change_of_attributes_does_not_touch_the_session(world: &World) -> Result<()> {
    let mut site = Plan::new(world, 1)?.router(|frr| frr.network(SENTINEL6)).up()?;
    let before = crate::site::ups(&site)?;
    let node = site.node()?;
    let changed = node.bgp.clone().each(|peer| peer.with("med: 55"));
    node.change(changed)?;
    eventually(SESSION_PATIENCE, || {
        for prefix in fabric::prefixes(&site.nodes[0].node) {
            let path = path(&site, &prefix)?;
            ensure!(path["metric"] == 55, "{path}");
        }
        Ok(())
    })?;
    ensure!(crate::site::ups(&site)? == before);
    site.ensure_established()
}

/// An operator who takes `spec.bgp` away wants no session, and no route that a router has told.
fn a_node_without_bgp_any_more_falls_silent_and_forgets(world: &World) -> Result<()> {
    let site = Plan::new(world, 2)?.up()?;
    site.eventually_learned()?;
    let first = &site.nodes[0];
    first.node.configure(&first.config)?;
    eventually_status(first, PATIENCE, |status| status["config"]["state"] == "None")?;
    eventually(SESSION_PATIENCE, || {
        fabric::prefixes(&first.node).iter().try_for_each(|prefix| site.frr.ensure_lacks(prefix))?;
        let learned = first.node.netns.learned()?;
        ensure!(learned.is_empty(), "{learned:?}");
        Ok(())
    })
}
