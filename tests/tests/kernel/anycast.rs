//! Routes to anycast addresses.

#[path = "anycast/faults.rs"]
mod faults;
#[path = "anycast/field.rs"]
mod field;
#[path = "anycast/repair.rs"]
mod repair;

use std::collections::BTreeSet;
use std::net::{IpAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use flock_core::link::{Scope, plan};
use flock_kernel::{Events, Node, Routes};

use crate::Body;
use crate::ground::{Ground, ip};
use field::{BASE, BOTH, Field, V4, V6, buckets, ids, ip_for, is_routed, nexthops, shown, the_group};

pub(crate) fn trials() -> Vec<(&'static str, Body)> {
    let mut trials: Vec<(&'static str, Body)> = vec![
        ("anycast_routes_have_the_form_for_their_next_hops", forms_by_number),
        ("anycast_routes_without_nexthop_objects_are_multipath", multipath_by_number),
        ("anycast_groups_are_read_where_routes_do_not_show_them", routes_show_ids_only),
        ("anycast_route_that_is_right_is_not_touched", right_is_not_touched),
        ("anycast_flows_stay_when_a_pod_goes", flows_stay),
        ("anycast_address_is_never_without_a_route", |g| never_without(&Field::new(g, 4)?)),
        ("anycast_address_is_never_without_a_multipath_route", |g| {
            never_without(&Field::new(g, 4)?.without_nexthop_objects())
        }),
        ("anycast_routes_may_be_changed_at_the_same_time", changed_at_the_same_time),
        ("anycast_routes_are_no_links_facts", no_links_facts),
        ("anycast_packets_arrive", packets_arrive),
    ];
    trials.extend([faults::trials(), repair::trials()].concat());
    trials
}

/// From none to one, several, one and none, in steps of one and in larger ones.
const STEPS: [&[u8]; 12] =
    [&[1], &[1, 2], &[1, 2, 3], &[2, 3], &[3], &[], &[1, 2, 3, 4], &[1, 4], &[2, 3], &[4], &[2], &[]];

fn forms_by_number(ground: &Ground) -> Result<()> {
    let field = Field::new(ground, 4)?;
    for pods in STEPS {
        field.set_both(pods)?;
        if pods.is_empty() {
            ensure!(field.routes()?.is_empty(), "{:#?}", field.routes()?);
        } else {
            field.both_lead_to(pods)?;
        }
        let objects = if pods.len() > 1 { 2 * (pods.len() + 1) } else { 0 };
        let ours = ids("proto")?.into_iter().filter(|id| *id >= BASE).count();
        ensure!(ours == objects && nexthops()?.lines().count() == objects, "{pods:?}: {}", nexthops()?);
        for address in BOTH {
            form(address, pods, true)?;
        }
    }
    Ok(())
}

fn multipath_by_number(ground: &Ground) -> Result<()> {
    let field = Field::new(ground, 4)?.without_nexthop_objects();
    for pods in STEPS {
        field.set_both(pods)?;
        if !pods.is_empty() {
            field.both_lead_to(pods)?;
        }
        ensure!(nexthops()?.is_empty(), "{}", nexthops()?);
        for address in BOTH {
            form(address, pods, false)?;
        }
    }
    // A group that an agent left behind that could make groups.
    let groups = Field { kernel: ground.kernel.clone(), ..field };
    groups.set_both(&[1, 2])?;
    let field = groups.without_nexthop_objects();
    field.both_lead_to(&[])?;
    field.set_both(&[1, 2])?;
    field.both_lead_to(&[1, 2])?;
    ensure!(nexthops()?.is_empty(), "{}", nexthops()?);
    Ok(())
}

/// That `ip` shows exactly one route to the address, in the form for that many next hops.
fn form(address: &str, pods: &[u8], groups: bool) -> Result<()> {
    let shown = shown(address)?;
    let (lines, by_id) = (shown.lines().count(), shown.contains(" nhid "));
    let ours = shown.contains("proto 70 metric 100");
    let expected = match pods.len() {
        0 => shown.is_empty(),
        1 => lines == 1 && !by_id && ours && shown.contains("onlink"),
        several => {
            lines == several + 1 && by_id == groups && ours && shown.matches("weight 1").count() == several
        }
    };
    ensure!(expected, "{address} to {pods:?}: {shown}");
    Ok(())
}

fn routes_show_ids_only(ground: &Ground) -> Result<()> {
    let field = Field::new(ground, 2)?;
    std::fs::write("/proc/sys/net/ipv4/nexthop_compat_mode", "0")?;
    field.set_both(&[1, 2])?;
    field.both_lead_to(&[1, 2])?;
    for address in BOTH {
        ensure!(!shown(address)?.contains("via"), "{}", shown(address)?);
    }
    field.set_both(&[2])?;
    field.both_lead_to(&[2])
}

fn right_is_not_touched(ground: &Ground) -> Result<()> {
    let field = Field::new(ground, 3)?;
    for pods in [&[1][..], &[1, 2], &[1, 2, 3], &[2]] {
        field.set_both(pods)?;
        let all = || Ok::<_, anyhow::Error>([nexthops()?, ip("-d route")?, ip("-d -6 route")?]);
        let before = all()?;
        let mut events = ground.wait(async { ground.kernel.subscribe() })?;
        field.set_both(pods)?;
        ensure!(all()? == before, "{before:?}\n{:?}", all()?);
        let woken =
            ground.wait(async { tokio::time::timeout(Duration::from_millis(50), events.next()).await });
        ensure!(woken.is_err(), "{pods:?}: something was removed");
    }
    Ok(())
}

fn flows_stay(ground: &Ground) -> Result<()> {
    let field = Field::new(ground, 4)?;
    field.set(V6, &[1, 2, 3, 4])?;
    let group = the_group()?;
    let before = buckets(group)?;
    let first = before.first().copied().unwrap_or_default();
    ensure!(before.len() == 256 && before.iter().filter(|id| **id == first).count() == 64, "{before:?}");
    for pods in [&[1, 3, 4][..], &[3, 4], &[2, 3, 4], &[1, 2, 3, 4]] {
        let (old, before) = (members(group)?, buckets(group)?);
        field.set(V6, pods)?;
        field.leads_to(V6, pods)?;
        ensure!(the_group()? == group, "another group: {}", nexthops()?);
        let (new, after) = (members(group)?, buckets(group)?);
        ensure!(after.iter().all(|id| new.contains(id)), "a bucket of one that is gone: {after:?}");
        // A bucket moves from one that goes, or to one that comes; never between two that stay.
        let stray =
            before.iter().zip(&after).find(|(was, is)| was != is && new.contains(was) && old.contains(is));
        ensure!(stray.is_none(), "{pods:?}: {stray:?} of {before:?}\n{after:?}");
    }
    Ok(())
}

fn members(group: u32) -> Result<BTreeSet<u32>> {
    Ok(buckets(group)?.into_iter().collect())
}

/// Looks for routes all the time while they are changed.
fn never_without(field: &Field<'_>) -> Result<()> {
    field.set_both(&[1])?;
    let (done, looks) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let look = |address: &'static str| {
            let (done, looks) = (&done, &looks);
            move || {
                let address: IpAddr = address.parse()?;
                let socket = UdpSocket::bind(if address.is_ipv6() { "[::]:0" } else { "0.0.0.0:0" })?;
                while !done.load(Ordering::Relaxed) {
                    ensure!(is_routed(&socket, address)?, "there was no route to {address}");
                    looks.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            }
        };
        let looking = BOTH.map(|address| scope.spawn(look(address)));
        let mut changed = Ok(());
        for _ in 0..5 {
            let steps = STEPS.iter().filter(|pods| !pods.is_empty());
            changed = changed.and_then(|()| steps.into_iter().try_for_each(|pods| field.set_both(pods)));
        }
        done.store(true, Ordering::Relaxed);
        for looking in looking {
            match looking.join() {
                Ok(looked) => looked?,
                Err(_) => bail!("panicked"),
            }
        }
        changed
    })?;
    let looks = looks.into_inner();
    ensure!(looks > 1000, "looked {looks} times only");
    Ok(())
}

