//! What `kubectl apply -k deploy` has brought: the DaemonSet, its rights, and how it goes again.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result, ensure};
use flock_cluster::suite::Named;
use flock_cluster::{Cluster, cluster_trials};
use serde_json::{Value, json};

use crate::configuration::template;
use crate::objects::{apply, on, pod};

/// Who the agent is.
const AGENT: &str = "system:serviceaccount:flock-system:flock-agent";

pub(crate) fn first_trials() -> Vec<Named> {
    cluster_trials![the_daemon_set_makes_nodes_ready, bad_objects_are_refused_with_a_readable_message]
}

pub(crate) fn last_trials() -> Vec<Named> {
    cluster_trials![
        an_agent_needs_every_right_that_it_has_and_no_other,
        an_uninstalled_node_keeps_its_pods_links_and_nothing_else,
    ]
}

fn the_daemon_set_makes_nodes_ready(cluster: &mut Cluster) -> Result<()> {
    cluster.ready()?;
    let pods = cluster.kubectl().list(&["pods", "--namespace=flock-system"])?;
    ensure!(pods.len() == cluster.members.len(), "{} pods", pods.len());
    for pod in &pods {
        let restarts = pod["status"]["containerStatuses"].as_array().context("no containers")?.iter();
        let restarts: Vec<&Value> = restarts.map(|status| &status["restartCount"]).collect();
        ensure!(
            restarts.iter().all(|count| **count == 0),
            "{}: restarted {restarts:?}",
            pod["metadata"]["name"]
        );
    }
    for member in &cluster.members {
        let conflist = member.own_folder("/etc/cni/net.d").join("01-flock.conflist");
        let text = fs::read_to_string(&conflist)?;
        ensure!(text.contains("\"type\": \"flock\"") && text.contains("portmap"), "{text}");
    }
    Ok(())
}

/// One request that the API server has answered.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Request {
    namespace: String,
    group: String,
    resource: String,
    verb: String,
}

/// What the agent has asked for, and whether it was let.
fn requests(cluster: &Cluster) -> Result<Vec<(Request, u64)>> {
    let text = fs::read_to_string(cluster.control.audit_log())?;
    let events = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    // Other trials borrow its account, with kubectl.
    let is_agent =
        |event: &Value| event["userAgent"].as_str().is_some_and(|it| it.starts_with("flock-agent/"));
    let of_agent = events.filter(|event| {
        event["user"]["username"] == AGENT && is_agent(event) && !event["objectRef"].is_null()
    });
    Ok(of_agent
        .map(|event| (request(&event), event["responseStatus"]["code"].as_u64().unwrap_or_default()))
        .collect())
}

fn request(event: &Value) -> Request {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let object = &event["objectRef"];
    let subresource = object["subresource"].as_str().map(|name| format!("/{name}")).unwrap_or_default();
    Request {
        namespace: text(&object["namespace"]),
        group: text(&object["apiGroup"]),
        resource: text(&object["resource"]) + &subresource,
        verb: text(&event["verb"]),
    }
}

/// The rights of the manifest, one by one; a namespace only where the right is for that alone.
fn rights(cluster: &Cluster) -> Result<BTreeSet<Request>> {
    let mut rights = BTreeSet::new();
    for (kind, namespace) in [("clusterroles", ""), ("roles", "flock-system")] {
        let mut what = vec![kind, "--selector=app.kubernetes.io/name=flock"];
        let place = format!("--namespace={namespace}");
        if !namespace.is_empty() {
            what.push(&place);
        }
        for role in cluster.kubectl().list(&what)? {
            for rule in role["rules"].as_array().into_iter().flatten() {
                rights.extend(of_rule(rule, namespace));
            }
        }
    }
    Ok(rights)
}

fn of_rule(rule: &Value, namespace: &str) -> Vec<Request> {
    let texts = |key: &str| -> Vec<String> {
        let values = rule[key].as_array().cloned().unwrap_or_default();
        values.iter().filter_map(|value| value.as_str().map(str::to_owned)).collect()
    };
    let mut requests = Vec::new();
    for group in texts("apiGroups") {
        for resource in texts("resources") {
            for verb in texts("verbs") {
                let namespace = namespace.to_owned();
                requests.push(Request { namespace, group: group.clone(), resource: resource.clone(), verb });
            }
        }
    }
    requests
}

