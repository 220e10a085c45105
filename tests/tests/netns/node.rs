//! The node changes while pods live: MTU, prefixes, manifests.

use anyhow::{Result, ensure};
use flock_tests::{Attached, PATIENCE, Pod, World, eventually, manifest, trials};
use libtest_mimic::Trial;

pub(crate) fn trials() -> Vec<Trial> {
    trials![
        the_uplinks_mtu_is_followed,
        the_configured_mtu_counts,
        prefixes_may_change_while_pods_live,
        an_invalid_manifest_is_named_and_the_last_good_state_stays,
        a_broken_file_neither_takes_anything_away_nor_hides_another,
        a_removed_manifest_does_not_take_a_running_pod_away,
        several_documents_may_share_a_file,
        without_a_configuration_the_node_is_not_ready,
    ]
}

fn ensure_mtu(node: &flock_tests::Node, pod: &Attached, mtu: u64) -> Result<()> {
    let (host, inside) = (node.netns.mtu(&pod.host_link()?)?, pod.sandbox.netns.mtu("eth0")?);
    ensure!(host == mtu && inside == mtu, "MTU {host} outside and {inside} inside instead of {mtu}");
    Ok(())
}

fn the_uplinks_mtu_is_followed(world: &World) -> Result<()> {
    let site = world.site()?;
    let pod = site.node.run(&Pod::new("web-0"))?;
    for mtu in ["1400", "1500"] {
        site.node.netns.ip(&["link", "set", "uplink", "mtu", mtu])?;
        eventually(PATIENCE, || ensure_mtu(&site.node, &pod, mtu.parse()?))?;
    }
    pod.answers(&site.router.netns)
}

fn the_configured_mtu_counts(world: &World) -> Result<()> {
    let site = world.site()?;
    let pod = site.node.run(&Pod::new("web-0"))?;
    site.node.configure(&site.node.config().with("mtu: 1450"))?;
    eventually(PATIENCE, || ensure_mtu(&site.node, &pod, 1450))?;
    let next = site.node.run(&Pod::new("web-1"))?;
    ensure_mtu(&site.node, &next, 1450)
}

fn prefixes_may_change_while_pods_live(world: &World) -> Result<()> {
    let site = world.site()?;
    let old = site.node.run(&Pod::new("web-0"))?;
    let changed = site.node.config().with_cidr6(&["2001:db8:b:1::/64"]).with_cidr4(&["203.0.113.128/26"]);
    for cidr in changed.cidr6.iter().chain(&changed.cidr4) {
        site.router.route(cidr, &site.node)?;
    }
    site.node.configure(&changed)?;
    eventually(PATIENCE, || {
        let mut blackholes = site.node.netns.blackholes()?;
        blackholes.sort();
        ensure!(blackholes == ["2001:db8:b:1::/64", "203.0.113.128/26"], "{blackholes:?}");
        Ok(())
    })?;
    let new = site.node.run(&Pod::new("web-1"))?;
    ensure!(new.v6()?.segments()[2] == 0xb && new.v4()?.octets()[3] > 128, "{}", new.result);
    for pod in [&old, &new] {
        pod.answers(&site.router.netns)?;
        site.node.check(pod)?.success()?;
    }
    ensure!(site.node.add(&old.sandbox)?.result()? == old.result);
    site.node.del(&old.sandbox)?.success()?;
    new.answers(&site.router.netns)
}

fn an_invalid_manifest_is_named_and_the_last_good_state_stays(world: &World) -> Result<()> {
    let site = world.site()?;
    let broken = site.node.config().yaml().replace("203.0.113.0/26", "203.0.113.0/99");
    let line = 1 + broken.lines().position(|line| line.contains("/99")).unwrap_or_default();
    site.node.write("node.yaml", &broken)?;
    eventually(PATIENCE, || {
        let log = site.agent.log()?;
        let named = |text: &str| {
            text.contains("node.yaml") && text.contains(&line.to_string()) && text.contains("/99")
        };
        ensure!(log.lines().any(named), "line {line} of node.yaml should be named: {log}");
        Ok(())
    })?;
    let pod = site.node.run(&Pod::new("web-0"))?;
    ensure!(pod.addresses().len() == 2, "{}", pod.result);
    let shown = site.node.ctl(&["node"])?;
    ensure!(shown.stdout.contains("node.yaml"), "{shown:?}");
    site.node.configure(&site.node.config())?;
    eventually(PATIENCE, || {
        let shown = site.node.ctl(&["node"])?;
        ensure!(!shown.stdout.contains("node.yaml"), "{shown:?}");
        Ok(())
    })
}

fn a_broken_file_neither_takes_anything_away_nor_hides_another(world: &World) -> Result<()> {
    let site = world.site()?;
    let first = site.node.run(&Pod::new("first"))?;
    site.node.del(&first.sandbox)?.success()?;
    let broken = "---\napiVersion: v1\nkind: Pod\nmetadata: {name: [1, 2]}\n";
    site.node.write("pod-default-first.yaml", &format!("{}{broken}", Pod::new("first").yaml()))?;
    eventually(PATIENCE, || {
        ensure!(site.agent.log()?.contains("pod-default-first.yaml"), "the file should be named");
        Ok(())
    })?;
    for name in ["first", "second"] {
        if name == "second" {
            site.node.write("second.yaml", &Pod::new(name).yaml())?;
        }
        let sandbox = site.node.sandbox(name)?;
        ensure!(flock_tests::sandbox::addresses(&site.node.add_scheduled(&sandbox)?.result()?).len() == 2);
    }
    Ok(())
}

fn a_removed_manifest_does_not_take_a_running_pod_away(world: &World) -> Result<()> {
    let site = world.site()?;
    let pod = site.node.run(&Pod::new("web-0"))?;
    std::fs::remove_file(site.node.manifests().join("pod-default-web-0.yaml"))?;
    let ghost = site.node.sandbox("web-0")?;
    eventually(PATIENCE, || {
        let outcome = site.node.add(&ghost)?;
        site.node.del(&ghost)?.success()?;
        outcome.error()?.is(11, &["default/web-0"])
    })?;
    pod.answers(&site.router.netns)?;
    site.node.check(&pod)?.success()?;
    site.node.del(&pod.sandbox)?.success()?;
    site.node.ensure_empty()
}

fn several_documents_may_share_a_file(world: &World) -> Result<()> {
    let site = world.site()?;
    let texts = [manifest::namespace("default"), Pod::new("web-0").yaml(), Pod::new("web-1").yaml()];
    site.node.write("all.yaml", &texts.join("---\n"))?;
    for name in ["web-0", "web-1"] {
        let sandbox = site.node.sandbox(name)?;
        site.node.add_scheduled(&sandbox)?.result()?;
    }
    ensure!(site.node.records()?.len() == 2);
    Ok(())
}

fn without_a_configuration_the_node_is_not_ready(world: &World) -> Result<()> {
    let router = flock_tests::Router::new(world)?;
    let node = router.node("node-a")?;
    let _agent = flock_tests::AgentProcess::start(&node)?;
    eventually(PATIENCE, || {
        node.invocation("STATUS")?.run()?.error().and_then(|error| error.is(50, &["NodeConfig"]))
    })?;
    node.configure(&node.config())?;
    eventually(PATIENCE, || node.invocation("STATUS")?.run()?.success())
}
