//! What a node learns, and what it never does. The outage of 2026: a router advertised the nodes' own subnet, and all
//! traffic between neighbours went by way of the router.

use std::net::IpAddr;

use anyhow::{Result, ensure};
use flock_tests::fabric::{self, ROUTER_ASN};
use flock_tests::{
    Bgp, FrrConfig, Neighbor, Netns, Peer, Plan, Pod, Running, SESSION_PATIENCE, World, eventually, trials,
};
use libtest_mimic::Trial;
use serde_json::Value;

use crate::site::{SENTINEL4, SENTINEL6, ensure_not_learned, eventually_learned, import};

pub(crate) fn trials() -> Vec<Trial> {
    trials![
        a_subnet_of_the_node_is_not_learned_from_its_router,
        a_subnet_of_the_node_is_not_learned_even_if_listed,
        a_part_of_a_subnet_of_the_node_is_not_learned_even_if_listed,
        neighbours_on_one_subnet_reach_each_others_pods_without_the_router,
        a_default_route_not_asked_for_is_not_learned,
        a_default_route_asked_for_is_learned,
        a_prefix_of_the_node_is_not_learned_nor_any_part_of_it,
        a_prefix_that_nobody_listed_is_not_learned,
        a_prefix_is_learned_within_its_lengths,
        a_prefix_that_is_not_listed_any_more_is_forgotten,
    ]
}

const LAN6: &str = "2001:db8:eeee::/64";
const LAN4: &str = "203.0.113.192/28";

/// Node `number`'s address on the subnet that all are on; the router is number 0.
fn on_lan(number: u8, any: &str) -> String {
    if any.contains(':') {
        format!("2001:db8:eeee::{}", number + 1)
    } else {
        format!("203.0.113.{}", 193 + number)
    }
}

/// Two nodes and their router on one subnet, as in most racks; sessions are over that.
fn rack<'w>(world: &'w World, fields: &str) -> Result<Plan<'w>> {
    let mut plan = Plan::new(world, 2)?;
    let router = &plan.fabric.router.netns;
    router.ip(&["link", "add", "lan", "type", "bridge"])?;
    router.sysctl("ipv6/conf/lan/accept_dad", "0")?;
    router.ip(&["link", "set", "lan", "up"])?;
    join(router, "lan", 0)?;
    plan.frr = FrrConfig::new(ROUTER_ASN);
    for speaker in &mut plan.nodes {
        let (number, asn) = (speaker.node.port().number, speaker.bgp.asn);
        let socket = format!("socket{number}");
        speaker.node.netns.veth("lan", router, &socket)?;
        router.ip(&["link", "set", &socket, "master", "lan"])?;
        join(&speaker.node.netns, "lan", number)?;
        let peers = ["::/0", "0.0.0.0/0"].map(|any| Peer::new(&on_lan(0, any), ROUTER_ASN));
        speaker.bgp = peers.into_iter().fold(Bgp::new(asn), Bgp::peer).with(fields);
        for any in ["::/0", "0.0.0.0/0"] {
            plan.frr = plan.frr.neighbor(Neighbor::new(&on_lan(number, any), asn));
        }
    }
    plan.frr = plan.frr.network(SENTINEL6).network(SENTINEL4);
    Ok(plan)
}

fn join(netns: &Netns, ifname: &str, number: u8) -> Result<()> {
    netns.address(ifname, &format!("{}/64", on_lan(number, "::/0")))?;
    netns.address(ifname, &format!("{}/28", on_lan(number, "0.0.0.0/0")))
}

/// The node's routes to a neighbour on its subnet, and the tables that they come from.
fn ways_to_neighbour(netns: &Netns) -> Result<Vec<Value>> {
    let neighbour = |any: &str| on_lan(2, any).parse::<IpAddr>();
    let mut ways = vec![netns.route_to(neighbour("::/0")?)?, netns.route_to(neighbour("0.0.0.0/0")?)?];
    ways.extend(netns.ip_json(&["-6", "route", "show", "root", LAN6])?);
    ways.extend(netns.ip_json(&["-4", "route", "show", "root", LAN4])?);
    Ok(ways)
}

