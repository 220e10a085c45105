use std::collections::BTreeMap;

use axum::Router;
use axum::http::{StatusCode, Uri};
use serde_json::json;
use tokio::net::TcpListener;

use super::*;

const NODE: &str = "/api/v1/nodes/node-a";
const POD: &str = "/api/v1/namespaces/flock-system/pods/flock-x7";
const DAEMON_SET: &str = "/apis/apps/v1/namespaces/flock-system/daemonsets/flock";

/// What an API server answers.
struct Objects(BTreeMap<&'static str, (StatusCode, Value)>);

impl Objects {
    /// A node, and a pod on it that belongs to a DaemonSet.
    fn usual() -> Self {
        let owner = json!({"kind": "DaemonSet", "name": "flock", "uid": "u1", "controller": true});
        Self(BTreeMap::new())
            .with(NODE, json!({"metadata": {"name": "node-a", "labels": {"rack": "7"}}}))
            .with(POD, json!({"metadata": {"ownerReferences": [owner]}}))
            .with(DAEMON_SET, json!({"metadata": {"uid": "u1"}}))
    }

    fn with(mut self, path: &'static str, object: Value) -> Self {
        self.0.insert(path, (StatusCode::OK, object));
        self
    }

    fn without(mut self, path: &'static str) -> Self {
        self.0.remove(path);
        self
    }

    fn forbidden(mut self, path: &'static str) -> Self {
        self.0.insert(path, (StatusCode::FORBIDDEN, failure("Forbidden", 403)));
        self
    }

    async fn asked(self) -> (Node, Owner) {
        let answer = async move |uri: Uri| {
            let missing = (StatusCode::NOT_FOUND, failure("NotFound", 404));
            let (status, object) = self.0.get(uri.path()).cloned().unwrap_or(missing);
            (status, object.to_string())
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let serving = tokio::spawn(axum::serve(listener, Router::new().fallback(answer)).into_future());
        let client = Client::try_from(kube::Config::new(url.parse().unwrap())).unwrap();
        let [node, namespace, pod] = ["node-a", "flock-system", "flock-x7"].map(str::to_owned);
        let seen = ask(&client, &Identity { node, namespace, pod }).await;
        serving.abort();
        seen
    }
}

fn failure(reason: &str, code: u16) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": reason, "code": code})
}

#[tokio::test]
async fn node_and_daemon_set_are_seen() {
    let ready = json!([{"type": "Ready", "status": "False", "message": "node is shutting down"}]);
    let node = json!({
        "metadata": {"labels": {"rack": "7"}, "deletionTimestamp": "2026-11-21T10:00:00Z"},
        "spec": {"unschedulable": true},
        "status": {"conditions": ready},
    });
    let daemon_set = json!({
        "metadata": {"uid": "u1", "deletionTimestamp": "2026-11-21T10:00:00Z"},
        "spec": {"template": {"spec": {"nodeSelector": {"rack": "8"}}}},
    });
    let (node, owner) = Objects::usual().with(NODE, node).with(DAEMON_SET, daemon_set).asked().await;
    let label = |value: &str| [("rack".to_owned(), value.to_owned())].into();
    let ready = Some(("False".to_owned(), "node is shutting down".to_owned()));
    let facts = NodeFacts { deleted: true, unschedulable: true, labels: label("7"), ready };
    assert_eq!(node, Node::Present(facts));
    assert_eq!(owner, Owner::Present(OwnerFacts { deleted: true, node_selector: label("8") }));
}

#[tokio::test]
async fn what_says_little_is_there_all_the_same() {
    let (node, owner) = Objects::usual().with(NODE, json!({})).asked().await;
    assert_eq!(node, Node::Present(NodeFacts::default()));
    assert_eq!(owner, Owner::Present(OwnerFacts::default()));
}

#[tokio::test]
async fn what_is_not_there_is_gone() {
    assert_eq!(Objects::usual().without(NODE).asked().await.0, Node::Gone);
    assert_eq!(Objects::usual().without(DAEMON_SET).asked().await.1, Owner::Gone);
    let another = json!({"metadata": {"uid": "u2"}});
    assert_eq!(Objects::usual().with(DAEMON_SET, another).asked().await.1, Owner::Gone);
}

#[tokio::test]
async fn what_cannot_be_asked_for_is_unknown() {
    let seen = Objects::usual().forbidden(NODE).forbidden(POD).asked().await;
    assert_eq!(seen, (Node::Unknown, Owner::Unknown));
    assert_eq!(Objects::usual().forbidden(DAEMON_SET).asked().await.1, Owner::Unknown);
    // A pod that was deleted by force says nothing of its owner, and one by hand has none.
    assert_eq!(Objects::usual().without(POD).asked().await.1, Owner::Unknown);
    assert_eq!(Objects::usual().with(POD, json!({"metadata": {}})).asked().await.1, Owner::Unknown);
}
