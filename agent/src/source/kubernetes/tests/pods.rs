//! Pods: the node's own complete, others as far as they are asked about.

use flock_core::pod::Readiness;

use super::api::{Mood, NODES, PODS};
use super::*;

async fn following() -> (Api, Following) {
    let api = Api::start().await;
    api.put(NODES, node());
    let following = follow(&api);
    following.known().await;
    (api, following)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pods_readiness_is_followed() {
    let (api, following) = following().await;
    for (status, expected) in [("True", Readiness::Ready), ("False", Readiness::NotReady)] {
        api.put(PODS, ready(pod("web-0", NODE), status));
        following.until(|desired| desired.pods.values().any(|pod| pod.readiness == expected)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_other_nodes_pods_those_that_claim_anycast_addresses_are_wanted_and_all_are_kept_small() {
    let (api, following) = following().await;
    let claiming = |name: &str, node: &str| {
        let mut pod = ready(pod(name, node), "True");
        pod["metadata"]["annotations"] = json!({"flock.fritzlab.net/anycast": "2001:db8:53::1"});
        pod
    };
    let mut host = pod("host", "node-b");
    host["spec"]["hostNetwork"] = true.into();
    let mut ended = pod("ended", "node-b");
    ended["status"]["phase"] = "Succeeded".into();
    let pending = pod("pending", "");
    for pod in [pod("plain", "node-b"), claiming("dns", "node-b"), host, ended, pending, pod("mine", NODE)] {
        api.put(PODS, pod);
    }
    let desired = following.until(|desired| desired.pods.len() == 2).await;
    let dns = &desired.pods[&pod_name("dns")];
    assert_eq!((dns.node.as_deref(), dns.readiness), (Some("node-b"), Readiness::Ready));
    assert!(desired.pods.contains_key(&pod_name("mine")));
    let all: Vec<_> = following
        .cluster
        .feed()
        .peers(|_, peers| peers.iter().map(|(name, peer)| (name.name.clone(), Arc::clone(peer))).collect());
    assert_eq!(all.iter().map(|(name, _)| &**name).collect::<Vec<_>>(), ["dns", "plain"]);
    let plain = &all[1].1;
    assert_eq!((&*plain.node, plain.labels.get("app")), ("node-b", Some("web")));
    assert_eq!((plain.named_ports.len(), plain.claims.as_ref()), (0, None));
    assert_eq!(
        (plain.v6, plain.v4),
        (Some("2001:db8::7".parse().unwrap()), Some("192.0.2.7".parse().unwrap()))
    );
    api.delete(PODS, "dns");
    following.until(|desired| desired.pods.len() == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_of_the_nodes_own_network_is_no_concern() {
    let (api, following) = following().await;
    let mut host = pod("proxy", NODE);
    host["spec"]["hostNetwork"] = true.into();
    api.put(PODS, host);
    api.put(PODS, pod("web-0", NODE));
    let desired = following.until(|desired| !desired.pods.is_empty()).await;
    assert_eq!(desired.pods.len(), 1);
    following.cluster.refresh(&pod_name("proxy"), None).await;
    assert_eq!(following.cluster.desired().borrow().pods.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_made_anew_on_this_node_is_not_the_one_that_another_node_has() {
    let (api, following) = following().await;
    let mut there = pod("web-0", "node-b");
    there["metadata"]["annotations"] = json!({"flock.fritzlab.net/anycast": "2001:db8:53::1"});
    api.put(PODS, there);
    following.until(|desired| desired.pods.values().any(|pod| pod.node.as_deref() == Some("node-b"))).await;
    let mut here = pod("web-0", NODE);
    here["metadata"]["uid"] = "another".into();
    api.put(PODS, here);
    following.until(|desired| desired.pods.values().any(|pod| pod.uid.as_deref() == Some("another"))).await;
}

/// The watch of the node's pods has been cut, so that only a refresh can say more.
async fn blind() -> (Api, Following) {
    let (api, following) = following().await;
    api.cut();
    (api, following)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_makes_the_pod_known_that_is_asked_for() {
    let (api, following) = blind().await;
    api.put(PODS, pod("web-0", NODE));
    following.cluster.refresh(&pod_name("web-0"), Some("uid-web-0")).await;
    assert!(following.cluster.desired().borrow().pods.contains_key(&pod_name("web-0")), "at once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_takes_in_no_other_pod_than_the_one_that_is_meant() {
    let (api, following) = blind().await;
    api.put(PODS, pod("web-0", NODE));
    api.put(PODS, pod("web-1", "node-b"));
    following.cluster.refresh(&pod_name("web-0"), Some("another")).await;
    following.cluster.refresh(&pod_name("web-1"), None).await;
    following.cluster.refresh(&pod_name("web-2"), None).await;
    assert_eq!(following.cluster.desired().borrow().pods.len(), 0);
    following.cluster.refresh(&pod_name("web-0"), None).await;
    assert_eq!(following.cluster.desired().borrow().pods.len(), 1, "whichever it is");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_refreshes_at_once_are_fine() {
    let (api, following) = blind().await;
    let names: Vec<PodName> = (0..30).map(|index| pod_name(&format!("web-{index}"))).collect();
    for name in &names {
        api.put(PODS, pod(&name.name, NODE));
    }
    let refreshes = names.iter().map(|name| {
        let (cluster, name) = (Arc::clone(&following.cluster), name.clone());
        tokio::spawn(async move { cluster.refresh(&name, None).await })
    });
    for refresh in refreshes.collect::<Vec<_>>() {
        refresh.await.unwrap();
    }
    assert_eq!(following.cluster.desired().borrow().pods.len(), 30);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_older_than_what_the_watch_has_seen_changes_nothing() {
    let (api, following) = following().await;
    let version = api.put(PODS, ready(pod("web-0", NODE), "True"));
    following.until(|desired| desired.pods.len() == 1).await;
    api.delete(PODS, "web-0");
    following.until(|desired| desired.pods.is_empty()).await;
    let mut stale = ready(pod("web-0", NODE), "True");
    stale["metadata"]["resourceVersion"] = version.to_string().into();
    assert_eq!(following.cluster.refreshed(&stale.to_string()), Concerns::Feeds);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_ends_though_nobody_answers() {
    let api = Api::start().await;
    api.put(NODES, node());
    let timing = Timing { refresh: Duration::from_millis(50), ..timing() };
    let following = follow_with(&api, &timing);
    following.known().await;
    api.mood("GET", Mood::Silent);
    let pod = pod_name("web-0");
    tokio::time::timeout(PATIENCE, following.cluster.refresh(&pod, None)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_ends_as_soon_as_the_watch_has_the_pod() {
    let (api, following) = following().await;
    api.mood("GET", Mood::Silent);
    let cluster = Arc::clone(&following.cluster);
    let refresh = tokio::spawn(async move {
        cluster.refresh(&pod_name("web-0"), Some("uid-web-0")).await;
        cluster.desired().borrow().pods.len()
    });
    api.put(PODS, pod("web-0", NODE));
    assert_eq!(refresh.await.unwrap(), 1);
}
