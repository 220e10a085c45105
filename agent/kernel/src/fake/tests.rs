use flock_core::claim::Claimed;
use flock_core::host::HostChange;
use flock_core::link::{
    Fact, LinkChange, LinkRoute, LinkSpec, Observed, PodObserved, Scope, Side, compare, plan,
};
use flock_core::prefix::PodAddresses;

use super::*;
use crate::{Links, Node};

const NETNS: &str = "/run/netns/pod";

fn spec() -> LinkSpec {
    LinkSpec {
        id: "0f3c@eth0".parse().unwrap(),
        pod: "default/web".parse().unwrap(),
        netns: Some(NETNS.into()),
        host: "flock0000000a".parse().unwrap(),
        mtu: 1500,
        addresses: PodAddresses { v6: "2001:db8::5".parse().ok(), v4: "192.0.2.5".parse().ok() },
        claimed: Claimed::default(),
    }
}

fn with_namespace() -> FakeKernel {
    let kernel = FakeKernel::new();
    kernel.add_namespace(Path::new(NETNS));
    kernel
}

async fn observed(kernel: &FakeKernel) -> Observed {
    Observed {
        host: kernel.host_link(&spec().host).await.unwrap().map(|link| link.facts),
        pod: kernel.pod(Path::new(NETNS), &spec().id.ifname).await.unwrap(),
    }
}

async fn attach(kernel: &FakeKernel) -> Result<(), KernelError> {
    let changes = plan(&spec(), &observed(kernel).await, Scope::Attach);
    kernel.change_link(&spec(), &changes).await
}

#[tokio::test]
async fn a_plan_brings_about_what_it_wants() {
    let kernel = with_namespace();
    attach(&kernel).await.unwrap();
    let observed = observed(&kernel).await;
    assert!(!compare(&spec(), &observed).iter().any(|row| row.verdict.is_drift()));
    assert_eq!(plan(&spec(), &observed, Scope::Attach), []);
    assert_eq!(kernel.facts(&spec().host), spec().facts().into_iter().collect());
}

#[tokio::test]
async fn deleting_removes_both_ends_and_may_be_repeated() {
    let kernel = with_namespace();
    attach(&kernel).await.unwrap();
    for _ in 0..2 {
        kernel.change_link(&spec(), &[LinkChange::DeletePair]).await.unwrap();
        assert!(kernel.links().is_empty());
        let pod = kernel.pod_facts(Path::new(NETNS), &spec().id.ifname).unwrap();
        assert_eq!(pod, BTreeSet::from([Fact::LoopbackUp]));
    }
}

#[tokio::test]
async fn each_taken_name_has_its_own_error() {
    let create = [LinkChange::CreatePair];
    let kernel = FakeKernel::new();
    let result = kernel.change_link(&spec(), &create).await;
    assert!(matches!(result, Err(KernelError::NoNamespace(_))), "{result:?}");

    kernel.add_foreign_interface(Path::new(NETNS), &spec().id.ifname);
    let result = kernel.change_link(&spec(), &create).await;
    assert!(matches!(result, Err(KernelError::InterfaceExists { .. })), "{result:?}");

    kernel.add_foreign_link(&spec().host);
    let result = kernel.change_link(&spec(), &create).await;
    assert!(matches!(result, Err(KernelError::HostLinkExists(_))), "{result:?}");
}

#[tokio::test]
async fn a_namespace_takes_its_links_with_it() {
    let kernel = with_namespace();
    attach(&kernel).await.unwrap();
    kernel.remove_namespace(Path::new(NETNS));
    assert!(kernel.links().is_empty());
    assert_eq!(observed(&kernel).await, Observed { host: None, pod: PodObserved::NamespaceGone });
}

#[tokio::test]
async fn a_route_needs_a_link_that_is_up() {
    let kernel = with_namespace();
    let route = spec().facts().into_iter().rfind(|fact| fact.side() == Side::Host).unwrap();
    let changes = [LinkChange::CreatePair, LinkChange::Set(route)];
    let result = kernel.change_link(&spec(), &changes).await;
    assert!(matches!(result, Err(KernelError::Step { .. })), "{result:?}");
}

#[tokio::test]
async fn an_injected_error_happens_once_and_without_effect() {
    let kernel = with_namespace();
    kernel.fail_at(0, FailMode::Error);
    assert!(attach(&kernel).await.is_err());
    assert_eq!((kernel.steps(), kernel.links().len()), (1, 0));
    attach(&kernel).await.unwrap();
}

#[tokio::test]
async fn a_dead_kernel_answers_nothing_until_it_is_revived() {
    for (mode, links) in [(FailMode::DieBefore, 0), (FailMode::DieAfter, 1)] {
        let kernel = with_namespace();
        kernel.fail_at(0, mode);
        assert!(attach(&kernel).await.is_err());
        assert!(kernel.is_dead());
        assert!(kernel.host().await.is_err());
        assert!(kernel.change_host(&[]).await.is_err());
        kernel.revive();
        assert_eq!(kernel.host().await.unwrap().flock_links.len(), links, "{mode:?}");
        attach(&kernel).await.unwrap();
    }
}

#[tokio::test]
async fn steps_count_the_nodes_changes_too() {
    let kernel = FakeKernel::new();
    let net = "2001:db8::/64".parse().unwrap();
    let changes = [HostChange::AddBlackhole(net), HostChange::Sysctl(HostSysctl::Ipv6Forwarding, 1)];
    kernel.change_host(&changes).await.unwrap();
    assert_eq!(kernel.steps(), 2);
    let node = kernel.node();
    assert_eq!(node.blackholes, BTreeSet::from([net]));
    assert_eq!(node.sysctls[&HostSysctl::Ipv6Forwarding], 1);
    kernel.change_host(&[HostChange::RemoveBlackhole(net), HostChange::RemoveBlackhole(net)]).await.unwrap();
    assert!(kernel.node().blackholes.is_empty());
}

#[tokio::test]
async fn disturbances_make_events_and_steps_do_not() {
    let kernel = with_namespace();
    let mut events = kernel.subscribe().unwrap();
    attach(&kernel).await.unwrap();
    let route = spec().facts().into_iter().next_back().unwrap();
    kernel.remove_fact(&spec().host, &route);
    kernel.set_uplink_mtu(&"eth0".parse().unwrap(), 9000);
    let Fact::Route { route: LinkRoute { dst, .. }, .. } = &route else { panic!("{route}") };
    let gone = KernelEvent::Route { kind: RouteKind::Ours, destination: *dst, change: Change::Gone };
    assert_eq!(events.next().await, Some(gone));
    let uplink = KernelEvent::Link { name: "eth0".parse().ok(), index: 0, change: Change::Set };
    assert_eq!(events.next().await, Some(uplink));
    let idle = tokio::time::timeout(std::time::Duration::from_millis(1), events.next()).await;
    assert!(idle.is_err());
    let missing = plan(&spec(), &observed(&kernel).await, Scope::HostRepair);
    assert_eq!(missing, [LinkChange::Set(route)]);
}
