//! An API server that is away.

use super::api::{CONFIGS, Mood, NAMESPACES, NODES, PODS, POOLS};
use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_known_stays_while_the_api_server_is_away_and_people_are_told_since_when() {
    let api = Api::start().await;
    api.put(NODES, node());
    api.put(PODS, pod("web-0", NODE));
    let timing = Timing { watch: Duration::from_secs(1), ..timing() };
    let following = follow_with(&api, &timing);
    let known = following.known().await;
    let all = [NODES, CONFIGS, POOLS, NAMESPACES, PODS];
    all.iter().for_each(|collection| api.mood(collection, Mood::Refuses(500)));
    api.delete(PODS, "web-0");
    api.put(PODS, pod("web-0", NODE));
    let whole = |text: &str| text.contains("this node's pods, other nodes' pods cannot be followed since 2");
    following
        .until_trouble(|trouble| {
            trouble.is_some_and(|text| whole(text) && text.ends_with("refused with 500"))
        })
        .await;
    assert_eq!(*following.cluster.desired().borrow(), known);
    all.iter().for_each(|collection| api.mood(collection, Mood::Good));
    following.until_trouble(|trouble| trouble.is_none()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_that_does_not_answer_is_no_answer() {
    let api = Api::start().await;
    api.mood(NODES, Mood::Silent);
    let timing = Timing { open: Duration::from_millis(50), ..timing() };
    let following = follow_with(&api, &timing);
    following
        .until_trouble(|trouble| {
            trouble.is_some_and(|text| {
                text.contains("this node cannot be followed") && text.contains("no answer within")
            })
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn before_anything_is_known_it_is_said_what_is_missing() {
    let api = Api::start().await;
    api.mood(CONFIGS, Mood::Silent);
    let following = follow(&api);
    let missing = "the API server has not listed NodeConfigs yet";
    following.until_trouble(|trouble| trouble == Some(missing)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_there_is_said_as_the_kernel_says_it() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let config = kube::Config::new(format!("http://{address}").parse().unwrap());
    let client = crate::api::client::client(config).unwrap();
    let run_dir = tempfile::tempdir().unwrap();
    let composer = Composer::kept_in(NODE, Disk, run_dir.path());
    let cluster = Cluster::start(client, NODE, composer, &timing(), &Tasks::default());
    let following = Following { cluster, _run_dir: run_dir };
    following.until_trouble(|trouble| trouble.is_some_and(|text| text.contains("Connection refused"))).await;
}
