//! An address is reached at every pod that serves it.

use anyhow::{Result, ensure};
use flock_tests::service::{ensure_share, with_pod};
use flock_tests::trials;
use flock_tests::{Connection, PATIENCE, World, eventually};
use libtest_mimic::Trial;

use crate::site::{self, Replica, both, eventually_hops, host, router_hops};

pub(crate) fn trials() -> Vec<Trial> {
    trials![
        connections_spread_over_nodes_and_their_pods,
        link_bandwidth_shares_connections_by_pods,
        med_prefers_the_node_with_more_pods,
        packets_leave_the_node_by_the_pods_own_interface,
        no_neighbour_is_proxied,
        other_pods_and_the_node_itself_reach_it,
        one_pod_is_a_plain_route,
    ]
}

/// Enough for shares to be meant.
const CONNECTIONS: usize = 1000;

fn connections_spread_over_nodes_and_their_pods(world: &World) -> Result<()> {
    let site = site::start(world, 2, |plan| plan)?;
    let [a, b] = [&site.nodes[0].node, &site.nodes[1].node];
    let _pods = [
        Replica::start(a, "a-0")?,
        Replica::start(a, "a-1")?,
        Replica::start(b, "b-0")?,
        Replica::start(b, "b-1")?,
    ];
    eventually_hops(&site, 2)?;
    for address in both() {
        let hops = router_hops(&site.fabric.router.netns, address)?;
        ensure!(hops[0].1 == hops[1].1, "the next hops are not equal: {hops:?}");
        ensure!(site.frr.paths(&host(address))?.len() == 2);
        let connections = Connection::open(&site.fabric.client, address, CONNECTIONS)?;
        let of_a = with_pod(&connections, "a-0") + with_pod(&connections, "a-1");
        ensure_share(of_a, CONNECTIONS, 0.5, 0.1)?;
        for pod in ["a-0", "a-1", "b-0", "b-1"] {
            ensure_share(with_pod(&connections, pod), CONNECTIONS, 0.25, 0.1)?;
        }
    }
    Ok(())
}

fn link_bandwidth_shares_connections_by_pods(world: &World) -> Result<()> {
    let site = site::start(world, 2, |plan| plan.each(|bgp| bgp.with("anycastWeight: LinkBandwidth")))?;
    let [a, b] = [&site.nodes[0].node, &site.nodes[1].node];
    let mut pods = [
        Replica::start(a, "a-0")?,
        Replica::start(a, "a-1")?,
        Replica::start(a, "a-2")?,
        Replica::start(b, "b-0")?,
    ];
    eventually(PATIENCE, || {
        for address in both() {
            let hops = router_hops(&site.fabric.router.netns, address)?;
            let of =
                |node| hops.iter().filter(move |(gateway, _)| is_of(gateway, node)).map(|(_, weight)| weight);
            let (of_a, of_b): (u64, u64) = (of(a).sum(), of(b).sum());
            ensure!(hops.len() == 2 && of_b > 0 && of_a == 3 * of_b, "the router has {hops:?}");
        }
        Ok(())
    })?;
    for address in both() {
        let connections = Connection::open(&site.fabric.client, address, CONNECTIONS)?;
        ensure_share(CONNECTIONS - with_pod(&connections, "b-0"), CONNECTIONS, 0.75, 0.075)?;
    }
    pods[0].ready(a, false)?;
    pods[1].ready(a, false)?;
    eventually(PATIENCE, || {
        let hops = router_hops(&site.fabric.router.netns, both()[0])?;
        ensure!(hops.len() == 2 && hops[0].1 == hops[1].1, "the router has {hops:?}");
        Ok(())
    })
}

fn med_prefers_the_node_with_more_pods(world: &World) -> Result<()> {
    // Routers compare the MED of one neighbouring AS only, unless told so.
    let site = site::start(world, 2, |plan| {
        plan.each(|bgp| bgp.with("anycastWeight: MED")).router(|frr| frr.with("bgp always-compare-med"))
    })?;
    let [a, b] = [&site.nodes[0].node, &site.nodes[1].node];
    let mut pods = [Replica::start(a, "a-0")?, Replica::start(a, "a-1")?, Replica::start(b, "b-0")?];
    let preferred = |node: &flock_tests::Node| {
        eventually(PATIENCE, || {
            for address in both() {
                let hops = router_hops(&site.fabric.router.netns, address)?;
                ensure!(site.frr.paths(&host(address))?.len() == 2);
                ensure!(hops.len() == 1 && is_of(&hops[0].0, node), "the router has {hops:?}");
            }
            Ok(())
        })
    };
    preferred(a)?;
    pods[0].ready(a, false)?;
    pods[1].ready(a, false)?;
    eventually_hops(&site, 1)?;
    pods[0].ready(a, true)?;
    eventually_hops(&site, 2)
}

