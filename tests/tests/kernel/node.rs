//! The node: uplinks, sysctls, default routes, blackholes.

use std::collections::BTreeSet;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use flock_core::host::addresses::{NodeAddress, Subnets};
use flock_core::host::{DefaultRoute, HostChange, HostState, HostSysctl, plan};
use flock_core::node::NodePlan;
use flock_core::prefix::Family;
use flock_kernel::{KernelError, Links, Node, Routes};
use rustix::net::{AddressFamily, SendFlags, SocketType, ipproto, sendto, socket, sockopt};

use crate::Body;
use crate::ground::{Ground, Pod, dual_stack, ip};

pub(crate) fn trials() -> Vec<(&'static str, Body)> {
    vec![
        ("blackholes_come_and_go", blackholes_come_and_go),
        ("blackhole_replaces_nobodys_route", blackhole_replaces_nobodys_route),
        ("default_routes_and_mtu_of_uplinks_are_seen", default_routes_and_mtu),
        ("multipath_default_route_is_one_for_each_uplink", multipath_default_route),
        ("default_routes_of_routing_programs_are_seen", learned_default_routes),
        ("routes_of_routing_programs_are_not_transferred", learned_routes_are_not_transferred),
        ("own_addresses_and_subnets_are_seen", own_addresses_and_subnets),
        ("missing_sysctl_is_an_error", missing_sysctl_is_an_error),
        ("ra_default_route_survives_forwarding", ra_default_route_survives),
    ]
}

fn state(ground: &Ground) -> Result<HostState> {
    Ok(ground.wait(ground.kernel.host())?)
}

fn change(ground: &Ground, changes: &[HostChange]) -> Result<(), KernelError> {
    ground.wait(ground.kernel.change_host(changes))
}

/// What BGP follows from: neither what a session cannot begin at, nor pods' links, nor what other routing programs say.
fn own_addresses_and_subnets(ground: &Ground) -> Result<()> {
    ip("link add up0 type veth peer name up1")?;
    for command in [
        "link set up0 up",
        "link set up1 up",
        "link set lo up",
        "addr add 198.51.100.2/24 dev up0",
        "addr add 198.51.100.3/24 dev up0",
        "addr add 2001:db8:f::2/64 dev up0 nodad",
        "addr add 2001:db8:f::dead/64 dev up0 nodad preferred_lft 0",
        "addr add 192.0.2.1/32 dev lo",
        "route add 203.0.113.0/24 dev up0",
        "route add 203.0.114.0/24 dev up0 proto bird",
        "route add 203.0.115.0/24 via 198.51.100.1 dev up0",
    ] {
        ip(command)?;
    }
    let pod = Pod::new()?;
    ground.attach(&dual_stack(&pod)?)?;
    let Subnets { addresses, on_link } = state(ground)?.subnets;
    let address = |own: &NodeAddress| format!("{} {} {}", own.ifname, own.net, own.secondary);
    let addresses: Vec<String> = addresses.iter().map(address).collect();
    let expected = [
        "lo 192.0.2.1/32 false",
        "up0 198.51.100.2/24 false",
        "up0 198.51.100.3/24 true",
        "up0 2001:db8:f::2/64 false",
    ];
    ensure!(addresses == expected, "{addresses:?}");
    let on_link: Vec<String> = on_link.iter().map(ToString::to_string).collect();
    let expected = ["192.0.2.1/32", "198.51.100.0/24", "203.0.113.0/24", "2001:db8:f::/64"];
    ensure!(on_link == expected, "{on_link:?}");
    Ok(())
}

fn blackholes_come_and_go(ground: &Ground) -> Result<()> {
    let (v6, v4) = ("2001:db8:a::/64".parse()?, "203.0.113.0/26".parse()?);
    ip("route add blackhole 203.0.113.64/26 proto static")?;
    let add = [HostChange::AddBlackhole(v6), HostChange::AddBlackhole(v4)];
    for _ in 0..2 {
        change(ground, &add)?;
        let found = state(ground)?.blackholes;
        ensure!(found == [v6, v4].into(), "{found:?}");
    }
    let shown = ip("-6 route show type blackhole proto 70")? + &ip("route show type blackhole proto 70")?;
    ensure!(shown.lines().count() == 2, "{shown}");
    let remove = [HostChange::RemoveBlackhole(v6), HostChange::RemoveBlackhole(v4)];
    for _ in 0..2 {
        change(ground, &remove)?;
        let found = state(ground)?.blackholes;
        ensure!(found.is_empty(), "{found:?}");
    }
    Ok(())
}

