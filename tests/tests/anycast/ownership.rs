//! Who may claim an address: hijacking is refused, nothing of it is advertised, and the error says why.

use std::net::IpAddr;

use anyhow::{Result, ensure};
use flock_tests::{Connection, PATIENCE, Pod, Running, World, eventually, trials};
use libtest_mimic::Trial;

use crate::site::{self, POOL, Replica, both, eventually_hops, resolver};

pub(crate) fn trials() -> Vec<Trial> {
    trials![
        a_namespace_without_a_pool_gets_nothing,
        claims_any_asks_no_pool_but_keeps_what_is_somebody_elses,
        a_family_that_the_pod_does_not_have_is_refused,
        the_pool_that_an_error_shows_lets_the_pod_in,
        a_pool_that_goes_takes_its_addresses_along,
        a_namespaces_labels_decide,
        birds_own_filter_is_a_second_wall,
        as_many_nodes_advertise_as_a_pool_lets,
        a_claim_survives_a_damaged_record,
    ]
}

/// The addresses of a pod of another namespace's, a node's, the other node's, the router's (which could be the API
/// server's), and one of another namespace's pool.
fn a_namespace_without_a_pool_gets_nothing(world: &World) -> Result<()> {
    let site = site::start(world, 2, |plan| plan)?;
    let node = &site.nodes[0].node;
    let victim = node.run(&Pod::new("victim"))?;
    let far = site.nodes[1].node.run(&Pod::new("far"))?;
    let cases = [
        (victim.v6()?.to_string(), "is in 2001:db8:a:1::/64, which pods get addresses of by themselves"),
        (far.v6()?.to_string(), "is in 2001:db8:a:2::/64"),
        (node.next_hop("::/0"), "belongs to a node or a router"),
        (node.port().router("0.0.0.0/0"), "belongs to a node or a router"),
        (site.nodes[1].node.next_hop("::/0"), "is in no AddressPool for Anycast"),
        ("10.96.0.1".to_owned(), "is in no AddressPool for Anycast"),
        (
            site::V6.to_owned(),
            "is in AddressPool dns, whose namespaceSelector does not admit namespace default",
        ),
        ("127.0.0.1".to_owned(), "is a loopback address: no pod can have it"),
    ];
    for (index, (address, words)) in cases.iter().enumerate() {
        let thief = Pod::new(&format!("thief-{index}")).annotated("anycast", address).ready(true);
        let sandbox = node.schedule(&thief)?;
        let outcome = node.add_scheduled(&sandbox)?;
        let error = outcome.error()?;
        ensure!(
            error.text.contains(words) && error.text.contains(address.as_str()),
            "{address}: {}",
            error.text
        );
        ensure_not_told(&site, address)?;
        let links = sandbox.netns.ip(&["-o", "link"])?;
        ensure!(!links.contains("eth0"), "{links}");
    }
    ensure!(node.records()?.len() == 1, "{:?}", node.records()?);
    Ok(())
}

fn ensure_not_told(site: &Running, address: &str) -> Result<()> {
    let address: IpAddr = address.parse()?;
    site.frr.ensure_lacks(&site::host(address))?;
    let conf = site.nodes[0].bird_conf()?;
    ensure!(!conf.contains(&format!("route {}", site::host(address))), "{conf}");
    Ok(())
}

fn claims_any_asks_no_pool_but_keeps_what_is_somebody_elses(world: &World) -> Result<()> {
    let mut site = site::start(world, 1, |plan| plan)?;
    let speaker = &mut site.nodes[0];
    speaker.config = speaker.config.clone().with("claims: Any");
    let bgp = speaker.bgp.clone();
    speaker.change(bgp)?;
    let node = &site.nodes[0].node;
    let victim = node.run(&Pod::new("victim"))?;
    let free = Pod::new("free").annotated("anycast", "2001:db8:77::1").ready(true);
    eventually(PATIENCE, || {
        let sandbox = node.schedule(&free)?;
        let outcome = node.add_scheduled(&sandbox)?;
        ensure!(outcome.code == Some(0), "{}", outcome.stdout);
        node.del(&sandbox)?;
        Ok(())
    })?;
    let _free = node.run(&free)?;
    eventually(PATIENCE, || site.frr.ensure_has("2001:db8:77::1/128"))?;
    for address in [victim.v6()?.to_string(), node.next_hop("0.0.0.0/0")] {
        let sandbox = node.schedule(&Pod::new("thief").annotated("anycast", &address).ready(true))?;
        ensure!(node.add_scheduled(&sandbox)?.error().is_ok());
        ensure_not_told(&site, &address)?;
    }
    Ok(())
}

