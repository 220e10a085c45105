//! When NodeState is told, to an API server that does what API servers do.

use super::*;
use crate::source::fake::{Asked, Failure, STATE_PATH};

const GET: &str = "GET /apis/flock.fritzlab.net/v1alpha1/nodestates/node-a";
const POST: &str = "POST /apis/flock.fritzlab.net/v1alpha1/nodestates";
const APPLY: &str = "PATCH /apis/flock.fritzlab.net/v1alpha1/nodestates/node-a/status";

fn agent(api: &FakeApi, observed: Observed) -> Agent {
    Agent::of_state(api, observed)
}

fn status(api: &FakeApi) -> NodeStateStatus {
    serde_json::from_value(api.object(STATE_PATH).unwrap()["status"].clone()).unwrap()
}

fn established(api: &FakeApi) -> String {
    status(api).bgp.unwrap().established
}

#[tokio::test(start_paused = true)]
async fn a_node_gets_its_node_state_that_goes_with_the_node() {
    let api = cluster();
    let _agent = agent(&api, observed());
    pass(1).await;
    let asked = api.asked();
    assert_eq!(asked.iter().map(|it| it.what.as_str()).collect::<Vec<_>>(), [GET, POST, APPLY]);
    assert_eq!(asked[1].query, "&fieldManager=flock-agent");
    assert_eq!(
        asked[1].body,
        json!({
            "apiVersion": "flock.fritzlab.net/v1alpha1",
            "kind": "NodeState",
            "metadata": {
                "name": "node-a",
                "labels": {"app.kubernetes.io/managed-by": "flock-agent"},
                "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "node-a", "uid": "node-uid"}],
            },
        })
    );
}

#[tokio::test(start_paused = true)]
async fn the_report_is_applied_by_force_and_nothing_else_is_touched() {
    let api = cluster();
    let _agent = agent(&api, observed());
    pass(1).await;
    let asked = api.asked();
    let Some(Asked { what, query, body }) = asked.last() else { panic!("{asked:?}") };
    assert_eq!((what.as_str(), query.as_str()), (APPLY, "&force=true&fieldManager=flock-agent"));
    let fields: Vec<&String> = body.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["apiVersion", "kind", "metadata", "status"]);
    assert_eq!(body["metadata"], json!({"name": "node-a"}));
}

/// An agent that is silent for a minute is dead.
#[tokio::test(start_paused = true)]
async fn a_heartbeat_comes_within_every_minute_and_no_more_often_than_it_must() {
    let api = cluster();
    let _agent = agent(&api, observed());
    pass(1).await;
    let mut last: Timestamp = status(&api).heartbeat.unwrap().parse().unwrap();
    api.asked();
    let mut beats = 0;
    for _ in 0..3600 {
        pass(1).await;
        let beat: Timestamp = status(&api).heartbeat.unwrap().parse().unwrap();
        if beat != last {
            let apart = beat.duration_since(last).as_secs();
            assert!((43..60).contains(&apart), "{apart} s");
            (last, beats) = (beat, beats + 1);
        }
    }
    assert_eq!(api.calls(), vec![APPLY; beats]);
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
    assert_eq!(established(&api), "2/2");
}

#[tokio::test(start_paused = true)]
async fn figures_alone_wait_for_the_heartbeat() {
    let api = cluster();
    let agent = agent(&api, fuller(1));
    pass(10).await;
    api.asked();
    for used in 2..30 {
        agent.learns(fuller(used));
        pass(1).await;
    }
    assert_eq!(api.calls(), [""; 0]);
    pass(30).await;
    assert_eq!(api.calls(), [APPLY]);
    assert_eq!(status(&api).pools[0].used, 29);
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_is_started_again_knows_since_when() {
    let api = cluster();
    let first = agent(&api, observed());
    pass(10).await;
    first.dies().await;
    api.asked();
    pass(100).await;
    let second = agent(&api, observed());
    pass(1).await;
    assert_eq!(api.calls(), [GET, APPLY], "one that has written before is told to be alive");
    second.learns(session_down());
    pass(3).await;
    let ready = &status(&api).conditions[0];
    assert_eq!((ready.kind.as_str(), ready.last_transition_time.as_str()), ("Ready", "2026-11-21T12:00:00Z"));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_begins_anew() {
    let api = cluster();
    api.put(STATE_PATH, Some(json!({"metadata": {"name": NODE}, "status": {"conditions": "none"}})));
    let _agent = agent(&api, observed());
    pass(1).await;
    assert_eq!(api.calls(), [GET, APPLY]);
    assert_eq!(status(&api).conditions[0].last_transition_time, "2026-11-21T12:00:00Z");
}

#[tokio::test(start_paused = true)]
async fn one_that_is_deleted_is_made_again_unless_the_node_is_gone() {
    let api = cluster();
    let agent = agent(&api, observed());
    pass(10).await;
    api.asked();
    api.put(STATE_PATH, None);
    agent.learns(session_down());
    pass(5).await;
    assert_eq!(api.calls(), [APPLY, POST, APPLY]);
    api.put(NODE_PATH, None);
    api.put(STATE_PATH, None);
    pass(200).await;
    assert_eq!(api.calls(), [APPLY]);
    let mut another = node();
    another["metadata"]["uid"] = json!("another");
    api.put(NODE_PATH, Some(another));
    pass(61).await;
    assert_eq!(api.object(STATE_PATH).unwrap()["metadata"]["ownerReferences"][0]["uid"], "another");
}

#[tokio::test(start_paused = true)]
async fn what_somebody_else_writes_is_corrected_by_the_next_heartbeat() {
    let api = cluster();
    let _agent = agent(&api, observed());
    pass(10).await;
    api.change(STATE_PATH, |state| state["status"]["config"] = json!("Refused"));
    pass(60).await;
    assert_eq!(status(&api).config, "Applied");
}

#[tokio::test(start_paused = true)]
async fn failures_are_tried_again_with_the_newest_report() {
    for failure in [
        Failure::Status(500, "InternalError"),
        Failure::Status(409, "Conflict"),
        Failure::Status(429, "TooManyRequests"),
        Failure::Status(403, "Forbidden"),
        Failure::Silence,
        Failure::Nonsense("<html>"),
    ] {
        let api = cluster();
        api.put(STATE_PATH, Some(json!({"metadata": {"name": NODE}})));
        api.fail(&[failure; 3]);
        let agent = agent(&api, observed());
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(api.calls().len(), 1, "{failure:?}");
        agent.learns(session_down());
        pass(40).await;
        assert_eq!(api.calls(), [GET, GET, GET, APPLY], "{failure:?}");
        assert_eq!(established(&api), "1/2", "{failure:?}");
    }
}

/// An API server that does not know the kind yet: its definitions are applied last.
#[tokio::test(start_paused = true)]
async fn an_api_server_without_the_kind_is_asked_ever_more_seldom() {
    let api = cluster();
    api.fail(&[Failure::Status(404, "NotFound"); 9]);
    let _agent = agent(&api, observed());
    pass(60).await;
    let calls = api.calls();
    assert_eq!((calls[0].as_str(), calls[1..].iter().all(|call| call == POST)), (GET, true));
    assert!(calls.len() < 9, "{calls:?}");
    api.heal();
    pass(60).await;
    assert_eq!(established(&api), "2/2");
}