fn blackhole_replaces_nobodys_route(ground: &Ground) -> Result<()> {
    ip("link add up0 type veth peer name up1")?;
    ip("link set up0 up")?;
    ip("route add 203.0.113.0/26 dev up0 proto static")?;
    let result = change(ground, &[HostChange::AddBlackhole("203.0.113.0/26".parse()?)]);
    ensure!(matches!(result, Err(KernelError::Step { .. })), "{result:?}");
    let shown = ip("route show 203.0.113.0/26")?;
    ensure!(shown.contains("dev up0 proto static"), "{shown}");
    Ok(())
}

fn default_routes_and_mtu(ground: &Ground) -> Result<()> {
    ip("link add up0 mtu 1400 type veth peer name up1 mtu 1400")?;
    ip("link set up0 up")?;
    ip("route add default dev up0")?;
    ip("-6 route add default dev up0")?;
    ip("-6 route add default dev up0 table 100")?;
    ip("link add other type veth peer name another")?;
    let state = state(ground)?;
    let up0 = "up0".parse()?;
    ensure!(state.other_links.get(&up0) == Some(&1400), "{state:#?}");
    ensure!(state.other_links.len() == 4, "loopback is no uplink: {state:#?}");
    let route = |family| DefaultRoute { family, ifname: up0.clone(), from_ra: false };
    ensure!(state.default_routes == [Family::IPv6, Family::IPv4].map(route).into(), "{state:#?}");
    ensure!(state.sysctls.get(&HostSysctl::AcceptRa(up0.clone())) == Some(&1), "{state:#?}");
    ensure!(state.sysctls.contains_key(&HostSysctl::Ipv6Forwarding), "{state:#?}");
    Ok(())
}

fn multipath_default_route(ground: &Ground) -> Result<()> {
    for link in ["up0", "up1"] {
        ip(&format!("link add {link} type veth peer name {link}-peer"))?;
        ip(&format!("link set {link} up"))?;
        ip(&format!("link set {link}-peer up"))?;
    }
    ip("route add default nexthop dev up0 nexthop dev up1")?;
    ip("-6 route add default nexthop via fe80::a dev up0 nexthop via fe80::b dev up1")?;
    let found = state(ground)?.default_routes;
    ensure!(found.len() == 4, "{found:?}");
    Ok(())
}

/// Two links, the second one with addresses on which routers could be.
fn two_uplinks() -> Result<()> {
    for (link, number) in [("up0", 0), ("up1", 1)] {
        for command in [
            format!("link add {link} type veth peer name {link}-peer"),
            format!("link set {link} up"),
            format!("link set {link}-peer up"),
            format!("addr add 198.51.10{number}.2/24 dev {link}"),
            format!("addr add 2001:db8:{number}::2/64 dev {link} nodad"),
        ] {
            ip(&command)?;
        }
    }
    Ok(())
}

/// Whatever their metrics, and beside more specific routes. Not those of other tables, nor those that refuse packets.
fn learned_default_routes(ground: &Ground) -> Result<()> {
    two_uplinks()?;
    ip("route add default via 198.51.100.1 dev up0")?;
    ip("-6 route add default via 2001:db8:0::1 dev up0 metric 10")?;
    for command in [
        "route add 203.0.113.0/24 via 198.51.101.1 dev up1 proto bird",
        "-6 route add 2000::/3 via 2001:db8:1::1 dev up1 proto bird",
        "route add default via 198.51.101.1 dev up1 table 100 proto bird",
        "route add unreachable default metric 9000 proto bird",
        "-6 route add unreachable default metric 9000 proto bird",
    ] {
        ip(command)?;
    }
    let route = |family, ifname: &str| -> Result<DefaultRoute> {
        Ok(DefaultRoute { family, ifname: ifname.parse()?, from_ra: false })
    };
    let mut expected: BTreeSet<_> = [route(Family::IPv6, "up0")?, route(Family::IPv4, "up0")?].into();
    ensure!(state(ground)?.default_routes == expected, "{:?}", state(ground)?.default_routes);
    for (family, command) in [
        (Family::IPv4, "route add default via 198.51.101.1 dev up1 proto bird metric 4000"),
        (Family::IPv6, "-6 route add default via 2001:db8:1::1 dev up1 proto bgp metric 4000"),
    ] {
        ip(command)?;
        expected.insert(route(family, "up1")?);
        ensure!(state(ground)?.default_routes == expected, "{:?}", state(ground)?.default_routes);
    }
    Ok(())
}

