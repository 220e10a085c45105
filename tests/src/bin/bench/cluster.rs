//! The agent in a large cluster: its memory with the pods of its node attached and those of all others known.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flock_tests::{Node, PATIENCE, Sandbox, World, eventually};
use serde_json::{Value, json};

use crate::PODS;
use crate::sample::{Resident, Row};

/// Pods of other nodes.
const PEERS: usize = 10_000;
const NAMESPACES: usize = 100;
/// Bytes of an environment variable that make a pod as large as they are: some 5 KiB of JSON.
const FILLER: usize = 3000;

pub(crate) fn measure(world: &World) -> Result<Vec<Row>> {
    let site = world.site()?;
    let sandboxes = (0..PODS).map(|number| site.node.sandbox(&format!("many-{number}")));
    let sandboxes = sandboxes.collect::<Result<Vec<Sandbox>>>()?;
    let node = &site.node;
    let own: Vec<Value> = sandboxes.iter().map(|sandbox| own_pod(node.name(), sandbox)).collect();
    // In its place comes one that asks an API server.
    site.agent.kill()?;
    let api = Api::start(node, Collections::new(node.name(), own))?;
    let agent = ClusterAgent::start(world, node, api)?;
    for sandbox in &sandboxes {
        node.call("ADD", sandbox)?.run()?.result()?;
    }
    let resident = Resident::of(agent.0.id())?;
    for sandbox in &sandboxes {
        node.del(sandbox)?.success()?;
    }
    ensure!(node.records()?.is_empty(), "records were left");
    let budget = ("<= 24.00 MiB".to_owned(), resident.all <= 24 << 10);
    let what = format!("agent: RSS with {PODS} attachments in a cluster of {} pods", PEERS + PODS);
    Ok(vec![Row::new(what, resident.to_string(), Some(budget))])
}

/// An agent of the node that asks an API server; dropped, it is killed.
struct ClusterAgent(Child);

impl ClusterAgent {
    fn start(world: &World, node: &Node<'_>, api: SocketAddr) -> Result<Self> {
        let kubeconfig = node.dir().join("kubeconfig");
        fs::write(&kubeconfig, kubeconfig_of(api))?;
        let log = fs::File::options().append(true).open(node.agent_log())?;
        let mut command = Command::new(world.binaries()?.agent);
        command.args(["run", "--node", node.name(), "--kubeconfig"]).arg(&kubeconfig);
        command.arg("--run-dir").arg(node.run_dir());
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let agent = Self(node.netns.enter(|| command.spawn())??);
        eventually(3 * PATIENCE, || node.invocation("STATUS")?.run()?.success())?;
        Ok(agent)
    }
}

impl Drop for ClusterAgent {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn kubeconfig_of(api: SocketAddr) -> String {
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "bench",
        "clusters": [{"name": "bench", "cluster": {"server": format!("http://{api}")}}],
        "users": [{"name": "bench", "user": {}}],
        "contexts": [{"name": "bench", "context": {"cluster": "bench", "user": "bench"}}],
    })
    .to_string()
}

/// What the API server has.
struct Collections {
    node: Value,
    config: Value,
    namespaces: Vec<Value>,
    own: Vec<Value>,
}

impl Collections {
    fn new(node: &str, own: Vec<Value>) -> Self {
        let metadata =
            |name: &str| json!({"name": name, "uid": format!("uid-{name}"), "resourceVersion": "1"});
        let namespace = |number: usize| {
            let name = format!("team-{number}");
            let mut metadata = metadata(&name);
            metadata["labels"] = json!({"kubernetes.io/metadata.name": name, "owner": "bench"});
            json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": metadata})
        };
        let spec = json!({"cidr6": ["2001:db8:a:1::/64"], "cidr4": ["10.64.0.0/16"]});
        Self {
            node: json!({"apiVersion": "v1", "kind": "Node", "metadata": metadata(node), "spec": {}, "status": {}}),
            config: json!({
                "apiVersion": "flock.fritzlab.net/v1alpha1", "kind": "NodeConfig",
                "metadata": metadata(node), "spec": spec,
            }),
            namespaces: (0..NAMESPACES).map(namespace).collect(),
            own,
        }
    }