/// Whether a gateway at the router is one of the node's addresses: BIRD tells its link-local one too, and FRR takes it.
fn is_of(gateway: &str, node: &flock_tests::Node) -> bool {
    let own = node.netns.ip(&["-o", "address", "show", "dev", "uplink"]).unwrap_or_default();
    own.contains(&format!(" {gateway}/"))
}

/// NetworkPolicy dispatches by interface: what goes to an anycast address must pass the forward hook with the pod's own
/// interface as its output.
fn packets_leave_the_node_by_the_pods_own_interface(world: &World) -> Result<()> {
    let site = site::start(world, 1, |plan| plan)?;
    let node = &site.nodes[0].node;
    let pods = [Replica::start(node, "a-0")?, Replica::start(node, "a-1")?];
    eventually_hops(&site, 1)?;
    let links: Vec<String> = pods.iter().map(|pod| pod.attached.sandbox.host_link()).collect();
    let mut rules = String::from(
        "table inet dispatch {\n chain seen {\n  type filter hook forward priority filter - 9;\n",
    );
    for link in &links {
        for (family, address) in ["ip6", "ip"].iter().zip(both()) {
            rules.push_str(&format!("  oifname \"{link}\" {family} daddr {address} tcp flags syn counter\n"));
        }
    }
    rules.push_str(&format!("  ip6 daddr {} tcp flags syn counter\n }}\n}}\n", both()[0]));
    let file = node.dir().join("dispatch.nft");
    std::fs::write(&file, rules)?;
    node.netns.exec(&["nft", "-f", &file.display().to_string()])?;
    for address in both() {
        Connection::open(&site.fabric.client, address, 200)?;
    }
    let shown = node.netns.exec(&["nft", "list", "table", "inet", "dispatch"])?;
    let counts: Vec<u64> = shown
        .lines()
        .filter_map(|line| line.split_once("counter packets ")?.1.split(' ').next()?.parse().ok())
        .collect();
    let [a6, a4, b6, b4, all6] = counts[..] else { anyhow::bail!("{shown}") };
    ensure!(a6 > 0 && b6 > 0 && a4 > 0 && b4 > 0, "{shown}");
    ensure!(a6 + b6 == all6 && a4 + b4 == 200, "{shown}");
    Ok(())
}

fn no_neighbour_is_proxied(world: &World) -> Result<()> {
    let site = site::start(world, 1, |plan| plan)?;
    let node = &site.nodes[0].node;
    let pod = Replica::start(node, "a-0")?;
    eventually_hops(&site, 1)?;
    ensure!(node.netns.ip(&["-6", "neigh", "show", "proxy"])?.trim().is_empty());
    for ifname in ["all", pod.attached.sandbox.host_link().as_str()] {
        ensure!(node.netns.read_sysctl(&format!("ipv6/conf/{ifname}/proxy_ndp"))? == "0");
    }
    let shown = pod.attached.sandbox.netns.ip(&["-6", "address", "show", "dev", "lo"])?;
    ensure!(shown.contains(site::V6) && !shown.contains("tentative"), "{shown}");
    ensure!(
        !pod.attached.addresses().iter().any(|address| both().contains(address)),
        "{}",
        pod.attached.result
    );
    site::eventually_answers(&site, &["a-0"])
}

fn other_pods_and_the_node_itself_reach_it(world: &World) -> Result<()> {
    let site = site::start(world, 2, |plan| plan)?;
    let [a, b] = [&site.nodes[0].node, &site.nodes[1].node];
    let _pods = [Replica::start(a, "a-0")?, Replica::start(a, "a-1")?];
    eventually_hops(&site, 1)?;
    let clients = [a.run(&flock_tests::Pod::new("near"))?, b.run(&flock_tests::Pod::new("far"))?];
    site.eventually_learned()?;
    for address in both() {
        for netns in [&clients[0].sandbox.netns, &clients[1].sandbox.netns, &a.netns] {
            Connection::open(netns, address, 20)?;
        }
    }
    Ok(())
}

fn one_pod_is_a_plain_route(world: &World) -> Result<()> {
    let site = site::start(world, 1, |plan| plan)?;
    let node = &site.nodes[0].node;
    let pod = Replica::start(node, "a-0")?;
    eventually_hops(&site, 1)?;
    let shown = node.netns.ip(&["-6", "route", "show", site::V6])?;
    let v6 = pod.attached.v6()?;
    ensure!(shown.contains(&format!("via {v6} dev {}", pod.attached.sandbox.host_link())), "{shown}");
    let _other = Replica::start(node, "a-1")?;
    eventually(PATIENCE, || {
        let shown = node.netns.ip(&["-d", "nexthop", "show", "proto", "70"])?;
        ensure!(shown.contains("type resilient"), "{shown}");
        Ok(())
    })
}
