//! NodeConfigs, AddressPools and Secrets: what the API server refuses, what the status says, what is obeyed.

use anyhow::{Context, Result, ensure};
use flock_cluster::kubectl::PATIENCE;
use flock_cluster::suite::Named;
use flock_cluster::{Cluster, cluster_trials};
use flock_tests::eventually;
use serde_json::{Value, json};

use crate::objects::{annotated, apply, clean, on, pod};

/// What NodeConfigs say of themselves; all else is in NodeStates.
const OF_CONFIGS: [&str; 2] = ["ConfigValid", "ConfigRolledBack"];

pub(crate) fn trials() -> Vec<Named> {
    cluster_trials![
        a_nodes_status_says_what_it_does,
        what_the_status_shows_and_the_api_server_cannot_refuse_leaves_the_last_good_configuration,
        a_template_configures_all_nodes_and_a_conflict_is_shown,
        a_node_config_that_is_deleted_leaves_pod_cidrs,
        a_foreign_network_unavailable_is_corrected,
        a_refused_address_is_an_event_on_the_pod,
        an_anycast_address_is_at_the_router_while_its_pod_is_ready,
        a_password_comes_from_a_secret_and_is_rotated,
    ]
}

pub(crate) fn condition<'a>(config: &'a Value, kind: &str) -> &'a Value {
    let conditions = config["status"]["conditions"].as_array();
    conditions.into_iter().flatten().find(|condition| condition["type"] == kind).unwrap_or(&Value::Null)
}

pub(crate) fn state_of(cluster: &Cluster, node: &str) -> Result<Value> {
    cluster.kubectl().json(&["nodestate", node])
}

fn config_of(cluster: &Cluster, node: &str) -> Result<Value> {
    cluster.kubectl().json(&["nodeconfig", node])
}

fn patch(cluster: &Cluster, node: &str, spec: &Value) -> Result<()> {
    let patch = json!({"spec": spec}).to_string();
    cluster.kubectl().run(&["patch", "nodeconfig", node, "--type=merge", "--patch", &patch]).map(drop)
}

/// Waits until the node says this of the NodeConfig as it is now: in its NodeState, and in the NodeConfig what belongs there.
fn wait_for(cluster: &Cluster, node: &str, kind: &str, status: &str) -> Result<Value> {
    eventually(PATIENCE, || {
        let (config, state) = (config_of(cluster, node)?, state_of(cluster, node)?);
        let generation = &config["metadata"]["generation"];
        let found = condition(&state, kind);
        ensure!(found["status"] == status, "{kind} of {node} is {found}");
        ensure!(state["status"]["configGeneration"] == *generation, "old: {state}");
        if OF_CONFIGS.contains(&kind) {
            let found = condition(&config, kind);
            ensure!(found["status"] == status, "{kind} of NodeConfig {node} is {found}");
        }
        ensure!(config["status"]["observedGeneration"] == *generation, "old: {config}");
        Ok(config)
    })
}

fn a_nodes_status_says_what_it_does(cluster: &mut Cluster) -> Result<()> {
    for node in ["node-a", "node-b"] {
        for (kind, status) in [
            ("Ready", "True"),
            ("ConfigValid", "True"),
            ("BirdRunning", "True"),
            ("SessionsEstablished", "True"),
            ("ConfigRolledBack", "False"),
            ("PoolLow", "False"),
        ] {
            wait_for(cluster, node, kind, status)?;
        }
        let (config, state) = (config_of(cluster, node)?, state_of(cluster, node)?);
        ensure!(state["status"]["bgp"]["established"] == "2/2", "{}", state["status"]["bgp"]);
        let cidrs = &cluster.member(node)?.pod_cidrs;
        for object in [&config, &state] {
            let pools: Vec<&Value> =
                object["status"]["pools"].as_array().context("no pools")?.iter().collect();
            ensure!(
                pools.len() == 2
                    && pools.iter().all(|pool| cidrs.iter().any(|cidr| pool["cidr"] == cidr.as_str())),
                "{pools:?}"
            );
        }
    }
    let table = cluster.kubectl().run(&["get", "nodeconfigs"])?;
    ensure!(table.contains("node-a") && table.contains("True"), "{table}");
    Ok(())
}