fn changed_at_the_same_time(ground: &Ground) -> Result<()> {
    let field = Field::new(ground, 4)?;
    for pods in STEPS.iter().cycle().take(48) {
        let [v6, v4] = [[field.change(V6, pods)?], [field.change(V4, pods)?]];
        let (first, second) = ground.wait(async {
            tokio::join!(field.kernel.change_anycast_routes(&v6), field.kernel.change_anycast_routes(&v4))
        });
        first.and(second)?;
        if !pods.is_empty() {
            field.both_lead_to(pods)?;
        }
    }
    ensure!(nexthops()?.is_empty(), "{}", nexthops()?);
    Ok(())
}

/// They are nobody's surplus, whatever they look like, and no uplink's default route.
fn no_links_facts(ground: &Ground) -> Result<()> {
    let field = Field::new(ground, 2)?;
    let node = ground.wait(ground.kernel.host())?;
    let unaffected = |what: &str| {
        for (_, spec) in &field.pods {
            let changes = plan(spec, &ground.observe(spec)?, Scope::HostRepair);
            ensure!(changes.is_empty(), "{what}: {changes:#?}");
        }
        let now = ground.wait(ground.kernel.host())?;
        ensure!(now == node, "{what}: {now:#?}\n{node:#?}");
        Ok(())
    };
    for pods in [&[1][..], &[1, 2], &[2]] {
        field.set_both(pods)?;
        unaffected(&format!("{pods:?}"))?;
    }
    for address in BOTH {
        ip_for(address, &format!("route replace {address} dev {} proto 70 metric 100", field.link(1)))?;
    }
    unaffected("on link")?;
    for address in BOTH {
        ip_for(address, &format!("route replace blackhole {address} proto 70 metric 100"))?;
    }
    unaffected("blackhole")
}

