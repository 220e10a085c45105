//! When it is told, to an API server that does what API servers do.

use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;

use super::*;
use crate::report::status::publisher::Publisher;
use crate::source::fake::{Asked, CONFIG_PATH, Failure, FakeApi, NODE_PATH, TestClock, node};

const POST: &str = "POST /apis/flock.fritzlab.net/v1alpha1/nodeconfigs";
const APPLY: &str = "PATCH /apis/flock.fritzlab.net/v1alpha1/nodeconfigs/node-a/status";

struct Agent {
    observed: watch::Sender<Option<Arc<Observed>>>,
    task: tokio::task::JoinHandle<()>,
}

/// An agent that knows `observed`.
fn agent(api: &FakeApi, observed: Observed) -> Agent {
    let sender = watch::channel(Some(Arc::new(observed))).0;
    let publisher = Publisher::new(api.client(), NODE, api.own(), sender.subscribe(), TestClock::boxed());
    Agent { observed: sender, task: tokio::spawn(publisher.run()) }
}

impl Agent {
    fn learns(&self, observed: Observed) {
        self.observed.send_replace(Some(Arc::new(observed)));
    }

    async fn dies(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }
}

/// A cluster with the node; its NodeConfig has been written by a person.
fn cluster() -> FakeApi {
    let api = FakeApi::default();
    api.put(NODE_PATH, Some(node()));
    api.put(CONFIG_PATH, Some(json!({"metadata": {"name": NODE}, "spec": {"mtu": 9000}})));
    api
}

