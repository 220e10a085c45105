//! Traffic that is counted while something happens to the cluster.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flock_cluster::Cluster;
use flock_cluster::kubectl::PATIENCE;
use flock_tests::eventually;
use serde_json::{Value, json};

use crate::objects::{IMAGE, apply};

/// Asks over HTTP from the machine behind the router.
pub(crate) fn ask_from_outside(cluster: &Cluster, address: &str, port: u16) -> Result<String> {
    let to = SocketAddr::new(address.parse()?, port);
    cluster.fabric.client.enter(|| {
        let mut connection = TcpStream::connect_timeout(&to, LIMIT)?;
        connection.set_read_timeout(Some(LIMIT))?;
        connection.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
        let mut said = String::new();
        connection.read_to_string(&mut said)?;
        Ok(said)
    })?
}

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(3);

/// A pod that asks questions until its time is over, and then says how many were answered. Nobody stands between it and
/// those that it asks: neither kubelet nor the API server must be there meanwhile.
#[derive(Debug)]
pub(crate) struct Stream {
    pod: String,
}

impl Stream {
    /// Asks `url` from a pod of this name on `node` a hundred times a second, for `seconds`.
    pub(crate) fn start(cluster: &Cluster, pod: &str, node: &str, url: &str, seconds: u32) -> Result<Self> {
        let asking = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": pod, "labels": {"app": "stream"}},
            "spec": {
                "nodeName": node,
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": 1,
                "containers": [{
                    "name": "echo",
                    "image": IMAGE,
                    "imagePullPolicy": "IfNotPresent",
                    "args": ["stream", "--interval", "10ms", "--for", format!("{seconds}s"), url],
                }],
            },
        });
        apply(cluster, &[asking])?;
        eventually(PATIENCE, || {
            let status = cluster.kubectl().pod(pod)?;
            ensure!(status.phase == "Running", "{status:?}");
            Ok(())
        })?;
        Ok(Self { pod: pod.to_owned() })
    }

    /// Fails when its time is over already.
    pub(crate) fn still_asking(&self, cluster: &Cluster) -> Result<()> {
        let status = cluster.kubectl().pod(&self.pod)?;
        ensure!(status.phase == "Running", "it has asked for too short a time: {status:?}");
        Ok(())
    }

    /// Waits for its end; fails when a question was not answered.
    pub(crate) fn lossless(self, cluster: &Cluster) -> Result<()> {
        eventually(PATIENCE * 2, || {
            let status = cluster.kubectl().pod(&self.pod)?;
            ensure!(status.phase == "Succeeded", "{status:?}");
            Ok(())
        })?;
        let said = cluster.kubectl().logs(&self.pod)?;
        let count: Value =
            serde_json::from_str(&said).with_context(|| format!("{} says {said}", self.pod))?;
        let sent = count["sent"].as_u64().unwrap_or_default();
        ensure!(sent > 500, "{} has hardly asked: {count}", self.pod);
        ensure!(count["lost"] == 0, "{} was not answered: {count}", self.pod);
        Ok(())
    }
}
