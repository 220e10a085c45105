//! Pods.

use std::collections::BTreeMap;
use std::fmt::Write;

/// A pod as a manifest describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its annotations, by full key.
    pub annotations: BTreeMap<String, String>,
    /// The Deployment that owns it, by way of a ReplicaSet.
    pub deployment: Option<String>,
    /// `metadata.uid`.
    pub uid: Option<String>,
    /// `spec.nodeName`.
    pub node: Option<String>,
    /// Its condition `Ready`; none: it has no status.
    pub ready: Option<bool>,
    /// Whether it has a deletionTimestamp.
    pub terminating: bool,
}

impl Pod {
    /// A pod of namespace `default` that asks for nothing.
    pub fn new(name: &str) -> Self {
        Self {
            namespace: "default".to_owned(),
            name: name.to_owned(),
            annotations: BTreeMap::new(),
            deployment: None,
            uid: None,
            node: None,
            ready: None,
            terminating: false,
        }
    }

    /// With annotation `flock.fritzlab.net/KEY`.
    #[must_use]
    pub fn annotated(mut self, key: &str, value: &str) -> Self {
        self.annotations.insert(format!("flock.fritzlab.net/{key}"), value.to_owned());
        self
    }

    /// Owned by this Deployment.
    #[must_use]
    pub fn of_deployment(self, name: &str) -> Self {
        Self { deployment: Some(name.to_owned()), ..self }
    }

    /// In this namespace.
    #[must_use]
    pub fn in_namespace(self, name: &str) -> Self {
        Self { namespace: name.to_owned(), ..self }
    }

    /// With this `metadata.uid`.
    #[must_use]
    pub fn uid(self, uid: &str) -> Self {
        Self { uid: Some(uid.to_owned()), ..self }
    }

    /// On this node.
    #[must_use]
    pub fn node(self, name: &str) -> Self {
        Self { node: Some(name.to_owned()), ..self }
    }

    /// Running, with this condition `Ready`.
    #[must_use]
    pub fn ready(self, ready: bool) -> Self {
        Self { ready: Some(ready), ..self }
    }

    /// With a deletionTimestamp. Its condition `Ready` stays as it was, as at the API server.
    #[must_use]
    pub fn terminating(self) -> Self {
        Self { terminating: true, ..self }
    }

    /// The document.
    pub fn yaml(&self) -> String {
        let mut text = "apiVersion: v1\nkind: Pod\n".to_owned();
        text += &self.metadata();
        text.push_str("spec:\n");
        if let Some(node) = &self.node {
            writeln!(text, "  nodeName: {node}").ok();
        }
        text.push_str("  containers:\n  - {name: main, image: \"registry.example/web:1\"}\n");
        if let Some(ready) = self.ready {
            let status = if ready { "True" } else { "False" };
            text.push_str("status:\n  phase: Running\n  conditions:\n");
            writeln!(text, "  - {{type: Ready, status: {status:?}}}").ok();
        }
        text
    }

    fn metadata(&self) -> String {
        let mut text = format!("metadata:\n  name: {}\n  namespace: {}\n", self.name, self.namespace);
        if let Some(uid) = &self.uid {
            writeln!(text, "  uid: {uid}").ok();
        }
        if self.terminating {
            text.push_str(
                "  deletionTimestamp: \"2026-01-01T00:00:00Z\"\n  deletionGracePeriodSeconds: 30\n",
            );
        }
        if let Some(deployment) = &self.deployment {
            text.push_str("  labels: {pod-template-hash: 7f9c6d5b8}\n  ownerReferences:\n");
            let owner = "  - {apiVersion: apps/v1, kind: ReplicaSet, controller: true";
            let uid = "8c0e7a52-0000-4000-8000-000000000001";
            writeln!(text, "{owner}, name: {deployment}-7f9c6d5b8, uid: {uid}}}").ok();
        }
        if !self.annotations.is_empty() {
            text.push_str("  annotations:\n");
        }
        for (key, value) in &self.annotations {
            writeln!(text, "    {key}: {value:?}").ok();
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use flock_agent::source::document::Object;
    use flock_core::pod::Readiness;

    use super::super::tests::read;
    use super::*;

    #[test]
    fn a_pod_says_what_it_asks_for() {
        let yaml = Pod::new("web-0").annotated("ipv4", "false").of_deployment("web").yaml();
        assert!(yaml.contains("    flock.fritzlab.net/ipv4: \"false\"\n"), "{yaml}");
        assert!(yaml.contains("kind: ReplicaSet, controller: true, name: web-7f9c6d5b8"), "{yaml}");
    }

    #[test]
    fn a_pod_says_where_it_is_and_whether_it_can_serve() {
        let pod = Pod::new("web-0").in_namespace("dns").node("node-a").uid("8c0e7a52");
        let cases = [
            (pod.clone(), Readiness::NotReady),
            (pod.clone().ready(true), Readiness::Ready),
            (pod.clone().ready(false), Readiness::NotReady),
            (pod.ready(true).terminating(), Readiness::Terminating),
        ];
        for (pod, readiness) in cases {
            let Object::Pod(read) = read(&pod.yaml()) else { panic!("{pod:?}") };
            assert_eq!((read.readiness, &*read.name.namespace), (readiness, "dns"));
            assert_eq!((read.node.as_deref(), read.uid.as_deref()), (Some("node-a"), Some("8c0e7a52")));
        }
    }
}
