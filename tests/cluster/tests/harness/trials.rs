//! The harness itself: a cluster on the reference plugin does what Kubernetes promises, and survives what tests do to it.

use anyhow::{Context, Result, ensure};
use flock_cluster::kubectl::{PATIENCE, condition};
use flock_cluster::suite::Named;
use flock_cluster::{Cluster, PodStatus, cluster_trials};
use flock_tests::eventually;

pub(crate) fn trials() -> Vec<Named> {
    cluster_trials![
        pods_have_addresses_of_both_families_on_every_node,
        a_service_answers_on_both_families,
        readiness_follows_the_probe,
        the_runtime_can_be_restarted_under_pods,
        a_node_that_is_cut_off_is_noticed_and_comes_back,
        the_control_plane_can_be_away,
        a_node_survives_a_power_cut,
    ]
}

const WEB: &str = include_str!("web.yaml");

/// Four pods, two on each node.
fn web(cluster: &Cluster) -> Result<Vec<PodStatus>> {
    cluster.ready()?;
    cluster.kubectl().apply(WEB)?;
    cluster.kubectl().ready_pods("app=web", 4)
}

fn url(scheme: &str, address: &str, port: u16) -> String {
    if address.contains(':') {
        format!("{scheme}://[{address}]:{port}")
    } else {
        format!("{scheme}://{address}:{port}")
    }
}

/// Each pod asks every pod over both families.
fn ensure_all_reach_all(cluster: &Cluster, pods: &[PodStatus]) -> Result<()> {
    for from in pods {
        for to in pods {
            for ip in &to.ips {
                let said = cluster.kubectl().ask(&from.name, &url("tcp", ip, 8081))?;
                ensure!(said.starts_with(&to.name), "{} asked {} and got {said}", from.name, to.name);
            }
        }
    }
    Ok(())
}

fn pods_have_addresses_of_both_families_on_every_node(cluster: &mut Cluster) -> Result<()> {
    let pods = web(cluster)?;
    for member in &cluster.members {
        let here = pods.iter().filter(|pod| pod.node == member.name).count();
        ensure!(here == 2, "{} has {here} pods: {pods:?}", member.name);
    }
    for pod in &pods {
        ensure!(pod.ips.len() == 2 && pod.ips[0].contains(':'), "{pod:?}");
        ensure!(cluster.kubectl().logs(&pod.name)?.contains("serves on port"));
    }
    ensure_all_reach_all(cluster, &pods)
}

fn a_service_answers_on_both_families(cluster: &mut Cluster) -> Result<()> {
    let pods = web(cluster)?;
    let service = cluster.kubectl().json(&["service", "web"])?;
    for ip in service["spec"]["clusterIPs"].as_array().context("no addresses")? {
        let ip = ip.as_str().context("not a text")?;
        for (scheme, port) in [("http", 80), ("tcp", 81), ("udp", 81)] {
            eventually(PATIENCE, || cluster.kubectl().ask(&pods[0].name, &url(scheme, ip, port)))?;
        }
    }
    Ok(())
}

fn readiness_follows_the_probe(cluster: &mut Cluster) -> Result<()> {
    let pod = web(cluster)?.remove(0).name;
    cluster.kubectl().exec(&pod, &["/echo", "touch", "/unready"])?;
    eventually(PATIENCE, || {
        ensure!(!cluster.kubectl().pod(&pod)?.ready, "{pod} is still ready");
        Ok(())
    })?;
    cluster.kubectl().exec(&pod, &["/echo", "remove", "/unready"])?;
    cluster.kubectl().ready_pod(&pod).map(drop)
}

fn the_runtime_can_be_restarted_under_pods(cluster: &mut Cluster) -> Result<()> {
    let before = web(cluster)?;
    for member in &mut cluster.members {
        member.stop_kubelet()?;
        member.stop_containerd()?;
        member.start_containerd()?;
        member.start_kubelet()?;
    }
    let after = web(cluster)?;
    ensure!(before.iter().all(|pod| after.contains(pod)), "{before:?} became {after:?}");
    // A kubelet that has just started does not know its pods yet.
    eventually(PATIENCE, || ensure_all_reach_all(cluster, &after))
}

fn a_node_that_is_cut_off_is_noticed_and_comes_back(cluster: &mut Cluster) -> Result<()> {
    web(cluster)?;
    cluster.cut_off("node-a")?;
    eventually(PATIENCE, || {
        let node = cluster.kubectl().json(&["node", "node-a"])?;
        ensure!(!condition(&node, "Ready"), "nobody has noticed");
        Ok(())
    })?;
    cluster.reconnect("node-a")?;
    web(cluster).map(drop)
}

fn the_control_plane_can_be_away(cluster: &mut Cluster) -> Result<()> {
    let before = web(cluster)?;
    cluster.control.stop_scheduler()?;
    cluster.control.stop_controller_manager()?;
    cluster.control.stop_api_server()?;
    cluster.control.stop_etcd()?;
    cluster.control.start()?;
    let after = web(cluster)?;
    ensure!(before.iter().all(|pod| after.contains(pod)), "{before:?} became {after:?}");
    Ok(())
}

fn a_node_survives_a_power_cut(cluster: &mut Cluster) -> Result<()> {
    web(cluster)?;
    for name in ["node-a", "node-b"] {
        cluster.reboot(name)?;
    }
    eventually(PATIENCE, || {
        let pods = web(cluster)?;
        ensure_all_reach_all(cluster, &pods)
    })
}
