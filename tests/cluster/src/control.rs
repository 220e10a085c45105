//! The control plane: etcd, API server, controller-manager and scheduler in a namespace of their own.

use std::fs;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, Result};
use flock_tests::Netns;
use flock_tests::daemon::Daemon;
use serde_json::json;

use crate::cluster::Site;
use crate::fabric::{self, Fabric};
use crate::kubectl::Kubectl;
use crate::pki::Subject;

const ETCD: &str = "http://127.0.0.1:2379";

/// The control plane; any part of it can be stopped and started again. The fields are dropped in this order.
#[derive(Debug)]
pub struct ControlPlane {
    scheduler: Option<Daemon>,
    controller_manager: Option<Daemon>,
    api_server: Option<Daemon>,
    etcd: Option<Daemon>,
    /// Asking it.
    pub kubectl: Kubectl,
    site: Arc<Site>,
    /// Its namespace.
    pub netns: Netns,
}

impl ControlPlane {
    /// Plugs a control plane in, of which nothing runs yet.
    ///
    /// # Errors
    /// When its credentials cannot be made.
    pub(crate) fn new(site: &Arc<Site>, netns: Netns, fabric: &Fabric) -> Result<Self> {
        fabric.plug(&netns, fabric::CONTROL)?;
        let (authority, server) = (&site.authority, site.server());
        let admin = authority.kubeconfig("admin", &server, Subject::client("admin", &["system:masters"]))?;
        for user in ["kube-controller-manager", "kube-scheduler"] {
            authority.kubeconfig(user, &server, Subject::client(&format!("system:{user}"), &[]))?;
        }
        authority.issue("kubelet-client", Subject::client("kube-apiserver", &["system:masters"]))?;
        let port = fabric::port(fabric::CONTROL);
        let names = format!(
            "DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:localhost,IP:127.0.0.1,IP:::1,\
             IP:10.96.0.1,IP:fd00:96::1,IP:{},IP:{}",
            port.node("::/0"),
            port.node("0.0.0.0/0")
        );
        authority.issue("api-server", Subject { user: "kube-apiserver", groups: &[], names: &names })?;
        let kubectl = Kubectl::new(&site.programs, &netns, &admin, &site.dir.join("kubectl"))?;
        let (etcd, api_server, controller_manager, scheduler) = (None, None, None, None);
        Ok(Self { scheduler, controller_manager, api_server, etcd, kubectl, site: Arc::clone(site), netns })
    }

    /// Starts all of it.
    ///
    /// # Errors
    /// When a part of it does not start.
    pub fn start(&mut self) -> Result<()> {
        self.start_etcd()?;
        self.start_api_server()?;
        self.start_controller_manager()?;
        self.start_scheduler()
    }

    /// Starts etcd on the data that it has, and waits until it answers.
    ///
    /// # Errors
    /// When it does not.
    pub fn start_etcd(&mut self) -> Result<()> {
        let mut etcd = Command::new("etcd");
        etcd.arg("--data-dir").arg(self.site.dir.join("etcd"));
        etcd.args([&format!("--listen-client-urls={ETCD}"), &format!("--advertise-client-urls={ETCD}")]);
        etcd.args(["--listen-peer-urls=http://127.0.0.1:2380", "--logger=zap", "--log-level=warn"]);
        let mut daemon = self.daemon(etcd, "etcd")?;
        daemon.serving(|| {
            self.netns.enter(|| TcpStream::connect(("127.0.0.1", 2379)))?.map(drop).context("ask etcd")
        })?;
        self.etcd = Some(daemon);
        Ok(())
    }

    /// Ends etcd by SIGTERM. Its data stays.
    ///
    /// # Errors
    /// When it does not run or does not end.
    pub fn stop_etcd(&mut self) -> Result<()> {
        stop(&mut self.etcd, "etcd")
    }

    /// Starts the API server and waits until it is ready.
    ///
    /// # Errors
    /// When it does not become so.
    pub fn start_api_server(&mut self) -> Result<()> {
        let policy = json!({
            "apiVersion": "audit.k8s.io/v1",
            "kind": "Policy",
            "omitStages": ["RequestReceived"],
            "rules": [
                {"level": "Metadata", "userGroups": ["system:serviceaccounts:flock-system"]},
                {"level": "None"},
            ],
        });
        fs::write(self.audit_policy(), policy.to_string())?;
        let mut command = Command::new(self.site.programs.built("kube-apiserver"));
        command.args(self.api_server_arguments());
        let mut daemon = self.daemon(command, "kube-apiserver")?;
        daemon.serving(|| self.kubectl.run(&["get", "--raw=/readyz"]).map(drop))?;
        self.api_server = Some(daemon);
        Ok(())
    }

    /// What flock has asked the API server for, and whether it was let: a line of JSON for each answer.
    pub fn audit_log(&self) -> PathBuf {
        self.site.dir.join("audit.json")
    }

