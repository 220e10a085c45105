//! Routes with our mark that somebody else has made, or made other than we do.

use anyhow::{Context, Result, ensure};

use super::field::{BASE, BOTH, Field, V4, V6, ids, ip_for, nexthops};
use crate::Body;
use crate::ground::{Ground, ip};

pub(crate) fn trials() -> Vec<(&'static str, Body)> {
    vec![
        ("anycast_route_of_another_form_is_repaired", another_form_is_repaired),
        ("anycast_routes_too_many_become_one", too_many_become_one),
    ]
}

/// Made by hand, with our mark, in every way but ours.
fn another_form_is_repaired(ground: &Ground) -> Result<()> {
    let field = Field::new(ground, 2)?;
    let (one, two) = (field.link(1), field.link(2));
    for address in BOTH {
        let [first, second] =
            if address == V6 { ["2001:db8::1", "2001:db8::2"] } else { ["192.0.2.1", "192.0.2.2"] };
        ip(&format!("nexthop add id 1 via {first} dev {one} onlink proto static"))?;
        ip(&format!("nexthop add id 2 via {second} dev {two} onlink proto static"))?;
        ip("nexthop add id 3 group 1/2 type resilient buckets 256 unbalanced_timer 0 proto static")?;
        ip(&format!("nexthop add id {BASE} via {first} dev {one} onlink proto 70"))?;
        let foreign = ids("static")?;
        for broken in [
            format!("dev {one}"),
            format!("via {first} dev {one} onlink mtu 1300"),
            format!("nexthop via {first} dev {one} onlink nexthop via {second} dev {two} onlink"),
            "nhid 1".to_owned(),
            "nhid 3".to_owned(),
            format!("nhid {BASE}"),
        ] {
            for pods in [&[1][..], &[1, 2]] {
                ip(&format!("nexthop replace id {BASE} via {first} dev {one} onlink proto 70"))?;
                ip_for(address, &format!("route replace {address} proto 70 metric 100 {broken}"))?;
                field.leads_to(address, &[]).context(broken.clone())?;
                repair(&field, address, pods, &broken)?;
                ensure!(ids("static")? == foreign, "{broken}: {}", nexthops()?);
            }
        }
        broken_groups(&field, address)?;
        ip_for(address, &format!("route replace blackhole {address} proto 70 metric 100"))?;
        field.leads_to(address, &[])?;
        repair(&field, address, &[1, 2], "blackhole")?;
        field.set(address, &[])?;
        for id in [3, 2, 1] {
            ip(&format!("nexthop del id {id}"))?;
        }
    }
    Ok(())
}

/// A group with our mark in which something is not ours to make.
fn broken_groups(field: &Field<'_>, address: &str) -> Result<()> {
    for broken in [
        "group 1/2 type resilient buckets 256 unbalanced_timer 0",
        "group 1/2 type mpath",
        "group 1/2 type resilient buckets 128 unbalanced_timer 0",
        "group OURS,3 type resilient buckets 256 unbalanced_timer 0",
        "group OURS type resilient buckets 256 unbalanced_timer 60",
    ] {
        let (single, group) = (BASE + 90, BASE + 91);
        let via = if address == V6 { "2001:db8::1" } else { "192.0.2.1" };
        ip(&format!("nexthop add id {single} via {via} dev {} onlink proto 70", field.link(1)))?;
        let made = broken.replace("OURS", &single.to_string());
        ip(&format!("nexthop add id {group} {made} proto 70"))?;
        ip_for(address, &format!("route replace {address} nhid {group} proto 70 metric 100"))?;
        field.leads_to(address, &[]).context(broken)?;
        repair(field, address, &[1, 2], broken)?;
        field.set(address, &[])?;
        ensure!(ids("70")?.is_empty(), "{broken}: {}", nexthops()?);
    }
    Ok(())
}

fn repair(field: &Field<'_>, address: &str, pods: &[u8], broken: &str) -> Result<()> {
    let repaired = || {
        field.set(address, pods)?;
        field.leads_to(address, pods)?;
        super::form(address, pods, true)
    };
    repaired().with_context(|| broken.to_owned())
}

/// Routes of equal metric that lie beside each other: of IPv4, any; of IPv6, those of different kinds.
fn too_many_become_one(ground: &Ground) -> Result<()> {
    let field = Field::new(ground, 3)?;
    for pods in [&[3][..], &[2, 3], &[]] {
        for before in [&[1][..], &[1, 2]] {
            field.set_both(before)?;
            for more in
                [format!("dev {}", field.link(2)), format!("via 192.0.2.3 dev {} onlink", field.link(3))]
            {
                ip(&format!("route append {V4} {more} proto 70 metric 100"))?;
            }
            ip(&format!("-6 route append {V6} dev {} proto 70 metric 100", field.link(2)))?;
            field.both_lead_to(&[])?;
            field.set_both(pods)?;
            for address in BOTH {
                super::form(address, pods, true)?;
            }
        }
    }
    Ok(())
}
