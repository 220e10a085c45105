//! Asking the API server, as people do.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flock_tests::{Netns, command, eventually};
use serde_json::Value;

use crate::programs::Programs;

/// How long Kubernetes may take for what it does in a few seconds on an idle machine.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// `kubectl`, run beside the API server as an administrator.
#[derive(Debug, Clone)]
pub struct Kubectl {
    script: PathBuf,
}

/// What Kubernetes says of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodStatus {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Its node; empty before it has one.
    pub node: String,
    /// Its addresses, the primary family's first.
    pub ips: Vec<String>,
    /// `Pending`, `Running`...
    pub phase: String,
    /// Whether its condition Ready is true.
    pub ready: bool,
    /// Whether it is being deleted.
    pub deleted: bool,
}

impl PodStatus {
    /// Out of the API server's JSON.
    pub fn of(pod: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let ips = pod["status"]["podIPs"].as_array().into_iter().flatten();
        Self {
            name: text(&pod["metadata"]["name"]),
            uid: text(&pod["metadata"]["uid"]),
            node: text(&pod["spec"]["nodeName"]),
            ips: ips.map(|ip| text(&ip["ip"])).collect(),
            phase: text(&pod["status"]["phase"]),
            ready: condition(pod, "Ready"),
            deleted: !pod["metadata"]["deletionTimestamp"].is_null(),
        }
    }

    /// Its address of the family of `any`: `::/0` or `0.0.0.0/0`.
    ///
    /// # Errors
    /// When it has none.
    pub fn ip(&self, any: &str) -> Result<&str> {
        let of_family = |ip: &&String| ip.contains(':') == any.contains(':');
        let found = self.ips.iter().find(of_family).map(String::as_str);
        found.with_context(|| format!("pod {} has no address of {any}: {:?}", self.name, self.ips))
    }
}

/// Whether an object's condition is true.
pub fn condition(object: &Value, kind: &str) -> bool {
    let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    conditions.into_iter().any(|condition| condition["type"] == kind && condition["status"] == "True")
}

impl Kubectl {
    /// Leaves a script at `script` that runs kubectl with this kubeconfig beside the API server.
    ///
    /// # Errors
    /// When the script cannot be written.
    pub fn new(programs: &Programs, netns: &Netns, kubeconfig: &Path, script: &Path) -> Result<Self> {
        let program = programs.built("kubectl");
        let text = format!(
            "#!/bin/sh\nunset HTTP_PROXY HTTPS_PROXY http_proxy https_proxy\nexport HOME={home} KUBECONFIG={kubeconfig}\nexec nsenter --net={netns} {program} \"$@\"\n",
            home = script.with_extension("home").display(),
            kubeconfig = kubeconfig.display(),
            netns = netns.path().display(),
            program = program.display(),
        );
        fs::write(script, text).with_context(|| format!("write {}", script.display()))?;
        command::run(&["chmod", "755", &script.display().to_string()])?;
        Ok(Self { script: script.to_owned() })
    }

    /// The script, for people.
    pub fn script(&self) -> &Path {
        &self.script
    }

