//! The condition's life on a Node.

use std::sync::{Arc, Mutex};

use flock_core::bgp::plan::{RequireEstablished, Within};
use tokio::sync::watch;

use super::*;
use crate::source::fake::{Failure, FakeApi, NODE, NODE_PATH, TestClock, node};

const APPLY: &str = "PATCH /api/v1/nodes/node-a/status";
const GET: &str = "GET /api/v1/nodes/node-a";

/// What the node is like, as the test says.
#[derive(Clone, Default)]
struct Script(Arc<Mutex<Observation>>, Option<watch::Sender<()>>);

impl Observe for (Script, watch::Receiver<()>) {
    fn observation(&mut self) -> Observation {
        self.1.mark_unchanged();
        self.0.0.lock().unwrap().clone()
    }

    async fn changed(&mut self) {
        self.1.changed().await.unwrap();
    }
}

impl Script {
    fn says(&self, not_ready: Option<&str>, established: Option<usize>) {
        *self.0.lock().unwrap() = observation(not_ready, established);
        self.1.iter().for_each(|tell| tell.send_replace(()));
    }
}

/// Two peers, all of which are required to have a session; none: nothing is required.
fn observation(not_ready: Option<&str>, established: Option<usize>) -> Observation {
    let required =
        RequireEstablished { percent: Within::new(100).unwrap(), timeout: Duration::from_secs(120) };
    let sessions = |established| Sessions { required, peers: 2, established, waited: Duration::ZERO };
    Observation { not_ready: not_ready.map(str::to_owned), sessions: established.map(sessions) }
}

fn cluster() -> FakeApi {
    let api = FakeApi::default();
    api.put(NODE_PATH, Some(node()));
    api
}

/// An agent on a node that is like this.
fn agent(api: &FakeApi, not_ready: Option<&str>, established: Option<usize>) -> Script {
    let (tell, told) = watch::channel(());
    let script = Script(Arc::default(), Some(tell));
    script.says(not_ready, established);
    let writer = ConditionWriter::new(api.client(), NODE, api.own(), TestClock::boxed());
    tokio::spawn(writer.run((script.clone(), told)));
    script
}