    fn audit_policy(&self) -> PathBuf {
        self.site.dir.join("audit-policy.json")
    }

    fn api_server_arguments(&self) -> Vec<String> {
        let Site { authority, plan, .. } = self.site.as_ref();
        let (serving, client) = (authority.credential("api-server"), authority.credential("kubelet-client"));
        let accounts = authority.service_accounts();
        let files = [
            ("tls-cert-file", serving.certificate),
            ("tls-private-key-file", serving.key),
            ("client-ca-file", authority.certificate()),
            ("requestheader-client-ca-file", authority.certificate()),
            ("kubelet-certificate-authority", authority.certificate()),
            ("kubelet-client-certificate", client.certificate),
            ("kubelet-client-key", client.key),
            ("service-account-key-file", accounts.clone()),
            ("service-account-signing-key-file", accounts),
        ];
        let fixed = [
            format!("--etcd-servers={ETCD}"),
            format!("--advertise-address={}", fabric::port(fabric::CONTROL).node(plan.primary.any())),
            format!("--service-cluster-ip-range={}", plan.service_cidrs()),
            format!("--audit-log-path={}", self.audit_log().display()),
            format!("--audit-policy-file={}", self.audit_policy().display()),
        ];
        let plain = [
            "--bind-address=::",
            "--secure-port=6443",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged=true",
            "--kubelet-preferred-address-types=InternalIP",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--requestheader-allowed-names=front-proxy",
            "--profiling=false",
        ];
        let files = files.into_iter().map(|(flag, file)| format!("--{flag}={}", file.display()));
        fixed.into_iter().chain(plain.map(str::to_owned)).chain(files).collect()
    }

    /// Ends the API server by SIGKILL: by SIGTERM it would wait a minute for the end of watches.
    ///
    /// # Errors
    /// When it does not run or does not end.
    pub fn stop_api_server(&mut self) -> Result<()> {
        self.api_server.take().context("the API server does not run")?.kill().map(drop)
    }

    /// Starts the controller-manager.
    ///
    /// # Errors
    /// When there is no such program.
    pub fn start_controller_manager(&mut self) -> Result<()> {
        let Site { authority, plan, .. } = self.site.as_ref();
        let mut command = self.client("kube-controller-manager");
        command.args([
            "--allocate-node-cidrs=true",
            "--node-cidr-mask-size-ipv4=24",
            "--node-cidr-mask-size-ipv6=64",
            "--use-service-account-credentials=true",
        ]);
        // Its default is below /usr, which is the machine's.
        command.arg("--flex-volume-plugin-dir").arg(self.site.dir.join("flex-volumes"));
        command.arg(format!("--cluster-cidr={}", plan.pod_cidrs()));
        command.arg(format!("--service-cluster-ip-range={}", plan.service_cidrs()));
        command.arg("--root-ca-file").arg(authority.certificate());
        command.arg("--service-account-private-key-file").arg(authority.service_accounts());
        self.controller_manager = Some(self.daemon(command, "kube-controller-manager")?);
        Ok(())
    }

    /// Ends the controller-manager by SIGTERM.
    ///
    /// # Errors
    /// When it does not run or does not end.
    pub fn stop_controller_manager(&mut self) -> Result<()> {
        stop(&mut self.controller_manager, "the controller-manager")
    }

    /// Starts the scheduler.
    ///
    /// # Errors
    /// When there is no such program.
    pub fn start_scheduler(&mut self) -> Result<()> {
        let command = self.client("kube-scheduler");
        self.scheduler = Some(self.daemon(command, "kube-scheduler")?);
        Ok(())
    }

    /// Ends the scheduler by SIGTERM.
    ///
    /// # Errors
    /// When it does not run or does not end.
    pub fn stop_scheduler(&mut self) -> Result<()> {
        stop(&mut self.scheduler, "the scheduler")
    }

    /// A program that is a client of the API server, the only one of its kind.
    fn client(&self, name: &str) -> Command {
        let kubeconfig = self.site.authority.kubeconfig_file(name);
        let mut command = Command::new(self.site.programs.built(name));
        for flag in ["--kubeconfig", "--authentication-kubeconfig", "--authorization-kubeconfig"] {
            command.arg(flag).arg(&kubeconfig);
        }
        command.args(["--bind-address=127.0.0.1", "--leader-elect=false", "--profiling=false"]);
        command
    }

    fn daemon(&self, mut command: Command, name: &str) -> Result<Daemon> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        command.env_clear().env("PATH", path).env("HOME", &self.site.dir);
        Daemon::start(&self.netns, command, &self.log(name))
    }

    fn log(&self, name: &str) -> PathBuf {
        self.site.dir.join(format!("{name}.log"))
    }
}

fn stop(daemon: &mut Option<Daemon>, name: &str) -> Result<()> {
    daemon.take().with_context(|| format!("{name} does not run"))?.terminate().map(drop)
}
