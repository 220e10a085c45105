//! The kernel's events.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use flock_core::host::addresses::{AddressState, InterfaceAddress, Lifetimes};
use flock_core::link::LinkSpec;
use flock_kernel::events::{Change, Loss, RouteKind};
use flock_kernel::{Events, KernelEvent, KernelEvents};
use tokio::time::timeout;

use crate::Body;
use crate::ground::{Ground, Pod, V4, V6, dual_stack, ip};

pub(crate) fn trials() -> Vec<(&'static str, Body)> {
    vec![
        ("watch_sees_what_hangs_on_a_link_go", sees_what_hangs_on_a_link_go),
        ("watch_sees_a_link_go", sees_a_link_go),
        ("watch_sees_the_uplink", sees_the_uplink),
        ("watch_sees_what_becomes_of_an_address", sees_what_becomes_of_an_address),
        ("watch_is_quiet_about_others", is_quiet_about_others),
        ("watch_survives_lost_messages", survives_lost_messages),
    ]
}

/// Waits until nothing has changed for a while.
async fn calm(events: &mut KernelEvents) {
    while let Ok(Some(_)) = timeout(Duration::from_millis(200), events.next()).await {}
}

/// The events that follow a disturbance include the expected one.
fn sees(
    ground: &Ground,
    events: &mut KernelEvents,
    disturbance: &str,
    expected: impl Fn(&KernelEvent) -> bool,
) -> Result<()> {
    ground.wait(async {
        calm(events).await;
        ip(disturbance)?;
        comes(events, expected).await.with_context(|| format!("`ip {disturbance}` was not seen"))
    })
}

async fn comes(events: &mut KernelEvents, expected: impl Fn(&KernelEvent) -> bool) -> Result<()> {
    let mut seen = Vec::new();
    while let Ok(Some(event)) = timeout(Duration::from_secs(5), events.next()).await {
        seen.push(event);
        if seen.last().is_some_and(&expected) {
            return Ok(());
        }
    }
    bail!("only {seen:?}")
}

fn attached(ground: &Ground) -> Result<(Pod, LinkSpec, KernelEvents)> {
    let pod = Pod::new()?;
    let spec = dual_stack(&pod)?;
    ground.attach(&spec)?;
    let events = ground.wait(async { ground.kernel.subscribe() })?;
    Ok((pod, spec, events))
}

fn is_link(event: &KernelEvent, name: &str, expected: Change) -> bool {
    matches!(event, KernelEvent::Link { name: Some(found), change, .. }
        if found.as_str() == name && *change == expected)
}

fn is_route(event: &KernelEvent, expected: (RouteKind, &str, Change)) -> bool {
    matches!(event, KernelEvent::Route { kind, destination, change }
        if (*kind, destination.to_string().as_str(), *change) == expected)
}

fn is_neighbour(event: &KernelEvent, expected: &str, how: Change) -> bool {
    matches!(event, KernelEvent::Neighbour { address: Some(address), change, .. }
        if address.to_string() == expected && *change == how)
}

fn is_address(event: &KernelEvent, expected: &str, how: Change) -> bool {
    matches!(event, KernelEvent::Address { address, change, .. }
        if address.net.to_string() == expected && *change == how)
}

fn sees_what_hangs_on_a_link_go(ground: &Ground) -> Result<()> {
    let (_pod, spec, mut events) = attached(ground)?;
    let host = spec.host.as_str();
    let mut sees = |disturbance: String, expected: &dyn Fn(&KernelEvent) -> bool| {
        sees(ground, &mut events, &disturbance, expected)
    };
    let gone =
        |net: String| move |event: &KernelEvent| is_route(event, (RouteKind::Ours, &net, Change::Gone));
    sees(format!("route del {V4}"), &gone(format!("{V4}/32")))?;
    sees(format!("-6 route del {V6}"), &gone(format!("{V6}/128")))?;
    sees(format!("neigh del {V4} dev {host}"), &|event| is_neighbour(event, V4, Change::Gone))?;
    sees(format!("neigh replace {V6} lladdr 02:00:00:00:00:01 nud permanent dev {host}"), &|event| {
        is_neighbour(event, V6, Change::Set)
    })?;
    sees(format!("neigh del {V6} dev {host}"), &|event| is_neighbour(event, V6, Change::Gone))?;
    sees(format!("addr del fe80::1/64 dev {host}"), &|event| is_address(event, "fe80::1/64", Change::Gone))?;
    for disturbance in ["mtu 1300", "address 02:00:00:00:00:02", "alias x", "down"] {
        sees(format!("link set {host} {disturbance}"), &|event| is_link(event, host, Change::Set))?;
    }
    Ok(())
}

