//! What the router and a client see when something fails.

use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use flock_tests::service::with_pod;
use flock_tests::{Connection, Node, PATIENCE, Running, SESSION_PATIENCE, World, eventually, trials};
use libtest_mimic::Trial;

use crate::site::{self, Replica, both, ensure_kept, eventually_answers, eventually_hops, host, router_hops};

pub(crate) fn trials() -> Vec<Trial> {
    trials![
        readiness_lost_withdraws_and_gained_announces,
        a_deletion_timestamp_withdraws_whatever_the_probe_says,
        a_manifest_that_goes_withdraws,
        a_deleted_pod_withdraws,
        a_network_namespace_that_goes_withdraws,
        the_agent_killed_changes_nothing,
        a_pod_that_fails_while_the_agent_is_away_is_withdrawn_when_it_is_back,
        bird_killed_changes_nothing,
        a_link_that_is_cut_takes_the_node_out,
        a_route_deleted_by_hand_comes_back,
        flips_are_followed_to_the_last,
    ]
}

/// Two nodes with one pod each.
fn two<'w>(world: &'w World) -> Result<(Vec<Replica>, Running<'w>)> {
    let site = site::start(world, 2, |plan| plan)?;
    let pods = vec![Replica::start(&site.nodes[0].node, "a-0")?, Replica::start(&site.nodes[1].node, "b-0")?];
    eventually_hops(&site, 2)?;
    eventually_answers(&site, &["a-0", "b-0"])?;
    Ok((pods, site))
}

/// Waits until FRR has the addresses from the second node only, and then opens connections: each must be with its pod.
fn eventually_b_alone(site: &Running, a: &Replica) -> Result<()> {
    eventually(PATIENCE, || ensure_paths(site, 1))?;
    let before = a.service.accepted();
    for address in both() {
        let new = Connection::open(&site.fabric.client, address, 100)?;
        ensure!(with_pod(&new, "b-0") == 100, "a withdrawn pod is still reached at {address}");
    }
    ensure!(a.service.accepted() == before);
    eventually_hops(site, 1)
}

fn ensure_paths(site: &Running, count: usize) -> Result<()> {
    for address in both() {
        let paths = site.frr.paths(&host(address))?;
        ensure!(paths.len() == count, "FRR has {} paths to {address}", paths.len());
    }
    Ok(())
}

fn readiness_lost_withdraws_and_gained_announces(world: &World) -> Result<()> {
    let (mut pods, site) = two(world)?;
    pods[0].ready(&site.nodes[0].node, false)?;
    eventually_b_alone(&site, &pods[0])?;
    pods[0].ready(&site.nodes[0].node, true)?;
    eventually_hops(&site, 2)?;
    eventually_answers(&site, &["a-0", "b-0"])
}

fn a_deletion_timestamp_withdraws_whatever_the_probe_says(world: &World) -> Result<()> {
    let (mut pods, site) = two(world)?;
    let leaving = pods[0].pod.clone().terminating();
    ensure!(
        leaving.yaml().contains("deletionTimestamp") && leaving.yaml().contains("True"),
        "{}",
        leaving.yaml()
    );
    pods[0].tell(&site.nodes[0].node, leaving)?;
    eventually_b_alone(&site, &pods[0])
}

fn a_manifest_that_goes_withdraws(world: &World) -> Result<()> {
    let (pods, site) = two(world)?;
    std::fs::remove_file(site.nodes[0].node.manifests().join("pod-dns-a-0.yaml"))?;
    eventually_b_alone(&site, &pods[0])
}

fn a_deleted_pod_withdraws(world: &World) -> Result<()> {
    let (pods, site) = two(world)?;
    let outcome = site.nodes[0].node.del(&pods[0].attached.sandbox)?;
    ensure!(outcome.code == Some(0), "{outcome:?}");
    eventually_b_alone(&site, &pods[0])?;
    ensure_nothing_left(&site.nodes[0].node)
}

fn ensure_nothing_left(node: &Node) -> Result<()> {
    eventually(PATIENCE, || {
        let netns = &node.netns;
        for (what, shown) in [
            ("nexthops", netns.ip(&["nexthop", "show", "proto", "70"])?),
            (
                "IPv6 routes",
                netns.ip(&["-6", "route", "show", "table", "all", "proto", "70", "root", site::V6])?,
            ),
            (
                "IPv4 routes",
                netns.ip(&["-4", "route", "show", "table", "all", "proto", "70", "root", site::V4])?,
            ),
        ] {
            ensure!(shown.trim().is_empty(), "{what} are left: {shown}");
        }
        let rules = netns.ip(&["-6", "rule"])? + &netns.ip(&["-4", "rule"])?;
        ensure!(!rules.contains("fwmark"), "rules are left: {rules}");
        let tables = netns.exec(&["nft", "list", "tables"])?;
        ensure!(!tables.contains("flock-anycast"), "{tables}");
        Ok(())
    })
}

/// As when a machine's runtime dies: nobody calls DEL, the sandbox is just gone.
fn a_network_namespace_that_goes_withdraws(world: &World) -> Result<()> {
    let (mut pods, site) = two(world)?;
    let Replica { attached, service, .. } = pods.remove(0);
    drop(service);
    drop(attached);
    eventually(PATIENCE, || ensure_paths(&site, 1))?;
    eventually_answers(&site, &["b-0"])
}

