//! What others do to the routes, and what they do for themselves.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use flock_kernel::{Events, KernelError};
use tokio::time::timeout;

use super::field::{BASE, BOTH, Field, V4, V6, ids, ip_for, nexthops, shown, the_group};
use crate::Body;
use crate::ground::{Ground, ip};

pub(crate) fn trials() -> Vec<(&'static str, Body)> {
    vec![
        ("anycast_leaves_foreign_routes_alone", leaves_foreign_routes_alone),
        ("anycast_leaves_foreign_nexthops_alone", leaves_foreign_nexthops_alone),
        ("anycast_group_that_another_route_shares_is_left_to_it", shared_group),
        ("anycast_survives_links_that_go", links_that_go),
        ("anycast_link_that_is_missing_keeps_no_other_from_being_used", missing_link),
        ("anycast_change_that_fails_keeps_no_other_from_being_made", others_are_made),
        ("anycast_removal_may_be_repeated", removal_may_be_repeated),
        ("watch_sees_anycast_nexthops_go", watch_sees_nexthops_go),
    ]
}

fn refused(outcome: Result<(), KernelError>) -> Result<(String, String)> {
    match outcome {
        Err(KernelError::Step { action, cause }) => Ok((action, cause.to_string())),
        other => bail!("{other:?}"),
    }
}

fn leaves_foreign_routes_alone(ground: &Ground) -> Result<()> {
    let field = Field::new(ground, 3)?;
    for address in BOTH {
        let beside = format!("route add {address} dev {} proto static metric 50", field.link(3));
        ip_for(address, &beside)?;
        for pods in [&[1][..], &[1, 2], &[2], &[]] {
            field.set(address, pods)?;
            ensure!(shown(address)?.contains("proto static"), "{pods:?}: {}", shown(address)?);
        }
        let instead = format!("route add {address} dev {} proto static metric 100", field.link(3));
        ip_for(address, &instead)?;
        let before = shown(address)?;
        for pods in [&[1][..], &[1, 2]] {
            let (action, cause) = refused(field.apply(&[field.change(address, pods)?]))?;
            ensure!(action.starts_with(&format!("route {address} via")), "{action}");
            ensure!(cause.contains("routing protocol 4"), "{cause}");
        }
        field.set(address, &[])?;
        ensure!(shown(address)? == before, "{before}\n{}", shown(address)?);
        ensure!(nexthops()?.is_empty(), "{}", nexthops()?);
    }
    Ok(())
}

fn leaves_foreign_nexthops_alone(ground: &Ground) -> Result<()> {
    let field = Field::new(ground, 3)?;
    let link = field.link(1);
    for foreign in [
        format!("nexthop add id 5 via 192.0.2.1 dev {link} onlink proto 70"),
        format!("nexthop add id {BASE} via 192.0.2.1 dev {link} onlink proto static"),
        format!("nexthop add id {} group {BASE} proto static", BASE + 2),
        format!("route add 198.51.100.99 nhid {BASE} proto static"),
    ] {
        ip(&foreign)?;
    }
    let before = (nexthops()?, ip("route show 198.51.100.99")?);
    field.set(V4, &[1, 2])?;
    field.leads_to(V4, &[1, 2])?;
    let ours: Vec<u32> = ids("70")?.into_iter().filter(|id| *id != 5).collect();
    ensure!(ours == [1, 3, 4].map(|n| BASE + n), "{}", nexthops()?);
    field.set(V4, &[])?;
    ensure!((nexthops()?, ip("route show 198.51.100.99")?) == before, "{before:?}\n{}", nexthops()?);
    Ok(())
}

fn shared_group(ground: &Ground) -> Result<()> {
    let field = Field::new(ground, 3)?;
    field.set(V4, &[1, 2])?;
    let group = the_group()?;
    ip(&format!("route add 198.51.100.99 nhid {group} proto static"))?;
    ip(&format!("route add 198.51.100.99 nhid {group} proto static table 7"))?;
    let before = ip(&format!("nexthop show id {group}"))?;
    for pods in [&[1, 2, 3][..], &[3], &[]] {
        field.set(V4, pods)?;
        ensure!(ip(&format!("nexthop show id {group}"))? == before, "{}", nexthops()?);
    }
    ip("route del 198.51.100.99")?;
    field.set(V4, &[1])?;
    ensure!(ip(&format!("nexthop show id {group}"))? == before, "table 7 leads to it: {}", nexthops()?);
    ip("route del 198.51.100.99 table 7")?;
    field.set(V4, &[2])?;
    ensure!(nexthops()?.is_empty(), "{}", nexthops()?);
    Ok(())
}