/// Starts a rack whose router advertises the rack's own subnet, or what else `networks` says, and proves that a
/// node's way to its neighbour does not change.
fn the_way_to_the_neighbour_stays(world: &World, fields: &str, networks: &[&str]) -> Result<()> {
    let plan =
        rack(world, fields)?.router(|frr| networks.iter().fold(frr, |frr, prefix| frr.network(prefix)));
    let netns = &plan.nodes[0].node.netns;
    let before = ways_to_neighbour(netns)?;
    let site = plan.start()?;
    eventually(SESSION_PATIENCE, || site.ensure_established())?;
    networks.iter().try_for_each(|prefix| site.frr.ensure_has(prefix))?;
    for speaker in &site.nodes {
        eventually_learned(&speaker.node.netns, &[SENTINEL6, SENTINEL4])?;
        ensure_not_learned(&speaker.node.netns, networks)?;
    }
    let after = ways_to_neighbour(&site.nodes[0].node.netns)?;
    ensure!(after == before, "the way to the neighbour was {before:?} and is {after:?}");
    ensure!(after.iter().all(|way| way["dev"] == "lan" && way["gateway"].is_null()), "{after:?}");
    Ok(())
}

fn a_subnet_of_the_node_is_not_learned_from_its_router(world: &World) -> Result<()> {
    the_way_to_the_neighbour_stays(world, &import(&[]), &[LAN6, LAN4])
}

