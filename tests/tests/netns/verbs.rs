//! The six verbs of CNI 1.1, in every version of the result.

use anyhow::{Context, Result, ensure};
use flock_tests::{Attached, Node, Pod, World, trials};
use libtest_mimic::Trial;
use serde_json::{Value, json};

const VERSIONS: [&str; 4] = ["0.3.1", "0.4.0", "1.0.0", "1.1.0"];

pub(crate) fn trials() -> Vec<Trial> {
    trials![
        add_answers_in_the_shape_of_every_version,
        check_agrees_with_what_add_answered,
        del_takes_everything_away,
        gc_removes_what_is_not_valid_any_more,
        gc_leaves_other_networks_alone,
        status_is_silent_when_the_node_is_ready,
        version_lists_all_versions,
        without_a_command_it_explains_itself,
    ]
}

fn add_answers_in_the_shape_of_every_version(world: &World) -> Result<()> {
    let site = world.site()?;
    let node = &site.node;
    let first = node.run(&Pod::new("web-0"))?;
    for version in VERSIONS {
        // The same attachment each time: the answer is the same, only its shape is not.
        let result = node.call("ADD", &first.sandbox)?.version(version).run()?.result()?;
        ensure!(result["cniVersion"] == version, "{version}: {result}");
        let pod = Attached { sandbox: node.sandbox("none")?, result };
        ensure!(pod.addresses() == first.addresses(), "{version}: {}", pod.result);
        ensure_shape(version, &pod.result, &first.sandbox.netns.path().display().to_string())?;
    }
    node.del(&first.sandbox)?.success()?;
    node.ensure_empty()
}

fn ensure_shape(version: &str, result: &Value, netns: &str) -> Result<()> {
    let ips = result["ips"].as_array().context("no ips")?;
    let interfaces = result["interfaces"].as_array().context("no interfaces")?;
    ensure!(ips.len() == 2, "{version}: {result}");
    for ip in ips {
        let interface = ip["interface"].as_u64().context("an address without interface")? as usize;
        ensure!(interfaces[interface]["sandbox"] == netns, "{version}: {result}");
        ensure!(interfaces[interface]["name"] == "eth0", "{version}: {result}");
        // Up to 0.4.0 an address says its family; since 1.0.0 it must not.
        let family =
            if ip["address"].as_str().is_some_and(|a| a.contains(':')) { json!("6") } else { json!("4") };
        let expected = if version.starts_with('0') { Some(&family) } else { None };
        ensure!(ip.get("version") == expected, "{version}: {result}");
    }
    // 1.1.0 has added the MTU.
    let mtus = interfaces.iter().filter(|interface| interface.get("mtu").is_some()).count();
    ensure!((mtus > 0) == (version == "1.1.0"), "{version}: {result}");
    ensure!(ips[0]["address"].as_str().is_some_and(|a| a.ends_with("/128")), "IPv6 comes first: {result}");
    ensure!(ips[1]["address"].as_str().is_some_and(|a| a.ends_with("/32")), "{result}");
    Ok(())
}

fn check_agrees_with_what_add_answered(world: &World) -> Result<()> {
    let site = world.site()?;
    let pod = site.node.run(&Pod::new("web-0"))?;
    for version in &VERSIONS[1..] {
        let result = site.node.call("ADD", &pod.sandbox)?.version(version).run()?.result()?;
        let check = site.node.call("CHECK", &pod.sandbox)?.version(version).with("prevResult", result);
        check.run()?.success().context(*version)?;
    }
    site.node.check(&pod)?.success()?;
    let mut other = pod.result.clone();
    other["ips"][0]["address"] = json!("2001:db8:a:1::bad/128");
    let check = site.node.call("CHECK", &pod.sandbox)?.with("prevResult", other).run()?;
    check.error()?.says(&["2001:db8:a:1::bad"])
}

fn del_takes_everything_away(world: &World) -> Result<()> {
    let site = world.site()?;
    for version in VERSIONS {
        let pod = site.node.run(&Pod::new("web-0"))?;
        let del =
            site.node.call("DEL", &pod.sandbox)?.version(version).with("prevResult", pod.result.clone());
        del.run()?.success().context(version)?;
        ensure!(pod.sandbox.netns.links()? == ["lo"], "{version}");
        site.node.ensure_empty().context(version)?;
    }
    Ok(())
}

fn gc(node: &Node, network: &str, valid: &[&Attached]) -> Result<()> {
    let valid: Vec<Value> = valid
        .iter()
        .map(|pod| json!({"containerID": pod.sandbox.container, "ifname": pod.sandbox.ifname}))
        .collect();
    let call = node.invocation("GC")?.with("name", network).with("cni.dev/valid-attachments", valid);
    call.run()?.success()
}

fn gc_removes_what_is_not_valid_any_more(world: &World) -> Result<()> {
    let site = world.site()?;
    let (kept, lost) = (site.node.run(&Pod::new("kept"))?, site.node.run(&Pod::new("lost"))?);
    gc(&site.node, "flock", &[&kept])?;
    ensure!(site.node.netns.flock_links()? == [kept.host_link()?]);
    ensure!(site.node.records()?.len() == 1);
    ensure!(lost.sandbox.netns.links()? == ["lo"]);
    kept.answers(&site.node.netns)?;
    gc(&site.node, "flock", &[])?;
    site.node.ensure_empty()
}

fn gc_leaves_other_networks_alone(world: &World) -> Result<()> {
    let site = world.site()?;
    let pod = site.node.run(&Pod::new("web-0"))?;
    gc(&site.node, "another-network", &[])?;
    site.node.check(&pod)?.success()
}

fn status_is_silent_when_the_node_is_ready(world: &World) -> Result<()> {
    let site = world.site()?;
    site.node.invocation("STATUS")?.run()?.success()
}

fn version_lists_all_versions(world: &World) -> Result<()> {
    // No agent: VERSION asks nobody.
    let router = flock_tests::Router::new(world)?;
    let node = router.node("node-a")?;
    let answer = node.invocation("VERSION")?.stdin(r#"{"cniVersion": "1.1.0"}"#).run()?.result()?;
    let supported: Vec<&str> =
        answer["supportedVersions"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    ensure!(VERSIONS.iter().all(|version| supported.contains(version)), "{answer}");
    ensure!(answer["cniVersion"] == "1.1.0", "{answer}");
    Ok(())
}

fn without_a_command_it_explains_itself(world: &World) -> Result<()> {
    let router = flock_tests::Router::new(world)?;
    let node = router.node("node-a")?;
    let outcome = node.invocation("ADD")?.without("CNI_COMMAND").stdin("").run()?;
    ensure!(outcome.stdout.is_empty(), "{outcome:?}");
    ensure!(outcome.stderr.contains("CNI") && outcome.stderr.contains("flock"), "{outcome:?}");
    Ok(())
}
