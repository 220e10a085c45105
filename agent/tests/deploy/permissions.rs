//! RBAC: each rule is known here.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::manifests::{object, objects, strings};

/// Everything that a role grants, as `verb group/resource`.
pub(crate) fn granted(role: &Value) -> BTreeSet<String> {
    let mut granted = BTreeSet::new();
    for rule in role["rules"].as_array().unwrap() {
        let fields: BTreeSet<&str> = rule.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(fields, ["apiGroups", "resources", "verbs"].into(), "{rule}");
        for group in strings(&rule["apiGroups"]) {
            for resource in strings(&rule["resources"]) {
                let all = strings(&rule["verbs"]).into_iter();
                granted.extend(all.map(|verb| format!("{verb} {group}/{resource}")));
            }
        }
    }
    granted
}

fn expected(rights: &[&str]) -> BTreeSet<String> {
    rights.iter().map(|right| (*right).to_owned()).collect()
}

#[test]
fn in_the_whole_cluster_an_agent_reads_and_says_how_its_node_is() {
    let rights = [
        "get /nodes",
        "list /nodes",
        "watch /nodes",
        "patch /nodes/status",
        "get /pods",
        "list /pods",
        "watch /pods",
        "list /namespaces",
        "watch /namespaces",
        "list flock.fritzlab.net/nodeconfigs",
        "watch flock.fritzlab.net/nodeconfigs",
        "create flock.fritzlab.net/nodeconfigs",
        "patch flock.fritzlab.net/nodeconfigs/status",
        "get flock.fritzlab.net/nodestates",
        "create flock.fritzlab.net/nodestates",
        "patch flock.fritzlab.net/nodestates/status",
        "list flock.fritzlab.net/addresspools",
        "watch flock.fritzlab.net/addresspools",
        "create events.k8s.io/events",
        "patch events.k8s.io/events",
    ];
    assert_eq!(granted(&object("rbac.yaml", "ClusterRole")), expected(&rights));
}

#[test]
fn in_its_namespace_it_reads_secrets_by_name_and_its_daemonset() {
    let rights = ["get /secrets", "get apps/daemonsets"];
    assert_eq!(granted(&object("rbac.yaml", "Role")), expected(&rights));
}

#[test]
fn nobody_but_flocks_account_is_granted_any_of_it() {
    let all = objects("rbac.yaml");
    let mut kinds: Vec<&str> = all.iter().filter_map(|object| object["kind"].as_str()).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding", "ServiceAccount"]);
    let subject =
        serde_json::json!([{"kind": "ServiceAccount", "name": "flock-agent", "namespace": "flock-system"}]);
    for binding in all.iter().filter(|object| object["kind"].as_str().unwrap().ends_with("Binding")) {
        assert_eq!(binding["subjects"], subject);
        let role = binding["kind"].as_str().unwrap().trim_end_matches("Binding");
        assert_eq!(
            (&binding["roleRef"]["kind"], &binding["roleRef"]["name"]),
            (&role.into(), &"flock-agent".into())
        );
    }
    for daemon_set in ["daemonset.yaml", "uninstall/daemonset.yaml"] {
        let pod = object(daemon_set, "DaemonSet")["spec"]["template"]["spec"].take();
        assert_eq!(pod["serviceAccountName"], "flock-agent");
    }
}
