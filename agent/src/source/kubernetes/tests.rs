//! The source against an API server in memory, over HTTP.

mod api;
mod crds;
mod fleet;
mod locks;
mod pods;
mod trouble;
mod wanted;
mod watching;
mod work;

use std::time::Duration;

use serde_json::{Value, json};

use self::api::Api;
use super::*;

/// Long enough for any machine; nothing waits for it that succeeds.
const PATIENCE: Duration = Duration::from_secs(20);

const NODE: &str = "node-a";

/// A source that follows `api`, with pauses that no test notices.
struct Following {
    cluster: Arc<Cluster>,
    _run_dir: tempfile::TempDir,
}

fn timing() -> Timing {
    Timing {
        watch: Duration::from_secs(30),
        margin: Duration::from_secs(5),
        open: Duration::from_secs(5),
        gap: Duration::from_secs(5),
        first_pause: Duration::from_millis(5),
        longest_pause: Duration::from_millis(20),
        lasting: Duration::from_millis(50),
        pages: Duration::from_millis(50),
        refresh: Duration::from_secs(5),
    }
}

fn follow(api: &Api) -> Following {
    follow_with(api, &timing())
}

fn follow_with(api: &Api, timing: &Timing) -> Following {
    let run_dir = tempfile::tempdir().unwrap();
    let composer = Composer::kept_in(NODE, Disk, run_dir.path());
    Following {
        cluster: Cluster::start(api.client(), NODE, composer, timing, &Tasks::default()),
        _run_dir: run_dir,
    }
}

impl Following {
    /// Waits until what is wanted is so.
    #[track_caller]
    fn until(&self, condition: impl Fn(&Desired) -> bool) -> impl Future<Output = Arc<Desired>> {
        let mut desired = self.cluster.desired();
        async move {
            let wait = desired.wait_for(|desired| condition(desired));
            tokio::time::timeout(PATIENCE, wait).await.expect("in time").unwrap().clone()
        }
    }

    async fn known(&self) -> Arc<Desired> {
        tokio::time::timeout(PATIENCE, self.cluster.known()).await.expect("in time");
        self.cluster.desired().borrow().clone()
    }

    async fn until_trouble(&self, condition: impl Fn(Option<&str>) -> bool) {
        let wait = async {
            while !condition(self.cluster.trouble().as_deref()) {
                sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{:?}", self.cluster.trouble()));
    }
}

fn pod_name(name: &str) -> PodName {
    PodName::new("default", name).unwrap()
}

fn pod(name: &str, node: &str) -> Value {
    json!({
        "metadata": {"namespace": "default", "name": name, "uid": format!("uid-{name}"), "labels": {"app": "web"}},
        "spec": {"nodeName": node, "containers": [{"name": "main", "image": "web:1"}]},
        "status": {"phase": "Running", "podIPs": [{"ip": "2001:db8::7"}, {"ip": "192.0.2.7"}]},
    })
}

fn ready(mut pod: Value, status: &str) -> Value {
    pod["status"]["conditions"] = json!([{"type": "Ready", "status": status}]);
    pod
}

fn node() -> Value {
    json!({
        "metadata": {"name": NODE, "uid": "node-uid", "labels": {"rack": "1"}},
        "spec": {"podCIDRs": ["10.244.1.0/24"]},
        "status": {"conditions": [{"type": "NetworkUnavailable", "status": "True", "reason": "NoRoute"}]},
    })
}

fn config(name: &str, spec: Value) -> Value {
    json!({"metadata": {"name": name, "uid": format!("config-{name}"), "generation": 1}, "spec": spec})
}

fn problems(desired: &Desired) -> Vec<String> {
    desired.problems.iter().map(ToString::to_string).collect()
}
