//! What fails, is stopped, upgraded or cut off, while pods talk to each other.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flock_cluster::kubectl::PATIENCE;
use flock_cluster::suite::Named;
use flock_cluster::{Cluster, cluster_trials};
use flock_tests::eventually;
use serde_json::{Value, json};

use crate::objects::{apply, clean, http, on, pod};
use crate::streams::Stream;

pub(crate) fn trials() -> Vec<Named> {
    cluster_trials![
        a_killed_agent_loses_no_packet,
        an_upgrade_and_a_rollback_lose_no_packet,
        a_kubelet_that_is_restarted_leaves_pods_alone,
        a_runtime_that_is_restarted_leaves_pods_alone,
        a_missing_api_server_for_two_minutes_is_not_noticed_by_pods,
        etcd_is_restarted,
        a_watch_that_is_cut_silently_is_renewed_within_a_minute,
        a_node_that_reboots_gives_its_pods_new_addresses,
        a_gc_keeps_what_is_valid,
    ]
}

/// A pod on each node, and streams of questions from each node to the other's over both families.
pub(crate) fn talking(cluster: &Cluster, seconds: u32) -> Result<Vec<Stream>> {
    apply(cluster, &[on(pod("left"), "node-a"), on(pod("right"), "node-b")])?;
    let (left, right) = (cluster.kubectl().ready_pod("left")?, cluster.kubectl().ready_pod("right")?);
    let mut streams = Vec::new();
    for (from, to) in [(&left, &right), (&right, &left)] {
        for (ip, family) in to.ips.iter().zip([6, 4]) {
            let name = format!("{}-asks-{family}", from.name);
            streams.push(Stream::start(cluster, &name, &from.node, &http(ip, 8080), seconds)?);
        }
    }
    Ok(streams)
}

/// What was to happen while they ask has happened by now; else their answers prove nothing.
fn still_asking(cluster: &Cluster, streams: &[Stream]) -> Result<()> {
    streams.iter().try_for_each(|stream| stream.still_asking(cluster))
}

pub(crate) fn all_answered(cluster: &Cluster, streams: Vec<Stream>) -> Result<()> {
    streams.into_iter().try_for_each(|stream| stream.lossless(cluster))
}

/// A pod that starts on the node now is given its network now.
pub(crate) fn takes_a_pod(cluster: &Cluster, node: &str) -> Result<()> {
    let name = format!("probe-{node}");
    apply(cluster, &[on(pod(&name), node)])?;
    cluster.kubectl().ready_pod(&name)?;
    cluster.kubectl().delete(&["pod", &name, "--grace-period=1"])
}

/// The process of flock's agent on the node.
pub(crate) fn agent_pid(cluster: &Cluster, node: &str) -> Result<String> {
    let machine = cluster.member(node)?.machine()?;
    let said = machine.run(&["pgrep", "--full", "--newest", "flock-agent run"])?;
    Ok(said.trim().to_owned())
}

fn a_killed_agent_loses_no_packet(cluster: &mut Cluster) -> Result<()> {
    let streams = talking(cluster, 20)?;
    for node in ["node-a", "node-b"] {
        let before = agent_pid(cluster, node)?;
        cluster.member(node)?.machine()?.run(&["kill", "-KILL", &before])?;
        eventually(PATIENCE, || {
            let now = agent_pid(cluster, node)?;
            ensure!(now != before, "{node}: not back");
            Ok(())
        })?;
    }
    still_asking(cluster, &streams)?;
    all_answered(cluster, streams)?;
    ["node-a", "node-b"].into_iter().try_for_each(|node| takes_a_pod(cluster, node))?;
    clean(cluster)
}

fn rolled_out(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.kubectl();
    kubectl
        .run(&["--namespace=flock-system", "rollout", "status", "daemonset/flock", "--timeout=110s"])
        .map(drop)
}

/// BIRD restarts with its pod: routers and kernels keep the routes meanwhile.
fn an_upgrade_and_a_rollback_lose_no_packet(cluster: &mut Cluster) -> Result<()> {
    let streams = talking(cluster, 70)?;
    let kubectl = cluster.kubectl();
    let patch = json!({"spec": {"template": {"metadata": {"annotations": {"upgrade": "1"}}}}}).to_string();
    kubectl.run(&["--namespace=flock-system", "patch", "daemonset", "flock", "--patch", &patch])?;
    rolled_out(cluster)?;
    kubectl.run(&["--namespace=flock-system", "rollout", "undo", "daemonset/flock"])?;
    rolled_out(cluster)?;
    still_asking(cluster, &streams)?;
    ["node-a", "node-b"].into_iter().try_for_each(|node| takes_a_pod(cluster, node))?;
    all_answered(cluster, streams)?;
    clean(cluster)
}

