//! NodeStates: what people see of nodes, and who may write of which node.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flock_cluster::kubectl::PATIENCE;
use flock_cluster::suite::Named;
use flock_cluster::{Cluster, Kubectl, cluster_trials};
use flock_tests::eventually;
use serde_json::{Value, json};

use crate::configuration::{condition, state_of, template};

pub(crate) fn trials() -> Vec<Named> {
    cluster_trials![
        a_node_state_shows_in_columns_how_the_node_is,
        a_heartbeat_comes_within_every_minute,
        an_agents_token_writes_of_its_own_node_only,
        a_token_that_is_bound_to_a_node_writes_of_that_node_only,
        a_token_of_no_node_writes_nothing,
    ]
}

fn a_node_state_shows_in_columns_how_the_node_is(cluster: &mut Cluster) -> Result<()> {
    let table = eventually(PATIENCE, || {
        let table = cluster.kubectl().run(&["get", "fns"])?;
        ensure!(table.matches("2/2").count() == 2, "{table}");
        Ok(table)
    })?;
    let mut rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    ensure!(rows.next() == Some(vec!["NAME", "READY", "CONFIG", "SESSIONS", "SEEN"]), "{table}");
    for (row, node) in rows.by_ref().zip(["node-a", "node-b"]) {
        let [name, state @ .., seen] = row.as_slice() else { anyhow::bail!("{table}") };
        ensure!(*name == node && state == ["True", "Applied", "2/2"], "{table}");
        // As 7s, or 1m2s.
        ensure!(seen.ends_with('s'), "{table}");
    }
    let (node, state) = (cluster.kubectl().json(&["node", "node-a"])?, state_of(cluster, "node-a")?);
    let owner = &state["metadata"]["ownerReferences"][0];
    ensure!((&owner["kind"], &owner["uid"]) == (&json!("Node"), &node["metadata"]["uid"]), "{owner}");
    Ok(())
}

fn a_heartbeat_comes_within_every_minute(cluster: &mut Cluster) -> Result<()> {
    let heartbeat = || Ok::<_, anyhow::Error>(state_of(cluster, "node-a")?["status"]["heartbeat"].take());
    let first = heartbeat()?;
    ensure!(first.as_str().is_some_and(|time| time.ends_with('Z')), "{first}");
    eventually(Duration::from_secs(65), || {
        let now = heartbeat()?;
        ensure!(now != first, "still {now}");
        Ok(())
    })
}

/// Whoever has a token of flock's account.
struct Agent(Kubectl);

impl Agent {
    /// `bound` says what its token is bound to, as `kubectl create token` takes it.
    fn of(cluster: &Cluster, name: &str, bound: &[&str]) -> Result<Self> {
        let create = ["create", "token", "flock-agent", "--namespace=flock-system"];
        let token = cluster.kubectl().run(&[create.as_slice(), bound].concat())?;
        Ok(Self(cluster.kubectl_with_token(name, token.trim())?))
    }

    /// Server-side apply of a status, which comes to nothing.
    fn applies(&self, object: &Value) -> Result<()> {
        let apply = ["apply", "--server-side", "--force-conflicts", "--subresource=status", "--filename=-"];
        self.0.feed(&[apply.as_slice(), &["--dry-run=server"]].concat(), &object.to_string()).map(drop)
    }

    fn creates(&self, object: &Value) -> Result<()> {
        self.0.feed(&["create", "--dry-run=server", "--filename=-"], &object.to_string()).map(drop)
    }
}

/// The API server says no, in these words.
fn refused(outcome: Result<()>, words: &[&str]) -> Result<()> {
    let said = outcome.err().map(|error| format!("{error:#}")).context("it was allowed")?;
    ensure!(words.iter().all(|words| said.contains(words)), "{words:?}: {said}");
    Ok(())
}

fn node_state(node: &str) -> Value {
    json!({"apiVersion": "flock.fritzlab.net/v1alpha1", "kind": "NodeState", "metadata": {"name": node},
        "status": {"config": "Applied"}})
}

fn node_config(node: &str) -> Value {
    json!({"apiVersion": "flock.fritzlab.net/v1alpha1", "kind": "NodeConfig", "metadata": {"name": node},
        "status": {"addresses": ["192.0.2.1"]}})
}

fn node(name: &str, status: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "status": status})
}

fn with_condition(name: &str, kind: &str) -> Value {
    node(
        name,
        &json!({"conditions": [{"type": kind, "status": "False", "reason": "Test", "message": "a test"}]}),
    )
}

/// What the agents do all the time.
fn reports(of: &str) -> [Value; 3] {
    [node_state(of), node_config(of), with_condition(of, "NetworkUnavailable")]
}

const OTHER: &[&str] = &["an agent writes of its own node only", "--node node-a", "node-b"];

/// The token is of node-a.
fn writes_of_node_a_only(agent: &Agent) -> Result<()> {
    reports("node-a").iter().try_for_each(|report| agent.applies(report))?;
    reports("node-b").iter().try_for_each(|report| refused(agent.applies(report), OTHER))?;
    refused(agent.creates(&node_state("node-b")), OTHER)?;
    refused(agent.creates(&template("node-b", &json!({}))), OTHER)
}

fn an_agents_token_writes_of_its_own_node_only(cluster: &mut Cluster) -> Result<()> {
    let on_node = ["pods", "--namespace=flock-system", "--field-selector=spec.nodeName=node-a"];
    let pods = cluster.kubectl().list(&on_node)?;
    let pod = pods.first().and_then(|pod| pod["metadata"]["name"].as_str()).context("no agent on node-a")?;
    let name = format!("--bound-object-name={pod}");
    let agent = Agent::of(cluster, "of-pod", &["--bound-object-kind=Pod", &name])?;
    writes_of_node_a_only(&agent)?;
    // A template is of all nodes.
    let template = template("node-a", &json!({"nodeSelector": {}}));
    refused(agent.creates(&template), &["leave its spec empty"])?;
    let not_its_own = ["leave the rest to kubelet"];
    refused(agent.applies(&with_condition("node-a", "Ready")), &not_its_own)?;
    let capacity = node("node-a", &json!({"capacity": {"example.org/widget": "1"}}));
    refused(agent.applies(&capacity), &not_its_own)?;
    let mut labelled = with_condition("node-a", "NetworkUnavailable");
    labelled["metadata"]["labels"] = json!({"example.org/rack": "1"});
    refused(agent.applies(&labelled), &not_its_own)?;
    agent.applies(&with_condition("node-a", "FlockTest"))
}

/// For agents that are no pods.
fn a_token_that_is_bound_to_a_node_writes_of_that_node_only(cluster: &mut Cluster) -> Result<()> {
    let bound = ["--bound-object-kind=Node", "--bound-object-name=node-a"];
    writes_of_node_a_only(&Agent::of(cluster, "of-node", &bound)?)
}

fn a_token_of_no_node_writes_nothing(cluster: &mut Cluster) -> Result<()> {
    let agent = Agent::of(cluster, "of-nobody", &[])?;
    for report in reports("node-a") {
        refused(agent.applies(&report), &["names no node", "bound to its Node"])?;
    }
    // Nor was anything written.
    let node = cluster.kubectl().json(&["node", "node-a"])?;
    ensure!(condition(&node, "NetworkUnavailable")["reason"] == "FlockReady", "{}", node["status"]);
    Ok(())
}