/// Two nodes with one prefix: each object is good by itself.
fn what_the_status_shows_and_the_api_server_cannot_refuse_leaves_the_last_good_configuration(
    cluster: &mut Cluster,
) -> Result<()> {
    let of_a = cluster.member("node-a")?.pod_cidrs.clone();
    let v6 = of_a.iter().find(|cidr| cidr.contains(':')).context("no IPv6 prefix")?;
    patch(cluster, "node-b", &json!({"cidr6": [v6]}))?;
    let config = wait_for(cluster, "node-b", "ConfigValid", "False")?;
    ensure!(state_of(cluster, "node-b")?["status"]["config"] == "Refused", "not refused");
    let said = condition(&config, "ConfigValid")["message"].as_str().unwrap_or_default().to_owned();
    ensure!(said.contains(v6.as_str()) && said.contains("node-a"), "{said}");
    apply(cluster, &[on(pod("last-good"), "node-b")])?;
    let pod = cluster.kubectl().ready_pod("last-good")?;
    ensure!(pod.ips.len() == 2, "{pod:?}");
    patch(cluster, "node-b", &json!({"cidr6": null}))?;
    wait_for(cluster, "node-b", "ConfigValid", "True")?;
    clean(cluster)
}

/// A NodeConfig.
pub(crate) fn template(name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "flock.fritzlab.net/v1alpha1", "kind": "NodeConfig", "metadata": {"name": name}, "spec": spec})
}

fn a_template_configures_all_nodes_and_a_conflict_is_shown(cluster: &mut Cluster) -> Result<()> {
    apply(cluster, &[template("all", &json!({"nodeSelector": {}, "mtu": 1400}))])?;
    let outcome = templates(cluster);
    cluster.kubectl().delete(&["nodeconfigs", "all", "others"])?;
    outcome?;
    for node in ["node-a", "node-b"] {
        eventually(PATIENCE, || {
            let config = config_of(cluster, node)?;
            ensure!(
                config["status"]["templates"].as_array().is_none_or(Vec::is_empty),
                "{}",
                config["status"]
            );
            Ok(())
        })?;
    }
    clean(cluster)
}

fn templates(cluster: &Cluster) -> Result<()> {
    for node in ["node-a", "node-b"] {
        eventually(PATIENCE, || {
            let config = config_of(cluster, node)?;
            ensure!(config["status"]["templates"] == json!(["all"]), "{}", config["status"]);
            Ok(())
        })?;
        let name = format!("narrow-{node}");
        apply(cluster, &[on(pod(&name), node)])?;
        cluster.kubectl().ready_pod(&name)?;
        let mtu = cluster.kubectl().exec(&name, &["/echo", "read", "/sys/class/net/eth0/mtu"])?;
        ensure!(mtu.trim() == "1400", "{mtu}");
    }
    apply(cluster, &[template("others", &json!({"nodeSelector": {}, "mtu": 1300}))])?;
    eventually(PATIENCE, || {
        let config = config_of(cluster, "node-a")?;
        let expected = json!([{"field": "spec.mtu", "used": "all", "ignored": "others"}]);
        ensure!(config["status"]["conflicts"] == expected, "{}", config["status"]["conflicts"]);
        Ok(())
    })
}

/// And the agent makes an empty one, for its status.
fn a_node_config_that_is_deleted_leaves_pod_cidrs(cluster: &mut Cluster) -> Result<()> {
    let mut before = config_of(cluster, "node-b")?;
    cluster.kubectl().delete(&["nodeconfig", "node-b"])?;
    let made = eventually(PATIENCE, || {
        let (config, state) = (config_of(cluster, "node-b")?, state_of(cluster, "node-b")?);
        ensure!(condition(&config, "ConfigValid")["status"] == "True", "{config}");
        ensure!(condition(&state, "Ready")["status"] == "True", "{state}");
        ensure!(condition(&state, "SessionsEstablished")["status"] == "Unknown", "{state}");
        Ok(config)
    })?;
    ensure!(made["spec"].as_object().is_none_or(serde_json::Map::is_empty), "{}", made["spec"]);
    // A person may write into it, and delete the Node to have it made again.
    ensure!(made["metadata"]["ownerReferences"].is_null(), "{}", made["metadata"]);
    apply(cluster, &[on(pod("plain"), "node-b")])?;
    ensure!(cluster.kubectl().ready_pod("plain")?.ips.len() == 2, "not dual-stack");
    let kept = before["spec"].take();
    apply(cluster, &[template("node-b", &kept)])?;
    wait_for(cluster, "node-b", "SessionsEstablished", "True")?;
    clean(cluster)
}

fn network_unavailable(cluster: &Cluster, node: &str) -> Result<Value> {
    let node = cluster.kubectl().json(&["node", node])?;
    Ok(condition(&node, "NetworkUnavailable").clone())
}

/// As an earlier plugin leaves it behind.
fn a_foreign_network_unavailable_is_corrected(cluster: &mut Cluster) -> Result<()> {
    let ours = |cluster: &Cluster| {
        eventually(PATIENCE, || {
            let found = network_unavailable(cluster, "node-a")?;
            ensure!(found["status"] == "False" && found["reason"] == "FlockReady", "{found}");
            Ok(())
        })
    };
    ours(cluster)?;
    let foreign = json!({"status": {"conditions": [{"type": "NetworkUnavailable", "status": "True", "reason": "CalicoIsDown",
        "message": "Calico is shutting down on this node"}]}});
    let foreign = foreign.to_string();
    cluster.kubectl().run(&["patch", "node", "node-a", "--subresource=status", "--patch", &foreign])?;
    ours(cluster)
}

