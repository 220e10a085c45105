//! The real binary against a stub of the agent on a socket of its own.

#![allow(dead_code, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test: panics are its errors")]
#![allow(missing_docs, unreachable_pub, reason = "a test: nobody else's interface")]

use std::io::Write;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use flock_rpc::v1alpha1::cni_server::{Cni, CniServer};
use flock_rpc::v1alpha1::*;
use serde_json::Value;
use tempfile::TempDir;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::{Request, Response, Status};

/// What the stub answers, whatever the verb.
#[derive(Clone)]
pub enum Answer {
    Success,
    /// The first ADD is to wait for the runtime's plugin for lo.
    LoopbackPending,
    Error(CniError),
    Status(tonic::Code),
    /// It dies in the middle of the call.
    Die,
}

/// A directory with a socket's path in it; a stub may listen there or not.
pub struct Node {
    pub dir: TempDir,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Node {
    /// A node whose agent is away.
    pub fn without_agent() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), requests: Arc::default() }
    }

    pub fn with_agent(answer: Answer) -> Self {
        let node = Self::without_agent();
        node.start_agent(answer);
        node
    }

    /// Listens from now on until the test ends.
    pub fn start_agent(&self, answer: Answer) {
        let listener = UnixListener::bind(self.socket()).unwrap();
        listener.set_nonblocking(true).unwrap();
        let stub = Stub { answer, requests: self.requests.clone() };
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::UnixListener::from_std(listener).unwrap();
                let service = CniServer::new(stub);
                let incoming = UnixListenerStream::new(listener);
                tonic::transport::Server::builder()
                    .add_service(service)
                    .serve_with_incoming(incoming)
                    .await
                    .unwrap();
            });
        });
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("agent.sock")
    }

    pub fn tombstones(&self) -> Vec<String> {
        let ids = flock_rpc::tombstone::list(&self.dir.path().join("tombstones")).unwrap();
        ids.iter().map(|id| format!("{}@{}", id.container_id, id.ifname)).collect()
    }

    /// What the agent got, each in its `Debug` form.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    /// A configuration with this node's socket; `more` begins with a comma or is empty.
    pub fn config(&self, version: &str, more: &str) -> String {
        let socket = self.socket();
        let socket = socket.display();
        format!(r#"{{"cniVersion":"{version}","name":"net","type":"flock","socket":"{socket}"{more}}}"#)
    }

    /// Runs the verb with a complete environment.
    pub fn run(&self, command: &str, version: &str, more: &str) -> Finished {
        run(&complete(command), self.config(version, more).as_bytes())
    }
}

/// The variables that every verb could want.
pub fn complete(command: &str) -> Vec<(&str, &str)> {
    vec![
        ("CNI_COMMAND", command),
        ("CNI_CONTAINERID", "0f3c"),
        ("CNI_NETNS", "/run/netns/a"),
        ("CNI_IFNAME", "eth0"),
        ("CNI_ARGS", "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-0;K8S_POD_UID=5ad0"),
    ]
}

/// What became of a process.
#[derive(Debug)]
pub struct Finished {
    pub success: bool,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    /// The error on standard output, and that there is nothing else.
    pub fn error(&self) -> CniError {
        assert!(!self.success, "{self:?}");
        let json: Value = serde_json::from_str(&self.stdout).unwrap_or_else(|_| panic!("no JSON: {self:?}"));
        let text = |key: &str| json[key].as_str().unwrap_or_default().to_owned();
        assert!(!text("cniVersion").is_empty(), "{self:?}");
        let code = u32::try_from(json["code"].as_u64().unwrap()).unwrap();
        CniError { code, msg: text("msg"), details: text("details") }
    }

    pub fn json(&self) -> Value {
        assert!(self.success, "{self:?}");
        serde_json::from_str(&self.stdout).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// Success without a word.
    #[track_caller]
    pub fn assert_silent(&self) {
        assert!(self.success && self.stdout.is_empty(), "{self:?}");
    }

    /// Fails with this code, and each of `parts` is in the message.
    #[track_caller]
    pub fn assert_error(&self, code: u32, parts: &[&str]) {
        let error = self.error();
        assert_eq!(error.code, code, "{error:?}");
        for part in parts {
            assert!(error.msg.contains(part), "{part:?} is missing: {error:?}");
        }
    }
}

pub fn command(vars: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flock"));
    command.env_clear().envs(vars.iter().copied());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub fn run(vars: &[(&str, &str)], stdin: &[u8]) -> Finished {
    let mut child = command(vars).spawn().unwrap();
    // The plugin may stop reading: then this fails with EPIPE.
    let _ = child.stdin.take().unwrap().write_all(stdin);
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    let [stdout, stderr] = [stdout, stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    Finished { success: status.success(), stdout, stderr }
}

struct Stub {
    answer: Answer,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Stub {
    fn answer<Q: std::fmt::Debug, R>(&self, request: Request<Q>, response: R) -> Result<Response<R>, Status> {
        self.requests.lock().unwrap().push(format!("{:?}", request.into_inner()));
        match &self.answer {
            Answer::Success | Answer::LoopbackPending => Ok(Response::new(response)),
            Answer::Error(error) => Err(error.clone().into()),
            Answer::Status(code) => Err(Status::new(*code, "the stub says so")),
            Answer::Die => panic!("the stub dies"),
        }
    }
}

fn added() -> AddResponse {
    let interface = |name: &str, sandbox: &str| Interface {
        name: name.into(),
        mac: "02:00:00:00:00:01".into(),
        mtu: 1500,
        sandbox: sandbox.into(),
    };
    let ip = |address: &str, gateway: &str| IpConfig {
        address: address.into(),
        gateway: gateway.into(),
        interface: 1,
    };
    AddResponse {
        interfaces: vec![interface("flock0123abcd", ""), interface("eth0", "/run/netns/a")],
        ips: vec![ip("2001:db8::5/128", "fe80::1"), ip("203.0.113.5/32", "169.254.1.1")],
        routes: vec![Route { dst: "::/0".into(), gw: "fe80::1".into() }],
        loopback_pending: false,
    }
}

#[tonic::async_trait]
impl Cni for Stub {
    async fn add(&self, request: Request<AddRequest>) -> Result<Response<AddResponse>, Status> {
        let first = self.requests.lock().unwrap().is_empty();
        let pending = first && matches!(self.answer, Answer::LoopbackPending);
        self.answer(request, AddResponse { loopback_pending: pending, ..added() })
    }

    async fn del(&self, request: Request<DelRequest>) -> Result<Response<DelResponse>, Status> {
        self.answer(request, DelResponse {})
    }

    async fn check(&self, request: Request<CheckRequest>) -> Result<Response<CheckResponse>, Status> {
        self.answer(request, CheckResponse {})
    }

    async fn gc(&self, request: Request<GcRequest>) -> Result<Response<GcResponse>, Status> {
        self.answer(request, GcResponse::default())
    }

    async fn status(&self, request: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        self.answer(request, StatusResponse {})
    }
}
