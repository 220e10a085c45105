//! Somebody changes things by hand: CHECK names exactly what is missing, the agent repairs its node's side.

use anyhow::{Context, Result, ensure};
use flock_tests::{Attached, Node, PATIENCE, Pod, World, eventually, trials};
use libtest_mimic::Trial;

pub(crate) fn trials() -> Vec<Trial> {
    trials![
        check_names_a_missing_address,
        check_names_a_missing_route,
        check_names_a_missing_neighbour,
        check_names_a_missing_interface,
        check_of_the_unknown_fails,
        a_deleted_host_route_comes_back,
        a_deleted_ipv4_host_route_comes_back,
        a_deleted_host_neighbour_comes_back,
        a_deleted_ipv4_host_neighbour_comes_back,
        a_deleted_host_address_comes_back,
        a_host_link_that_was_set_down_comes_up,
        a_deleted_veth_is_made_anew,
        a_changed_mtu_is_set_back,
        a_deleted_blackhole_comes_back,
    ]
}

/// Deletes something on the pod's side, which is not repaired behind its back, and has CHECK name that and nothing
/// else out of `others`.
fn check_names(world: &World, delete: impl Fn(&Attached) -> Result<String>, others: &[&str]) -> Result<()> {
    let site = world.site()?;
    let pod = site.node.run(&Pod::new("web-0"))?;
    let missing = delete(&pod)?;
    let error = site.node.check(&pod)?.error()?;
    ensure!(error.code != 11, "{error:?}");
    error.says(&[&missing])?;
    for other in others {
        ensure!(!error.text.contains(other), "only {missing} is missing: {error:?}");
    }
    // DEL asks for nothing to be whole.
    site.node.del(&pod.sandbox)?.success()?;
    site.node.ensure_empty()
}

fn check_names_a_missing_address(world: &World) -> Result<()> {
    let delete = |pod: &Attached| {
        let address = format!("{}/128", pod.v6()?);
        pod.sandbox.netns.ip(&["address", "delete", &address, "dev", "eth0"])?;
        Ok(address)
    };
    check_names(world, delete, &["neighbour", "route", "203.0.113."])
}

fn check_names_a_missing_route(world: &World) -> Result<()> {
    let delete = |pod: &Attached| {
        pod.sandbox.netns.ip(&["-6", "route", "delete", "default"])?;
        Ok("route ::/0".to_owned())
    };
    check_names(world, delete, &["neighbour", "0.0.0.0/0", "203.0.113.", "/128"])
}

fn check_names_a_missing_neighbour(world: &World) -> Result<()> {
    let delete = |pod: &Attached| {
        pod.sandbox.netns.ip(&["neighbour", "delete", "169.254.1.1", "dev", "eth0"])?;
        Ok("neighbour 169.254.1.1".to_owned())
    };
    check_names(world, delete, &["route", "fe80::1", "/128", "/32"])
}

fn check_names_a_missing_interface(world: &World) -> Result<()> {
    let delete = |pod: &Attached| {
        // Renamed, not deleted: deleting it would make the agent put it back.
        pod.sandbox.netns.ip(&["link", "set", "eth0", "down"])?;
        pod.sandbox.netns.ip(&["link", "set", "eth0", "name", "other0"])?;
        Ok("eth0".to_owned())
    };
    check_names(world, delete, &[])
}

fn check_of_the_unknown_fails(world: &World) -> Result<()> {
    let site = world.site()?;
    let pod = site.node.run(&Pod::new("web-0"))?;
    site.node.del(&pod.sandbox)?.success()?;
    site.node.check(&pod)?.error()?.is(3, &[&pod.sandbox.container])
}

/// Breaks something on the node's side and waits until `whole` is so again, CHECK agrees and the pod answers.
fn repaired(
    world: &World,
    break_it: impl Fn(&Node, &Attached, &str) -> Result<()>,
    whole: impl Fn(&Node, &Attached, &str) -> Result<bool>,
) -> Result<()> {
    let site = world.site()?;
    let (pod, other) = (site.node.run(&Pod::new("web-0"))?, site.node.run(&Pod::new("web-1"))?);
    let host = pod.host_link()?;
    ensure!(whole(&site.node, &pod, &host)?, "it was never whole");
    break_it(&site.node, &pod, &host)?;
    eventually(PATIENCE, || {
        ensure!(whole(&site.node, &pod, &host)?, "not repaired");
        site.node.check(&pod)?.success()
    })?;
    pod.answers(&other.sandbox.netns).context("after the repair")?;
    other.answers(&site.node.netns).context("the other pod")
}

fn a_deleted_host_route_comes_back(world: &World) -> Result<()> {
    repaired(
        world,
        |node, pod, host| node.netns.ip(&["route", "delete", &pod.v6()?.to_string(), "dev", host]).map(drop),
        |node, pod, host| Ok(node.netns.routes(host)?.contains(&pod.v6()?.to_string())),
    )
}

fn a_deleted_ipv4_host_route_comes_back(world: &World) -> Result<()> {
    repaired(
        world,
        |node, pod, host| node.netns.ip(&["route", "delete", &pod.v4()?.to_string(), "dev", host]).map(drop),
        |node, pod, host| Ok(node.netns.routes(host)?.contains(&pod.v4()?.to_string())),
    )
}

fn a_deleted_host_neighbour_comes_back(world: &World) -> Result<()> {
    repaired(
        world,
        |node, pod, host| {
            node.netns.ip(&["neighbour", "delete", &pod.v6()?.to_string(), "dev", host]).map(drop)
        },
        |node, pod, host| Ok(node.netns.neighbours(host)?.contains(&pod.v6()?.to_string())),
    )
}

fn a_deleted_ipv4_host_neighbour_comes_back(world: &World) -> Result<()> {
    repaired(
        world,
        |node, pod, host| {
            node.netns.ip(&["neighbour", "delete", &pod.v4()?.to_string(), "dev", host]).map(drop)
        },
        |node, pod, host| Ok(node.netns.neighbours(host)?.contains(&pod.v4()?.to_string())),
    )
}

fn a_deleted_host_address_comes_back(world: &World) -> Result<()> {
    repaired(
        world,
        |node, _, host| node.netns.ip(&["address", "delete", "fe80::1/64", "dev", host]).map(drop),
        |node, _, host| Ok(node.netns.addresses(host)? == ["fe80::1/64"]),
    )
}

fn a_host_link_that_was_set_down_comes_up(world: &World) -> Result<()> {
    repaired(
        world,
        |node, _, host| node.netns.ip(&["link", "set", host, "down"]).map(drop),
        |node, _, host| Ok(node.netns.link(host)?["operstate"] == "UP"),
    )
}

fn a_deleted_veth_is_made_anew(world: &World) -> Result<()> {
    repaired(
        world,
        |node, _, host| node.netns.ip(&["link", "delete", host]).map(drop),
        |node, _, host| Ok(node.netns.flock_links()?.iter().any(|name| name == host)),
    )
}

fn a_changed_mtu_is_set_back(world: &World) -> Result<()> {
    repaired(
        world,
        |node, _, host| node.netns.ip(&["link", "set", host, "mtu", "1300"]).map(drop),
        |node, _, host| Ok(node.netns.mtu(host)? == 1500),
    )
}

fn a_deleted_blackhole_comes_back(world: &World) -> Result<()> {
    repaired(
        world,
        |node, _, _| node.netns.ip(&["-6", "route", "delete", "blackhole", "2001:db8:a:1::/64"]).map(drop),
        |node, _, _| Ok(node.netns.blackholes()?.iter().any(|dst| dst == "2001:db8:a:1::/64")),
    )
}