    /// Runs it and returns its standard output.
    ///
    /// # Errors
    /// When it fails.
    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        let script = self.script.display().to_string();
        command::run_within(PATIENCE, &[&[script.as_str()], arguments].concat())
    }

    /// Runs it with `stdin`.
    ///
    /// # Errors
    /// When it fails.
    pub fn feed(&self, arguments: &[&str], stdin: &str) -> Result<String> {
        let mut command = Command::new(&self.script);
        let output = command::finished_within(PATIENCE, command.args(arguments), stdin.as_bytes())?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "kubectl {arguments:?}: {}: {errors}{said}", output.status);
        Ok(said)
    }

    /// Starts it, for what goes on while a test does something else; its standard output is a pipe.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(&self, arguments: &[&str]) -> Result<Child> {
        let mut command = Command::new(&self.script);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped());
        command.spawn().with_context(|| format!("start kubectl {arguments:?}"))
    }

    /// `kubectl apply` of YAML or JSON, by the server's own rules.
    ///
    /// # Errors
    /// When the API server refuses.
    pub fn apply(&self, yaml: &str) -> Result<String> {
        self.feed(&["apply", "--server-side", "--force-conflicts", "--filename", "-"], yaml)
    }

    /// `kubectl get` of one object or a list, with further arguments as `--namespace`.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn json(&self, what: &[&str]) -> Result<Value> {
        let said = self.run(&[&["get", "--output=json"], what].concat())?;
        serde_json::from_str(&said).with_context(|| format!("kubectl get {what:?}: {said}"))
    }

    /// The objects of a list.
    ///
    /// # Errors
    /// When the API server cannot be asked.
    pub fn list(&self, what: &[&str]) -> Result<Vec<Value>> {
        Ok(self.json(what)?["items"].as_array().cloned().unwrap_or_default())
    }

    /// Deletes and waits for the end; that it does not exist is fine.
    ///
    /// # Errors
    /// When it does not go.
    pub fn delete(&self, what: &[&str]) -> Result<()> {
        self.run(&[&["delete", "--ignore-not-found", "--wait=true"], what].concat()).map(drop)
    }

    /// Deletes without waiting.
    ///
    /// # Errors
    /// When the API server refuses.
    pub fn delete_later(&self, what: &[&str]) -> Result<()> {
        self.run(&[&["delete", "--ignore-not-found", "--wait=false"], what].concat()).map(drop)
    }

    /// What Kubernetes says of a pod of namespace `default`.
    ///
    /// # Errors
    /// When there is none.
    pub fn pod(&self, name: &str) -> Result<PodStatus> {
        Ok(PodStatus::of(&self.json(&["pod", name])?))
    }

    /// What Kubernetes says of the pods with these labels, as `app=web`, in namespace `default`.
    ///
    /// # Errors
    /// When the API server cannot be asked.
    pub fn pods(&self, selector: &str) -> Result<Vec<PodStatus>> {
        let pods = self.list(&["pods", "--selector", selector])?;
        Ok(pods.iter().map(PodStatus::of).collect())
    }

    /// Waits until exactly `count` pods with these labels are there, all of them ready.
    ///
    /// # Errors
    /// Says what they are instead.
    pub fn ready_pods(&self, selector: &str, count: usize) -> Result<Vec<PodStatus>> {
        eventually(PATIENCE, || {
            let pods = self.pods(selector)?;
            let ready = pods.iter().filter(|pod| pod.ready && !pod.deleted).count();
            ensure!(ready == count && pods.len() == count, "{ready} of {count} pods are ready: {pods:?}");
            Ok(pods)
        })
    }

    /// Waits until the pod is ready.
    ///
    /// # Errors
    /// Says what it is instead, with its events.
    pub fn ready_pod(&self, name: &str) -> Result<PodStatus> {
        eventually(PATIENCE, || {
            let pod = self.pod(name)?;
            ensure!(pod.ready, "{pod:?}");
            Ok(pod)
        })
        .with_context(|| self.run(&["describe", "pod", name]).unwrap_or_default())
    }

    /// Runs a program in a pod of namespace `default` and returns its standard output.
    ///
    /// # Errors
    /// When it fails.
    pub fn exec(&self, pod: &str, argv: &[&str]) -> Result<String> {
        self.run(&[&["exec", pod, "--"], argv].concat())
    }

    /// What a pod of namespace `default` has printed.
    ///
    /// # Errors
    /// When its kubelet cannot be asked.
    pub fn logs(&self, pod: &str) -> Result<String> {
        self.run(&["logs", pod])
    }

    /// Asks a URL from inside of a pod that runs the tests' image: `http://`, `tcp://` or `udp://`.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn ask(&self, pod: &str, url: &str) -> Result<String> {
        self.exec(pod, &["/echo", "ask", url])
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_without_a_status_is_not_ready() {
        let pod = PodStatus::of(&json!({"metadata": {"name": "web", "uid": "1"}, "spec": {}}));
        assert!(!pod.ready && pod.ips.is_empty() && pod.ip("::/0").is_err());
    }

    #[test]
    fn a_pod_has_addresses_of_both_families() {
        let status = json!({"podIPs": [{"ip": "fd00::7"}, {"ip": "10.0.0.7"}], "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True"}]});
        let pod = PodStatus::of(&json!({"metadata": {"name": "web"}, "status": status}));
        assert!(pod.ready);
        assert_eq!(pod.ip("0.0.0.0/0").unwrap(), "10.0.0.7");
    }
}
