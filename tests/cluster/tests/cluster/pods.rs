//! Pods as the scheduler and kubelet make them.

use anyhow::{Result, ensure};
use flock_cluster::kubectl::PATIENCE;
use flock_cluster::suite::Named;
use flock_cluster::{Cluster, PodStatus, cluster_trials};
use flock_tests::eventually;
use serde_json::{Value, json};

use crate::objects::{annotated, apply, clean, http, on, pod};

pub(crate) fn trials() -> Vec<Named> {
    cluster_trials![
        a_pod_has_an_address_of_each_family_the_primary_one_first,
        a_pod_of_one_family_has_one_address_and_serves_on_it,
        pods_reach_each_other_with_their_own_addresses,
        the_outside_reaches_pods_and_pods_the_outside,
        probes_decide_whether_a_pod_is_ready,
        a_container_that_dies_comes_back_with_the_pods_addresses,
        the_downward_api_tells_a_pod_its_addresses,
        a_static_pod_gets_its_network,
        a_pod_on_the_hosts_network_is_left_alone,
    ]
}

/// The pods, each on its node, once they are ready.
fn running(cluster: &Cluster, pods: &[Value]) -> Result<Vec<PodStatus>> {
    apply(cluster, pods)?;
    pods.iter().map(|pod| cluster.kubectl().ready_pod(pod["metadata"]["name"].as_str().unwrap())).collect()
}

fn a_pod_has_an_address_of_each_family_the_primary_one_first(cluster: &mut Cluster) -> Result<()> {
    for pod in running(cluster, &[on(pod("a"), "node-a"), on(pod("b"), "node-b")])? {
        ensure!(pod.ips.len() == 2, "{pod:?}");
        ensure!(pod.ips[0].contains(':') && !pod.ips[1].contains(':'), "{pod:?}");
        let cidrs = &cluster.member(&pod.node)?.pod_cidrs;
        for (ip, family) in pod.ips.iter().zip(["::/0", "0.0.0.0/0"]) {
            let of_node: Vec<ipnet::IpNet> =
                cidrs.iter().map(|cidr| cidr.parse()).collect::<Result<_, _>>()?;
            ensure!(
                of_node.iter().any(|net| net.contains(&ip.parse::<std::net::IpAddr>().unwrap())),
                "{ip} {cidrs:?}"
            );
            ensure!(pod.ip(family)? == ip, "{pod:?}");
        }
    }
    clean(cluster)
}

fn a_pod_of_one_family_has_one_address_and_serves_on_it(cluster: &mut Cluster) -> Result<()> {
    let v6 = annotated(on(pod("only6"), "node-a"), "ipv4", "false");
    let v4 = annotated(on(pod("only4"), "node-a"), "ipv6", "false");
    let pods = running(cluster, &[v6, v4, on(pod("both"), "node-b")])?;
    ensure!(pods[0].ips.len() == 1 && pods[0].ips[0].contains(':'), "{:?}", pods[0]);
    ensure!(pods[1].ips.len() == 1 && !pods[1].ips[0].contains(':'), "{:?}", pods[1]);
    for pod in &pods[..2] {
        let said = cluster.kubectl().ask("both", &http(&pod.ips[0], 8080))?;
        ensure!(said.contains(&format!("\"hostname\":\"{}\"", pod.name)), "{said}");
    }
    clean(cluster)
}

/// Between nodes and on one node, no address is translated on the way.
fn pods_reach_each_other_with_their_own_addresses(cluster: &mut Cluster) -> Result<()> {
    let pods = running(cluster, &[on(pod("a"), "node-a"), on(pod("b"), "node-b"), on(pod("c"), "node-a")])?;
    for (from, to) in [(0, 1), (1, 0), (0, 2), (2, 1)] {
        for any in ["::/0", "0.0.0.0/0"] {
            let said = cluster.kubectl().ask(&pods[from].name, &http(pods[to].ip(any)?, 8080))?;
            let said: Value = serde_json::from_str(&said)?;
            let client = said["client"].as_str().unwrap_or_default();
            ensure!(client.contains(pods[from].ip(any)?), "{} asked, {said}", pods[from].name);
            ensure!(said["hostname"] == pods[to].name.as_str(), "{said}");
        }
    }
    clean(cluster)
}

