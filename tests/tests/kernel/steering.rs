//! Established connections to anycast addresses.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use flock_core::steering::Steering;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

use crate::Body;
use crate::connections::{ANYCAST4, ANYCAST6, BOTH, Site, all_alive, at_once, flag, shares};
use crate::ground::{Ground, Pod, ip};
use crate::marks::{nft, packets};

pub(crate) fn trials() -> Vec<(&'static str, Body)> {
    vec![
        ("connections_stay_while_pods_come_and_go_v6", |ground| stay(ground, ANYCAST6)),
        ("connections_stay_while_pods_come_and_go_v4", |ground| stay(ground, ANYCAST4)),
        ("connections_stay_with_a_strict_reverse_path_filter", stay_strictly),
        ("without_steering_connections_break_v6", |ground| break_unsteered(ground, ANYCAST6)),
        ("without_steering_connections_break_v4", |ground| break_unsteered(ground, ANYCAST4)),
        ("the_nodes_own_connections_stay", nodes_own_stay),
        ("a_new_connection_between_old_ports_follows_the_group", reused_ports),
        ("a_repeated_syn_goes_to_the_pod_that_has_answered", repeated_syn),
        ("too_big_from_the_node_reaches_the_pod", too_big_from_the_node),
        ("too_big_from_a_router_reaches_the_pod", too_big_from_a_router),
        ("connections_of_a_pod_without_a_link_end", link_is_gone),
    ]
}

fn stay(ground: &Ground, address: &str) -> Result<()> {
    let site = Site::new(ground)?;
    site.steer(&[1, 2, 3])?;
    let service = site.listen(address)?;
    let mut flows = service.connect(&site, 200)?;
    ensure!(shares(&flows).iter().all(|share| *share > 0), "{:?}", shares(&flows));
    all_alive(&mut flows, "at first")?;
    site.serve(&[1, 3])?;
    all_alive(&mut flows, "without pod 2")?;
    let new = service.connect(&site, 100)?;
    ensure!(shares(&new)[1] == 0, "new connections went to pod 2: {:?}", shares(&new));
    flows.extend(new);
    site.serve(&[1, 2, 3])?;
    all_alive(&mut flows, "with pod 2 again")?;
    // Another address: the table is written anew under way.
    let mut more = site.steering(&[1, 2, 3])?;
    for pod in more.pods.values_mut() {
        pod.anycast.insert("2001:db8:53::2".parse()?);
    }
    site.apply(&more)?;
    site.serve(&[2])?;
    all_alive(&mut flows, "with pod 2 alone")?;
    let new = service.connect(&site, 20)?;
    ensure!(shares(&new) == [0, 20, 0], "{:?}", shares(&new));
    Ok(())
}

/// As some distributions set it for all links.
fn stay_strictly(ground: &Ground) -> Result<()> {
    std::fs::write("/proc/sys/net/ipv4/conf/all/rp_filter", "1")?;
    stay(ground, ANYCAST4)
}

/// What the other trials are about does happen.
fn break_unsteered(ground: &Ground, address: &str) -> Result<()> {
    let site = Site::new(ground)?;
    site.apply(&Steering::default())?;
    let service = site.listen(address)?;
    let mut flows = service.connect(&site, 200)?;
    all_alive(&mut flows, "at first")?;
    site.serve(&[1, 3])?;
    ensure!(flows.iter_mut().filter(|flow| flow.pod == 2).all(|flow| flow.is_broken()));
    Ok(())
}

fn nodes_own_stay(ground: &Ground) -> Result<()> {
    let site = Site::new(ground)?;
    site.steer(&[1, 2, 3])?;
    for address in BOTH {
        let service = site.listen(address)?;
        let mut flows = service.flows(service.dial(50)?)?;
        ensure!(shares(&flows).iter().all(|share| *share > 0), "{:?}", shares(&flows));
        for members in [&[1, 3][..], &[1, 2, 3], &[2]] {
            site.serve(members)?;
            all_alive(&mut flows, &format!("{members:?}"))?;
        }
        site.serve(&[1, 2, 3])?;
    }
    Ok(())
}

/// A client that has lost its memory, or a proxy's port that comes up again: conntrack still knows the old connection.
fn reused_ports(ground: &Ground) -> Result<()> {
    let site = Site::new(ground)?;
    site.steer(&[1, 2, 3])?;
    // A port bound for IPv6 may be IPv4's too.
    for (address, port) in BOTH.into_iter().zip(40_000..) {
        let service = site.listen(address)?;
        let dial = || site.client.run(|| dial_from(port, service.address));
        let mut old = service.flows(vec![dial()?])?;
        all_alive(&mut old, "the old connection")?;
        let others: Vec<u16> = (1..=3).filter(|pod| *pod != old[0].pod).collect();
        site.serve(&others)?;
        let Some(old) = old.pop() else { bail!("no connection") };
        // Its end is told to nobody: its server goes on.
        let _server = site.client.run(|| {
            ip(&format!("{} route add blackhole {address}", flag(address)?))?;
            sockopt::set_socket_linger(&old.client, Some(Duration::ZERO))?;
            drop(old.client);
            ip(&format!("{} route del blackhole {address}", flag(address)?))?;
            Ok(old.server)
        })?;
        let mut new = service.flows(vec![dial()?])?;
        ensure!(others.contains(&new[0].pod), "pod {} is not among {others:?}", new[0].pod);
        all_alive(&mut new, "the new connection")?;
        site.serve(&[1, 2, 3])?;
        all_alive(&mut new, "the new connection, later")?;
    }
    Ok(())
}

