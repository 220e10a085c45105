//! What the trials apply.

use anyhow::Result;
use flock_cluster::Cluster;
use serde_json::{Value, json};

/// The tests' image: a server that says who asks, and a client that counts.
pub(crate) const IMAGE: &str = "flock.test/echo:1";

/// A pod that serves, with the label `app=NAME`, ready when it answers.
pub(crate) fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}, "annotations": {}},
        "spec": spec(),
    })
}

/// What such a pod's spec is.
pub(crate) fn spec() -> Value {
    json!({
        "terminationGracePeriodSeconds": 1,
        "containers": [{
            "name": "echo",
            "image": IMAGE,
            "imagePullPolicy": "IfNotPresent",
            "args": ["serve"],
            "readinessProbe": {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 1, "failureThreshold": 1},
        }],
    })
}

/// The pod on this node.
pub(crate) fn on(mut pod: Value, node: &str) -> Value {
    pod["spec"]["nodeName"] = json!(node);
    pod
}

/// The pod with one more of flock's annotations.
pub(crate) fn annotated(mut pod: Value, key: &str, value: &str) -> Value {
    pod["metadata"]["annotations"][format!("flock.fritzlab.net/{key}")] = json!(value);
    pod
}

/// A Deployment or StatefulSet of such pods.
pub(crate) fn replicas(kind: &str, name: &str, count: usize) -> Value {
    let labels = json!({"app": name});
    let mut object = json!({
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": {
            "replicas": count,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels, "annotations": {}}, "spec": spec()},
        },
    });
    if kind == "StatefulSet" {
        object["spec"]["serviceName"] = json!(name);
    }
    object
}

/// A Service for the pods with the label `app=NAME`: HTTP on port 80, and whatever else `spec` says.
pub(crate) fn service(name: &str, app: &str, spec: Value) -> Value {
    let mut object = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": app}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
    });
    for (key, value) in spec.as_object().into_iter().flatten() {
        object["spec"][key] = value.clone();
    }
    object
}

/// Applies objects.
pub(crate) fn apply(cluster: &Cluster, objects: &[Value]) -> Result<()> {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
    cluster.kubectl().apply(&list.to_string()).map(drop)
}

/// Takes everything away that trials make in namespace `default`.
pub(crate) fn clean(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.kubectl();
    kubectl.delete(&["deployments,statefulsets,daemonsets", "--all"])?;
    kubectl.delete(&["services", "--field-selector=metadata.name!=kubernetes"])?;
    kubectl.delete(&["pods", "--all", "--grace-period=1"])
}

/// The host part of a URL.
pub(crate) fn host(address: &str) -> String {
    if address.contains(':') { format!("[{address}]") } else { address.to_owned() }
}

/// `http://ADDRESS:PORT/`.
pub(crate) fn http(address: &str, port: u16) -> String {
    format!("http://{}:{port}/", host(address))
}
