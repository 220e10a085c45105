//! Annotation `addresses`: a pod's own addresses, on its interface, in the place of IPAM's.

use std::net::IpAddr;

use anyhow::{Result, ensure};
use flock_tests::{PATIENCE, Pod, World, eventually, trials};
use libtest_mimic::Trial;

use crate::site;

pub(crate) fn trials() -> Vec<Trial> {
    trials![
        a_pod_has_the_address_that_it_names,
        further_addresses_come_beside_the_first,
        an_address_of_the_nodes_own_prefix_is_not_given_twice,
        an_address_that_another_pod_has_is_refused,
        a_static_pool_gives_no_anycast_addresses,
        check_and_repair_know_them,
    ]
}

const POOL: &str = "\
apiVersion: flock.fritzlab.net/v1alpha1
kind: AddressPool
metadata: {name: plex}
spec:
  cidrs: [\"2001:db8:80::/64\", \"192.0.2.192/28\", \"2001:db8:a:1::80/124\"]
  use: Static
  namespaceSelector: {}
";

fn plex(addresses: &str) -> Pod {
    Pod::new("plex-0").annotated("addresses", addresses)
}

fn start(world: &World) -> Result<flock_tests::Running<'_>> {
    let site = site::start(world, 1, |plan| plan)?;
    site.nodes[0].node.write("static.yaml", POOL)?;
    Ok(site)
}

fn a_pod_has_the_address_that_it_names(world: &World) -> Result<()> {
    let site = start(world)?;
    let node = &site.nodes[0].node;
    let pod = node.run(&plex("192.0.2.200, 2001:db8:80::1"))?;
    let named: [IpAddr; 2] = ["2001:db8:80::1".parse()?, "192.0.2.200".parse()?];
    ensure!(pod.addresses() == named, "{}", pod.result);
    eventually(PATIENCE, || {
        site.frr.ensure_has("2001:db8:80::1/128")?;
        site.frr.ensure_has("192.0.2.200/32")
    })?;
    for address in named {
        eventually(PATIENCE, || site.fabric.client.ping(address))?;
    }
    // No readiness is asked for: it is the pod's own address, as IPAM's would be.
    ensure!(node.del(&pod.sandbox)?.code == Some(0));
    eventually(PATIENCE, || {
        site.frr.ensure_lacks("2001:db8:80::1/128")?;
        site.frr.ensure_lacks("192.0.2.200/32")
    })
}

fn further_addresses_come_beside_the_first(world: &World) -> Result<()> {
    let site = start(world)?;
    let node = &site.nodes[0].node;
    let pod = node.run(&plex("2001:db8:80::1, 2001:db8:80::2"))?;
    let addresses = pod.addresses();
    ensure!(addresses.len() == 2 && addresses[0] == "2001:db8:80::1".parse::<IpAddr>()?, "{addresses:?}");
    ensure!(addresses[1].is_ipv4() && addresses[1].to_string().starts_with("203.0.113."), "{addresses:?}");
    let shown = pod.sandbox.netns.ip(&["-6", "address", "show", "dev", "eth0", "scope", "global"])?;
    ensure!(shown.contains("2001:db8:80::1/128") && shown.contains("2001:db8:80::2/128"), "{shown}");
    eventually(PATIENCE, || site.fabric.client.ping("2001:db8:80::2".parse::<IpAddr>()?))?;
    let listed = node.ctl(&["pods"])?.stdout;
    ensure!(listed.contains("2001:db8:80::2"), "{listed}");
    Ok(())
}

fn an_address_of_the_nodes_own_prefix_is_not_given_twice(world: &World) -> Result<()> {
    let site = start(world)?;
    let node = &site.nodes[0].node;
    let pod = node.run(&plex("2001:db8:a:1::80"))?;
    ensure!(pod.v6()?.to_string() == "2001:db8:a:1::80");
    site.fabric.client.ping(pod.v6()?)?;
    // It is in the node's own prefix: there is nothing to add to that.
    site.frr.ensure_lacks("2001:db8:a:1::80/128")?;
    let sandbox = node.schedule(&Pod { name: "plex-1".to_owned(), ..plex("2001:db8:a:1::80") })?;
    let error = node.add_scheduled(&sandbox)?.error()?;
    ensure!(error.text.contains("default/plex-0"), "{}", error.text);
    Ok(())
}

fn an_address_that_another_pod_has_is_refused(world: &World) -> Result<()> {
    let site = start(world)?;
    let node = &site.nodes[0].node;
    let _first = node.run(&plex("192.0.2.200"))?;
    let sandbox = node.schedule(&Pod { name: "plex-1".to_owned(), ..plex("192.0.2.200") })?;
    let error = node.add_scheduled(&sandbox)?.error()?;
    ensure!(error.text.contains("192.0.2.200 is pod default/plex-0's already"), "{}", error.text);
    Ok(())
}

fn a_static_pool_gives_no_anycast_addresses(world: &World) -> Result<()> {
    let site = start(world)?;
    let node = &site.nodes[0].node;
    let sandbox = node.schedule(&Pod::new("plex-1").annotated("anycast", "192.0.2.200").ready(true))?;
    let error = node.add_scheduled(&sandbox)?.error()?;
    ensure!(error.text.contains("is in AddressPool plex, which is for use Static"), "{}", error.text);
    site.frr.ensure_lacks("192.0.2.200/32")
}

fn check_and_repair_know_them(world: &World) -> Result<()> {
    let site = start(world)?;
    let node = &site.nodes[0].node;
    node.write("pool.yaml", site::POOL)?;
    let pod = plex("2001:db8:80::1, 2001:db8:80::2").in_namespace("dns");
    let pod = node.run(&pod.annotated("anycast", site::V6))?;
    ensure!(node.check(&pod)?.code == Some(0), "{:?}", node.check(&pod)?);
    node.netns.ip(&["-6", "route", "del", "2001:db8:80::2/128"])?;
    eventually(PATIENCE, || {
        let route = node.netns.ip(&["-6", "route", "show", "2001:db8:80::2/128"])?;
        ensure!(route.contains(&pod.sandbox.host_link()), "{route}");
        Ok(())
    })?;
    pod.sandbox.netns.ip(&["address", "del", &format!("{}/128", site::V6), "dev", "lo"])?;
    let error = node.check(&pod)?.error()?;
    ensure!(error.text.contains(&format!("lo address {}", site::V6)), "{}", error.text);
    Ok(())
}
