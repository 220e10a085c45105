//! Sessions of every kind come up, carry the nodes' prefixes, and pods reach each other by what was learned.

use anyhow::{Context, Result, ensure};
use flock_tests::bird::{self, BirdProcess};
use flock_tests::fabric::{self, ROUTER_ASN};
use flock_tests::frr::eventually_has;
use flock_tests::{
    Bgp, Fabric, Frr, FrrConfig, Neighbor, Netns, PATIENCE, Peer, Plan, Pod, Router, Running,
    SESSION_PATIENCE, World, eventually, trials,
};
use libtest_mimic::Trial;

use crate::site::{eventually_learned, link_local, pods_reach_each_other};

pub(crate) fn trials() -> Vec<Trial> {
    trials![
        frr_has_each_nodes_prefixes_with_a_global_next_hop,
        pods_reach_each_other_through_frr,
        pods_reach_each_other_through_a_second_bird,
        one_ipv6_session_carries_both_families,
        a_link_without_ipv4_carries_pods_ipv4,
        internal_sessions_by_way_of_a_route_reflector,
        a_link_local_peer,
        ipv6_only_nodes,
        a_route_server_behind_the_router,
        two_routers_make_two_next_hops,
        a_passive_node_lets_its_router_connect,
        another_listening_port,
    ]
}

fn frr_has_each_nodes_prefixes_with_a_global_next_hop(world: &World) -> Result<()> {
    let site = Plan::new(world, 2)?.up()?;
    for speaker in &site.nodes {
        for prefix in fabric::prefixes(&speaker.node) {
            let own = speaker.node.next_hop(&prefix);
            let path = site.frr.path_from(&own, &prefix)?;
            let hops = path["nexthops"].as_array().context("a path without next hops")?;
            ensure!(hops.iter().any(|hop| hop["ip"] == *own && hop["scope"] != "link-local"), "{path}");
        }
        eventually(PATIENCE, || speaker.ensure_established())?;
    }
    ensure!(site.frr.prefixes("ipv6")?.len() == 2, "{:?}", site.frr.prefixes("ipv6")?);
    ensure!(site.frr.prefixes("ipv4")?.len() == 2, "{:?}", site.frr.prefixes("ipv4")?);
    Ok(())
}

fn pods_reach_each_other_through_frr(world: &World) -> Result<()> {
    let site = Plan::new(world, 2)?.up()?;
    pods_reach_each_other(&site)
}

fn pods_reach_each_other_through_a_second_bird(world: &World) -> Result<()> {
    let Plan { nodes, fabric, .. } = Plan::new(world, 2)?;
    let peers = fabric::router_peers(&nodes.iter().map(|speaker| &speaker.node).collect::<Vec<_>>());
    let config = bird::router_config(ROUTER_ASN, &peers);
    let _router = BirdProcess::router(&fabric.router.netns, &world.dir().join("tor"), &config)?;
    let nodes = fabric::start_nodes(nodes)?;
    eventually(SESSION_PATIENCE, || fabric::ensure_learned(&nodes))?;
    nodes.iter().try_for_each(|speaker| eventually(PATIENCE, || speaker.ensure_established()))?;
    let pods = [nodes[0].node.run(&Pod::new("web-0"))?, nodes[1].node.run(&Pod::new("web-1"))?];
    pods[1].answers(&pods[0].sandbox.netns)?;
    pods[0].answers(&fabric.client)
}

