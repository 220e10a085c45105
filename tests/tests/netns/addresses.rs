//! Which addresses a pod gets, and when it gets none.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Result, ensure};
use flock_tests::{CniError, Node, Pod, World, trials};
use libtest_mimic::Trial;

pub(crate) fn trials() -> Vec<Trial> {
    trials![
        a_pod_gets_one_address_of_each_family_out_of_its_nodes_prefixes,
        an_unknown_pod_is_told_to_come_back,
        a_pod_that_wants_neither_family_is_refused,
        a_pod_may_want_one_family,
        the_nodes_defaults_count_for_a_pod_that_says_nothing,
        the_primary_family_comes_first,
        a_disjoint_cidr6_is_refused,
        a_cidr6_within_the_nodes_narrows_the_choice,
        invalid_annotations_name_the_pod_the_key_and_the_value,
        an_exhausted_ipv4_pool_counts_what_is_used_and_resting,
        ip_algo_makes_addresses_that_can_be_read,
        a_released_ipv4_address_rests,
    ]
}

/// The error of an ADD for this pod; nothing is left behind.
fn refused(node: &Node, pod: &Pod) -> Result<CniError> {
    let sandbox = node.schedule(pod)?;
    let before = node.netns.flock_links()?;
    let error = node.add_scheduled(&sandbox)?.error()?;
    ensure!(node.netns.flock_links()? == before && sandbox.netns.links()? == ["lo"]);
    ensure!(node.record(&sandbox).is_err(), "a record was left");
    Ok(error)
}

fn a_pod_gets_one_address_of_each_family_out_of_its_nodes_prefixes(world: &World) -> Result<()> {
    let site = world.site()?;
    let pod = site.node.run(&Pod::new("web-0"))?;
    let (v6, v4) = (pod.v6()?, pod.v4()?);
    ensure!(v6.segments()[..4] == [0x2001, 0xdb8, 0xa, 1], "{v6}");
    ensure!((2..=62).contains(&v4.octets()[3]) && v4.octets()[..3] == [203, 0, 113], "{v4}");
    let eth0: BTreeSet<String> = pod.sandbox.netns.addresses("eth0")?.into_iter().collect();
    ensure!(eth0 == BTreeSet::from([format!("{v6}/128"), format!("{v4}/32")]), "{eth0:?}");
    Ok(())
}

fn an_unknown_pod_is_told_to_come_back(world: &World) -> Result<()> {
    let site = world.site()?;
    let sandbox = site.node.sandbox("ghost")?;
    site.node.add(&sandbox)?.error()?.is(11, &["default/ghost"])?;
    site.node.ensure_empty()
}

fn a_pod_that_wants_neither_family_is_refused(world: &World) -> Result<()> {
    let site = world.site()?;
    let pod = Pod::new("mute").annotated("ipv6", "false").annotated("ipv4", " false ");
    refused(&site.node, &pod)?.says(&["default/mute", "ipv4", "ipv6"])
}

fn a_pod_may_want_one_family(world: &World) -> Result<()> {
    let site = world.site()?;
    let six = site.node.run(&Pod::new("six").annotated("ipv4", "false"))?;
    ensure!(six.addresses() == [IpAddr::V6(six.v6()?)]);
    let four = site.node.run(&Pod::new("four").annotated("ipv6", "false"))?;
    ensure!(four.addresses() == [IpAddr::V4(four.v4()?)]);
    ensure!(four.sandbox.netns.read_sysctl("ipv6/conf/eth0/disable_ipv6")? == "1");
    six.answers(&site.node.netns)?;
    four.answers(&site.node.netns)
}

fn the_nodes_defaults_count_for_a_pod_that_says_nothing(world: &World) -> Result<()> {
    let site = world.site()?;
    site.node.configure(&site.node.config().with("defaults: {ipv4: false}"))?;
    flock_tests::eventually(flock_tests::PATIENCE, || {
        let silent = site.node.run(&Pod::new("silent"))?;
        site.node.del(&silent.sandbox)?.success()?;
        ensure!(silent.v4().is_err(), "{}", silent.result);
        Ok(())
    })?;
    let loud = site.node.run(&Pod::new("loud").annotated("ipv4", "true"))?;
    ensure!(loud.addresses().len() == 2, "{}", loud.result);
    Ok(())
}

fn the_primary_family_comes_first(world: &World) -> Result<()> {
    let site = world.site()?;
    site.node.configure(&site.node.config().with("primaryFamily: IPv4"))?;
    flock_tests::eventually(flock_tests::PATIENCE, || {
        let pod = site.node.run(&Pod::new("web-0"))?;
        site.node.del(&pod.sandbox)?.success()?;
        ensure!(pod.addresses().first().is_some_and(IpAddr::is_ipv4), "{}", pod.result);
        Ok(())
    })
}