fn a_family_that_the_pod_does_not_have_is_refused(world: &World) -> Result<()> {
    let site = site::start(world, 1, |plan| plan)?;
    let node = &site.nodes[0].node;
    let sandbox = node.schedule(&resolver("v6-only").annotated("ipv4", "false"))?;
    let error = node.add_scheduled(&sandbox)?.error()?;
    let words = format!("annotation flock.fritzlab.net/anycast names {}, but the pod gets no IPv4", site::V4);
    ensure!(error.text.contains(&words), "{}", error.text);
    let v6 = resolver("v6-too").annotated("ipv4", "false").annotated("anycast", site::V6);
    let _pod = node.run(&v6)?;
    eventually(PATIENCE, || site.frr.ensure_has(&site::host(both()[0])))?;
    site.frr.ensure_lacks(&site::host(both()[1]))
}

fn the_pool_that_an_error_shows_lets_the_pod_in(world: &World) -> Result<()> {
    let site = site::start(world, 1, |plan| plan)?;
    let node = &site.nodes[0].node;
    let pod = Pod::new("game-0").annotated("anycast", "203.0.113.250").ready(true);
    let sandbox = node.schedule(&pod)?;
    let error = node.add_scheduled(&sandbox)?.error()?;
    let (_, shown) = error.text.split_once("write: ").ok_or_else(|| anyhow::anyhow!("{}", error.text))?;
    let (shown, _) = shown.rsplit_once('}').ok_or_else(|| anyhow::anyhow!("{shown}"))?;
    node.write("shown.yaml", &format!("{shown}}}\n"))?;
    eventually(PATIENCE, || {
        let outcome = node.add(&sandbox)?;
        ensure!(outcome.code == Some(0), "{}", outcome.stdout);
        Ok(())
    })?;
    eventually(PATIENCE, || site.frr.ensure_has("203.0.113.250/32"))
}

fn a_pool_that_goes_takes_its_addresses_along(world: &World) -> Result<()> {
    let site = site::start(world, 1, |plan| plan)?;
    let node = &site.nodes[0].node;
    let _pod = Replica::start(node, "a-0")?;
    eventually_hops(&site, 1)?;
    std::fs::remove_file(node.manifests().join("pool.yaml"))?;
    eventually_hops(&site, 0)?;
    let shown = node.ctl(&["anycast"])?.stdout;
    ensure!(shown.contains("Refused") && shown.contains("is in no AddressPool for Anycast"), "{shown}");
    node.write("pool.yaml", POOL)?;
    eventually_hops(&site, 1)
}

fn a_namespaces_labels_decide(world: &World) -> Result<()> {
    let site = site::start(world, 1, |plan| plan)?;
    let node = &site.nodes[0].node;
    node.write("pool.yaml", &POOL.replace("kubernetes.io/metadata.name: dns", "anycast: allowed"))?;
    let pod = resolver("a-0");
    let sandbox = node.schedule(&pod)?;
    eventually(PATIENCE, || {
        let error = node.add_scheduled(&sandbox)?.error()?;
        ensure!(error.text.contains("does not admit namespace dns: label the namespace"), "{}", error.text);
        Ok(())
    })?;
    node.write(
        "namespace.yaml",
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: dns, labels: {anycast: allowed}}\n",
    )?;
    eventually(PATIENCE, || {
        let outcome = node.add(&sandbox)?;
        ensure!(outcome.code == Some(0), "{}", outcome.stdout);
        Ok(())
    })?;
    eventually_hops(&site, 1)
}