/// The session over IPv6 alone, both families in it.
fn over_ipv6(plan: Plan<'_>) -> Plan<'_> {
    let only6 = |bgp: Bgp| {
        let peers = bgp.peers.into_iter().filter(|peer| peer.address.contains(':'));
        let peers = peers.map(|peer| peer.with("families: [IPv6, IPv4]")).collect();
        Bgp { peers, ..bgp }
    };
    plan.each(only6).router(|frr| FrrConfig {
        neighbors: frr
            .neighbors
            .into_iter()
            .filter(|neighbor| neighbor.address.contains(':'))
            .map(|neighbor| neighbor.carrying(&["ipv6", "ipv4"]))
            .collect(),
        ..frr
    })
}

fn one_ipv6_session_carries_both_families(world: &World) -> Result<()> {
    let site = over_ipv6(Plan::new(world, 2)?).up()?;
    pods_reach_each_other(&site)?;
    let shown = site.nodes[0].peer_status(&site.nodes[0].bgp.peers[0].address)?;
    ensure!(shown["families"].as_array().is_some_and(|families| families.len() == 2), "{shown}");
    Ok(())
}

/// RFC 8950: IPv4 routes with IPv6 next hops.
fn a_link_without_ipv4_carries_pods_ipv4(world: &World) -> Result<()> {
    let plan = over_ipv6(Plan::new(world, 2)?)
        .each_neighbor(|neighbor| neighbor.with("capability extended-nexthop"));
    for speaker in &plan.nodes {
        speaker.node.netns.ip(&["-4", "address", "flush", "dev", "uplink"])?;
        plan.fabric.router.netns.ip(&["-4", "address", "flush", "dev", &speaker.node.port().ifname])?;
    }
    // Packets that the nodes send themselves need an IPv4 source all the same.
    let site = plan.up()?;
    site.eventually_learned()?;
    let [a, b] = crate::site::pods(&site)?;
    b.answers(&a.sandbox.netns)
}

fn internal_sessions_by_way_of_a_route_reflector(world: &World) -> Result<()> {
    let site = Plan::new(world, 2)?
        .each(|bgp| Bgp { asn: ROUTER_ASN, ..bgp })
        .each_neighbor(|neighbor| {
            let neighbor = Neighbor { asn: ROUTER_ASN, ..neighbor };
            neighbor.with_family("route-reflector-client").with_family("next-hop-self force")
        })
        .up()?;
    pods_reach_each_other(&site)?;
    let shown = site.nodes[0].peer_status(&site.nodes[0].bgp.peers[0].address)?;
    ensure!(shown["type"] == "iBGP", "{shown}");
    Ok(())
}

fn a_link_local_peer(world: &World) -> Result<()> {
    let mut plan = Plan::new(world, 2)?;
    plan.frr = FrrConfig::new(ROUTER_ASN);
    for speaker in &mut plan.nodes {
        let port = speaker.node.port();
        let router = link_local(&plan.fabric.router.netns, &port.ifname)?;
        let own = link_local(&speaker.node.netns, "uplink")?;
        speaker.bgp.peers = vec![Peer::new(&format!("{router}%uplink"), ROUTER_ASN)];
        let neighbor = Neighbor::new(&own, speaker.bgp.asn).with(&format!("interface {}", port.ifname));
        plan.frr = plan.frr.neighbor(neighbor);
    }
    let site = plan.start()?;
    eventually(SESSION_PATIENCE, || site.ensure_established())?;
    let prefixes = site.nodes.iter().flat_map(|speaker| speaker.config.cidr6.clone()).collect::<Vec<_>>();
    eventually_has(&site.frr, &prefixes)?;
    eventually_learned(&site.nodes[0].node.netns, &[&site.nodes[1].config.cidr6[0]])?;
    let [a, b] = crate::site::pods(&site)?;
    a.sandbox.netns.ping(b.v6()?)?;
    site.nodes.iter().try_for_each(|speaker| eventually(PATIENCE, || speaker.ensure_established()))
}

fn ipv6_only_nodes(world: &World) -> Result<()> {
    let mut plan = Plan::new(world, 2)?;
    let routers_ends: Vec<String> = plan.nodes.iter().map(|speaker| speaker.node.port().ifname).collect();
    for (speaker, port) in plan.nodes.iter_mut().zip(routers_ends) {
        speaker.node.netns.ip(&["-4", "address", "flush", "dev", "uplink"])?;
        plan.fabric.router.netns.ip(&["-4", "address", "flush", "dev", &port])?;
        speaker.config.cidr4.clear();
        speaker.bgp.peers.retain(|peer| peer.address.contains(':'));
    }
    plan.frr.neighbors.retain(|neighbor| neighbor.address.contains(':'));
    let site = plan.start()?;
    eventually(SESSION_PATIENCE, || site.ensure_established())?;
    eventually_learned(&site.nodes[0].node.netns, &[&site.nodes[1].config.cidr6[0]])?;
    let [a, b] = crate::site::pods(&site)?;
    ensure!(b.addresses().len() == 1, "{}", b.result);
    b.answers(&a.sandbox.netns)?;
    ensure_distinct_router_ids(&site)
}

/// RFC 6286: unique within the autonomous system and never zero, although no node has an IPv4 address to take it from.
fn ensure_distinct_router_ids(site: &Running) -> Result<()> {
    let all = site.frr.json("show bgp neighbors")?;
    let ids: Vec<&str> = site.neighbors.iter().filter_map(|n| all[n]["remoteRouterId"].as_str()).collect();
    ensure!(ids.len() == 2 && ids[0] != ids[1] && !ids.contains(&"0.0.0.0"), "{ids:?}");
    Ok(())
}

/// A router that is one hop behind the one that the nodes are on: its loopback addresses, one of each family.
const CORE: [&str; 2] = ["2001:db8:ff::1", "192.0.2.254"];

/// Out of these, the one of the family of `other`.
fn of_family<'a>(both: [&'a str; 2], other: &str) -> &'a str {
    if other.contains(':') { both[0] } else { both[1] }
}