fn a_subnet_of_the_node_is_not_learned_even_if_listed(world: &World) -> Result<()> {
    let listed = import(&[r#"{cidr: "2001:db8:eeee::/64"}"#, r#"{cidr: "203.0.113.192/28"}"#]);
    the_way_to_the_neighbour_stays(world, &listed, &[LAN6, LAN4])
}

fn a_part_of_a_subnet_of_the_node_is_not_learned_even_if_listed(world: &World) -> Result<()> {
    let listed = import(&[r#"{cidr: "::/0", ge: 1, le: 128}"#, r#"{cidr: "0.0.0.0/0", ge: 1, le: 32}"#]);
    let parts = ["2001:db8:eeee::/80", "2001:db8:eeee::3/128", "203.0.113.192/30", "203.0.113.195/32"];
    the_way_to_the_neighbour_stays(world, &listed, &parts)
}

fn neighbours_on_one_subnet_reach_each_others_pods_without_the_router(world: &World) -> Result<()> {
    let site = rack(world, &import(&[]))?.up()?;
    site.eventually_learned()?;
    let [a, b] = crate::site::pods(&site)?;
    for address in b.addresses() {
        let route = site.nodes[0].node.netns.route_to(address)?;
        let neighbour = on_lan(2, &address.to_string());
        ensure!(route["gateway"] == *neighbour && route["protocol"] == "bird", "{route}");
    }
    b.answers(&a.sandbox.netns)
}

fn a_default_route_not_asked_for_is_not_learned(world: &World) -> Result<()> {
    let site = offering_default(world, &import(&[]))?;
    ensure_not_learned(&site.nodes[0].node.netns, &["default"])
}

fn a_default_route_asked_for_is_learned(world: &World) -> Result<()> {
    let asked = import(&[r#"{cidr: "::/0", le: 0}"#, r#"{cidr: "0.0.0.0/0"}"#]);
    let site = offering_default(world, &asked)?;
    let netns = &site.nodes[0].node.netns;
    eventually(SESSION_PATIENCE, || {
        let defaults = netns.learned()?.into_iter().filter(|destination| destination == "default").count();
        ensure!(defaults == 2, "{defaults} default routes are learned");
        Ok(())
    })?;
    let pod = site.nodes[0].node.run(&Pod::new("web-0"))?;
    for family in ["-6", "-4"] {
        netns.ip(&[family, "route", "delete", "default", "proto", "boot"])?;
    }
    pod.answers(&site.fabric.client)
}

/// A router that says that it is the way to everywhere, and a node that has heard it.
fn offering_default<'w>(world: &'w World, fields: &str) -> Result<Running<'w>> {
    let site = Plan::new(world, 1)?
        .each(|bgp| bgp.with(fields))
        .each_neighbor(|neighbor| neighbor.with_family("default-originate"))
        .router(|frr| frr.network(SENTINEL6).network(SENTINEL4))
        .up()?;
    eventually_learned(&site.nodes[0].node.netns, &[SENTINEL6, SENTINEL4])?;
    Ok(site)
}

/// A router that originates these prefixes, and a node with `fields` that has heard them.
fn offering<'w>(world: &'w World, fields: &str, prefixes: &[&str]) -> Result<Running<'w>> {
    let all = [SENTINEL6, SENTINEL4].iter().chain(prefixes);
    let site = Plan::new(world, 1)?
        .each(|bgp| bgp.with(fields))
        .router(|frr| all.fold(frr, |frr, prefix| frr.network(prefix)))
        .up()?;
    eventually_learned(&site.nodes[0].node.netns, &[SENTINEL6, SENTINEL4])?;
    Ok(site)
}

fn a_prefix_of_the_node_is_not_learned_nor_any_part_of_it(world: &World) -> Result<()> {
    let listed = import(&[r#"{cidr: "2001:db8:a::/48", le: 128}"#, r#"{cidr: "203.0.113.0/24", le: 32}"#]);
    let own = ["2001:db8:a:1::/64", "203.0.113.0/26"];
    let parts = ["2001:db8:a:1:5::/80", "2001:db8:a:1::80/128", "203.0.113.8/29", "203.0.113.9/32"];
    let site = offering(world, &listed, &[parts.as_slice(), own.as_slice()].concat())?;
    let netns = &site.nodes[0].node.netns;
    ensure_not_learned(netns, &parts)?;
    ensure_not_learned(netns, &own)?;
    let mut blackholes = netns.blackholes()?;
    blackholes.sort();
    ensure!(blackholes == own, "{blackholes:?}");
    Ok(())
}

fn a_prefix_that_nobody_listed_is_not_learned(world: &World) -> Result<()> {
    let strangers = ["2001:db8:bad::/48", "198.51.100.128/25", "2001:db8:5e:1::/64"];
    let site = offering(world, &import(&[]), &strangers)?;
    ensure_not_learned(&site.nodes[0].node.netns, &strangers)?;
    // The router's own links, connected and redistributed, are strangers as well.
    site.frr.configure(&["router bgp 65000", "address-family ipv6 unicast", "redistribute connected"])?;
    site.frr.configure(&["router bgp 65000", "address-family ipv6 unicast", "network 2001:db8:5e::/48"])?;
    eventually(SESSION_PATIENCE, || site.frr.ensure_has("2001:db8:c::/64"))?;
    ensure_not_learned(&site.nodes[0].node.netns, &["2001:db8:c::/64"])
}

fn a_prefix_is_learned_within_its_lengths(world: &World) -> Result<()> {
    let listed = import(&[r#"{cidr: "2001:db8:d::/48", ge: 56, le: 64}"#, r#"{cidr: "10.0.0.0/8", le: 16}"#]);
    let within = ["2001:db8:d::/56", "2001:db8:d:1::/64", "10.0.0.0/8", "10.1.0.0/16"];
    let beyond = ["2001:db8:d::/48", "2001:db8:d:1::/80", "10.1.2.0/24"];
    let site = offering(world, &listed, &[within.as_slice(), beyond.as_slice()].concat())?;
    eventually_learned(&site.nodes[0].node.netns, &within)?;
    ensure_not_learned(&site.nodes[0].node.netns, &beyond)
}

fn a_prefix_that_is_not_listed_any_more_is_forgotten(world: &World) -> Result<()> {
    let mut site = offering(world, &import(&[]), &[])?;
    let node = site.node()?;
    let bgp = fabric::bgp(&node.node);
    node.change(bgp)?;
    eventually(SESSION_PATIENCE, || ensure_not_learned(&site.nodes[0].node.netns, &[SENTINEL6, SENTINEL4]))?;
    site.ensure_established()
}
