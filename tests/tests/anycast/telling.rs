//! What people are told: flockctl, the audit, metrics.

use anyhow::{Context, Result, ensure};
use flock_tests::{PATIENCE, World, eventually, trials};
use libtest_mimic::Trial;

use crate::site::{self, Replica, both, eventually_hops, log};

pub(crate) fn trials() -> Vec<Trial> {
    trials![
        flockctl_shows_address_pods_next_hops_and_peers,
        every_announcement_and_withdrawal_is_one_audit_line,
        an_address_that_flaps_is_held_down,
        without_bgp_pods_of_the_node_reach_it,
    ]
}

fn flockctl_shows_address_pods_next_hops_and_peers(world: &World) -> Result<()> {
    let site = site::start(world, 1, |plan| plan)?;
    let node = &site.nodes[0].node;
    let pods = [Replica::start(node, "a-0")?, Replica::of(node, site::resolver("a-1").ready(false))?];
    eventually_hops(&site, 1)?;
    let via = pods[0].attached.v6()?.to_string();
    eventually(PATIENCE, || {
        let shown = node.ctl(&["anycast", "-o", "json"])?.result()?;
        let v6 = shown.as_array().into_iter().flatten().find(|it| it["address"] == site::V6);
        let v6 = v6.with_context(|| shown.to_string())?;
        ensure!(v6["advertised"] == true && v6["since"].is_string(), "{v6}");
        ensure!(v6["peers"] == serde_json::json!([node.port().router("::/0")]), "{v6}");
        ensure!(v6["pods"][0]["pod"] == "dns/a-0" && v6["pods"][0]["state"] == "Serving", "{v6}");
        ensure!(v6["pods"][0]["via"] == via.as_str(), "{v6}");
        ensure!(v6["pods"][0]["link"] == pods[0].attached.sandbox.host_link(), "{v6}");
        ensure!(v6["pods"][1]["state"] == "NotReady" && v6["pods"][1]["via"].is_null(), "{v6}");
        Ok(())
    })?;
    let table = node.ctl(&["anycast"])?.stdout;
    for word in ["ADVERTISED TO", site::V6, site::V4, "dns/a-0", "NotReady", via.as_str()] {
        ensure!(table.contains(word), "{word} is missing: {table}");
    }
    Ok(())
}

fn every_announcement_and_withdrawal_is_one_audit_line(world: &World) -> Result<()> {
    let site = site::start(world, 1, |plan| plan)?;
    let node = &site.nodes[0].node;
    let mut pod = Replica::start(node, "a-0")?;
    eventually_hops(&site, 1)?;
    pod.ready(node, false)?;
    eventually_hops(&site, 0)?;
    eventually(PATIENCE, || {
        let log = log(node)?;
        for address in both() {
            let of_address = |word: &str| {
                let lines = log.lines().filter(|line| line.contains("audit") && line.contains(word));
                lines.filter(|line| line.contains(&address.to_string())).collect::<Vec<_>>()
            };
            let (announced, withdrawn) = (of_address("announced"), of_address("withdrawn"));
            ensure!(announced.len() == 1 && withdrawn.len() == 1, "{announced:?} {withdrawn:?}\n{log}");
            ensure!(withdrawn[0].contains("pod dns/a-0 is not ready"), "{}", withdrawn[0]);
            ensure!(announced[0].contains("latency"), "{}", announced[0]);
        }
        Ok(())
    })
}

fn an_address_that_flaps_is_held_down(world: &World) -> Result<()> {
    let mut site = site::start(world, 1, |plan| plan)?;
    let speaker = &mut site.nodes[0];
    speaker.config = speaker.config.clone().with("anycast: {holdDown: 1h}");
    let bgp = speaker.bgp.clone();
    speaker.change(bgp)?;
    let node = &site.nodes[0].node;
    let mut pod = Replica::start(node, "a-0")?;
    eventually_hops(&site, 1)?;
    for _ in 0..2 {
        eventually_hops(&site, 1)?;
        pod.ready(node, false)?;
        eventually_hops(&site, 0)?;
        pod.ready(node, true)?;
    }
    eventually(PATIENCE, || {
        let shown = node.ctl(&["anycast"])?.stdout;
        ensure!(shown.contains("held down: it has come and gone (spec.anycast.holdDown)"), "{shown}");
        Ok(())
    })?;
    eventually_hops(&site, 0)
}

fn without_bgp_pods_of_the_node_reach_it(world: &World) -> Result<()> {
    let site = world.site()?;
    let node = &site.node;
    node.write("pool.yaml", site::POOL)?;
    let pod = Replica::start(node, "a-0")?;
    let near = node.run(&flock_tests::Pod::new("near"))?;
    eventually(PATIENCE, || {
        for address in both() {
            flock_tests::Connection::open(&near.sandbox.netns, address, 5)?;
        }
        Ok(())
    })?;
    ensure!(pod.service.accepted() >= 10);
    let shown = node.ctl(&["anycast"])?.stdout;
    ensure!(shown.contains("Serving"), "{shown}");
    Ok(())
}