/// What looking at the node costs does not grow with what BIRD has learned.
fn learned_routes_are_not_transferred(ground: &Ground) -> Result<()> {
    two_uplinks()?;
    ip("-6 route add default via 2001:db8:1::1 dev up1 proto bird")?;
    let pod = Pod::new()?;
    let spec = dual_stack(&pod)?;
    ground.attach(&spec)?;
    let cost = || -> Result<(u64, HostState)> {
        let before = ground.kernel.messages_received();
        let seen = state(ground)?;
        ground.wait(ground.kernel.host_link(&spec.host))?;
        ground.wait(ground.kernel.anycast_routes())?;
        Ok((ground.kernel.messages_received() - before, seen))
    };
    let (before, seen_before) = cost()?;
    let mut learned = String::new();
    for number in 0..5000 {
        let (high, low) = (number / 256, number % 256);
        learned += &format!("route add 10.{high}.{low}.0/24 via 198.51.101.1 proto bird\n");
        learned += &format!("route add 2001:db8:{number:x}:1::/64 via 2001:db8:1::1 dev up1 proto bird\n");
    }
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), learned)?;
    ip(&format!("-batch {}", file.path().display()))?;
    let count =
        ip("route show proto bird")?.lines().count() + ip("-6 route show proto bird")?.lines().count();
    ensure!(count == 10_001, "{count}");
    let (after, seen_after) = cost()?;
    ensure!(seen_after == seen_before, "{seen_before:#?} {seen_after:#?}");
    // A link-local address may have come meanwhile, and a dump that it interrupts is repeated.
    ensure!(after < before + 1000, "{before} messages before, {after} with 10,000 more routes");
    Ok(())
}

fn missing_sysctl_is_an_error(ground: &Ground) -> Result<()> {
    let sysctl = HostSysctl::AcceptRa("nosuch".parse()?);
    ensure!(!state(ground)?.sysctls.contains_key(&sysctl));
    let Err(KernelError::Step { action, cause }) = change(ground, &[HostChange::Sysctl(sysctl, 2)]) else {
        bail!("a sysctl of an interface that is not there was set");
    };
    ensure!(action.contains("nosuch") && cause.kind() == std::io::ErrorKind::NotFound, "{action}: {cause}");
    Ok(())
}

/// A real router advertisement, then what `flock_core::host::plan` makes of it.
fn ra_default_route_survives(ground: &Ground) -> Result<()> {
    let router = Pod::new()?;
    ip(&format!("link add up0 type veth peer name up1 netns {}", router.thread))?;
    router.run(|| {
        std::fs::write("/proc/sys/net/ipv6/conf/up1/accept_dad", "0")?;
        ip("link set up1 up").map(drop)
    })?;
    std::fs::write("/proc/sys/net/ipv6/conf/up0/accept_dad", "0")?;
    ip("link set up0 up")?;
    let learned = DefaultRoute { family: Family::IPv6, ifname: "up0".parse()?, from_ra: true };
    let started = Instant::now();
    while !state(ground)?.default_routes.contains(&learned) {
        // It cannot be sent before the router has its link-local address.
        let sent = router.run(advertise);
        let late = started.elapsed() > Duration::from_secs(10);
        ensure!(!late, "no default route (sent: {sent:?}): {}", ip("-6 route")?);
        std::thread::sleep(Duration::from_millis(50));
    }
    let changes = plan(&node(), &state(ground)?);
    let order: Vec<_> = changes.iter().take(2).collect();
    let accept_ra = HostChange::Sysctl(HostSysctl::AcceptRa(learned.ifname.clone()), 2);
    ensure!(order == [&accept_ra, &HostChange::Sysctl(HostSysctl::Ipv6Forwarding, 1)], "{changes:?}");
    change(ground, &changes)?;
    let after = state(ground)?;
    ensure!(after.default_routes.contains(&learned), "the default route is gone: {after:#?}");
    ensure!(plan(&node(), &after).is_empty(), "{after:#?}");
    Ok(())
}

fn node() -> NodePlan {
    NodePlan { cooldown: Duration::ZERO, ..NodePlan::new("node-a") }
}

/// RFC 4861, section 4.2: a router for half an hour, hop limit 64. The kernel fills the checksum in.
fn advertise() -> Result<()> {
    let advertisement = [134, 0, 0, 0, 64, 0, 0x07, 0x08, 0, 0, 0, 0, 0, 0, 0, 0];
    let index = ip("-o link show up1")?.split(':').next().unwrap_or_default().parse()?;
    let all_nodes = SocketAddrV6::new(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1), 0, 0, index);
    let socket = socket(AddressFamily::INET6, SocketType::RAW, Some(ipproto::ICMPV6))?;
    sockopt::set_ipv6_multicast_hops(&socket, 255)?;
    sendto(&socket, &advertisement, SendFlags::empty(), &all_nodes)?;
    Ok(())
}
