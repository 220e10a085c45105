//! The pods: what each container has of the node.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::manifests::{object, strings};

/// The pod of a DaemonSet.
fn pod(file: &str) -> Value {
    object(file, "DaemonSet")["spec"]["template"]["spec"].take()
}

fn containers(pod: &Value) -> Vec<&Value> {
    pod["initContainers"].as_array().into_iter().chain(pod["containers"].as_array()).flatten().collect()
}

fn container<'a>(pod: &'a Value, name: &str) -> &'a Value {
    containers(pod).into_iter().find(|container| container["name"] == name).unwrap()
}

/// The node's folders that a container has, each with the place where it has it, and whether it may write there.
fn folders(pod: &Value, name: &str) -> BTreeSet<String> {
    let volumes = pod["volumes"].as_array().unwrap().iter();
    let paths: BTreeMap<&str, &str> = volumes
        .map(|volume| {
            let fields: BTreeSet<&str> = volume.as_object().unwrap().keys().map(String::as_str).collect();
            assert_eq!(fields, ["hostPath", "name"].into(), "{volume}");
            (volume["name"].as_str().unwrap(), volume["hostPath"]["path"].as_str().unwrap())
        })
        .collect();
    let mounts = container(pod, name)["volumeMounts"].as_array().unwrap().iter();
    mounts
        .map(|mount| {
            let access = if mount["readOnly"] == true { "ro" } else { "rw" };
            let (from, to) = (paths[mount["name"].as_str().unwrap()], mount["mountPath"].as_str().unwrap());
            let propagation =
                mount["mountPropagation"].as_str().map_or(String::new(), |how| format!(" {how}"));
            format!("{from} {to} {access}{propagation}")
        })
        .collect()
}

fn capabilities(container: &Value) -> Vec<&str> {
    let security = &container["securityContext"];
    assert_eq!(strings(&security["capabilities"]["drop"]), ["ALL"]);
    strings(&security["capabilities"]["add"])
}

/// Names of containers, their capabilities and their folders.
type Expected<'a> = [(&'a str, &'a [&'a str], &'a [&'a str])];

fn check(file: &str, expected: &Expected<'_>) {
    let pod = pod(file);
    let names: Vec<&str> = containers(&pod).iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(names, expected.iter().map(|(name, ..)| *name).collect::<Vec<_>>());
    for (name, rights, places) in expected {
        assert_eq!(capabilities(container(&pod, name)), *rights, "{file}: {name}");
        let places: BTreeSet<String> = places.iter().map(|place| (*place).to_owned()).collect();
        assert_eq!(folders(&pod, name), places, "{file}: {name}");
    }
}

const AGENT: &[&str] = &["NET_ADMIN", "SYS_ADMIN"];

#[test]
fn each_container_has_what_it_needs_of_the_node() {
    check(
        "daemonset.yaml",
        &[
            ("install", &[], &["/opt/cni/bin /host/opt/cni/bin rw"]),
            (
                "agent",
                AGENT,
                &[
                    "/run/flock /run/flock rw",
                    "/run/netns /run/netns ro HostToContainer",
                    "/etc/cni/net.d /host/etc/cni/net.d rw",
                    "/opt/cni/bin /host/opt/cni/bin ro",
                    "/proc/sys/net /host/proc/sys/net rw",
                ],
            ),
            ("bird", &["NET_ADMIN", "NET_BIND_SERVICE", "NET_RAW"], &["/run/flock /run/flock rw"]),
        ],
    );
}

#[test]
fn uninstalling_needs_no_more() {
    let folders = [
        "/run/flock /run/flock rw",
        "/etc/cni/net.d /host/etc/cni/net.d rw",
        "/opt/cni/bin /host/opt/cni/bin rw",
    ];
    check("uninstall/daemonset.yaml", &[("uninstall", AGENT, &folders), ("wait", AGENT, &folders)]);
}

#[test]
fn no_container_is_privileged_or_can_become_so() {
    for file in ["daemonset.yaml", "uninstall/daemonset.yaml"] {
        let pod = pod(file);
        for name in ["hostPID", "hostIPC"] {
            assert!(pod[name].is_null(), "{file}: {name}");
        }
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
        for container in containers(&pod) {
            let security = container["securityContext"].as_object().unwrap();
            let fields: BTreeSet<&str> = security.keys().map(String::as_str).collect();
            assert_eq!(fields, ["allowPrivilegeEscalation", "capabilities", "readOnlyRootFilesystem"].into());
            assert_eq!(security["allowPrivilegeEscalation"], false);
            assert_eq!(security["readOnlyRootFilesystem"], true);
        }
    }
}

#[test]
fn the_node_is_never_without_it() {
    for file in ["daemonset.yaml", "uninstall/daemonset.yaml"] {
        let pod = pod(file);
        assert_eq!(pod["tolerations"], serde_json::json!([{"operator": "Exists"}]));
        assert_eq!(
            (&pod["priorityClassName"], &pod["hostNetwork"]),
            (&"system-node-critical".into(), &true.into())
        );
        for container in containers(&pod) {
            let resources = &container["resources"];
            assert!(resources["requests"]["memory"].is_string() && resources["limits"]["memory"].is_string());
            assert!(resources["limits"]["cpu"].is_null(), "a node's network is not to be throttled");
        }
    }
}

#[test]
fn probes_ask_the_agent_itself() {
    let pod = pod("daemonset.yaml");
    let agent = container(&pod, "agent");
    for (probe, path) in
        [("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")]
    {
        let asks = serde_json::json!({"host": "127.0.0.1", "port": 9469, "path": path});
        assert_eq!(agent[probe]["httpGet"], asks, "{probe}");
    }
    assert!(
        container(&pod, "bird")["livenessProbe"].is_null(),
        "its end withdraws routes, or makes them stale"
    );
}

#[test]
fn bird_is_stopped_as_the_cause_asks_for_and_has_the_time() {
    let pod = pod("daemonset.yaml");
    let hook = &container(&pod, "bird")["lifecycle"]["preStop"]["exec"]["command"];
    assert_eq!(strings(hook), ["flock-agent", "bird-stop", "--for=auto"]);
    let names = container(&pod, "bird")["env"].as_array().unwrap();
    let names: Vec<&str> = names.iter().map(|variable| variable["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["NODE_NAME", "POD_NAME", "POD_NAMESPACE"]);
    // 3 s for the API server, 5 s for the withdrawal, 1 s for the routers, 10 s for BIRD's end.
    assert!(pod["terminationGracePeriodSeconds"].as_u64().unwrap() >= 3 + 5 + 1 + 10);
    assert_eq!(pod["shareProcessNamespace"], true, "a BIRD that is process 1 cannot be killed from within");
}