fn a_disjoint_cidr6_is_refused(world: &World) -> Result<()> {
    let site = world.site()?;
    let pod = Pod::new("lost").annotated("cidr6", "2001:db8:dead::/64");
    refused(&site.node, &pod)?.says(&["default/lost", "cidr6", "2001:db8:dead::/64"])?;
    site.node.ensure_empty()
}

fn a_cidr6_within_the_nodes_narrows_the_choice(world: &World) -> Result<()> {
    let site = world.site()?;
    let narrow = site.node.run(&Pod::new("narrow").annotated("cidr6", " 2001:db8:a:1:5::/80 "))?;
    ensure!(narrow.v6()?.segments()[..5] == [0x2001, 0xdb8, 0xa, 1, 5], "{}", narrow.result);
    let wide = site.node.run(&Pod::new("wide").annotated("cidr6", "2001:db8:a::/48"))?;
    ensure!(wide.v6()?.segments()[..4] == [0x2001, 0xdb8, 0xa, 1], "{}", wide.result);
    let listed = "2001:db8:dead::/64, 2001:db8:a:1:6::/80";
    let listed = site.node.run(&Pod::new("listed").annotated("cidr6", listed))?;
    ensure!(listed.v6()?.segments()[..5] == [0x2001, 0xdb8, 0xa, 1, 6], "{}", listed.result);
    Ok(())
}

fn invalid_annotations_name_the_pod_the_key_and_the_value(world: &World) -> Result<()> {
    let site = world.site()?;
    for (key, value) in
        [("ipv6", "maybe"), ("ipv4", "2"), ("cidr6", "10.0.0.0/8"), ("cidr4", "203.0.113.0/33")]
    {
        let pod = Pod::new(&format!("wrong-{key}")).annotated(key, value);
        refused(&site.node, &pod)?.says(&[&format!("default/wrong-{key}"), key, value])?;
    }
    Ok(())
}

fn an_exhausted_ipv4_pool_counts_what_is_used_and_resting(world: &World) -> Result<()> {
    let router = flock_tests::Router::new(world)?;
    let node = router.node("node-a")?;
    // Eight addresses, less network, gateway and broadcast.
    node.configure(&node.config().with_cidr4(&["203.0.113.0/29"]))?;
    let _agent = node.start_agent()?;
    let pods = (0..5).map(|i| node.run(&Pod::new(&format!("web-{i}")))).collect::<Result<Vec<_>>>()?;
    let used: BTreeSet<Ipv4Addr> = pods.iter().map(|pod| pod.v4()).collect::<Result<_>>()?;
    ensure!(used == (2..=6).map(|host| Ipv4Addr::new(203, 0, 113, host)).collect(), "{used:?}");
    refused(&node, &Pod::new("late"))?.says(&["default/late", "203.0.113.0/29", "5 in use", "0 resting"])?;
    // Nothing else is left, so the address does not get its rest.
    node.del(&pods[2].sandbox)?.success()?;
    let next = node.run(&Pod::new("next"))?;
    ensure!(next.v4()? == pods[2].v4()?, "{}", next.result);
    Ok(())
}

fn ip_algo_makes_addresses_that_can_be_read(world: &World) -> Result<()> {
    let site = world.site()?;
    let pod = |name: &str| Pod::new(name).of_deployment("web").annotated("ip-algo", "namespace, app, pod");
    let (a, b) = (site.node.run(&pod("web-7f9c6d5b8-aaaaa"))?, site.node.run(&pod("web-7f9c6d5b8-bbbbb"))?);
    // A /64 and three fields: 5+5+5 nibbles, and N.
    let iid = |pod: &flock_tests::Attached| Ok::<_, anyhow::Error>(u128::from(pod.v6()?) as u64);
    let (iid_a, iid_b) = (iid(&a)?, iid(&b)?);
    ensure!(iid_a >> 24 == iid_b >> 24, "namespace and app should agree: {iid_a:016x}, {iid_b:016x}");
    ensure!(iid_a != iid_b);
    let namespace = flock_core::fnv::fnv1a_64(b"default") >> 44;
    let app = flock_core::fnv::fnv1a_64(b"web") >> 44;
    ensure!(iid_a >> 44 == namespace && (iid_a >> 24) & 0xf_ffff == app, "{iid_a:016x}");
    ensure!(iid_a & 0xf == 0, "the first try counts 0: {iid_a:016x}");
    Ok(())
}

fn a_released_ipv4_address_rests(world: &World) -> Result<()> {
    let router = flock_tests::Router::new(world)?;
    let node = router.node("node-a")?;
    node.configure(&node.config().with_cidr4(&["203.0.113.0/29"]))?;
    let agent = node.start_agent()?;
    let first = node.run(&Pod::new("web-0"))?;
    node.del(&first.sandbox)?.success()?;
    // A restart in between is no rest.
    agent.terminate()?;
    let _agent = node.start_agent()?;
    for i in 0..4 {
        let next = node.run(&Pod::new(&format!("next-{i}")))?;
        ensure!(next.v4()? != first.v4()?, "{} was not left to rest", next.v4()?);
    }
    Ok(())
}