fn the_outside_reaches_pods_and_pods_the_outside(cluster: &mut Cluster) -> Result<()> {
    let pods = running(cluster, &[on(pod("a"), "node-a"), on(pod("b"), "node-b")])?;
    for pod in &pods {
        for any in ["::/0", "0.0.0.0/0"] {
            let ip = pod.ip(any)?;
            eventually(PATIENCE, || cluster.fabric.client.exec(&["ping", "-c", "1", "-W", "1", ip]))?;
        }
    }
    clean(cluster)
}

fn probes_decide_whether_a_pod_is_ready(cluster: &mut Cluster) -> Result<()> {
    running(cluster, &[on(pod("web"), "node-a")])?;
    cluster.kubectl().exec("web", &["/echo", "touch", "/unready"])?;
    eventually(PATIENCE, || {
        let pod = cluster.kubectl().pod("web")?;
        ensure!(!pod.ready, "{pod:?}");
        Ok(())
    })?;
    cluster.kubectl().exec("web", &["/echo", "remove", "/unready"])?;
    cluster.kubectl().ready_pod("web")?;
    clean(cluster)
}

fn a_container_that_dies_comes_back_with_the_pods_addresses(cluster: &mut Cluster) -> Result<()> {
    let before = running(cluster, &[on(pod("web"), "node-a"), on(pod("asker"), "node-b")])?;
    // It ends before it answers.
    cluster.kubectl().ask("asker", &format!("{}exit", http(&before[0].ips[0], 8080))).unwrap_err();
    eventually(PATIENCE, || {
        let pod = cluster.kubectl().json(&["pod", "web"])?;
        ensure!(pod["status"]["containerStatuses"][0]["restartCount"] == 1, "{}", pod["status"]);
        Ok(())
    })?;
    let after = cluster.kubectl().ready_pod("web")?;
    ensure!(after.ips == before[0].ips, "{before:?} {after:?}");
    cluster.kubectl().ask("asker", &http(&after.ips[0], 8080))?;
    clean(cluster)
}

fn the_downward_api_tells_a_pod_its_addresses(cluster: &mut Cluster) -> Result<()> {
    let mut told = on(pod("told"), "node-a");
    let field = |path: &str| json!({"fieldRef": {"fieldPath": path}});
    told["spec"]["containers"][0]["env"] = json!([
        {"name": "POD_IP", "valueFrom": field("status.podIP")},
        {"name": "POD_IPS", "valueFrom": field("status.podIPs")},
        {"name": "HOST_IPS", "valueFrom": field("status.hostIPs")},
    ]);
    let pod = running(cluster, &[told])?.remove(0);
    let said: Value = serde_json::from_str(&cluster.kubectl().ask("told", &http(&pod.ips[0], 8080))?)?;
    ensure!(said["env"]["POD_IP"] == pod.ips[0].as_str(), "{said}");
    ensure!(said["env"]["POD_IPS"] == pod.ips.join(",").as_str(), "{said}");
    let hosts = cluster.member("node-a")?.addresses();
    ensure!(
        hosts.iter().all(|host| said["env"]["HOST_IPS"].as_str().unwrap_or_default().contains(host)),
        "{said}"
    );
    clean(cluster)
}

/// Its UID is kubelet's own; the one that the API server shows is that of a mirror.
fn a_static_pod_gets_its_network(cluster: &mut Cluster) -> Result<()> {
    let mut manifest = pod("fixed");
    manifest["metadata"]["namespace"] = json!("default");
    let file = cluster.member("node-a")?.own_folder("/etc/kubernetes/manifests").join("fixed.json");
    std::fs::write(&file, manifest.to_string())?;
    let pod = cluster.kubectl().ready_pod("fixed-node-a");
    std::fs::remove_file(&file)?;
    ensure!(pod?.ips.len() == 2, "one family is missing");
    eventually(PATIENCE, || {
        ensure!(cluster.kubectl().pod("fixed-node-a").is_err(), "the mirror is still there");
        Ok(())
    })
}

fn a_pod_on_the_hosts_network_is_left_alone(cluster: &mut Cluster) -> Result<()> {
    let mut host = on(pod("host"), "node-a");
    host["spec"]["hostNetwork"] = json!(true);
    let pod = running(cluster, &[host])?.remove(0);
    let addresses = cluster.member("node-a")?.addresses();
    ensure!(
        pod.ips.len() == 2 && addresses.iter().all(|own| pod.ips.contains(own)),
        "{pod:?}, {addresses:?}"
    );
    clean(cluster)
}
