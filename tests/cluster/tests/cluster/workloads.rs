//! Many pods at once, and pods that follow each other.

use anyhow::{Result, ensure};
use flock_cluster::kubectl::PATIENCE;
use flock_cluster::suite::Named;
use flock_cluster::{Cluster, cluster_trials};
use flock_tests::eventually;
use serde_json::json;

use crate::objects::{apply, clean, http, on, pod, replicas, service};

pub(crate) fn trials() -> Vec<Named> {
    cluster_trials![
        a_stateful_sets_pod_comes_back_under_its_name,
        a_deployment_of_fifty_pods_is_rolled_over,
        a_hundred_and_ten_pods_start_on_a_node_at_once,
    ]
}

fn a_stateful_sets_pod_comes_back_under_its_name(cluster: &mut Cluster) -> Result<()> {
    let headless = service("db", "db", json!({"clusterIP": "None"}));
    apply(cluster, &[headless, replicas("StatefulSet", "db", 3), on(pod("asker"), "node-a")])?;
    let before = cluster.kubectl().ready_pods("app=db", 3)?;
    cluster.kubectl().ready_pod("asker")?;
    let old = before.iter().find(|pod| pod.name == "db-1").unwrap();
    cluster.kubectl().delete(&["pod", "db-1"])?;
    let new = eventually(PATIENCE, || {
        let pod = cluster.kubectl().pod("db-1")?;
        ensure!(pod.ready && pod.uid != old.uid, "{pod:?}");
        Ok(pod)
    })?;
    for ip in &new.ips {
        cluster.kubectl().ask("asker", &http(ip, 8080))?;
    }
    clean(cluster)
}

fn a_deployment_of_fifty_pods_is_rolled_over(cluster: &mut Cluster) -> Result<()> {
    let mut many = replicas("Deployment", "many", 50);
    many["spec"]["strategy"] = json!({"rollingUpdate": {"maxSurge": "20%", "maxUnavailable": 0}});
    apply(cluster, &[many.clone()])?;
    let before = cluster.kubectl().ready_pods("app=many", 50)?;
    many["spec"]["template"]["metadata"]["annotations"] = json!({"generation": "2"});
    apply(cluster, &[many])?;
    cluster.kubectl().run(&["rollout", "status", "deployment/many", "--timeout=110s"])?;
    let after = cluster.kubectl().ready_pods("app=many", 50)?;
    ensure!(after.iter().all(|pod| before.iter().all(|old| old.uid != pod.uid)), "old pods are still there");
    let mut ips: Vec<&String> = after.iter().flat_map(|pod| &pod.ips).collect();
    ips.sort();
    ips.dedup();
    ensure!(ips.len() == 100, "{} different addresses of 100", ips.len());
    clean(cluster)
}

fn a_hundred_and_ten_pods_start_on_a_node_at_once(cluster: &mut Cluster) -> Result<()> {
    let mut many = replicas("Deployment", "crowd", 110);
    many["spec"]["template"]["spec"]["nodeName"] = json!("node-a");
    apply(cluster, &[many])?;
    let pods = eventually(PATIENCE * 4, || {
        let pods = cluster.kubectl().pods("app=crowd")?;
        let ready = pods.iter().filter(|pod| pod.ready).count();
        ensure!(ready == 110, "{ready} of 110 pods are ready");
        Ok(pods)
    })?;
    let mut ips: Vec<&String> = pods.iter().flat_map(|pod| &pod.ips).collect();
    ips.sort();
    ips.dedup();
    ensure!(ips.len() == 220, "{} different addresses of 220", ips.len());
    clean(cluster)
}