fn a_kubelet_that_is_restarted_leaves_pods_alone(cluster: &mut Cluster) -> Result<()> {
    let streams = talking(cluster, 15)?;
    let before = cluster.kubectl().pod("left")?;
    let member = cluster.member_mut("node-a")?;
    member.stop_kubelet()?;
    member.start_kubelet()?;
    still_asking(cluster, &streams)?;
    all_answered(cluster, streams)?;
    cluster.ready()?;
    takes_a_pod(cluster, "node-a")?;
    let after = cluster.kubectl().ready_pod("left")?;
    ensure!((&after.uid, &after.ips) == (&before.uid, &before.ips), "{before:?} {after:?}");
    clean(cluster)
}

fn a_runtime_that_is_restarted_leaves_pods_alone(cluster: &mut Cluster) -> Result<()> {
    let streams = talking(cluster, 20)?;
    let before = cluster.kubectl().pod("right")?;
    let member = cluster.member_mut("node-b")?;
    member.stop_containerd()?;
    member.start_containerd()?;
    still_asking(cluster, &streams)?;
    all_answered(cluster, streams)?;
    cluster.ready()?;
    takes_a_pod(cluster, "node-b")?;
    let after = cluster.kubectl().ready_pod("right")?;
    ensure!((&after.uid, &after.ips) == (&before.uid, &before.ips), "{before:?} {after:?}");
    clean(cluster)
}

fn a_missing_api_server_for_two_minutes_is_not_noticed_by_pods(cluster: &mut Cluster) -> Result<()> {
    let streams = talking(cluster, 150)?;
    apply(cluster, &[on(pod("leaving"), "node-b")])?;
    cluster.kubectl().ready_pod("leaving")?;
    cluster.control.stop_api_server()?;
    let outcome = without_an_api_server(cluster);
    cluster.control.start_api_server()?;
    outcome?;
    cluster.ready()?;
    all_answered(cluster, streams)?;
    ["node-a", "node-b"].into_iter().try_for_each(|node| takes_a_pod(cluster, node))?;
    clean(cluster)
}

fn without_an_api_server(cluster: &Cluster) -> Result<()> {
    let established = sessions(cluster)?;
    // What the runtime does when a pod ends: the sandbox's DEL comes to an agent that can ask nobody.
    let node = cluster.member("node-b")?.machine()?;
    let sandbox = sandbox_of(cluster, "node-b", "default/leaving")?;
    let agent = agent_pid(cluster, "node-b")?;
    node.run(&["kill", "-KILL", &agent])?;
    // By then the agent that was started again has been without an API server for a while, too.
    sleep(Duration::from_secs(60));
    delete_by_hand(cluster, "node-b", &sandbox)?;
    ensure!(sandbox_of(cluster, "node-b", "default/leaving").is_err(), "its attachment is still there");
    sleep(Duration::from_secs(60));
    ensure!(sessions(cluster)? == established, "BGP sessions have restarted");
    Ok(())
}

/// How often each session of the router was established.
fn sessions(cluster: &Cluster) -> Result<Vec<u64>> {
    let said: Value = serde_json::from_str(&cluster.fabric.frr.vtysh(&["show bgp neighbors json"])?)?;
    let neighbors = said.as_object().context("no neighbors")?.values();
    let counted = |neighbor: &Value| neighbor["connectionsEstablished"].as_u64();
    neighbors.map(|neighbor| counted(neighbor).context("no count")).collect()
}

/// The attachments of a node, as its agent has them: pod and container ID.
fn attachments(cluster: &Cluster, node: &str) -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(cluster.member(node)?.own_folder("/run/flock").join("attachments"))? {
        // Those that an ADD or a DEL is about come and go.
        let Ok(text) = std::fs::read_to_string(entry?.path()) else { continue };
        let record: Value = serde_json::from_str(&text)?;
        let text = |key: &str| record[key].as_str().map(str::to_owned).context("an odd record");
        let id = text("id")?;
        let container = id.split('@').next().unwrap_or_default().to_owned();
        found.push((text("pod")?, container));
    }
    Ok(found)
}

/// The container ID of a pod's sandbox.
fn sandbox_of(cluster: &Cluster, node: &str, pod: &str) -> Result<String> {
    let found = attachments(cluster, node)?.into_iter().find(|(name, _)| name == pod);
    found.map(|(_, container)| container).with_context(|| format!("{node} has no attachment of {pod}"))
}

/// DEL, as a runtime calls it.
fn delete_by_hand(cluster: &Cluster, node: &str, container: &str) -> Result<()> {
    let script = format!(
        "echo '{{\"cniVersion\": \"1.0.0\", \"name\": \"flock\", \"type\": \"flock\"}}' | CNI_COMMAND=DEL CNI_CONTAINERID={container} \
         CNI_NETNS= CNI_IFNAME=eth0 CNI_PATH=/opt/cni/bin /opt/cni/bin/flock"
    );
    eventually(PATIENCE, || cluster.member(node)?.machine()?.run(&["sh", "-c", &script])).map(drop)
}