    /// The objects that a request is about.
    fn of(&self, target: &str) -> Option<Box<dyn Iterator<Item = Value> + '_>> {
        let path = target.split('?').next().unwrap_or_default();
        Some(match path {
            "/api/v1/nodes" => Box::new(std::iter::once(self.node.clone())),
            "/apis/flock.fritzlab.net/v1alpha1/nodeconfigs" => Box::new(std::iter::once(self.config.clone())),
            "/apis/flock.fritzlab.net/v1alpha1/addresspools" => Box::new(std::iter::empty()),
            "/api/v1/namespaces" => Box::new(self.namespaces.iter().cloned()),
            // The agent asks for other nodes' pods as long as they run.
            "/api/v1/pods" if target.contains("status.phase") => Box::new((0..PEERS).map(peer)),
            "/api/v1/pods" => Box::new(self.own.iter().cloned()),
            _ => return None,
        })
    }
}

fn own_pod(node: &str, sandbox: &Sandbox) -> Value {
    let mut pod = pod(&sandbox.namespace, &sandbox.pod, node);
    pod["metadata"]["uid"] = sandbox.uid.clone().into();
    pod
}

fn peer(number: usize) -> Value {
    let mut pod = pod(&format!("team-{}", number % NAMESPACES), &format!("web-{number}"), "node-b");
    let [high, low] = [number / 250, number % 250 + 1];
    let addresses = [format!("10.65.{high}.{low}"), format!("2001:db8:b::{number:x}")];
    pod["status"]["podIPs"] = json!(addresses.map(|address| json!({"ip": address})));
    pod
}

fn pod(namespace: &str, name: &str, node: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "namespace": namespace, "uid": format!("uid-{namespace}-{name}"), "resourceVersion": "1",
            "labels": {
                "app.kubernetes.io/name": "web", "app.kubernetes.io/instance": namespace,
                "app.kubernetes.io/version": "1.2.3", "pod-template-hash": "5d4f8c7b6", "tier": "frontend",
            },
            "annotations": {"prometheus.io/scrape": "true", "checksum/config": "0123456789abcdef0123456789abcdef"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-5d4f8c7b6", "uid": "u", "controller": true}],
        },
        "spec": {
            "nodeName": node,
            "containers": [{
                "name": "web", "image": "registry.example/web:1.2.3",
                "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}, {"name": "metrics", "containerPort": 9090}],
                "env": [{"name": "CONFIG", "value": "x".repeat(FILLER)}],
            }],
        },
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    })
}

/// An API server that has what it has: lists as watches begin with, and watches in which nothing happens.
struct Api;

impl Api {
    /// Answers in the node's namespace until the process ends.
    fn start(node: &Node<'_>, collections: Collections) -> Result<SocketAddr> {
        let listener = node.netns.enter(|| TcpListener::bind("127.0.0.1:0"))??;
        let address = listener.local_addr()?;
        let collections = Arc::new(collections);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let collections = Arc::clone(&collections);
                // A connection that breaks is the client's to make anew.
                thread::spawn(move || serve(&stream, &collections).ok());
            }
        });
        Ok(address)
    }
}

/// One connection: requests one after the other, until a watch takes it.
fn serve(mut stream: &TcpStream, collections: &Collections) -> Result<()> {
    let mut reader = BufReader::new(stream);
    while let Some(target) = request(&mut reader)? {
        match collections.of(&target) {
            Some(objects) => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")?;
                if target.contains("sendInitialEvents=true") {
                    initial(stream, objects)?;
                }
                loop {
                    thread::sleep(Duration::from_secs(3600));
                }
            }
            None => {
                let status = json!({"apiVersion": "v1", "kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404, "message": format!("there is no {target}")});
                let body = status.to_string();
                write!(
                    stream,
                    "HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                )?;
            }
        }
    }
    Ok(())
}

fn initial(stream: &TcpStream, objects: impl Iterator<Item = Value>) -> Result<()> {
    let annotations = json!({"k8s.io/initial-events-end": "true"});
    let metadata = json!({"resourceVersion": "1", "annotations": annotations});
    let end = json!({"apiVersion": "v1", "kind": "Any", "metadata": metadata});
    let events = objects.map(|object| ("ADDED", object)).chain([("BOOKMARK", end)]);
    for (kind, object) in events {
        // As API servers write them: the type comes first.
        let line = format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n");
        write!(&mut &*stream, "{:x}\r\n{line}\r\n", line.len())?;
    }
    Ok(())
}

/// The next request's target; none: the client has closed the connection. A body is read and ignored.
fn request(reader: &mut impl BufRead) -> Result<Option<String>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let target = line.split(' ').nth(1).context("no target")?.to_owned();
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        if header.trim().is_empty() {
            break;
        }
        if let Some(value) = header.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse()?;
        }
    }
    reader.read_exact(&mut vec![0; length])?;
    Ok(Some(target))
}