/// To one pod and to several, and from the anycast address back.
fn packets_arrive(ground: &Ground) -> Result<()> {
    let field = Field::new(ground, 3)?;
    for (pod, _) in &field.pods {
        pod.run(|| {
            ip(&format!("addr add {V6}/128 dev lo nodad")).and(ip(&format!("addr add {V4}/32 dev lo")))
        })?;
    }
    for pods in [&[2][..], &[1, 2, 3]] {
        field.set_both(pods)?;
        for address in BOTH {
            arrives(&field, address.parse()?)?;
        }
    }
    Ok(())
}

fn arrives(field: &Field<'_>, address: IpAddr) -> Result<()> {
    let listen = |(pod, _): &_| -> Result<UdpSocket> {
        let pod: &crate::ground::Pod = pod;
        pod.run(|| {
            let socket = UdpSocket::bind((address, 5353))?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        })
    };
    let listening = field.pods.iter().map(listen).collect::<Result<Vec<_>>>()?;
    for _ in 0..20 {
        let client = UdpSocket::bind(if address.is_ipv6() { "[::]:0" } else { "0.0.0.0:0" })?;
        client.set_read_timeout(Some(Duration::from_secs(5)))?;
        client.connect((address, 5353))?;
        client.send(b"question")?;
        // A veth hands packets over in soft interrupts, which may wait for a busy CPU.
        let answered = (0..5000).any(|_| {
            let answered = listening.iter().any(|socket| answer(socket).is_ok());
            if !answered {
                std::thread::sleep(Duration::from_millis(1));
            }
            answered
        });
        ensure!(answered, "no pod got a packet to {address}");
        client.recv(&mut [0; 16])?;
    }
    Ok(())
}

fn answer(socket: &UdpSocket) -> std::io::Result<()> {
    let (_, from) = socket.recv_from(&mut [0; 16])?;
    socket.send_to(b"answer", from).map(drop)
}