fn the_agent_killed_changes_nothing(world: &World) -> Result<()> {
    let (_pods, mut site) = two(world)?;
    let mut open = Vec::new();
    for address in both() {
        open.extend(Connection::open(&site.fabric.client, address, 50)?);
    }
    let age = |site: &Running| site.nodes[0].birdc("show route protocol anycast6");
    let before = age(&site)?;
    site.nodes[0].take_agent()?.kill()?;
    thread::sleep(Duration::from_secs(1));
    ensure_paths(&site, 2)?;
    ensure_kept(&mut open)?;
    site.nodes[0].start_agent()?;
    thread::sleep(Duration::from_secs(2));
    ensure_paths(&site, 2)?;
    ensure!(age(&site)? == before, "the addresses were announced anew: {before} is now {}", age(&site)?);
    ensure_kept(&mut open)
}

fn a_pod_that_fails_while_the_agent_is_away_is_withdrawn_when_it_is_back(world: &World) -> Result<()> {
    let (mut pods, mut site) = two(world)?;
    site.nodes[0].take_agent()?.kill()?;
    pods[0].ready(&site.nodes[0].node, false)?;
    site.nodes[0].start_agent()?;
    eventually_b_alone(&site, &pods[0])
}

fn bird_killed_changes_nothing(world: &World) -> Result<()> {
    let (mut pods, mut site) = two(world)?;
    let mut open = Vec::new();
    for address in both() {
        open.extend(Connection::open(&site.fabric.client, address, 50)?);
    }
    site.nodes[0].crash_bird()?;
    eventually(SESSION_PATIENCE, || site.ensure_established())?;
    eventually(SESSION_PATIENCE, || ensure_paths(&site, 2))?;
    ensure_kept(&mut open)?;
    pods[0].ready(&site.nodes[0].node, false)?;
    eventually_b_alone(&site, &pods[0])
}

fn a_link_that_is_cut_takes_the_node_out(world: &World) -> Result<()> {
    let (_pods, site) = two(world)?;
    site.fabric.router.netns.ip(&["link", "set", "port1", "down"])?;
    eventually(SESSION_PATIENCE, || {
        let hops = router_hops(&site.fabric.router.netns, both()[0])?;
        ensure!(hops.len() == 1, "the router has {hops:?}");
        Ok(())
    })?;
    eventually_hops(&site, 1)?;
    eventually_answers(&site, &["b-0"])?;
    site.fabric.router.netns.ip(&["link", "set", "port1", "up"])?;
    // FRR's kernel lost the IPv6 address with the link.
    site.fabric.router.netns.ip(&["address", "replace", "2001:db8:ffff:1::1/64", "dev", "port1", "nodad"])?;
    eventually(SESSION_PATIENCE, || ensure_paths(&site, 2))?;
    eventually_answers(&site, &["a-0", "b-0"])
}

fn a_route_deleted_by_hand_comes_back(world: &World) -> Result<()> {
    let (_pods, site) = two(world)?;
    let node = &site.nodes[0].node;
    let _second = Replica::start(node, "a-1")?;
    let ours =
        |family: &str, address: &str| node.netns.ip(&[family, "route", "show", address, "proto", "70"]);
    eventually(PATIENCE, || {
        ensure!(ours("-6", site::V6)?.contains("nhid"), "{}", ours("-6", site::V6)?);
        Ok(())
    })?;
    node.netns.ip(&["-6", "route", "del", site::V6, "proto", "70"])?;
    node.netns.ip(&["-4", "route", "del", site::V4, "proto", "70"])?;
    eventually(PATIENCE, || {
        ensure!(ours("-6", site::V6)?.contains("nhid") && ours("-4", site::V4)?.contains("nhid"));
        Ok(())
    })?;
    ensure_paths(&site, 2)?;
    let steered = |family: &str| {
        let tables = node.netns.ip(&[family, "route", "show", "table", "all", "proto", "70"])?;
        let rules = node.netns.ip(&[family, "rule", "show"])?;
        ensure!(
            rules.matches("fwmark").count() == 3 && tables.matches(" table ").count() == 2,
            "{rules}{tables}"
        );
        Ok(())
    };
    for family in ["-6", "-4"] {
        eventually(PATIENCE, || steered(family))?;
        node.netns.ip(&[family, "rule", "del", "pref", "7000"])?;
        node.netns.ip(&[family, "rule", "del", "pref", "7001"])?;
        let tables = node.netns.ip(&[family, "route", "show", "table", "all", "proto", "70"])?;
        let table =
            tables.split(" table ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap_or_default();
        node.netns.ip(&[family, "route", "flush", "table", table])?;
        eventually(PATIENCE, || steered(family))?;
    }
    eventually_answers(&site, &["a-0", "a-1", "b-0"])
}

/// Each flip must reach FRR; how fast is measured elsewhere.
fn flips_are_followed_to_the_last(world: &World) -> Result<()> {
    let (mut pods, site) = two(world)?;
    for _ in 0..10 {
        pods[0].ready(&site.nodes[0].node, false)?;
        eventually_b_alone(&site, &pods[0])?;
        pods[0].ready(&site.nodes[0].node, true)?;
        eventually(PATIENCE, || ensure_paths(&site, 2))?;
    }
    // Faster than anybody can follow: what counts is how it ends.
    for number in 0..50 {
        pods[0].ready(&site.nodes[0].node, number % 2 == 0)?;
    }
    eventually_b_alone(&site, &pods[0])
}
