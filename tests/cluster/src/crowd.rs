//! A crowd of pods on one node at once, with flock and with the reference plugin `ptp`, in turns on one cluster: how long
//! until all of them are ready.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use flock_tests::eventually;
use serde_json::json;

use crate::cluster::Cluster;
use crate::kubectl::PATIENCE;
use crate::network;

/// What kubelet takes on a node unless told otherwise.
const CROWD: usize = 110;

/// Each is measured so often, in turns.
const ROUNDS: usize = 3;

/// Measures on a cluster of two nodes with flock, of which the second gets `ptp` instead.
///
/// # Errors
/// When pods do not become ready.
pub fn measure(cluster: &Cluster) -> Result<()> {
    let (flock, ptp) = (&cluster.members[0], &cluster.members[1]);
    network::give_ptp(ptp, &cluster.fabric)?;
    println!("{CROWD} pods on one node, created at once, until all are Ready (seconds)");
    println!("round  flock    ptp  ratio");
    for round in 1..=ROUNDS {
        let (ours, theirs) = (crowd(cluster, &flock.name)?, crowd(cluster, &ptp.name)?);
        let ratio = ours.as_secs_f64() / theirs.as_secs_f64();
        println!("{round:>5} {:>6.1} {:>6.1} {ratio:>6.2}", ours.as_secs_f64(), theirs.as_secs_f64());
    }
    Ok(())
}

fn crowd(cluster: &Cluster, node: &str) -> Result<Duration> {
    let labels = json!({"app": "crowd"});
    let containers = json!([{"name": "echo", "image": "flock.test/echo:1", "imagePullPolicy": "IfNotPresent", "args": ["serve"],
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 1}}]);
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "crowd"},
        "spec": {"replicas": CROWD, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels},
            "spec": {"nodeName": node, "terminationGracePeriodSeconds": 1, "containers": containers}}},
    });
    let begin = Instant::now();
    cluster.kubectl().apply(&deployment.to_string())?;
    let taken = eventually(PATIENCE * 5, || {
        let ready = cluster.kubectl().json(&["deployment", "crowd"])?["status"]["readyReplicas"].as_u64();
        ensure!(ready == Some(CROWD as u64), "{ready:?} of {CROWD} are ready");
        Ok(begin.elapsed())
    })?;
    cluster.kubectl().delete(&["deployment", "crowd", "--cascade=foreground"])?;
    Ok(taken)
}
