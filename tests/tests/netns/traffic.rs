//! What packets see: both families, on one node and across, and nothing to wait for.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Result, anyhow, ensure};
use flock_tests::{Attached, Pod, Router, World, trials};
use libtest_mimic::Trial;

pub(crate) fn trials() -> Vec<Trial> {
    trials![
        pods_reach_each_other_on_one_node_and_across,
        the_first_packet_waits_for_nothing,
        the_first_packet_is_not_lost_on_a_busy_machine,
        a_pod_has_its_routes_neighbours_and_mtu,
        traffic_to_unused_addresses_does_not_loop,
        node_sysctls_are_set,
    ]
}

fn pods_reach_each_other_on_one_node_and_across(world: &World) -> Result<()> {
    let router = Router::new(world)?;
    let (a, b) = (router.node("node-a")?, router.node("node-b")?);
    a.configure(&a.config())?;
    b.configure(&b.config())?;
    let (_agent_a, _agent_b) = (a.start_agent()?, b.start_agent()?);
    let (first, second) = (a.run(&Pod::new("web-0"))?, a.run(&Pod::new("web-1"))?);
    let far = b.run(&Pod::new("web-2"))?;
    for (from, to) in [(&first, &second), (&first, &far), (&far, &second)] {
        to.answers(&from.sandbox.netns)?;
    }
    // Full-sized packets, not fragmented.
    let far6 = far.v6()?.to_string();
    first.sandbox.netns.exec(&["ping", "-n", "-c", "1", "-W", "2", "-M", "do", "-s", "1452", &far6]).map(drop)
}

fn the_first_packet_waits_for_nothing(world: &World) -> Result<()> {
    let site = world.site()?;
    let pod = site.node.run(&Pod::new("web-0"))?;
    let rows = pod.sandbox.netns.ip_json(&["address", "show", "dev", "eth0"])?;
    ensure!(!format!("{rows:?}").contains("tentative"), "{rows:?}");
    // One packet, one second: ND or ARP would have to be answered by then, and are not even asked.
    pod.answers(&site.node.netns)?;
    let learned = pod.sandbox.netns.ip_json(&["neighbour", "show", "dev", "eth0"])?;
    let permanent = |row: &serde_json::Value| row["state"].to_string().contains("PERMANENT");
    ensure!(learned.iter().all(permanent), "{learned:?}");
    Ok(())
}

/// The kernel does part of its work later, under a lock that everybody wants: IPv6's local route (`addrconf_dad_work`,
/// for NODAD addresses too) and the queue of an end that came up before its peer (linkwatch). ADD must not return
/// before that is done, and only a machine where the lock is held shows whether it does.
fn the_first_packet_is_not_lost_on_a_busy_machine(world: &World) -> Result<()> {
    let site = world.site()?;
    let warm = site.node.run(&Pod::new("web-0"))?;
    site.node.del(&warm.sandbox)?.success()?;
    let busy = AtomicBool::new(true);
    thread::scope(|scope| {
        let noise: Vec<_> = (0..4)
            .map(|number| {
                let busy = &busy;
                scope.spawn(move || make_noise(world, number, busy))
            })
            .collect();
        let outcome = (0..60).try_for_each(|_| {
            let sandbox = site.node.sandbox("web-0")?;
            let pod = Attached { result: site.node.add(&sandbox)?.result()?, sandbox };
            pod.answers(&site.node.netns)?;
            site.node.del(&pod.sandbox)?.success()
        });
        busy.store(false, Ordering::Relaxed);
        noise.into_iter().try_for_each(|noise| noise.join().map_err(|_| anyhow!("a thread panicked"))?)?;
        outcome
    })
}

/// Makes and removes links.
fn make_noise(world: &World, number: u32, busy: &AtomicBool) -> Result<()> {
    while busy.load(Ordering::Relaxed) {
        let netns = world.netns(&format!("noise{number}"))?;
        netns.ip(&["link", "add", "v0", "up", "type", "veth", "peer", "name", "v1"])?;
        netns.ip(&["link", "set", "v1", "up"])?;
    }
    Ok(())
}

fn a_pod_has_its_routes_neighbours_and_mtu(world: &World) -> Result<()> {
    let site = world.site()?;
    let pod = site.node.run(&Pod::new("web-0"))?;
    let (netns, host) = (&pod.sandbox.netns, pod.host_link()?);
    ensure!(host == pod.sandbox.host_link(), "{host}");
    let routes = netns.routes("eth0")?;
    ensure!(routes == ["default", "default", "169.254.1.1"], "{routes:?}");
    let mut neighbours = netns.neighbours("eth0")?;
    neighbours.sort();
    ensure!(neighbours == ["169.254.1.1", "fe80::1"], "{neighbours:?}");
    let (v6, v4) = (pod.v6()?.to_string(), pod.v4()?.to_string());
    ensure!(
        site.node.netns.routes(&host)? == [v6.clone(), v4.clone()],
        "{:?}",
        site.node.netns.routes(&host)?
    );
    let mut behind = site.node.netns.neighbours(&host)?;
    behind.sort();
    ensure!(behind == [v6, v4], "{behind:?}");
    ensure!(site.node.netns.addresses(&host)? == ["fe80::1/64"]);
    ensure!(netns.mtu("eth0")? == 1500 && site.node.netns.mtu(&host)? == 1500);
    ensure!(netns.read_sysctl("ipv6/conf/eth0/accept_ra")? == "0");
    ensure!(site.node.netns.read_sysctl(&format!("ipv4/conf/{host}/rp_filter"))? == "2");
    let link = site.node.netns.link(&host)?;
    ensure!(link["altnames"].to_string().contains("default_web-0"), "{link}");
    ensure!(link["ifalias"].to_string().contains(&pod.sandbox.container), "{link}");
    Ok(())
}

fn traffic_to_unused_addresses_does_not_loop(world: &World) -> Result<()> {
    let site = world.site()?;
    let mut blackholes = site.node.netns.blackholes()?;
    blackholes.sort();
    ensure!(blackholes == ["2001:db8:a:1::/64", "203.0.113.0/26"], "{blackholes:?}");
    for unused in ["2001:db8:a:1::dead", "203.0.113.61"] {
        ensure!(site.router.netns.ping(unused.parse::<IpAddr>()?).is_err());
    }
    Ok(())
}

fn node_sysctls_are_set(world: &World) -> Result<()> {
    let site = world.site()?;
    for key in [
        "ipv6/conf/all/forwarding",
        "ipv4/ip_forward",
        "ipv6/fib_multipath_hash_policy",
        "ipv4/fib_multipath_hash_policy",
    ] {
        ensure!(site.node.netns.read_sysctl(key)? == "1", "{key}");
    }
    Ok(())
}
