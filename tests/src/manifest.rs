//! Manifests as users write them.

mod bgp;

use std::collections::BTreeMap;
use std::fmt::Write;

pub use bgp::{Bgp, Peer};

/// A NodeConfig.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeConfig {
    /// The node's name.
    pub name: String,
    /// IPv6 prefixes for pods.
    pub cidr6: Vec<String>,
    /// IPv4 prefixes for pods.
    pub cidr4: Vec<String>,
    /// Further lines of `spec`, as `mtu: 1400`.
    pub fields: Vec<String>,
    /// The `ip-algo` annotation.
    pub ip_algo: Option<String>,
}

impl NodeConfig {
    /// With one more line in `spec`.
    #[must_use]
    pub fn with(mut self, field: &str) -> Self {
        self.fields.push(field.to_owned());
        self
    }

    /// With these IPv4 prefixes instead.
    #[must_use]
    pub fn with_cidr4(self, cidr4: &[&str]) -> Self {
        Self { cidr4: cidr4.iter().map(|&cidr| cidr.to_owned()).collect(), ..self }
    }

    /// With these IPv6 prefixes instead.
    #[must_use]
    pub fn with_cidr6(self, cidr6: &[&str]) -> Self {
        Self { cidr6: cidr6.iter().map(|&cidr| cidr.to_owned()).collect(), ..self }
    }

    /// The document.
    pub fn yaml(&self) -> String {
        let mut text = format!(
            "apiVersion: flock.fritzlab.net/v1alpha1\nkind: NodeConfig\nmetadata:\n  name: {}\n",
            self.name
        );
        if let Some(algo) = &self.ip_algo {
            writeln!(text, "  annotations: {{flock.fritzlab.net/ip-algo: \"{algo}\"}}").ok();
        }
        writeln!(text, "spec:\n  cidr6: {:?}\n  cidr4: {:?}", self.cidr6, self.cidr4).ok();
        for field in &self.fields {
            writeln!(text, "  {field}").ok();
        }
        text
    }
}

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
}

impl Pod {
    /// A pod of namespace `default` that asks for nothing.
    pub fn new(name: &str) -> Self {
        Self {
            namespace: "default".to_owned(),
            name: name.to_owned(),
            annotations: BTreeMap::new(),
            deployment: None,
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

    /// The document.
    pub fn yaml(&self) -> String {
        let mut text = format!(
            "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {}\n  namespace: {}\n",
            self.name, self.namespace
        );
        if let Some(deployment) = &self.deployment {
            text.push_str("  labels: {pod-template-hash: 7f9c6d5b8}\n  ownerReferences:\n");
            let owner = "  - {apiVersion: apps/v1, kind: ReplicaSet, controller: true";
            writeln!(
                text,
                "{owner}, name: {deployment}-7f9c6d5b8, uid: 8c0e7a52-0000-4000-8000-000000000001}}"
            )
            .ok();
        }
        if !self.annotations.is_empty() {
            text.push_str("  annotations:\n");
        }
        for (key, value) in &self.annotations {
            writeln!(text, "    {key}: {value:?}").ok();
        }
        text.push_str("spec:\n  containers:\n  - {name: main, image: \"registry.example/web:1\"}\n");
        text
    }
}

/// A Namespace document.
pub fn namespace(name: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {name}\n  labels: {{kubernetes.io/metadata.name: {name}}}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_says_what_it_asks_for() {
        let yaml = Pod::new("web-0").annotated("ipv4", "false").of_deployment("web").yaml();
        assert!(yaml.contains("    flock.fritzlab.net/ipv4: \"false\"\n"), "{yaml}");
        assert!(yaml.contains("kind: ReplicaSet, controller: true, name: web-7f9c6d5b8"), "{yaml}");
    }

    #[test]
    fn a_node_lists_its_prefixes() {
        let config = NodeConfig {
            name: "node-a".to_owned(),
            cidr6: vec!["2001:db8:a:1::/64".to_owned()],
            cidr4: Vec::new(),
            fields: Vec::new(),
            ip_algo: None,
        };
        let yaml = config.with("mtu: 1400").yaml();
        assert!(
            yaml.ends_with("spec:\n  cidr6: [\"2001:db8:a:1::/64\"]\n  cidr4: []\n  mtu: 1400\n"),
            "{yaml}"
        );
    }
}
