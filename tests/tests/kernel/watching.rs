//! Changes, followed.

use std::time::Duration;

use anyhow::{Result, ensure};
use flock_core::link::LinkSpec;
use flock_kernel::{Changes, Events};
use tokio::time::timeout;

use crate::Body;
use crate::ground::{Ground, Pod, V4, V6, dual_stack, ip};

pub(crate) fn trials() -> Vec<(&'static str, Body)> {
    vec![
        ("watch_sees_what_hangs_on_a_link_go", sees_what_hangs_on_a_link_go),
        ("watch_sees_a_link_go", sees_a_link_go),
        ("watch_sees_the_uplink", sees_the_uplink),
        ("watch_is_quiet_about_others", is_quiet_about_others),
        ("watch_survives_lost_messages", survives_lost_messages),
    ]
}

/// Waits until nothing has changed for a while.
async fn calm(changes: &mut Changes) {
    while timeout(Duration::from_millis(200), changes.changed()).await == Ok(true) {}
}

fn sees(ground: &Ground, changes: &mut Changes, disturbance: &str) -> Result<()> {
    ground.wait(async {
        calm(changes).await;
        ip(disturbance)?;
        let seen = timeout(Duration::from_secs(5), changes.changed()).await;
        ensure!(seen == Ok(true), "`ip {disturbance}` was not seen: {seen:?}");
        Ok(())
    })
}

fn attached(ground: &Ground) -> Result<(Pod, LinkSpec, Changes)> {
    let pod = Pod::new()?;
    let spec = dual_stack(&pod)?;
    ground.attach(&spec)?;
    let changes = ground.wait(async { ground.kernel.watch() })?;
    Ok((pod, spec, changes))
}

fn sees_what_hangs_on_a_link_go(ground: &Ground) -> Result<()> {
    let (_pod, spec, mut changes) = attached(ground)?;
    let host = &spec.host;
    for disturbance in [
        format!("route del {V4}"),
        format!("-6 route del {V6}"),
        format!("neigh del {V4} dev {host}"),
        format!("neigh replace {V6} lladdr 02:00:00:00:00:01 nud permanent dev {host}"),
        format!("neigh del {V6} dev {host}"),
        format!("addr del fe80::1/64 dev {host}"),
        format!("link set {host} mtu 1300"),
        format!("link set {host} address 02:00:00:00:00:02"),
        format!("link set {host} alias x"),
        format!("link set {host} down"),
    ] {
        sees(ground, &mut changes, &disturbance)?;
    }
    Ok(())
}

fn sees_a_link_go(ground: &Ground) -> Result<()> {
    let (_pod, spec, mut changes) = attached(ground)?;
    sees(ground, &mut changes, &format!("link del {}", spec.host))
}

fn sees_the_uplink(ground: &Ground) -> Result<()> {
    ip("link add up0 type veth peer name up1")?;
    ip("link set up0 up")?;
    let mut changes = ground.wait(async { ground.kernel.watch() })?;
    for disturbance in [
        "link set up0 mtu 1400",
        "addr add 192.0.2.1/24 dev up0",
        "addr add 2001:db8::1/64 dev up0 nodad",
        "addr del 192.0.2.1/24 dev up0",
        "route add default dev up0",
        "route del default dev up0",
        "-6 route add default dev up0",
        "-6 route del default dev up0",
        "link set up0 down",
    ] {
        sees(ground, &mut changes, disturbance)?;
    }
    Ok(())
}

fn is_quiet_about_others(ground: &Ground) -> Result<()> {
    ip("link add up0 type veth peer name up1")?;
    ip("link set up0 up")?;
    ip("addr add 192.0.2.1/24 dev up0")?;
    let mut changes = ground.wait(async { ground.kernel.watch() })?;
    ground.wait(async {
        calm(&mut changes).await;
        ip("route add 198.51.100.0/24 dev up0")?;
        ip("route del 198.51.100.0/24 dev up0")?;
        ip("neigh add 192.0.2.9 dev up0 nud stale lladdr 02:00:00:00:00:09")?;
        let seen = timeout(Duration::from_millis(300), changes.changed()).await;
        ensure!(seen.is_err(), "{seen:?}");
        Ok(())
    })
}

fn survives_lost_messages(ground: &Ground) -> Result<()> {
    ip("link add up0 type veth peer name up1")?;
    ip("link set up0 up")?;
    let (_pod, _spec, mut changes) = attached(ground)?;
    ground.wait(calm(&mut changes));
    // The runtime has one thread, this one: while it makes noise, nobody reads, and the queue overflows. None of it
    // is a change by itself.
    let mut noise = String::new();
    for round in 0..100 {
        for host in 0..250 {
            noise += &format!(
                "neigh replace 203.0.113.{host} lladdr 02:00:00:00:00:{round:02x} nud stale dev up0\n"
            );
        }
    }
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("noise");
    std::fs::write(&file, noise)?;
    ip(&format!("-batch {}", file.display()))?;
    let sockets = std::fs::read_to_string("/proc/thread-self/net/netlink")?;
    let lost = |line: &str| line.split_whitespace().nth(8).is_some_and(|drops| drops.parse() != Ok(0));
    ensure!(sockets.lines().skip(1).any(lost), "nothing was lost: {sockets}");
    let seen = ground.wait(async { timeout(Duration::from_secs(5), changes.changed()).await });
    ensure!(seen == Ok(true), "{seen:?}");
    sees(ground, &mut changes, &format!("route del {V4}"))
}
