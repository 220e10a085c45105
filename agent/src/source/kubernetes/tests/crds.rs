//! Kinds that the API server does not know, or does not let the agent see.

use super::api::{CONFIGS, Mood, NODES, POOLS};
use super::*;
use crate::source::kubernetes::health::Verdict;
use crate::source::stores::Kinds;
use jiff::Timestamp;

#[tokio::test(flavor = "multi_thread")]
async fn without_flocks_kinds_pods_get_addresses_of_pod_cidrs_and_people_are_told() {
    let api = Api::start().await;
    api.put(NODES, node());
    api.mood(CONFIGS, Mood::Refuses(404));
    api.mood(POOLS, Mood::Refuses(404));
    let following = follow(&api);
    let desired = following.known().await;
    assert_eq!(desired.node.as_ref().unwrap().pools.v4.len(), 1);
    assert_eq!(following.cluster.trouble(), None);
    let [configs, pools] = problems(&desired).try_into().unwrap();
    assert!(configs.starts_with("CustomResourceDefinition nodeconfigs.flock.fritzlab.net: "), "{configs}");
    assert!(configs.contains("kubectl apply -f deploy/crds"), "{configs}");
    assert!(pools.starts_with("CustomResourceDefinition addresspools.flock.fritzlab.net: "), "{pools}");
    api.put(CONFIGS, config(NODE, json!({"mtu": 1400})));
    api.mood(CONFIGS, Mood::Good);
    let mtu = |desired: &Desired| desired.node.as_ref().unwrap().mtu;
    following.until(|desired| desired.problems.len() == 1 && mtu(desired) == Some(1400)).await;
    api.mood(POOLS, Mood::Good);
    following.until(|desired| desired.problems.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kinds_that_go_away_later_take_nothing_with_them() {
    let api = Api::start().await;
    api.put(NODES, node());
    api.put(CONFIGS, config(NODE, json!({"mtu": 1400})));
    let following = follow(&api);
    following.known().await;
    api.mood(CONFIGS, Mood::Refuses(404));
    api.compact();
    api.put(CONFIGS, config(NODE, json!({"mtu": 1300})));
    following
        .until_trouble(|trouble| trouble.is_some_and(|text| text.contains("NodeConfigs cannot be followed")))
        .await;
    assert_eq!(following.cluster.desired().borrow().node.as_ref().unwrap().mtu, Some(1400));
}

#[test]
fn a_missing_permission_is_named_and_counts_as_empty_only_when_it_lasts() {
    let mut health = Health::default();
    let forbidden = Failure { code: Some(403), ..Failure::of("nodeconfigs is forbidden") };
    let at = |second| Timestamp::from_second(second).unwrap();
    for (second, expected) in
        [(0, Verdict::Wait), (4, Verdict::Wait), (5, Verdict::Empty), (6, Verdict::Empty)]
    {
        assert_eq!(health.failing(Kind::NodeConfigs, false, &forbidden, at(second)).1, expected, "{second}");
    }
    assert_eq!(health.failing(Kind::Pods, false, &forbidden, at(0)).1, Verdict::Wait);
    assert_eq!(
        health.failing(Kind::Pods, false, &forbidden, at(100)).1,
        Verdict::Wait,
        "without pods nothing can be done"
    );
    let trouble = health.trouble(&Kinds::default()).unwrap();
    assert_eq!(
        trouble,
        "API server: this node's pods cannot be followed since 1970-01-01T00:00:00Z: nodeconfigs is forbidden"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_starts_while_it_may_not_read_configs_goes_on_with_the_last_good_one() {
    let api = Api::start().await;
    api.put(NODES, node());
    api.put(CONFIGS, config(NODE, json!({"mtu": 1400})));
    let run_dir = tempfile::tempdir().unwrap();
    let composer = || Composer::kept_in(NODE, Disk, run_dir.path());
    let start = || Cluster::start(api.client(), NODE, composer(), &timing(), &Tasks::default());
    let before = start();
    before.known().await;
    let kept = run_dir.path().join("node-config.json");
    while !kept.exists() {
        sleep(Duration::from_millis(2)).await;
    }
    api.mood(CONFIGS, Mood::Refuses(404));
    let after = start();
    tokio::time::timeout(PATIENCE, after.known()).await.unwrap();
    let desired = after.desired().borrow().clone();
    assert_eq!(desired.node, before.desired().borrow().node);
    assert!(desired.config.refused.as_ref().unwrap().contains("knows no nodeconfigs"));
}