/// The namespace of that router, which reaches the nodes, and is reached, by way of the other.
fn core(fabric: &Fabric) -> Result<Netns> {
    let core = fabric.world().machine("core")?;
    core.veth("uplink", &fabric.router.netns, "core")?;
    let (near, far) = (["2001:db8:e::1", "192.0.2.5"], ["2001:db8:e::2", "192.0.2.6"]);
    for loopback in CORE {
        let (family, length) = if loopback.contains(':') { ("-6", 64) } else { ("-4", 30) };
        core.address("uplink", &format!("{}/{length}", of_family(far, loopback)))?;
        fabric.router.netns.address("core", &format!("{}/{length}", of_family(near, loopback)))?;
        core.address("lo", &format!("{loopback}/{}", if loopback.contains(':') { 128 } else { 32 }))?;
        // FRR takes no default route for a way to a next hop.
        let nodes = of_family(["2001:db8:ffff::/48", "198.51.100.0/24"], loopback);
        core.ip(&[family, "route", "add", nodes, "via", of_family(near, loopback)])?;
        fabric.router.netns.ip(&[family, "route", "add", loopback, "via", of_family(far, loopback)])?;
    }
    Ok(core)
}

/// The core is a route server (RFC 7947): it tells everybody, the router before it too, which node to send to, and
/// sees none of the packets. Next hops are on no subnet of the nodes.
fn a_route_server_behind_the_router(world: &World) -> Result<()> {
    let Plan { mut nodes, frr, fabric } = Plan::new(world, 2)?;
    let core = core(&fabric)?;
    let beyond = |neighbor: Neighbor| {
        let own = format!("update-source {}", of_family(CORE, &neighbor.address));
        neighbor.with("ebgp-multihop 4").with(&own).with_family("attribute-unchanged next-hop")
    };
    let routers =
        [("2001:db8:e::1", 65010), ("192.0.2.5", 65010)].map(|(address, asn)| Neighbor::new(address, asn));
    let config = routers.into_iter().fold(frr, FrrConfig::neighbor).each(beyond);
    let server = Frr::start(&core, &world.dir().join("core"), &config)?;
    let upstream = CORE.map(|core| Neighbor::new(core, ROUTER_ASN).with("ebgp-multihop 4"));
    let _router = fabric.frr(&upstream.into_iter().fold(FrrConfig::new(65010), FrrConfig::neighbor))?;
    for speaker in &mut nodes {
        speaker.bgp.peers = CORE.map(|core| Peer::new(core, ROUTER_ASN).with("multihop: 4")).to_vec();
    }
    let nodes = fabric::start_nodes(nodes)?;
    eventually(SESSION_PATIENCE, || fabric::ensure_learned(&nodes))?;
    for prefix in fabric::prefixes(&nodes[0].node) {
        let own = nodes[0].node.next_hop(&prefix);
        let path = server.path_from(&own, &prefix)?;
        ensure!(path["nexthops"][0]["ip"] == *own, "{path}");
    }
    let pods = [nodes[0].node.run(&Pod::new("web-0"))?, nodes[1].node.run(&Pod::new("web-1"))?];
    eventually(PATIENCE, || pods[1].answers(&pods[0].sandbox.netns))?;
    nodes.iter().try_for_each(|speaker| eventually(PATIENCE, || speaker.ensure_established()))
}

