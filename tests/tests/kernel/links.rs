//! Pods' links.

use std::net::{IpAddr, UdpSocket};
use std::sync::mpsc::channel;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use flock_core::link::{Fact, LinkChange, LinkSpec, PodObserved, Scope, Side, compare, plan};
use flock_core::prefix::PodAddresses;
use flock_kernel::{KernelError, Links, Node};

use crate::Body;
use crate::ground::{Ground, Pod, V4, V6, addresses, dual_stack, ip, spec};

pub(crate) fn trials() -> Vec<(&'static str, Body)> {
    vec![
        ("dual_stack_plan_is_whole_and_idempotent", |g| {
            whole_and_idempotent(g, addresses(Some(V6), Some(V4)))
        }),
        ("ipv6_only_plan_is_whole_and_idempotent", |g| whole_and_idempotent(g, addresses(Some(V6), None))),
        ("ipv4_only_plan_is_whole_and_idempotent", |g| whole_and_idempotent(g, addresses(None, Some(V4)))),
        ("every_fact_may_be_set_again", every_fact_may_be_set_again),
        ("first_packets_pass_without_neighbour_discovery", first_packets_pass),
        ("pod_without_ipv6_has_no_ipv6_address", pod_without_ipv6_has_no_ipv6_address),
        ("host_dump_agrees_with_single_observation", host_dump_agrees),
        ("deleting_may_be_repeated", deleting_may_be_repeated),
        ("what_is_removed_is_missed_and_restored", what_is_removed_is_restored),
        ("unset_of_what_is_gone_succeeds", unset_of_what_is_gone_succeeds),
        ("missing_namespace_is_told", missing_namespace_is_told),
        ("file_that_is_no_namespace_is_told", file_that_is_no_namespace_is_told),
        ("taken_host_name_is_told", taken_host_name_is_told),
        ("taken_pod_interface_is_told", taken_pod_interface_is_told),
        ("failed_step_names_its_object_and_cause", failed_step_is_named),
        ("altname_of_another_link_is_left_to_it", altname_of_another_link),
        ("pod_interface_that_replaced_ours_is_not_ours", foreign_pod_interface_is_no_match),
    ]
}

fn assert_healthy(ground: &Ground, spec: &LinkSpec) -> Result<()> {
    let observed = ground.observe(spec)?;
    let drift: Vec<_> = compare(spec, &observed).into_iter().filter(|row| row.verdict.is_drift()).collect();
    ensure!(drift.is_empty(), "{drift:#?}\n{observed:#?}");
    for scope in [Scope::Attach, Scope::HostRepair] {
        let changes = plan(spec, &observed, scope);
        ensure!(changes.is_empty(), "{scope:?}: {changes:#?}");
    }
    Ok(())
}

fn whole_and_idempotent(ground: &Ground, addresses: PodAddresses) -> Result<()> {
    let pod = Pod::new()?;
    let spec = spec("0f3c", &pod, addresses)?;
    ground.attach(&spec)?;
    assert_healthy(ground, &spec)
}

fn every_fact_may_be_set_again(ground: &Ground) -> Result<()> {
    let pod = Pod::new()?;
    let spec = dual_stack(&pod)?;
    ground.attach(&spec)?;
    let again: Vec<LinkChange> = spec.facts().into_iter().map(LinkChange::Set).collect();
    ground.wait(ground.kernel.change_link(&spec, &again))?;
    assert_healthy(ground, &spec)
}

fn first_packets_pass(ground: &Ground) -> Result<()> {
    ip("addr add 2001:db8:ffff::1/128 dev lo")?;
    ip("addr add 198.51.100.1/32 dev lo")?;
    let pod = Pod::new()?;
    ground.attach(&dual_stack(&pod)?)?;
    // At once: nothing may be tentative even for a moment.
    for tentative in [ip("-6 addr show tentative")?, pod.run(|| ip("-6 addr show tentative"))?] {
        ensure!(tentative.trim().is_empty(), "{tentative}");
    }
    for (node, of_pod) in [("2001:db8:ffff::1", V6), ("198.51.100.1", V4)] {
        let (node, of_pod): (IpAddr, IpAddr) = (node.parse()?, of_pod.parse()?);
        round_trip(&pod, node, of_pod)?;
    }
    for shown in [ip("neigh show nud all")?, pod.run(|| ip("neigh show nud all"))?] {
        let asked = shown.lines().find(|line| !line.contains("PERMANENT") && !line.contains("NOARP"));
        ensure!(asked.is_none(), "neighbour discovery has run: {asked:?}");
    }
    Ok(())
}