/// The answers to first packets are lost, and by the time they are sent again the group is another. (That they are
/// answered at last is no part of this: then the pod would repeat its answer at the moment at which the client repeats
/// the question, and in one kernel the third packet overtakes that now and then.)
fn repeated_syn(ground: &Ground) -> Result<()> {
    let site = Site::new(ground)?;
    site.steer(&[1, 2, 3])?;
    count_asked(&site)?;
    site.client.run(|| nft(&["-f", "-"], LOSS))?;
    for address in BOTH {
        let service = site.listen(address)?;
        site.serve(&[1])?;
        std::thread::scope(|scope| {
            for _ in 0..10 {
                // Linux sends it again after a second.
                scope.spawn(|| site.client.run(|| service.dial_for(Duration::from_millis(1600))));
            }
            std::thread::sleep(Duration::from_millis(500));
            site.serve(&[2, 3])
        })?;
    }
    let asked = ["pod1", "pod2", "pod3"].map(|pod| packets("asked", pod));
    let [first, second, third] = asked;
    let asked = (first?, second?, third?);
    // Ten for each family, twice.
    ensure!(asked.0 >= 40 && asked.1 == 0 && asked.2 == 0, "{asked:?}");
    Ok(())
}

/// Counts the first packets that go to each pod.
fn count_asked(site: &Site) -> Result<()> {
    let mut text =
        "table inet asked { chain forward { type filter hook forward priority filter; }; }\n".to_owned();
    for (number, (_, spec)) in (1..).zip(&site.pods) {
        text += &format!("add counter inet asked pod{number}\n");
        text += &format!("add rule inet asked forward oifname {} tcp flags & (syn | ack) == syn ", spec.host);
        text += &format!("counter name pod{number}\n");
    }
    nft(&["-f", "-"], &text).map(drop)
}

const LOSS: &str = "table inet loss {
    chain input {
        type filter hook input priority filter;
        tcp flags & (syn | ack) == syn | ack drop
    }
}";

fn dial_from(port: u16, to: SocketAddr) -> Result<TcpStream> {
    let (family, any) = match to {
        SocketAddr::V6(_) => (AddressFamily::INET6, IpAddr::from([0; 16])),
        SocketAddr::V4(_) => (AddressFamily::INET, IpAddr::from([0; 4])),
    };
    // A program that another trial starts must not hold the port.
    let socket = rustix::net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    rustix::net::bind(&socket, &SocketAddr::new(any, port))?;
    rustix::net::connect(&socket, &to).context("connect")?;
    Ok(socket.into())
}

/// The node's link to the client takes less than the pod sends, and the node says so.
fn too_big_from_the_node(ground: &Ground) -> Result<()> {
    let site = Site::new(ground)?;
    ip("link set up0 mtu 1300")?;
    deliver_to(&site, &site.client)
}

/// The same, one hop further: the error comes in from outside.
fn too_big_from_a_router(ground: &Ground) -> Result<()> {
    let site = Site::new(ground)?;
    let far = Pod::new()?;
    far.run(at_once)?;
    site.client.run(|| {
        for sysctl in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
            std::fs::write(format!("/proc/sys/net/{sysctl}"), "1")?;
        }
        ip(&format!("link add far0 mtu 1300 type veth peer name eth0 mtu 1500 netns {}", far.thread))?;
        ip("link set far0 up")?;
        ip("addr add 198.18.1.1/24 dev far0")?;
        ip("addr add 2001:db8:f::1/64 dev far0 nodad")
    })?;
    far.run(|| {
        ip("link set eth0 up")?;
        ip("addr add 198.18.1.2/24 dev eth0")?;
        ip("addr add 2001:db8:f::2/64 dev eth0 nodad")?;
        ip("route add default via 198.18.1.1")?;
        ip("-6 route add default via 2001:db8:f::1")
    })?;
    ip("route add 198.18.1.0/24 via 198.18.0.2")?;
    ip("-6 route add 2001:db8:f::/64 via 2001:db8:c::2")?;
    deliver_to(&site, &far)
}

/// Of every pod, when it is the only one that takes no new connections: its errors would go elsewhere.
fn deliver_to(site: &Site, client: &Pod) -> Result<()> {
    site.steer(&[1, 2, 3])?;
    for address in BOTH {
        let service = site.listen(address)?;
        let mut flows = service.flows(client.run(|| service.dial(50))?)?;
        for pod in 1..=3 {
            let others: Vec<u16> = (1..=3).filter(|other| *other != pod).collect();
            site.serve(&others)?;
            let flow = flows.iter_mut().find(|flow| flow.pod == pod).context("no connection")?;
            flow.deliver(100_000).with_context(|| address.to_owned())?;
        }
        site.serve(&[1, 2, 3])?;
    }
    Ok(())
}

/// Their packets go to other pods, which refuse them: better than into nothing.
fn link_is_gone(ground: &Ground) -> Result<()> {
    let site = Site::new(ground)?;
    site.steer(&[1, 2, 3])?;
    let [v6, v4] = [site.listen(ANYCAST6)?, site.listen(ANYCAST4)?];
    let mut flows = v6.connect(&site, 50)?;
    flows.extend(v4.connect(&site, 50)?);
    ip(&format!("link del {}", site.pods[1].1.host))?;
    for _ in 0..2 {
        site.steer(&[1, 2, 3])?;
    }
    for flow in flows.iter_mut().filter(|flow| flow.pod == 2) {
        let refusal = flow.refusal()?;
        ensure!(refusal == ErrorKind::ConnectionReset, "{refusal}");
    }
    flows.retain(|flow| flow.pod != 2);
    all_alive(&mut flows, "of the other pods")
}