/// Whatever comes to stand among BIRD's own routes, only what a pool has gets out.
fn birds_own_filter_is_a_second_wall(world: &World) -> Result<()> {
    let site = site::start(world, 1, |plan| plan)?;
    let _pod = Replica::start(&site.nodes[0].node, "a-0")?;
    eventually_hops(&site, 1)?;
    let conf = site.nodes[0].bird_conf()?;
    let own = format!("route {} blackhole", site::host(both()[0]));
    ensure!(conf.contains(&own), "{conf}");
    let hostile = conf.replacen(&own, "route 2001:db8:bad::1/128 blackhole", 1);
    let file = site.nodes[0].file("hostile.conf");
    std::fs::write(&file, hostile)?;
    site.nodes[0].birdc(&format!("configure \"{}\" timeout 20", file.display()))?;
    eventually(PATIENCE, || site.frr.ensure_lacks(&site::host(both()[0])))?;
    ensure!(site.nodes[0].birdc("show route 2001:db8:bad::1/128")?.contains("2001:db8:bad::1/128"));
    site.frr.ensure_lacks("2001:db8:bad::1/128")
}

fn as_many_nodes_advertise_as_a_pool_lets(world: &World) -> Result<()> {
    let site = site::start(world, 2, |plan| plan)?;
    let [a, b] = [&site.nodes[0].node, &site.nodes[1].node];
    for node in [a, b] {
        node.write("pool.yaml", &POOL.replace("  use: Anycast", "  maxAdvertisers: 1\n  use: Anycast"))?;
        // Each node reads the whole cluster's pods.
        for other in [a, b].iter().filter(|other| other.name() != node.name()) {
            let name = if other.name() == "node-a" { "a-0" } else { "b-0" };
            node.write(&format!("pod-dns-{name}.yaml"), &resolver(name).node(other.name()).yaml())?;
        }
    }
    let mut pods =
        [Replica::of(a, resolver("a-0").node("node-a"))?, Replica::of(b, resolver("b-0").node("node-b"))?];
    eventually_hops(&site, 1)?;
    let shown = a.ctl(&["anycast"])?.stdout + &b.ctl(&["anycast"])?.stdout;
    ensure!(shown.contains("other nodes advertise it (maxAdvertisers of its AddressPool)"), "{shown}");
    // Whoever it is that advertises an address: without him, the other one does.
    for index in [0, 1] {
        let (gone, node) = (&mut pods[index], [a, b][index]);
        gone.ready(node, false)?;
        let text = gone.pod.yaml();
        [a, b][1 - index].write(&format!("pod-dns-{}.yaml", gone.pod.name), &text)?;
        eventually_hops(&site, 1)?;
        let other = ["b-0", "a-0"][index];
        site::eventually_answers(&site, &[other])?;
        gone.ready(node, true)?;
        let text = gone.pod.yaml();
        [a, b][1 - index].write(&format!("pod-dns-{}.yaml", gone.pod.name), &text)?;
        eventually_hops(&site, 1)?;
    }
    Ok(())
}

/// The kernel knows of anycast addresses in the pod alone; the annotation does, too.
fn a_claim_survives_a_damaged_record(world: &World) -> Result<()> {
    let mut site = site::start(world, 1, |plan| plan)?;
    let pod = Replica::start(&site.nodes[0].node, "a-0")?;
    eventually_hops(&site, 1)?;
    site.nodes[0].take_agent()?.kill()?;
    std::fs::write(site.nodes[0].node.record(&pod.attached.sandbox)?, "{")?;
    site.nodes[0].start_agent()?;
    std::thread::sleep(std::time::Duration::from_secs(1));
    eventually_hops(&site, 1)?;
    Connection::open(&site.fabric.client, both()[0], 20).map(drop)
}
