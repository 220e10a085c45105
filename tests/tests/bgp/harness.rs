//! The harness itself, without any agent: FRR and BIRD speak with each other, flows are counted, all of it goes.

use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use flock_tests::bird::{self, BirdProcess, RouterPeer};
use flock_tests::netns::processes;
use flock_tests::{
    Fabric, Flow, Frr, FrrConfig, Neighbor, Netns, Node, PATIENCE, SESSION_PATIENCE, World, eventually,
    fabric, leaks, trials,
};
use libtest_mimic::Trial;

pub(crate) fn trials() -> Vec<Trial> {
    trials![
        frr_takes_a_configuration_and_answers_in_json,
        frr_says_which_line_it_does_not_know,
        frr_and_bird_exchange_routes,
        two_birds_exchange_routes,
        routers_go_with_their_namespaces,
        routers_that_nobody_ended_are_leaks,
        a_flow_without_loss_counts_none,
        a_flow_tells_which_packets_were_lost,
        a_killed_bird_loses_no_packet_of_a_flow,
    ]
}

/// A node's BIRD as a person would set it up: a prefix of each family, and an address out of each to talk to.
fn hand_made(fabric: &Fabric, node: &Node) -> Result<BirdProcess> {
    let (port, config) = (node.port(), node.config());
    for address in [first_host(&config.cidr6[0]), first_host(&config.cidr4[0])] {
        node.netns.address("lo", &address)?;
    }
    let statics = format!(
        "protocol static {{ ipv6; route {} blackhole; }}\nprotocol static {{ ipv4; route {} blackhole; }}\n",
        config.cidr6[0], config.cidr4[0]
    );
    let peers = ["::/0", "0.0.0.0/0"].map(|any| RouterPeer {
        address: port.router(any),
        local: port.node(any),
        asn: fabric::ROUTER_ASN,
    });
    let text = bird::router_config(65000 + u32::from(port.number), &peers)
        // The originated prefixes are not for the kernel.
        .replace("export where net != ::/0", "export where source = RTS_BGP")
        .replace("export where net != 0.0.0.0/0", "export where source = RTS_BGP");
    let text = text.replace("router id 192.0.2.254", &format!("router id {}", port.node("0.0.0.0/0")));
    BirdProcess::router(
        &node.netns,
        &fabric.world().dir().join(format!("bird-{}", port.number)),
        &(text + &statics),
    )
}

/// `2001:db8::/64` becomes `2001:db8::1/128`, `203.0.113.64/26` becomes `203.0.113.65/32`.
fn first_host(prefix: &str) -> String {
    let (address, _) = prefix.split_once('/').unwrap_or((prefix, ""));
    match address.rsplit_once('.') {
        Some((net, last)) => format!("{net}.{}/32", last.parse::<u8>().unwrap_or_default() + 1),
        None => format!("{address}1/128"),
    }
}

fn pair<'w>(fabric: &Fabric<'w>) -> Result<[Node<'w>; 2]> {
    Ok([fabric.router.bare_node("node-a")?, fabric.router.bare_node("node-b")?])
}

fn facing(nodes: &[&Node]) -> FrrConfig {
    let all = nodes.iter().flat_map(|node| fabric::neighbors(node));
    all.fold(FrrConfig::new(fabric::ROUTER_ASN), FrrConfig::neighbor)
}

fn frr_takes_a_configuration_and_answers_in_json(world: &World) -> Result<()> {
    let fabric = Fabric::new(world)?;
    let neighbor = Neighbor::new("2001:db8:ffff:1::2", 65001).with("password secret").with("bfd 3 50 50");
    let frr = fabric.frr(&FrrConfig::new(65000).neighbor(neighbor).network("2001:db8:c::/64"))?;
    ensure!(frr.state("2001:db8:ffff:1::2")? != "Established");
    ensure!(frr.prefixes("ipv6")? == ["2001:db8:c::/64"]);
    ensure!(frr.state("2001:db8::9").is_err());
    frr.configure(&["router bgp 65000", "address-family ipv4 unicast", "network 192.0.2.0/30"])?;
    frr.ensure_has("192.0.2.0/30")?;
    frr.ensure_lacks("192.0.2.4/30")?;
    ensure!(frr.configure(&["router bgp 65000", "no such line"]).is_err());
    Ok(())
}

