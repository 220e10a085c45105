//! Bad input: refused with the spec's code and the name of what is wrong; nothing is left behind.

use std::fs;

use anyhow::{Context, Result, ensure};
use flock_tests::{CniError, Node, Sandbox, Site, World, trials};
use libtest_mimic::Trial;

pub(crate) fn trials() -> Vec<Trial> {
    trials![
        an_unknown_command,
        every_missing_variable_is_named,
        garbage_on_stdin,
        ten_megabytes_on_stdin,
        a_configuration_without_name_or_type,
        an_unsupported_version,
        a_netns_path_that_is_a_file,
        a_netns_path_that_is_gone,
        an_ifname_of_sixteen_characters,
        a_container_id_with_a_slash,
        cni_args_without_a_pod,
        a_prev_result_that_is_garbage,
    ]
}

/// Sends ADD as `change` has it; returns its error once it is sure that nothing was left behind.
fn refused<'n>(
    site: &'n Site<'_>,
    change: impl FnOnce(flock_tests::Invocation<'n>) -> flock_tests::Invocation<'n>,
) -> Result<CniError> {
    let sandbox = site.node.schedule(&flock_tests::Pod::new("web-0"))?;
    let error = change(site.node.call("ADD", &sandbox)?).run()?.error()?;
    ensure_untouched(&site.node, &sandbox)?;
    Ok(error)
}

fn ensure_untouched(node: &Node, sandbox: &Sandbox) -> Result<()> {
    node.ensure_empty()?;
    let links = sandbox.netns.links()?;
    ensure!(links == ["lo"], "the sandbox has {links:?}");
    Ok(())
}

fn an_unknown_command(world: &World) -> Result<()> {
    refused(&world.site()?, |call| call.env("CNI_COMMAND", "FROBNICATE"))?
        .is(4, &["FROBNICATE", "CNI_COMMAND"])
}

fn every_missing_variable_is_named(world: &World) -> Result<()> {
    let site = world.site()?;
    for variable in ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"] {
        refused(&site, |call| call.without(variable))?.is(4, &[variable]).context(variable)?;
        refused(&site, |call| call.env(variable, ""))?.is(4, &[variable]).context(variable)?;
    }
    let error = refused(&site, |call| call.without("CNI_CONTAINERID").without("CNI_IFNAME"))?;
    error.is(4, &["CNI_CONTAINERID", "CNI_IFNAME"])
}

fn garbage_on_stdin(world: &World) -> Result<()> {
    let site = world.site()?;
    for bytes in [&b""[..], b"garbage", b"{\"cniVersion\": ", b"\xff\xfe\x00", b"[]", b"null"] {
        let error = refused(&site, |call| call.stdin(bytes))?;
        ensure!([6, 7].contains(&error.code), "{}: {error:?}", String::from_utf8_lossy(bytes));
    }
    Ok(())
}

fn ten_megabytes_on_stdin(world: &World) -> Result<()> {
    let site = world.site()?;
    let garbage = refused(&site, |call| call.stdin(vec![b'x'; 10 << 20]))?;
    ensure!([6, 7].contains(&garbage.code), "{garbage:?}");
    // Well-formed, but nobody's configuration is that long.
    let mut json = br#"{"cniVersion": "1.1.0", "name": "flock", "type": "flock", "x": ""#.to_vec();
    json.extend(vec![b'x'; 10 << 20]);
    json.extend(b"\"}");
    let long = refused(&site, |call| call.stdin(json))?;
    ensure!([6, 7].contains(&long.code), "{long:?}");
    site.node.invocation("STATUS")?.run()?.success()
}

fn a_configuration_without_name_or_type(world: &World) -> Result<()> {
    let site = world.site()?;
    refused(&site, |call| call.stdin(r#"{"cniVersion": "1.1.0", "type": "flock"}"#))?.is(7, &["name"])
}

fn an_unsupported_version(world: &World) -> Result<()> {
    let site = world.site()?;
    for version in ["9.9.9", "0.2.0", "1.2.0"] {
        refused(&site, |call| call.version(version))?.is(1, &[version]).context(version)?;
    }
    Ok(())
}

fn a_netns_path_that_is_a_file(world: &World) -> Result<()> {
    let site = world.site()?;
    let file = world.dir().join("not-a-namespace").display().to_string();
    fs::write(&file, "")?;
    let sandbox = site.node.schedule(&flock_tests::Pod::new("web-0"))?;
    let error = flock_tests::eventually(flock_tests::PATIENCE, || {
        let error = site.node.call("ADD", &sandbox)?.env("CNI_NETNS", &file).run()?.error()?;
        ensure!(error.code != 11, "{error:?}");
        Ok(error)
    })?;
    error.says(&[&file, "not a network namespace"])?;
    ensure_untouched(&site.node, &sandbox)
}

fn a_netns_path_that_is_gone(world: &World) -> Result<()> {
    let site = world.site()?;
    let sandbox = site.node.schedule(&flock_tests::Pod::new("web-0"))?;
    let gone = "/run/netns/flk-never-made";
    let error = flock_tests::eventually(flock_tests::PATIENCE, || {
        let error = site.node.call("ADD", &sandbox)?.env("CNI_NETNS", gone).run()?.error()?;
        ensure!(error.code != 11, "{error:?}");
        Ok(error)
    })?;
    error.says(&[gone])?;
    ensure_untouched(&site.node, &sandbox)
}

fn an_ifname_of_sixteen_characters(world: &World) -> Result<()> {
    let site = world.site()?;
    for ifname in ["sixteen-letters-", "a/b", "a b", ".."] {
        refused(&site, |call| call.env("CNI_IFNAME", ifname))?.is(4, &["CNI_IFNAME", ifname])?;
    }
    Ok(())
}

fn a_container_id_with_a_slash(world: &World) -> Result<()> {
    let site = world.site()?;
    for id in ["a/b", "../../etc/passwd", "-a", "a b"] {
        refused(&site, |call| call.env("CNI_CONTAINERID", id))?.is(4, &["CNI_CONTAINERID", id])?;
    }
    Ok(())
}

fn cni_args_without_a_pod(world: &World) -> Result<()> {
    let site = world.site()?;
    refused(&site, |call| call.without("CNI_ARGS"))?.is(4, &["K8S_POD_NAME"])?;
    let nameless = "IgnoreUnknown=1;K8S_POD_NAMESPACE=default";
    refused(&site, |call| call.env("CNI_ARGS", nameless))?.is(4, &["K8S_POD_NAME"])?;
    refused(&site, |call| call.env("CNI_ARGS", "garbage"))?.is(4, &["CNI_ARGS"])
}

fn a_prev_result_that_is_garbage(world: &World) -> Result<()> {
    let site = world.site()?;
    let pod = site.node.run(&flock_tests::Pod::new("web-0"))?;
    let check = site.node.call("CHECK", &pod.sandbox)?.with("prevResult", "garbage").run()?.error()?;
    ensure!([6, 7].contains(&check.code), "{check:?}");
    let missing = site.node.call("CHECK", &pod.sandbox)?.run()?.error()?;
    missing.is(7, &["prevResult"])
}