fn etcd_is_restarted(cluster: &mut Cluster) -> Result<()> {
    let streams = talking(cluster, 15)?;
    cluster.control.stop_etcd()?;
    sleep(Duration::from_secs(3));
    cluster.control.start_etcd()?;
    still_asking(cluster, &streams)?;
    all_answered(cluster, streams)?;
    cluster.ready()?;
    ["node-a", "node-b"].into_iter().try_for_each(|node| takes_a_pod(cluster, node))?;
    clean(cluster)
}

/// Packets vanish without a word, and come back; what has changed meanwhile is known a minute later at the latest.
fn a_watch_that_is_cut_silently_is_renewed_within_a_minute(cluster: &mut Cluster) -> Result<()> {
    apply(cluster, &[on(pod("left"), "node-a"), on(pod("right"), "node-b")])?;
    cluster.kubectl().ready_pod("left")?;
    let right = cluster.kubectl().ready_pod("right")?;
    cluster.cut_off("node-a")?;
    let changed = json!({"spec": {"cooldown": "77s"}}).to_string();
    cluster.kubectl().run(&["patch", "nodeconfig", "node-a", "--type=merge", "--patch", &changed])?;
    let said =
        cluster.fabric.client.exec(&["ping", "-q", "-i", "0.2", "-c", "100", "-W", "2", &right.ips[0]])?;
    ensure!(said.contains(" 0% packet loss"), "{said}");
    cluster.reconnect("node-a")?;
    let generation = &cluster.kubectl().json(&["nodeconfig", "node-a"])?["metadata"]["generation"];
    eventually(Duration::from_secs(75), || {
        let config = cluster.kubectl().json(&["nodeconfig", "node-a"])?;
        ensure!(
            config["status"]["observedGeneration"] == *generation,
            "{}",
            config["status"]["observedGeneration"]
        );
        Ok(())
    })?;
    cluster.ready()?;
    takes_a_pod(cluster, "node-a")?;
    clean(cluster)
}

fn a_node_that_reboots_gives_its_pods_new_addresses(cluster: &mut Cluster) -> Result<()> {
    let mut old = on(pod("survivor"), "node-b");
    old["spec"]["restartPolicy"] = json!("Always");
    apply(cluster, &[old, on(pod("asker"), "node-a")])?;
    let before = cluster.kubectl().ready_pod("survivor")?;
    cluster.kubectl().ready_pod("asker")?;
    cluster.reboot("node-b")?;
    cluster.ready()?;
    // Kubernetes shows the old addresses until kubelet has made a new sandbox.
    let after = eventually(PATIENCE, || {
        let pod = cluster.kubectl().json(&["pod", "survivor"])?;
        let restarted = pod["status"]["containerStatuses"][0]["restartCount"].as_u64().unwrap_or_default();
        let pod = cluster.kubectl().pod("survivor")?;
        ensure!(restarted > 0 && pod.ready, "{pod:?}");
        cluster.kubectl().ask("asker", &http(&pod.ips[0], 8080))?;
        Ok(pod)
    })?;
    ensure!(after.ips.len() == 2 && after.uid == before.uid, "{before:?} {after:?}");
    takes_a_pod(cluster, "node-b")?;
    clean(cluster)
}

/// No runtime here calls it, so the plugin is called as a runtime would.
fn a_gc_keeps_what_is_valid(cluster: &mut Cluster) -> Result<()> {
    apply(cluster, &[on(pod("valid"), "node-a"), on(pod("stale"), "node-a")])?;
    let valid = cluster.kubectl().ready_pod("valid")?;
    cluster.kubectl().ready_pod("stale")?;
    let node = cluster.member("node-a")?;
    let all = attachments(cluster, "node-a")?.into_iter().filter(|(pod, _)| pod != "default/stale");
    let valid_ones: Vec<Value> = all.map(|(_, id)| json!({"containerID": id, "ifname": "eth0"})).collect();
    let config = json!({"cniVersion": "1.1.0", "name": "flock", "type": "flock", "cni.dev/valid-attachments": valid_ones});
    let script = format!("echo '{config}' | CNI_COMMAND=GC CNI_PATH=/opt/cni/bin /opt/cni/bin/flock");
    node.machine()?.run(&["sh", "-c", &script])?;
    ensure!(sandbox_of(cluster, "node-a", "default/stale").is_err(), "the stale attachment is still there");
    cluster.fabric.client.exec(&["ping", "-c", "1", "-W", "2", &valid.ips[0]])?;
    clean(cluster)
}