/// A datagram from the pod to the node, and one back.
fn round_trip(pod: &Pod, node: IpAddr, of_pod: IpAddr) -> Result<()> {
    let on_node = UdpSocket::bind((node, 0))?;
    on_node.set_read_timeout(Some(Duration::from_secs(5)))?;
    let to = on_node.local_addr()?;
    let (done, finish) = channel::<()>();
    std::thread::scope(|scope| {
        let sending = scope.spawn(move || {
            pod.run(|| {
                let in_pod = UdpSocket::bind((of_pod, 0))?;
                in_pod.set_read_timeout(Some(Duration::from_secs(5)))?;
                in_pod.send_to(b"first", to)?;
                let received = in_pod.recv_from(&mut [0; 16])?;
                drop(finish);
                Ok(received)
            })
        });
        let (_, from) = on_node.recv_from(&mut [0; 16])?;
        ensure!(from.ip() == of_pod, "{from}");
        on_node.send_to(b"back", from)?;
        let outcome = sending.join();
        drop(done);
        match outcome {
            Ok(received) => received.map(drop),
            Err(_) => bail!("panicked"),
        }
    })
}

fn pod_without_ipv6_has_no_ipv6_address(ground: &Ground) -> Result<()> {
    let pod = Pod::new()?;
    ground.attach(&spec("0f3c", &pod, addresses(None, Some(V4)))?)?;
    let shown = pod.run(|| ip("-6 addr show dev eth0"))?;
    ensure!(shown.trim().is_empty(), "{shown}");
    Ok(())
}

fn host_dump_agrees(ground: &Ground) -> Result<()> {
    let (one, other) = (Pod::new()?, Pod::new()?);
    let first = dual_stack(&one)?;
    let second = spec("1f3c", &other, addresses(Some("2001:db8::6"), None))?;
    ground.attach(&first)?;
    ground.attach(&second)?;
    let state = ground.wait(ground.kernel.host())?;
    ensure!(state.flock_links.len() == 2, "{state:#?}");
    for spec in [first, second] {
        let single = ground.wait(ground.kernel.host_link(&spec.host))?;
        ensure!(state.flock_links.get(&spec.host) == single.as_ref(), "{state:#?}\n{single:#?}");
        let alias = single.and_then(|link| link.alias);
        ensure!(alias == Some(spec.alias().to_string()), "{alias:?}");
    }
    Ok(())
}

fn deleting_may_be_repeated(ground: &Ground) -> Result<()> {
    let pod = Pod::new()?;
    let spec = dual_stack(&pod)?;
    ground.attach(&spec)?;
    for _ in 0..2 {
        ground.wait(ground.kernel.change_link(&spec, &[LinkChange::DeletePair]))?;
        let observed = ground.observe(&spec)?;
        ensure!(observed.host.is_none(), "{observed:#?}");
        ensure!(observed.pod == PodObserved::Facts([Fact::LoopbackUp].into()), "{observed:#?}");
    }
    Ok(())
}

fn what_is_removed_is_restored(ground: &Ground) -> Result<()> {
    let pod = Pod::new()?;
    let spec = dual_stack(&pod)?;
    ground.attach(&spec)?;
    let removable =
        |fact: &Fact| matches!(fact, Fact::Route { .. } | Fact::Neighbour { .. } | Fact::Address { .. });
    for fact in spec.facts().into_iter().filter(removable) {
        let unset = [LinkChange::Unset(fact.clone().try_into()?)];
        ground.wait(ground.kernel.change_link(&spec, &unset))?;
        let missing = plan(&spec, &ground.observe(&spec)?, Scope::Attach);
        ensure!(missing.contains(&LinkChange::Set(fact.clone())), "{fact} is not missed: {missing:?}");
        ground.wait(ground.kernel.change_link(&spec, &unset))?;
        ground.attach(&spec)?;
        assert_healthy(ground, &spec)?;
    }
    Ok(())
}

fn unset_of_what_is_gone_succeeds(ground: &Ground) -> Result<()> {
    let pod = Pod::new()?;
    let spec = dual_stack(&pod)?;
    let removable = spec.facts().into_iter().filter_map(|fact| fact.try_into().ok());
    let all: Vec<LinkChange> = removable.map(LinkChange::Unset).collect();
    ground.wait(ground.kernel.change_link(&spec, &all))?;
    drop(pod);
    ground.wait(ground.kernel.change_link(&spec, &all))?;
    ensure!(ground.observe(&spec)?.pod == PodObserved::NamespaceGone);
    Ok(())
}