async fn pass(seconds: u64) {
    // In small steps: what follows from a request follows at once.
    for _ in 0..seconds * 10 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn session_down() -> Observed {
    observed().with_bgp(|bgp| bgp.peers[0] = session(PEERS[0], SessionState::Active, Some("no answer")))
}

fn fuller(used: u64) -> Observed {
    Observed { usage: vec![pool("203.0.113.0/26", 61, used)], ..observed() }
}

fn status(api: &FakeApi) -> NodeConfigStatus {
    serde_json::from_value(api.object(CONFIG_PATH).unwrap()["status"].clone()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_node_without_a_node_config_gets_one_that_outlives_the_node() {
    let api = FakeApi::default();
    api.put(NODE_PATH, Some(node()));
    let _agent = agent(&api, observed());
    pass(1).await;
    let asked = api.asked();
    assert_eq!(asked.iter().map(|it| it.what.as_str()).collect::<Vec<_>>(), [POST, APPLY]);
    assert_eq!(asked[0].query, "&fieldManager=flock-agent");
    assert_eq!(
        asked[0].body,
        json!({
            "apiVersion": "flock.fritzlab.net/v1alpha1",
            "kind": "NodeConfig",
            "metadata": {
                "name": "node-a",
                "labels": {"app.kubernetes.io/managed-by": "flock-agent"},
            },
            "spec": {},
        })
    );
    pass(600).await;
    assert_eq!(api.calls(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn the_status_is_applied_by_force_and_nothing_else_is_touched() {
    let api = cluster();
    let _agent = agent(&api, observed());
    pass(1).await;
    let asked = api.asked();
    let [Asked { what, query, body }] = asked.as_slice() else { panic!("{asked:?}") };
    assert_eq!((what.as_str(), query.as_str()), (APPLY, "&force=true&fieldManager=flock-agent"));
    let fields: Vec<&String> = body.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["apiVersion", "kind", "metadata", "status"]);
    assert_eq!(body["metadata"], json!({"name": "node-a"}));
    assert_eq!(api.object(CONFIG_PATH).unwrap()["spec"], json!({"mtu": 9000}));
}

#[tokio::test(start_paused = true)]
async fn a_node_config_that_a_person_deletes_is_made_again_unless_the_node_is_gone() {
    let api = cluster();
    let _agent = agent(&api, observed());
    pass(100).await;
    api.asked();
    api.put(CONFIG_PATH, None);
    pass(1).await;
    assert_eq!(api.calls(), [POST, APPLY]);
    api.put(NODE_PATH, None);
    api.put(CONFIG_PATH, None);
    pass(100).await;
    assert_eq!(api.calls(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn what_matters_is_written_at_once_but_never_more_often_than_every_two_seconds() {
    let api = cluster();
    let agent = agent(&api, observed());
    pass(10).await;
    api.asked();
    agent.learns(session_down());
    pass(1).await;
    assert_eq!(api.calls(), [APPLY]);
    for _ in 0..5 {
        agent.learns(observed());
        tokio::time::sleep(Duration::from_millis(10)).await;
        agent.learns(session_down());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    agent.learns(observed());
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(api.calls(), [""; 0]);
    pass(2).await;
    assert_eq!(api.calls(), [APPLY]);
    assert_eq!(status(&api).bgp.unwrap().established, "2/2");
}

#[tokio::test(start_paused = true)]
async fn figures_alone_wait_five_minutes() {
    let api = cluster();
    let agent = agent(&api, fuller(1));
    pass(10).await;
    api.asked();
    for used in 2..30 {
        agent.learns(fuller(used));
        pass(10).await;
    }
    assert_eq!(api.calls(), [""; 0]);
    pass(60).await;
    assert_eq!(api.calls(), [APPLY]);
    assert_eq!(status(&api).pools[0].used, 29);
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_is_started_again_writes_nothing_that_is_there() {
    let api = cluster();
    let first = agent(&api, observed());
    pass(10).await;
    first.dies().await;
    api.asked();
    pass(100).await;
    let second = agent(&api, observed());
    pass(10).await;
    assert_eq!(api.calls(), [""; 0]);
    second.learns(session_down());
    pass(10).await;
    let ready = &status(&api).conditions[0];
    assert_eq!((ready.kind.as_str(), ready.last_transition_time.as_str()), ("Ready", "2026-11-21T12:00:00Z"));
}

#[tokio::test(start_paused = true)]
async fn what_somebody_else_writes_is_corrected() {
    let api = cluster();
    let _agent = agent(&api, observed());
    pass(10).await;
    api.asked();
    let before = status(&api);
    api.change(CONFIG_PATH, |config| config["status"]["version"] = json!("0.0.0"));
    pass(1).await;
    assert_eq!(api.calls(), [APPLY]);
    assert_eq!(status(&api), before);
    api.change(CONFIG_PATH, |config| drop(config.as_object_mut().unwrap().remove("status")));
    pass(3).await;
    assert_eq!(api.calls(), [APPLY]);
}

/// An API server leaves others' conditions where they are, and an older schema has not all of flock's fields. Writing the
/// same again would not change that.
#[tokio::test(start_paused = true)]
async fn what_an_api_server_makes_of_the_status_is_no_reason_to_write_it_again() {
    let api = cluster();
    let foreign = json!({"type": "Audited", "status": "True", "reason": "X", "message": "", "lastTransitionTime": "2026-11-21T10:00:00Z"});
    api.change(CONFIG_PATH, |config| config["status"] = json!({"conditions": [foreign]}));
    let agent = agent(&api, observed());
    pass(600).await;
    assert_eq!(api.calls(), [APPLY]);
    agent.learns(session_down());
    pass(600).await;
    assert_eq!(api.calls(), [APPLY]);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_lags_behind_is_no_foreign_change() {
    let api = cluster();
    let agent = agent(&api, observed());
    pass(10).await;
    api.asked();
    api.blind(true);
    agent.learns(session_down());
    pass(9).await;
    assert_eq!(api.calls(), [APPLY]);
    api.blind(false);
    pass(100).await;
    assert_eq!(api.calls(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn failures_are_tried_again_with_the_newest_status() {
    for failure in [
        Failure::Status(500, "InternalError"),
        Failure::Status(409, "Conflict"),
        Failure::Status(429, "TooManyRequests"),
        Failure::Status(403, "Forbidden"),
        Failure::Silence,
        Failure::Nonsense("<html>"),
    ] {
        let api = cluster();
        api.fail(&[failure; 3]);
        let agent = agent(&api, observed());
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(api.calls().len(), 1, "{failure:?}");
        agent.learns(session_down());
        pass(60).await;
        assert_eq!(api.calls(), [APPLY; 3], "{failure:?}");
        assert_eq!(status(&api).bgp.unwrap().established, "1/2", "{failure:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_object_that_vanishes_under_the_write_is_made_again() {
    let api = cluster();
    api.blind(true);
    api.put(CONFIG_PATH, None);
    let _agent = agent(&api, observed());
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(api.calls(), [APPLY]);
    api.blind(false);
    pass(5).await;
    assert_eq!(api.calls(), [POST, APPLY]);
    assert_eq!(status(&api).version, env!("CARGO_PKG_VERSION"));
}
