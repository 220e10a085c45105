//! The admission policy: which of an agent's rights are for its own node only.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::manifests::{object, strings};
use crate::permissions::granted;

fn policy() -> Value {
    object("admission.yaml", "ValidatingAdmissionPolicy")
}

/// What the policy is asked about, as `group/resource`.
fn covered() -> BTreeSet<String> {
    let mut covered = BTreeSet::new();
    for rule in policy()["spec"]["matchConstraints"]["resourceRules"].as_array().unwrap() {
        assert_eq!(strings(&rule["operations"]), ["CREATE", "UPDATE"], "{rule}");
        for group in strings(&rule["apiGroups"]) {
            covered.extend(strings(&rule["resources"]).iter().map(|resource| format!("{group}/{resource}")));
        }
    }
    covered
}

/// Events are about pods of the node, and of its namespace: nothing in them names the node.
#[test]
fn whatever_an_agent_may_write_but_events_is_of_its_own_node() {
    let covered = covered();
    let rights = granted(&object("rbac.yaml", "ClusterRole"));
    let writes = rights.iter().filter_map(|right| {
        let (verb, what) = right.split_once(' ').unwrap();
        (!["get", "list", "watch"].contains(&verb)).then_some(what)
    });
    let open: BTreeSet<&str> = writes.filter(|what| !covered.contains(*what)).collect();
    assert_eq!(open, ["events.k8s.io/events"].into());
}

#[test]
fn who_cannot_be_judged_is_denied() {
    assert_eq!(policy()["spec"]["failurePolicy"], "Fail");
    let binding = object("admission.yaml", "ValidatingAdmissionPolicyBinding");
    let expected = json!({"policyName": policy()["metadata"]["name"], "validationActions": ["Deny"]});
    assert_eq!(binding["spec"], expected);
}

#[test]
fn each_refusal_says_what_to_do() {
    let spec = policy()["spec"].take();
    for validation in spec["validations"].as_array().unwrap() {
        assert_eq!(validation["reason"], "Forbidden");
        let words = validation["message"].as_str().or(validation["messageExpression"].as_str()).unwrap();
        assert!(
            [": run the agent", ": start it", ": leave "].iter().any(|what| words.contains(what)),
            "{words}"
        );
    }
}

/// Its words are about agents: nobody else is asked anything.
#[test]
fn it_is_for_flocks_account_alone() {
    let conditions = policy()["spec"]["matchConditions"].take();
    let account = object("rbac.yaml", "ServiceAccount")["metadata"]["name"].take();
    let expression = format!(
        "request.userInfo.username.matches('^system:serviceaccount:[^:]+:{}$')",
        account.as_str().unwrap()
    );
    assert_eq!(conditions, json!([{"name": "agents", "expression": expression}]));
}