fn frr_says_which_line_it_does_not_know(world: &World) -> Result<()> {
    let fabric = Fabric::new(world)?;
    let outcome = fabric.frr(&FrrConfig::new(65000).with("neighbour 2001:db8::1 remote-as 65001"));
    let message = outcome.err().map(|error| format!("{error:#}")).unwrap_or_default();
    ensure!(message.contains("neighbour 2001:db8::1"), "{message}");
    Ok(())
}

fn frr_and_bird_exchange_routes(world: &World) -> Result<()> {
    let fabric = Fabric::new(world)?;
    let [a, b] = pair(&fabric)?;
    let _birds = [hand_made(&fabric, &a)?, hand_made(&fabric, &b)?];
    let frr = fabric.frr(&facing(&[&a, &b]))?;
    exchanged(&fabric, [&a, &b])?;
    for prefix in fabric::prefixes(&a) {
        let path = frr.path_from(&a.next_hop(&prefix), &prefix)?;
        ensure!(path["aspath"]["string"] == "65001", "{path}");
    }
    frr.ensure_established(&[a.next_hop("::/0"), b.next_hop("0.0.0.0/0")])
}

fn two_birds_exchange_routes(world: &World) -> Result<()> {
    let fabric = Fabric::new(world)?;
    let [a, b] = pair(&fabric)?;
    let _birds = [hand_made(&fabric, &a)?, hand_made(&fabric, &b)?];
    let peers: Vec<RouterPeer> = fabric::router_peers(&[&a, &b]);
    let config = bird::router_config(fabric::ROUTER_ASN, &peers);
    let _router = BirdProcess::router(&fabric.router.netns, &world.dir().join("tor"), &config)?;
    exchanged(&fabric, [&a, &b])
}

/// Waits until the nodes know each other's prefixes, then sends packets from one's to the other's, and from the
/// client.
fn exchanged(fabric: &Fabric, [a, b]: [&Node; 2]) -> Result<()> {
    eventually(SESSION_PATIENCE, || {
        let (at_a, at_b) = (a.netns.learned()?, b.netns.learned()?);
        ensure!(fabric::prefixes(b).iter().all(|prefix| at_a.contains(prefix)), "node-a has {at_a:?}");
        ensure!(fabric::prefixes(a).iter().all(|prefix| at_b.contains(prefix)), "node-b has {at_b:?}");
        Ok(())
    })?;
    for prefix in fabric::prefixes(b) {
        let host = first_host(&prefix);
        let (address, _) = host.split_once('/').unwrap_or((&host, ""));
        let address: std::net::IpAddr = address.parse()?;
        ensure!(a.netns.route_to(address)?["protocol"] == "bird", "{}", a.netns.route_to(address)?);
        a.netns.ping(address)?;
        fabric.client.ping(address)?;
    }
    Ok(())
}

fn routers_go_with_their_namespaces(world: &World) -> Result<()> {
    let inner = World::new()?;
    let fabric = Fabric::new(&inner)?;
    let [a, b] = pair(&fabric)?;
    let frr = fabric.frr(&facing(&[&a, &b]))?;
    let bird = hand_made(&fabric, &a)?;
    let names = [fabric.router.netns.name(), a.netns.name()].map(str::to_owned);
    ensure!(processes(&names[0]).len() == 3 && processes(&names[1]).len() == 1);
    drop((frr, bird));
    ensure!(names.iter().all(|name| processes(name).is_empty()));
    drop((a, b, fabric));
    inner.close()?;
    ensure!(leaks::find(world.prefix()).iter().all(|leak| leak.is(world.dir())));
    Ok(())
}