/// With a link, the kernel takes its next hops out of groups, and routes that lead nowhere any more.
fn links_that_go(ground: &Ground) -> Result<()> {
    let field = Field::new(ground, 4)?;
    field.set_both(&[1, 2, 3, 4])?;
    let group = ids("group")?;
    ip(&format!("link del {}", field.link(1)))?;
    field.both_lead_to(&[2, 3, 4])?;
    field.set_both(&[2, 3, 4])?;
    ensure!(ids("group")? == group, "{}", nexthops()?);
    // The pod takes its end down: no carrier.
    field.pods[1].0.run(|| ip("link set eth0 down").map(drop))?;
    ip(&format!("link set {} down", field.link(3)))?;
    field.both_lead_to(&[4])?;
    field.pods[1].0.run(|| ip("link set eth0 up").map(drop))?;
    field.set_both(&[2, 4])?;
    field.both_lead_to(&[2, 4])?;
    field.set_both(&[4])?;
    field.pods[3].0.run(|| ip("link set eth0 down").map(drop))?;
    // A plain route stays, and is dead.
    ensure!(field.routes()?.len() == 2, "{:?}", field.routes()?);
    for hops in field.routes()?.values() {
        ensure!(hops.is_empty(), "{hops:?}");
    }
    ip(&format!("link del {}", field.link(4)))?;
    ensure!(field.routes()?.is_empty(), "{:?}", field.routes()?);
    field.set_both(&[2])?;
    field.both_lead_to(&[2])?;
    ensure!(nexthops()?.is_empty(), "{}", nexthops()?);
    Ok(())
}

fn missing_link(ground: &Ground) -> Result<()> {
    let field = Field::new(ground, 3)?;
    let gone = field.link(3).to_owned();
    ip(&format!("link del {gone}"))?;
    let down = field.link(2).to_owned();
    ip(&format!("link set {down} down"))?;
    for address in BOTH {
        for (pods, named) in [(&[1, 3][..], &gone), (&[1, 2], &down)] {
            let (action, cause) = refused(field.apply(&[field.change(address, pods)?]))?;
            ensure!(action.contains(address) && cause.contains(named), "{action}: {cause}");
            field.leads_to(address, &[1])?;
        }
        let (_, cause) = refused(field.apply(&[field.change(address, &[3])?]))?;
        ensure!(cause.contains(&format!("there is no link {gone}")), "{cause}");
        // Still better than nothing.
        field.leads_to(address, &[1])?;
    }
    Ok(())
}

fn others_are_made(ground: &Ground) -> Result<()> {
    let field = Field::new(ground, 2)?;
    for address in ["198.51.100.1", "198.51.100.2"] {
        ip(&format!("route add {address} dev {} proto static metric 100", field.link(1)))?;
    }
    field.set(V6, &[1, 2])?;
    let changes = [
        field.change("198.51.100.1", &[1])?,
        field.change(V4, &[1, 2])?,
        field.change("198.51.100.2", &[1])?,
        field.change(V6, &[])?,
    ];
    let (action, _) = refused(field.apply(&changes))?;
    ensure!(action.starts_with("route 198.51.100.1 via"), "not the first failure: {action}");
    field.leads_to(V4, &[1, 2])?;
    ensure!(field.routes()?.len() == 1 && nexthops()?.lines().count() == 3, "{}", nexthops()?);
    Ok(())
}

fn removal_may_be_repeated(ground: &Ground) -> Result<()> {
    let field = Field::new(ground, 2)?;
    field.set_both(&[])?;
    for pods in [&[1][..], &[1, 2]] {
        field.set_both(pods)?;
        // Both in one call, too.
        let remove = field.change(V6, &[])?;
        field.apply(&[remove.clone(), remove, field.change(V6, pods)?, field.change(V6, &[])?])?;
        field.set_both(&[])?;
        field.set_both(&[])?;
        ensure!(field.routes()?.is_empty() && nexthops()?.is_empty(), "{}", nexthops()?);
    }
    Ok(())
}

fn watch_sees_nexthops_go(ground: &Ground) -> Result<()> {
    let field = Field::new(ground, 3)?;
    ip(&format!("nexthop add id 5 via 192.0.2.1 dev {} onlink proto static", field.link(1)))?;
    let mut events = ground.wait(async { ground.kernel.subscribe() })?;
    for address in BOTH {
        field.set(address, &[1, 2, 3])?;
        let group = the_group()?;
        let member = ids("via")?.into_iter().find(|id| *id >= BASE).unwrap_or_default();
        for (disturbance, wakes) in [
            ("nexthop del id 5".to_owned(), false),
            (format!("nexthop add id 5 via 192.0.2.1 dev {} onlink proto static", field.link(1)), false),
            (format!("nexthop del id {member}"), true),
            (format!("nexthop del id {group}"), true),
        ] {
            let calm = Duration::from_millis(100);
            while ground.wait(async { timeout(calm, events.next()).await }).is_ok() {}
            ip(&disturbance)?;
            let patience = Duration::from_millis(if wakes { 5000 } else { 300 });
            let woken = ground.wait(async { timeout(patience, events.next()).await });
            ensure!(matches!(woken, Ok(Some(_))) || !wakes, "`ip {disturbance}` was not seen: {woken:?}");
            ensure!(woken.is_err() || wakes, "`ip {disturbance}` was seen");
        }
        field.set(address, &[1, 2, 3])?;
        field.leads_to(address, &[1, 2, 3])?;
        field.set(address, &[])?;
    }
    Ok(())
}