fn a_refused_address_is_an_event_on_the_pod(cluster: &mut Cluster) -> Result<()> {
    apply(cluster, &[annotated(on(pod("greedy"), "node-a"), "anycast", "2001:db8:bad::1")])?;
    eventually(PATIENCE, || {
        let said = cluster.kubectl().run(&["describe", "pod", "greedy"])?;
        ensure!(said.contains("AddressRefused") && said.contains("kind: AddressPool"), "{said}");
        // kubelet tries again and again: one Event that counts.
        ensure!(said.lines().any(|line| line.contains("AddressRefused") && line.contains("(x")), "{said}");
        Ok(())
    })?;
    clean(cluster)
}

fn at_router(cluster: &Cluster, prefix: &str) -> Result<bool> {
    let said = cluster.fabric.frr.vtysh(&[&format!("show bgp ipv6 unicast {prefix} json")])?;
    let said: Value = serde_json::from_str(&said).unwrap_or_default();
    Ok(said["paths"].as_array().is_some_and(|paths| !paths.is_empty()))
}

fn an_anycast_address_is_at_the_router_while_its_pod_is_ready(cluster: &mut Cluster) -> Result<()> {
    let pool = json!({"apiVersion": "flock.fritzlab.net/v1alpha1", "kind": "AddressPool", "metadata": {"name": "dns"},
        "spec": {"cidrs": ["2001:db8:53::/64"], "use": "Anycast",
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "default"}}}});
    apply(cluster, &[pool, annotated(on(pod("resolver"), "node-a"), "anycast", "2001:db8:53::53")])?;
    cluster.kubectl().ready_pod("resolver")?;
    let there = |wanted: bool| {
        eventually(PATIENCE, || {
            ensure!(at_router(cluster, "2001:db8:53::53/128")? == wanted, "not {wanted}");
            Ok(())
        })
    };
    there(true)?;
    eventually(PATIENCE, || cluster.fabric.client.exec(&["ping", "-c", "1", "-W", "1", "2001:db8:53::53"]))?;
    cluster.kubectl().exec("resolver", &["/echo", "touch", "/unready"])?;
    there(false)?;
    cluster.kubectl().exec("resolver", &["/echo", "remove", "/unready"])?;
    there(true)?;
    eventually(PATIENCE, || {
        let status = state_of(cluster, "node-a")?["status"].take();
        ensure!(status["anycast"][0]["address"] == "2001:db8:53::53", "{status}");
        Ok(())
    })?;
    clean(cluster)?;
    there(false)?;
    cluster.kubectl().delete(&["addresspool", "dns"])
}

fn secret(password: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "tor", "namespace": "flock-system"},
        "stringData": {"password": password}})
}

fn a_password_comes_from_a_secret_and_is_rotated(cluster: &mut Cluster) -> Result<()> {
    let spec = config_of(cluster, "node-b")?["spec"].take();
    let outcome = passwords(cluster, spec.clone());
    let number = cluster.member("node-b")?.number();
    cluster.fabric.password(number, None)?;
    apply(cluster, &[template("node-b", &spec)])?;
    cluster.kubectl().delete(&["--namespace=flock-system", "secret", "tor"])?;
    outcome?;
    wait_for(cluster, "node-b", "SessionsEstablished", "True").map(drop)
}

fn passwords(cluster: &Cluster, mut spec: Value) -> Result<()> {
    for peer in spec["bgp"]["peers"].as_array_mut().context("no peers")? {
        peer["passwordSecret"] = json!({"name": "tor"});
    }
    apply(cluster, &[template("node-b", &spec)])?;
    // Not there yet: the session must not start without its password.
    eventually(PATIENCE, || {
        let state = state_of(cluster, "node-b")?;
        let reason = state["status"]["bgp"]["peers"][0]["reason"].as_str().unwrap_or_default();
        ensure!(reason.contains("Secret tor"), "{reason}");
        Ok(())
    })?;
    for password in ["first-secret", "second-secret"] {
        apply(cluster, &[secret(password)])?;
        cluster.fabric.password(cluster.member("node-b")?.number(), Some(password))?;
        wait_for(cluster, "node-b", "SessionsEstablished", "True")?;
    }
    let kinds = "nodeconfigs,nodestates,events";
    let everything = cluster.kubectl().run(&["get", kinds, "--all-namespaces", "-o", "yaml"])?;
    ensure!(!everything.contains("-secret"), "a password is shown");
    Ok(())
}
