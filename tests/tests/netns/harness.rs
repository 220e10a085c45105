//! The harness itself: what it makes works as a network, and goes.

use std::fs;
use std::os::unix::process::CommandExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use flock_tests::{Netns, PATIENCE, Router, World, eventually, leaks, trials};
use libtest_mimic::Trial;

pub(crate) fn trials() -> Vec<Trial> {
    trials![
        a_namespace_goes_with_its_processes,
        a_namespace_goes_when_its_owner_panics,
        veth_pairs_join_namespaces,
        nodes_reach_each_other_through_the_router,
        pings_are_counted,
        leaks_are_found_and_removed,
        remains_of_a_killed_run_are_swept,
    ]
}

fn exists(netns: &str) -> bool {
    std::path::Path::new("/run/netns").join(netns).exists()
}

fn a_namespace_goes_with_its_processes(world: &World) -> Result<()> {
    let netns = world.netns("a")?;
    let mut child = netns.enter(|| Command::new("sleep").arg("60").spawn())??;
    ensure!(netns.links()? == ["lo"]);
    let name = netns.name().to_owned();
    drop(netns);
    ensure!(!exists(&name));
    ensure!(!child.wait()?.success(), "sleep should have been killed");
    Ok(())
}

fn a_namespace_goes_when_its_owner_panics(world: &World) -> Result<()> {
    let name = format!("{}a", world.prefix());
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let netns = world.netns("a").ok();
        assert!(netns.is_none_or(|netns| !exists(netns.name())), "on purpose");
    }));
    ensure!(outcome.is_err() && !exists(&name));
    Ok(())
}

fn veth_pairs_join_namespaces(world: &World) -> Result<()> {
    let (a, b) = (world.netns("a")?, world.netns("b")?);
    a.veth("east", &b, "west")?;
    for (netns, ifname, host) in [(&a, "east", 1), (&b, "west", 2)] {
        netns.address(ifname, &format!("2001:db8::{host}/64"))?;
        netns.address(ifname, &format!("192.0.2.{host}/24"))?;
    }
    ensure!(a.addresses("east")? == ["192.0.2.1/24", "2001:db8::1/64"], "{:?}", a.addresses("east")?);
    a.ping([192, 0, 2, 2])?;
    a.ip(&["link", "set", "east", "mtu", "1400"])?;
    ensure!(a.mtu("east")? == 1400 && b.mtu("west")? == 1500);
    a.ip(&[
        "neighbour",
        "add",
        "192.0.2.9",
        "lladdr",
        "02:00:00:00:00:09",
        "dev",
        "east",
        "nud",
        "permanent",
    ])?;
    ensure!(a.neighbours("east")? == ["192.0.2.9"]);
    a.ip(&["-6", "route", "add", "blackhole", "2001:db8:9::/64"])?;
    ensure!(a.blackholes()? == ["2001:db8:9::/64"]);
    a.ip(&["route", "add", "203.0.113.1/32", "dev", "east"])?;
    ensure!(a.routes("east")? == ["203.0.113.1"], "{:?}", a.routes("east")?);
    a.ensure_no_attachments()?;
    a.ip(&["route", "add", "203.0.113.2/32", "dev", "east", "proto", "70"])?;
    ensure!(a.ensure_no_attachments().is_err());
    Ok(())
}

fn nodes_reach_each_other_through_the_router(world: &World) -> Result<()> {
    let router = Router::new(world)?;
    let (a, b) = (router.node("node-a")?, router.node("node-b")?);
    for cidr in ["::/0", "0.0.0.0/0"] {
        a.netns.ping(b.next_hop(cidr).parse::<std::net::IpAddr>()?)?;
    }
    let pools = router.netns.routes("port2")?;
    ensure!(pools == ["2001:db8:a:2::/64", "203.0.113.64/26"], "{pools:?}");
    Ok(())
}

fn pings_are_counted(world: &World) -> Result<()> {
    let netns = world.machine("a")?;
    let pinging = netns.keep_pinging([127, 0, 0, 1])?;
    std::thread::sleep(std::time::Duration::from_millis(500));
    pinging.stop()?.ensure_lossless()
}

fn leaks_are_found_and_removed(_world: &World) -> Result<()> {
    let inner = World::new()?;
    let tmpfs = inner.dir().join("tmpfs");
    fs::create_dir(&tmpfs)?;
    let mounted = Command::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(&tmpfs).status()?;
    ensure!(mounted.success());
    let netns = std::mem::ManuallyDrop::new(inner.netns("a")?);
    let mut sleeper = netns.enter(|| Command::new("sleep").arg("60").spawn())??;
    let mut agent = Command::new("sleep").arg0(inner.dir().join("flock-agent")).arg("60").spawn()?;

    // A new process has no arguments to be known by for a moment.
    eventually(PATIENCE, || {
        let found = leaks::find(inner.prefix());
        ensure!(found.len() == 5, "two processes, a mount, a namespace and a directory: {found:?}");
        Ok(())
    })?;
    let prefix = inner.prefix().to_owned();
    ensure!(inner.close().is_err());
    ensure!(leaks::find(&prefix).is_empty(), "{:?}", leaks::find(&prefix));
    ensure!(!agent.wait()?.success());
    sleeper.wait().map(drop).context("wait for the sleeper")
}

fn remains_of_a_killed_run_are_swept(_world: &World) -> Result<()> {
    let mut dead = Command::new("true").spawn()?;
    dead.wait()?;
    let (gone, living) = (format!("flk-{}-0-a", dead.id()), format!("flk-{}-9999-a", std::process::id()));
    std::mem::forget(Netns::new(&gone)?);
    let kept = Netns::new(&living)?;
    fs::create_dir(std::env::temp_dir().join(format!("flk-{}-0-dir", dead.id())))?;
    leaks::sweep_dead_runs();
    ensure!(leaks::find(&format!("flk-{}-", dead.id())).is_empty());
    ensure!(exists(kept.name()));
    Ok(())
}