fn two_routers_make_two_next_hops(world: &World) -> Result<()> {
    let mut plan = Plan::new(world, 2)?;
    let second = Router::named(world, "second")?;
    let mut config = FrrConfig::new(ROUTER_ASN).with("bgp router-id 192.0.2.253");
    for speaker in &mut plan.nodes {
        let port = second.plug(&speaker.node.netns, "uplink2", speaker.node.port().number + 8)?;
        for any in ["::/0", "0.0.0.0/0"] {
            speaker.bgp.peers.push(Peer::new(&port.router(any), ROUTER_ASN));
            config = config.neighbor(Neighbor::new(&port.node(any), speaker.bgp.asn));
        }
        // Not the interface of a default route, and yet the way to a router.
        speaker.config = speaker.config.clone().with("uplinks: [uplink, uplink2]");
    }
    let others = Frr::start(&second.netns, &world.dir().join("second"), &config)?;
    let site = plan.up()?;
    eventually(SESSION_PATIENCE, || ensure_next_hops(&site, 2))?;
    let [a, b] = crate::site::pods(&site)?;
    b.answers(&a.sandbox.netns)?;
    let goodbye: Vec<String> =
        config.neighbors.iter().map(|neighbor| format!("neighbor {} shutdown", neighbor.address)).collect();
    let lines: Vec<&str> =
        std::iter::once("router bgp 65000").chain(goodbye.iter().map(String::as_str)).collect();
    others.configure(&lines)?;
    eventually(SESSION_PATIENCE, || ensure_next_hops(&site, 1))?;
    b.answers(&a.sandbox.netns)
}

/// Fails unless the first node has so many next hops to the second's prefixes.
fn ensure_next_hops(site: &Running, count: usize) -> Result<()> {
    let routes = site.nodes[0].node.netns.bird_routes()?;
    for prefix in fabric::prefixes(&site.nodes[1].node) {
        let hops: usize = routes
            .iter()
            .filter(|route| route["dst"] == *prefix)
            .map(|route| route["nexthops"].as_array().map_or(1, Vec::len))
            .sum();
        ensure!(hops == count, "{hops} next hops to {prefix} instead of {count}: {routes:?}");
    }
    Ok(())
}

fn a_passive_node_lets_its_router_connect(world: &World) -> Result<()> {
    let site = Plan::new(world, 1)?.each(|bgp| bgp.each(|peer| peer.with("passive: true"))).up()?;
    ensure_port_of_node(&site, "179")
}

fn another_listening_port(world: &World) -> Result<()> {
    let plan = Plan::new(world, 1)?;
    let passive = |bgp: Bgp| bgp.with("listenPort: 1179").each(|peer| peer.with("passive: true"));
    let site = plan.each(passive).each_neighbor(|neighbor| neighbor.with("port 1179")).up()?;
    ensure_port_of_node(&site, "1179")
}

/// Whoever was connected to has the well-known port.
fn ensure_port_of_node(site: &Running, port: &str) -> Result<()> {
    let filter = format!("sport = :{port}");
    let sessions = site.nodes[0].node.netns.exec(&["ss", "-Htn", "state", "established", &filter])?;
    ensure!(sessions.lines().count() == 2, "{sessions}");
    Ok(())
}
