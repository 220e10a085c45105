//! How collections are followed.

use super::api::{CONFIGS, Mood, NODES, PODS, POOLS};
use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_that_gives_no_list_in_a_watch_is_asked_for_pages() {
    let api = Api::start().await;
    for collection in [NODES, CONFIGS, POOLS, PODS] {
        api.mood(collection, Mood::Old);
    }
    api.put(NODES, node());
    for index in 0..5 {
        api.put(PODS, pod(&format!("web-{index}"), NODE));
    }
    let following = follow(&api);
    assert_eq!(following.known().await.pods.len(), 5);
    api.put(PODS, pod("web-9", NODE));
    following.until(|desired| desired.pods.len() == 6).await;
    let asked = api.requests();
    assert!(asked.iter().any(|request| request.contains("continue=4")), "{asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_missed_too_long_ago_is_listed_anew() {
    let api = Api::start().await;
    api.put(NODES, node());
    api.put(PODS, pod("web-0", NODE));
    let timing = Timing { watch: Duration::from_secs(1), ..timing() };
    let following = follow_with(&api, &timing);
    following.known().await;
    // Nobody hears of it on the watch that is open.
    api.cut();
    api.delete(PODS, "web-0");
    api.put(PODS, pod("web-1", NODE));
    api.compact();
    let desired = following.until(|desired| desired.pods.contains_key(&pod_name("web-1"))).await;
    assert_eq!(desired.pods.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_that_was_cut_without_a_word_is_noticed() {
    let api = Api::start().await;
    api.put(NODES, node());
    let timing = Timing { watch: Duration::from_secs(1), margin: Duration::from_millis(100), ..timing() };
    let following = follow_with(&api, &timing);
    following.known().await;
    for round in 0..2 {
        api.cut();
        api.put(PODS, pod(&format!("web-{round}"), NODE));
        following.until(|desired| desired.pods.len() == round + 1).await;
    }
    assert_eq!(following.cluster.trouble(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_that_ends_goes_on_from_where_it_was() {
    let api = Api::start().await;
    api.put(NODES, node());
    let timing = Timing { watch: Duration::from_secs(1), ..timing() };
    let following = follow_with(&api, &timing);
    following.known().await;
    let lists =
        |api: &Api| api.requests().iter().filter(|request| request.contains("sendInitialEvents")).count();
    let watches = |api: &Api| api.requests().len() - lists(api);
    while watches(&api) < 12 {
        sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(lists(&api), 6);
}

#[test]
fn a_stale_watch_is_known_to_be_one_within_a_minute() {
    let Timing { watch, margin, open, .. } = Timing::default();
    assert!(watch + margin + open <= Duration::from_secs(60));
}

#[test]
fn own_and_other_pods_are_asked_for_by_field() {
    let fields = |kind: Kind| Query::of(kind, "node-a").fields.unwrap();
    assert_eq!(fields(Kind::Nodes), "metadata.name=node-a");
    assert_eq!(fields(Kind::Pods), "spec.nodeName=node-a");
    assert_eq!(
        fields(Kind::Peers),
        "spec.nodeName!=node-a,spec.nodeName!=,status.phase!=Succeeded,status.phase!=Failed"
    );
}

/// The requests for NodeConfigs that have these words.
fn asked(api: &Api, words: &str) -> usize {
    let requests = api.requests();
    requests.iter().filter(|request| request.starts_with(CONFIGS) && request.contains(words)).count()
}

async fn until(what: impl Fn() -> bool) {
    let wait = async {
        while !what() {
            sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("in time");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_that_is_busy_is_not_asked_for_a_list_on_top() {
    for code in [401, 403, 500, 503] {
        let api = Api::start().await;
        api.put(NODES, node());
        let timing = Timing { watch: Duration::from_secs(1), ..timing() };
        let following = follow_with(&api, &timing);
        following.known().await;
        api.mood(CONFIGS, Mood::Refuses(code));
        until(|| asked(&api, "watch=") > 12).await;
        assert_eq!(asked(&api, "sendInitialEvents"), 1, "{code}");
        assert_eq!(asked(&api, "limit="), 0, "{code}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_backup_of_the_api_servers_storage_is_listed_anew() {
    for code in [400, 504] {
        let api = Api::start().await;
        api.put(NODES, node());
        let timing = Timing { watch: Duration::from_secs(1), ..timing() };
        let following = follow_with(&api, &timing);
        following.known().await;
        api.mood(CONFIGS, Mood::Restored(code));
        until(|| asked(&api, "sendInitialEvents") > 1).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_not_asked_for_for_ever() {
    let api = Api::start().await;
    api.put(NODES, node());
    api.mood(CONFIGS, Mood::Old);
    let timing = Timing { watch: Duration::from_secs(1), ..timing() };
    let following = follow_with(&api, &timing);
    following.known().await;
    assert_eq!((asked(&api, "sendInitialEvents"), asked(&api, "limit=") > 0), (1, true));
    api.mood(CONFIGS, Mood::Good);
    sleep(timing.pages).await;
    api.compact();
    until(|| asked(&api, "sendInitialEvents") > 1).await;
}