fn routers_that_nobody_ended_are_leaks(_world: &World) -> Result<()> {
    let inner = World::new()?;
    let netns: std::mem::ManuallyDrop<Netns> = std::mem::ManuallyDrop::new(inner.machine("router")?);
    let frr =
        std::mem::ManuallyDrop::new(Frr::start(&netns, &inner.dir().join("frr"), &FrrConfig::new(65000))?);
    let config = bird::router_config(65000, &[]);
    let bird = std::mem::ManuallyDrop::new(BirdProcess::router(&netns, &inner.dir().join("tor"), &config)?);
    let found = format!("{:?}", leaks::find(inner.prefix()));
    for program in ["zebra", "bgpd", "bfdd", "bird -f"] {
        ensure!(found.contains(program), "{program} should be a leak: {found}");
    }
    let prefix = inner.prefix().to_owned();
    ensure!(inner.close().is_err());
    // They are children of this process, which has to take note of their end.
    drop((std::mem::ManuallyDrop::into_inner(frr), std::mem::ManuallyDrop::into_inner(bird)));
    ensure!(leaks::find(&prefix).is_empty(), "{:?}", leaks::find(&prefix));
    Ok(())
}

/// A client and a server with a link between them.
fn wire(world: &World) -> Result<[Netns; 2]> {
    let (client, server) = (world.machine("client")?, world.machine("server")?);
    client.veth("east", &server, "west")?;
    client.address("east", "2001:db8::1/64")?;
    server.address("west", "2001:db8::2/64")?;
    // On a busy machine a link that was just made is not up yet.
    eventually(PATIENCE, || client.ping([0x2001, 0xdb8, 0, 0, 0, 0, 0, 2]))?;
    Ok([client, server])
}

fn a_flow_without_loss_counts_none(world: &World) -> Result<()> {
    let [client, server] = wire(world)?;
    let flow = Flow::start(&client, &server, [0x2001, 0xdb8, 0, 0, 0, 0, 0, 2])?;
    flow.pass(500);
    flow.stop()?.ensure_lossless()
}

fn a_flow_tells_which_packets_were_lost(world: &World) -> Result<()> {
    let [client, server] = wire(world)?;
    let flow = Flow::start(&client, &server, [0x2001, 0xdb8, 0, 0, 0, 0, 0, 2])?;
    flow.pass(200);
    server.ip(&["route", "add", "blackhole", "2001:db8::1/128", "metric", "1"])?;
    flow.pass(100);
    server.ip(&["route", "del", "blackhole", "2001:db8::1/128", "metric", "1"])?;
    flow.pass(200);
    let report = flow.stop()?;
    ensure!(report.lost.len() >= 50 && report.lost.len() <= 400, "{report}");
    ensure!(report.lost.iter().all(|number| (200..report.sent - 100).contains(number)), "{report}");
    Ok(())
}

fn a_killed_bird_loses_no_packet_of_a_flow(world: &World) -> Result<()> {
    let fabric = Fabric::new(world)?;
    let [a, b] = pair(&fabric)?;
    let (bird, _other) = (hand_made(&fabric, &a)?, hand_made(&fabric, &b)?);
    let frr = fabric.frr(&facing(&[&a, &b]))?;
    exchanged(&fabric, [&a, &b])?;
    let flows = [
        Flow::start(&fabric.client, &a.netns, "2001:db8:a:1::1".parse::<std::net::IpAddr>()?)?,
        Flow::start(&fabric.client, &a.netns, "203.0.113.1".parse::<std::net::IpAddr>()?)?,
    ];
    flows[0].pass(200);
    let files = bird.files().clone();
    bird.kill()?;
    thread::sleep(Duration::from_millis(500));
    let _bird = BirdProcess::start(&a.netns, &files)?;
    eventually(SESSION_PATIENCE, || frr.ensure_established(&[a.next_hop("::/0"), a.next_hop("0.0.0.0/0")]))?;
    // What was kept for the restart must be there when the restart is over.
    thread::sleep(PATIENCE / 5);
    for flow in flows {
        flow.stop()?.ensure_lossless()?;
    }
    Ok(())
}