fn sees_a_link_go(ground: &Ground) -> Result<()> {
    let (_pod, spec, mut events) = attached(ground)?;
    let gone = |event: &KernelEvent| is_link(event, spec.host.as_str(), Change::Gone);
    sees(ground, &mut events, &format!("link del {}", spec.host), gone)
}

fn sees_the_uplink(ground: &Ground) -> Result<()> {
    ip("link add up0 type veth peer name up1")?;
    ip("link set up0 up")?;
    let mut events = ground.wait(async { ground.kernel.subscribe() })?;
    let mut sees = |disturbance: &str, expected: &dyn Fn(&KernelEvent) -> bool| {
        sees(ground, &mut events, disturbance, expected)
    };
    let (set, gone) = (Change::Set, Change::Gone);
    let (v4, v6) = ("0.0.0.0/0", "::/0");
    let default = |net, change| move |event: &KernelEvent| is_route(event, (RouteKind::Default, net, change));
    sees("link set up0 mtu 1400", &|event| is_link(event, "up0", set))?;
    sees("addr add 192.0.2.1/24 dev up0", &|event| is_address(event, "192.0.2.1/24", set))?;
    sees("addr add 2001:db8::1/64 dev up0 nodad", &|event| is_address(event, "2001:db8::1/64", set))?;
    sees("addr del 192.0.2.1/24 dev up0", &|event| is_address(event, "192.0.2.1/24", gone))?;
    sees("route add default dev up0", &default(v4, set))?;
    sees("route del default dev up0", &default(v4, gone))?;
    sees("-6 route add default dev up0", &default(v6, set))?;
    sees("-6 route del default dev up0", &default(v6, gone))?;
    sees("link set up0 down", &|event| is_link(event, "up0", set))
}

/// Duplicate address detection, and an address that is deprecated and then removed by its lifetimes.
fn sees_what_becomes_of_an_address(ground: &Ground) -> Result<()> {
    ip("link add up0 type veth peer name up1")?;
    ip("link set up0 up")?;
    ip("link set up1 up")?;
    let mut events = ground.wait(async { ground.kernel.subscribe() })?;
    let mut sees = |disturbance: &str, net: &str, expected: &dyn Fn(&InterfaceAddress) -> bool| {
        sees(ground, &mut events, disturbance, |event| {
            matches!(event, KernelEvent::Address { address, change: Change::Set, .. }
                if address.net.to_string() == net && expected(address))
        })
    };
    let net = "2001:db8::1/64";
    sees(&format!("addr add {net} dev up0"), net, &|address| address.state() == AddressState::Tentative)?;
    // Its probe meets the address on the other end of the cable.
    ip("addr add 2001:db8::2/64 dev up1 nodad")?;
    let twin = "2001:db8::2/64";
    sees(&format!("addr add {twin} dev up0"), twin, &|address| address.state() == AddressState::Duplicate)?;
    // What is left of it is told in whole seconds.
    let is_left = |lifetimes: Lifetimes| {
        let valid = lifetimes.valid.map_or(0, |valid| valid.as_secs());
        lifetimes.preferred == Some(Duration::ZERO) && (900..=1000).contains(&valid)
    };
    sees(&format!("addr change {net} dev up0 preferred_lft 0 valid_lft 1000"), net, &|address| {
        address.state() == AddressState::Deprecated && is_left(address.lifetimes)
    })
}

fn is_quiet_about_others(ground: &Ground) -> Result<()> {
    ip("link add up0 type veth peer name up1")?;
    ip("link set up0 up")?;
    ip("addr add 192.0.2.1/24 dev up0")?;
    let mut events = ground.wait(async { ground.kernel.subscribe() })?;
    ground.wait(async {
        calm(&mut events).await;
        ip("route add 198.51.100.0/24 dev up0")?;
        ip("route del 198.51.100.0/24 dev up0")?;
        ip("neigh add 192.0.2.9 dev up0 nud stale lladdr 02:00:00:00:00:09")?;
        let seen = timeout(Duration::from_millis(300), events.next()).await;
        ensure!(seen.is_err(), "{seen:?}");
        Ok(())
    })
}

fn survives_lost_messages(ground: &Ground) -> Result<()> {
    ip("link add up0 type veth peer name up1")?;
    ip("link set up0 up")?;
    let (_pod, _spec, mut events) = attached(ground)?;
    ground.wait(calm(&mut events));
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
    let lost = |event: &KernelEvent| *event == KernelEvent::Lost(Loss::Overrun);
    ground.wait(comes(&mut events, lost))?;
    let destination = format!("{V4}/32");
    let gone = |event: &KernelEvent| is_route(event, (RouteKind::Ours, &destination, Change::Gone));
    sees(ground, &mut events, &format!("route del {V4}"), gone)
}