fn creation(ground: &Ground, spec: &LinkSpec) -> Result<(), KernelError> {
    ground.wait(ground.kernel.change_link(spec, &[LinkChange::CreatePair]))
}

fn missing_namespace_is_told(ground: &Ground) -> Result<()> {
    let pod = Pod::new()?;
    let spec = dual_stack(&pod)?;
    drop(pod);
    let result = creation(ground, &spec);
    ensure!(
        matches!(&result, Err(KernelError::NoNamespace(path)) if Some(path) == spec.netns.as_ref()),
        "{result:?}"
    );
    Ok(())
}

fn file_that_is_no_namespace_is_told(ground: &Ground) -> Result<()> {
    let pod = Pod::new()?;
    let directory = tempfile::tempdir()?;
    let (text, empty) = (directory.path().join("text"), directory.path().join("empty"));
    std::fs::write(&text, "x")?;
    std::fs::write(&empty, "")?;
    let other_kind = "/proc/self/ns/uts".into();
    for path in [&text, &empty, &other_kind] {
        let spec = LinkSpec { netns: Some(path.clone()), ..dual_stack(&pod)? };
        let result = creation(ground, &spec);
        ensure!(matches!(result, Err(KernelError::NotANamespace(_))), "{path:?}: {result:?}");
        let observed = ground.wait(ground.kernel.pod(path, &spec.id.ifname));
        match observed {
            Err(KernelError::NotANamespace(_)) if *path != empty => {}
            // What is left of a namespace that has been unmounted.
            Ok(PodObserved::NamespaceGone) if *path == empty => {}
            other => bail!("{path:?}: {other:?}"),
        }
    }
    Ok(())
}

fn taken_host_name_is_told(ground: &Ground) -> Result<()> {
    let pod = Pod::new()?;
    let spec = dual_stack(&pod)?;
    ip(&format!("link add {} type veth peer name other", spec.host))?;
    let result = creation(ground, &spec);
    ensure!(matches!(&result, Err(KernelError::HostLinkExists(name)) if *name == spec.host), "{result:?}");
    Ok(())
}

fn taken_pod_interface_is_told(ground: &Ground) -> Result<()> {
    let pod = Pod::new()?;
    let spec = dual_stack(&pod)?;
    pod.run(|| ip("link add eth0 type veth peer name other"))?;
    let result = creation(ground, &spec);
    ensure!(
        matches!(&result, Err(KernelError::InterfaceExists { ifname, .. }) if ifname.as_str() == "eth0"),
        "{result:?}"
    );
    ensure!(ground.observe(&spec)?.host.is_none(), "half a pair is left");
    Ok(())
}

fn failed_step_is_named(ground: &Ground) -> Result<()> {
    let pod = Pod::new()?;
    let spec = dual_stack(&pod)?;
    let route = spec.facts().into_iter().rfind(|fact| fact.side() == Side::Host);
    let Some(route) = route else { bail!("no host fact") };
    let changes = [LinkChange::CreatePair, LinkChange::Set(route)];
    let Err(KernelError::Step { action, cause }) = ground.wait(ground.kernel.change_link(&spec, &changes))
    else {
        bail!("a route over a link that is down");
    };
    ensure!(action.contains(V4) && action.contains(spec.host.as_str()), "{action}");
    ensure!(cause.kind() == std::io::ErrorKind::NetworkDown, "{cause:?}");
    Ok(())
}

fn altname_of_another_link(ground: &Ground) -> Result<()> {
    // The same pod's previous sandbox still has it.
    let (old, new) = (Pod::new()?, Pod::new()?);
    let (first, second) = (dual_stack(&old)?, spec("1f3c", &new, addresses(Some("2001:db8::6"), None))?);
    ground.attach(&first)?;
    ground.attach(&second)?;
    let shown = ip("-d link show default_web-0")?;
    ensure!(shown.contains(first.host.as_str()), "{shown}");
    assert_healthy(ground, &second)
}

fn foreign_pod_interface_is_no_match(ground: &Ground) -> Result<()> {
    let pod = Pod::new()?;
    let spec = dual_stack(&pod)?;
    pod.run(|| ip("link add eth0 type veth peer name other"))?;
    let observed = ground.observe(&spec)?;
    let PodObserved::Facts(facts) = &observed.pod else { bail!("{observed:?}") };
    let mac = spec.facts().into_iter().find(|fact| matches!(fact, Fact::Mac { side: Side::Pod, .. }));
    ensure!(mac.is_some_and(|mac| !facts.contains(&mac)), "{facts:?}");
    Ok(())
}
