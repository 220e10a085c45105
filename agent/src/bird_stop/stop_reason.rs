//! What the API server says of the node, and of the DaemonSet that this pod belongs to: asked once, when BIRD is to stop.

use flock_core::kubernetes::stop_reason::{Node, NodeFacts, Owner, OwnerFacts};
use kube::Client;
use serde_json::Value;

use crate::api::call::{self, CallError, Collection};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub node: String,
    pub namespace: String,
    pub pod: String,
}

/// What is seen of both. What cannot be asked is unknown, and logged.
pub async fn ask(client: &Client, identity: &Identity) -> (Node, Owner) {
    tokio::join!(node(client, &identity.node), owner(client, identity))
}

async fn node(client: &Client, name: &str) -> Node {
    match call::get(client, Collection::NODES, name).await {
        Ok(node) => Node::Present(node_facts(&node)),
        Err(error) if error.is_not_found() => Node::Gone,
        Err(error) => {
            unknown(&format!("Node {name}"), &error);
            Node::Unknown
        }
    }
}

async fn owner(client: &Client, identity: &Identity) -> Owner {
    let Identity { namespace, pod, .. } = identity;
    let pods = format!("/api/v1/namespaces/{namespace}/pods");
    let pod = match call::get(client, Collection(&pods), pod).await {
        Ok(pod) => pod,
        Err(error) => {
            unknown(&format!("Pod {namespace}/{pod}"), &error);
            return Owner::Unknown;
        }
    };
    match daemon_set(&pod) {
        Some((name, uid)) => daemon_set_facts(client, namespace, name, uid).await,
        None => Owner::Unknown,
    }
}

/// Name and UID of the DaemonSet that a pod belongs to.
fn daemon_set(pod: &Value) -> Option<(&str, &str)> {
    let owners = pod["metadata"]["ownerReferences"].as_array()?;
    let owner = owners.iter().find(|owner| owner["kind"] == "DaemonSet" && owner["controller"] == true)?;
    Some((owner["name"].as_str()?, owner["uid"].as_str()?))
}

async fn daemon_set_facts(client: &Client, namespace: &str, name: &str, uid: &str) -> Owner {
    let daemon_sets = format!("/apis/apps/v1/namespaces/{namespace}/daemonsets");
    match call::get(client, Collection(&daemon_sets), name).await {
        Ok(found) if found["metadata"]["uid"] != uid => Owner::Gone,
        Ok(found) => Owner::Present(owner_facts(&found)),
        Err(error) if error.is_not_found() => Owner::Gone,
        Err(error) => {
            unknown(&format!("DaemonSet {namespace}/{name}"), &error);
            Owner::Unknown
        }
    }
}

fn unknown(object: &str, error: &CallError) {
    tracing::warn!(object, %error, "cannot be asked for");
}

fn node_facts(node: &Value) -> NodeFacts {
    let conditions = node["status"]["conditions"].as_array().map_or(&[][..], Vec::as_slice);
    let ready = conditions.iter().find(|condition| condition["type"] == "Ready");
    NodeFacts {
        deleted: is_deleted(node),
        unschedulable: node["spec"]["unschedulable"] == true,
        labels: strings(&node["metadata"]["labels"]),
        ready: ready.map(|ready| (text(&ready["status"]), text(&ready["message"]))),
    }
}

fn owner_facts(daemon_set: &Value) -> OwnerFacts {
    let node_selector = strings(&daemon_set["spec"]["template"]["spec"]["nodeSelector"]);
    OwnerFacts { deleted: is_deleted(daemon_set), node_selector }
}

fn is_deleted(object: &Value) -> bool {
    object["metadata"]["deletionTimestamp"].is_string()
}

fn strings(map: &Value) -> std::collections::BTreeMap<String, String> {
    let entries = map.as_object().into_iter().flatten();
    entries.map(|(key, value)| (key.clone(), text(value))).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;