async fn pass(seconds: u64) {
    for _ in 0..seconds * 10 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// `STATUS/REASON since TIME`.
fn told(api: &FakeApi) -> Option<String> {
    let node = api.object(NODE_PATH)?;
    let conditions = node["status"]["conditions"].as_array()?.clone();
    let it = conditions.into_iter().find(|it| it["type"] == NETWORK_UNAVAILABLE)?;
    let text = |field: &str| it[field].as_str().unwrap_or_default().to_owned();
    Some(format!("{}/{} since {}", text("status"), text("reason"), text("lastTransitionTime")))
}

fn says(api: &FakeApi, status: &str, reason: &str) {
    let condition = json!({"type": NETWORK_UNAVAILABLE, "status": status, "reason": reason, "lastTransitionTime": "2026-11-20T00:00:00Z"});
    api.change(NODE_PATH, |node| node["status"]["conditions"] = json!([condition]));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_said_before_the_node_can_take_pods() {
    let api = cluster();
    let node = agent(&api, Some("no NodeConfig"), None);
    pass(100).await;
    assert_eq!(api.calls(), [""; 0]);
    node.says(None, None);
    pass(1).await;
    assert_eq!(told(&api).as_deref(), Some("False/FlockReady since 2026-11-21T12:01:40Z"));
}

#[tokio::test(start_paused = true)]
async fn pods_wait_for_bgp_where_somebody_asks_for_that_and_no_session_is_missed_later() {
    let api = cluster();
    let node = agent(&api, Some("no NodeConfig"), Some(0));
    pass(1).await;
    assert_eq!(told(&api).as_deref(), Some("True/FlockStarting since 2026-11-21T12:00:00Z"));
    node.says(None, Some(1));
    pass(1).await;
    assert_eq!(told(&api).as_deref(), Some("True/WaitingForBGP since 2026-11-21T12:00:00Z"));
    node.says(None, Some(2));
    pass(2).await;
    let ready = told(&api);
    assert!(ready.as_ref().unwrap().starts_with("False/FlockReady since 2026-11-21T12:00:0"), "{ready:?}");
    node.says(Some("no NodeConfig"), Some(0));
    pass(200).await;
    assert_eq!(told(&api), ready);
}

#[tokio::test(start_paused = true)]
async fn what_others_say_is_corrected_at_once_but_not_in_a_race() {
    let api = cluster();
    agent(&api, None, None);
    pass(30).await;
    let ready = told(&api);
    api.asked();
    says(&api, "True", "CalicoIsDown");
    pass(1).await;
    assert_eq!((told(&api), api.calls().len()), (ready.clone(), 1));
    says(&api, "False", "RouteCreated");
    pass(2).await;
    assert_eq!((told(&api), api.calls().len()), (ready.clone(), 1));
    api.change(NODE_PATH, |node| node["status"]["conditions"] = json!([]));
    pass(2).await;
    assert_eq!((told(&api), api.calls().len()), (ready, 1));
    for _ in 0..50 {
        says(&api, "True", "CalicoIsDown");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(api.calls().len() <= 6);
}

#[tokio::test(start_paused = true)]
async fn somebody_stands_by_it() {
    let api = cluster();
    agent(&api, None, None);
    pass(1).await;
    api.asked();
    pass(600).await;
    let asked = api.asked();
    assert!((10..=13).contains(&asked.len()), "{}", asked.len());
    let last = &asked.last().unwrap().body["status"]["conditions"][0];
    assert_eq!(last["lastTransitionTime"], "2026-11-21T12:00:00Z");
    assert!(last["lastHeartbeatTime"].as_str() > Some("2026-11-21T12:09:00Z"));
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_is_started_again_takes_nothing_back() {
    let api = cluster();
    says(&api, "False", READY);
    agent(&api, Some("the node's own settings are not made yet"), Some(0));
    pass(100).await;
    assert_eq!(told(&api).as_deref(), Some("False/FlockReady since 2026-11-20T00:00:00Z"));
    assert_eq!(api.calls()[..2], [GET, APPLY]);
}

#[tokio::test(start_paused = true)]
async fn only_this_condition_is_written() {
    let api = cluster();
    let ready = json!({"type": "Ready", "status": "True"});
    api.change(NODE_PATH, |node| node["status"]["conditions"] = json!([ready]));
    agent(&api, None, None);
    pass(1).await;
    let asked = api.asked();
    let apply = asked.last().unwrap();
    assert_eq!((apply.what.as_str(), apply.query.as_str()), (APPLY, "&force=true&fieldManager=flock-agent"));
    assert_eq!(apply.body["metadata"], json!({"name": NODE}));
    assert_eq!(apply.body["status"]["conditions"].as_array().unwrap().len(), 1);
    assert_eq!(api.object(NODE_PATH).unwrap()["status"]["conditions"].as_array().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn failures_are_tried_again() {
    for failure in [Failure::Status(500, "InternalError"), Failure::Status(409, "Conflict"), Failure::Silence]
    {
        let api = cluster();
        api.fail(&[failure; 3]);
        agent(&api, None, None);
        pass(60).await;
        assert!(told(&api).is_some_and(|told| told.starts_with("False/FlockReady")), "{failure:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_node_there_is_nothing_to_say() {
    let api = FakeApi::default();
    agent(&api, None, None);
    pass(100).await;
    assert_eq!(api.calls(), [""; 0]);
    api.put(NODE_PATH, Some(node()));
    pass(1).await;
    assert!(told(&api).is_some());
}

#[tokio::test]
async fn what_is_given_up_is_gone() {
    let api = cluster();
    says(&api, "False", READY);
    release(&api.client(), NODE).await.unwrap();
    assert_eq!(told(&api), None);
    api.put(NODE_PATH, None);
    release(&api.client(), NODE).await.unwrap();
    api.fail(&[Failure::Status(403, "Forbidden")]);
    let error = release(&api.client(), NODE).await.unwrap_err();
    assert_eq!(format!("{error:#}"), "cannot give up the condition of Node node-a: Forbidden");
}