/// Whatever the trials before have made it do counts: they use all of it.
fn an_agent_needs_every_right_that_it_has_and_no_other(cluster: &mut Cluster) -> Result<()> {
    let rights = rights(cluster)?;
    ensure!(!rights.is_empty(), "no roles are labelled app.kubernetes.io/name=flock");
    let (mut forbidden, mut used) = (BTreeSet::new(), BTreeSet::new());
    for (request, code) in requests(cluster)? {
        if code == 403 {
            forbidden.insert(request);
            continue;
        }
        let everywhere = Request { namespace: String::new(), ..request.clone() };
        used.extend([request, everywhere]);
    }
    // An API server that has just started does not know its own roles yet, and forbids what it allows a moment later.
    let missing: Vec<&Request> = forbidden.difference(&used).collect();
    ensure!(missing.is_empty(), "forbidden: {missing:?}");
    let unused: Vec<&Request> = rights.difference(&used).collect();
    ensure!(unused.is_empty(), "never used: {unused:?}");
    Ok(())
}

/// The tables of the schemas' own tests.
fn table(file: &str) -> Result<Vec<Value>> {
    let text = fs::read_to_string(format!("{}/../../crds/tests/data/{file}", env!("CARGO_MANIFEST_DIR")))?;
    Ok(serde_saphyr::from_str(&text)?)
}

/// The cases' objects, each with a name that says its place in the table.
fn objects(cases: &[Value]) -> String {
    let named = cases.iter().enumerate().map(|(index, case)| {
        let mut object = case["object"].clone();
        object["apiVersion"] = json!("flock.fritzlab.net/v1alpha1");
        object["metadata"]["name"] = json!(format!("case-{index}"));
        object
    });
    json!({"apiVersion": "v1", "kind": "List", "items": named.collect::<Vec<_>>()}).to_string()
}

fn bad_objects_are_refused_with_a_readable_message(cluster: &mut Cluster) -> Result<()> {
    let create = |validate: &'static str| ["create", "--dry-run=server", validate, "--filename=-"];
    cluster.kubectl().feed(&create("--validate=strict"), &objects(&table("accepted.yaml")?))?;
    let cases = table("refused.yaml")?;
    // kubectl would stop at the first object of another shape, before the API server is asked.
    let outcome = cluster.kubectl().feed(&create("--validate=ignore"), &objects(&cases));
    let said = outcome.err().map(|error| format!("{error:#}")).context("nothing was refused")?;
    for (index, case) in cases.iter().enumerate() {
        let words = case["words"].as_str().context("no words")?;
        let name = format!("\"case-{index}\"");
        let answer: Vec<&str> = said.lines().filter(|line| line.contains(&name)).collect();
        ensure!(
            answer.iter().any(|line| line.contains(words)),
            "{case}\nshould be told {words:?}: {answer:?}"
        );
    }
    let mistyped = template("mistyped", &json!({"mut": 1500}));
    let refused = cluster.kubectl().apply(&mistyped.to_string()).err().map(|error| format!("{error:#}"));
    ensure!(refused.as_ref().is_some_and(|said| said.contains("mut")), "{refused:?}");
    Ok(())
}

/// The last trial, since flock is gone afterwards: the steps are those of docs/deploy.md.
fn an_uninstalled_node_keeps_its_pods_links_and_nothing_else(cluster: &mut Cluster) -> Result<()> {
    apply(cluster, &[on(pod("stays"), "node-b")])?;
    let stays = cluster.kubectl().ready_pod("stays")?;
    let kubectl = cluster.kubectl();
    kubectl.delete(&["--namespace=flock-system", "daemonset", "flock"])?;
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/uninstall");
    kubectl.apply(&kubectl.run(&["kustomize", folder])?)?;
    kubectl.run(&[
        "--namespace=flock-system",
        "rollout",
        "status",
        "daemonset/flock-uninstall",
        "--timeout=110s",
    ])?;
    for member in &cluster.members {
        let conflist = member.own_folder("/etc/cni/net.d").join("01-flock.conflist");
        ensure!(!conflist.exists(), "{} is still there", conflist.display());
        let tables = member.machine()?.run(&["nft", "list", "tables"])?;
        ensure!(!tables.contains("flock"), "{tables}");
        let blackholes = member.machine()?.run(&["ip", "-6", "route", "show", "type", "blackhole"])?;
        ensure!(blackholes.trim().is_empty(), "{blackholes}");
        let node = cluster.kubectl().json(&["node", &member.name])?;
        ensure!(
            !node["status"]["conditions"].to_string().contains("FlockReady"),
            "{}",
            node["status"]["conditions"]
        );
    }
    let node = cluster.member("node-b")?.machine()?;
    stays.ips.iter().try_for_each(|ip| node.run(&["ping", "-c", "1", "-W", "2", ip]).map(drop))
}
