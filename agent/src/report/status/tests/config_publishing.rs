//! When NodeConfig `status` is told, to an API server that does what API servers do.

use super::*;
use crate::source::fake::{Asked, Failure};

const POST: &str = "POST /apis/flock.fritzlab.net/v1alpha1/nodeconfigs";
const APPLY: &str = "PATCH /apis/flock.fritzlab.net/v1alpha1/nodeconfigs/node-a/status";

fn agent(api: &FakeApi, observed: Observed) -> Agent {
    Agent::of_config(api, observed)
}

/// What the API server has for `ConfigValid`.
fn valid(api: &FakeApi) -> (String, String) {
    let valid = status(api).conditions.into_iter().find(|it| it.kind == "ConfigValid").unwrap();
    (valid.reason, valid.message)
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
    agent.learns(refused("spec.mtu"));
    pass(1).await;
    assert_eq!(api.calls(), [APPLY]);
    for _ in 0..5 {
        agent.learns(observed());
        tokio::time::sleep(Duration::from_millis(10)).await;
        agent.learns(refused("spec.mtu"));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    agent.learns(observed());
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(api.calls(), [""; 0]);
    pass(2).await;
    assert_eq!(api.calls(), [APPLY]);
    assert_eq!(valid(&api).0, "Valid");
}

#[tokio::test(start_paused = true)]
async fn figures_alone_wait_five_minutes() {
    let wrong = |number: u32| refused(&format!("spec.mtu: {number} fields"));
    let api = cluster();
    let agent = agent(&api, wrong(1));
    pass(10).await;
    api.asked();
    for number in 2..30 {
        agent.learns(wrong(number));
        pass(10).await;
    }
    assert_eq!(api.calls(), [""; 0]);
    pass(60).await;
    assert_eq!(api.calls(), [APPLY]);
    assert!(valid(&api).1.starts_with("spec.mtu: 29 fields"), "{}", valid(&api).1);
}

/// A router's reboot, pods, and time.
#[tokio::test(start_paused = true)]
async fn what_no_other_node_needs_and_no_configuration_is_about_is_never_written() {
    let api = cluster();
    let agent = agent(&api, observed());
    pass(10).await;
    assert_eq!(api.calls(), [APPLY]);
    let unready = Observed { not_ready: Some("BIRD is away".to_owned()), ..observed() };
    let away = observed().with_bgp(|bgp| bgp.bird = BirdStatus::Away("no socket".to_owned()));
    let trial = observed().with_bgp(|bgp| bgp.config = ConfigStatus::OnTrial { revision: "2".to_owned() });
    let full = Observed { usage: vec![observed().usage[0], pool("203.0.113.0/26", 61, 60)], ..observed() };
    let serving = Observed { anycast: vec![anycast(1)], ..observed() };
    for _ in 0..20 {
        for observed in
            [session_down(), unready.clone(), away.clone(), trial.clone(), full.clone(), serving.clone()]
        {
            agent.learns(observed);
            pass(30).await;
        }
    }
    assert_eq!(api.calls(), [""; 0]);
    agent.learns(fuller(1));
    pass(10).await;
    assert_eq!(api.calls(), [APPLY], "a pool that is gone");
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
    second.learns(refused("spec.mtu"));
    pass(10).await;
    let kept = &status(&api).conditions[1];
    let since = kept.last_transition_time.as_str();
    assert_eq!((kept.kind.as_str(), since), ("ConfigRolledBack", "2026-11-21T12:00:00Z"));
}

#[tokio::test(start_paused = true)]
async fn what_somebody_else_writes_is_corrected() {
    let api = cluster();
    let _agent = agent(&api, observed());
    pass(10).await;
    api.asked();
    let before = status(&api);
    api.change(CONFIG_PATH, |config| config["status"]["addresses"] = json!(["192.0.2.99"]));
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
    agent.learns(refused("spec.mtu"));
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
    agent.learns(refused("spec.mtu"));
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
        agent.learns(refused("spec.mtu"));
        pass(60).await;
        assert_eq!(api.calls(), [APPLY; 3], "{failure:?}");
        assert_eq!(valid(&api).0, "Refused", "{failure:?}");
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
    assert_eq!(valid(&api).0, "Valid");
}
