//! Anycast addresses are on `lo`, and come after the runtime's own plugin for `lo` has looked at it.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use flock_tests::manifest::AddressPool;
use flock_tests::{Invocation, Outcome, Pod, Sandbox, Site, World, trials};
use libtest_mimic::Trial;
use serde_json::json;

/// Debian's `containernetworking-plugins`; containerd runs it beside the configured plugins, at the same time.
const LOOPBACK: &str = "/usr/lib/cni/loopback";

const ADDRESS: &str = "2001:db8:53::1";

/// Pods of a trial that is about the order of two programs which run at the same time.
const PODS: u32 = 20;

pub(crate) fn trials() -> Vec<Trial> {
    trials![
        the_loopback_plugin_beside_it_never_fails,
        a_slow_loopback_plugin_is_waited_for,
        where_lo_is_up_already_nobody_waits,
    ]
}

fn site(world: &World) -> Result<Site<'_>> {
    let site = world.site()?;
    site.node.write("pool.yaml", &AddressPool::new("dns", "Anycast", &["2001:db8:53::/64"]).yaml())?;
    Ok(site)
}

fn schedule(site: &Site<'_>, name: &str) -> Result<Sandbox> {
    site.node.schedule(&Pod::new(name).annotated("anycast", ADDRESS))
}

fn ensure_served(sandbox: &Sandbox) -> Result<()> {
    let lo = sandbox.netns.ip(&["-6", "addr", "show", "lo"])?;
    ensure!(lo.contains(ADDRESS), "{lo}");
    Ok(())
}

fn loopback<'s>(world: &World, site: &'s Site<'_>, sandbox: &Sandbox) -> Invocation<'s> {
    let config = json!({"cniVersion": "1.0.0", "name": "cni-loopback", "type": "loopback"});
    let log = world.dir().join("loopback.log");
    Invocation::new(&site.node.netns, Path::new(LOOPBACK), config, log, "ADD")
        .of(sandbox)
        .env("CNI_IFNAME", "lo")
}

fn the_loopback_plugin_beside_it_never_fails(world: &World) -> Result<()> {
    ensure!(
        Path::new(LOOPBACK).is_file(),
        "no {LOOPBACK}: run `apt-get install --yes containernetworking-plugins`"
    );
    let site = site(world)?;
    for number in 0..PODS {
        let sandbox = schedule(&site, &format!("dns-{number}"))?;
        let (ours, theirs) = std::thread::scope(|scope| -> Result<(Outcome, Outcome)> {
            let ours = scope.spawn(|| site.node.add_scheduled(&sandbox));
            let theirs = loopback(world, &site, &sandbox).run()?;
            Ok((ours.join().map_err(|_| anyhow::anyhow!("ADD panicked"))??, theirs))
        })?;
        theirs.result().with_context(|| format!("loopback of pod {number}"))?;
        ours.result()?;
        ensure_served(&sandbox)?;
    }
    Ok(())
}

/// The runtime's plugin as it is on a busy node: it sets `lo` up, is not run for half a second, and looks then.
fn a_slow_loopback_plugin_is_waited_for(world: &World) -> Result<()> {
    let site = site(world)?;
    let sandbox = schedule(&site, "dns-0")?;
    let script = "ip link set lo up && sleep 0.5 && ip -6 addr show lo";
    let mut slow = Command::new("nsenter");
    slow.arg(format!("--net={}", sandbox.netns.path().display())).args(["sh", "-c", script]);
    slow.env("CNI_COMMAND", "ADD").env("CNI_IFNAME", "lo").env("CNI_NETNS", sandbox.netns.path());
    let seen = std::thread::scope(|scope| -> Result<String> {
        let slow = scope.spawn(move || slow.output());
        site.node.add_scheduled(&sandbox)?.result()?;
        let output = slow.join().map_err(|_| anyhow::anyhow!("the plugin's stand-in panicked"))??;
        Ok(String::from_utf8(output.stdout)?)
    })?;
    ensure!(seen.contains("::1/128") && !seen.contains(ADDRESS), "it saw {seen}");
    ensure_served(&sandbox)
}

fn where_lo_is_up_already_nobody_waits(world: &World) -> Result<()> {
    let site = site(world)?;
    let sandbox = schedule(&site, "dns-0")?;
    sandbox.netns.ip(&["link", "set", "lo", "up"])?;
    site.node.add_scheduled(&sandbox)?.result()?;
    ensure_served(&sandbox)?;
    let log = std::fs::read_to_string(site.node.agent_log())?;
    ensure!(!log.contains("set lo up"), "{log}");
    Ok(())
}
