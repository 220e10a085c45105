//! Manifests as users write them.

mod bgp;
mod namespace;
mod pod;
mod pool;

use std::fmt::Write;

pub use bgp::{Bgp, Peer};
pub use namespace::{Namespace, namespace};
pub use pod::Pod;
pub use pool::AddressPool;

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

    /// With `spec.claims`: `Pools` or `Any`.
    #[must_use]
    pub fn claims(self, claims: &str) -> Self {
        self.with(&format!("claims: {claims}"))
    }

    /// With `spec.anycast`: `Keep` or `Move`, and a duration as `1s`.
    #[must_use]
    pub fn anycast(self, established: &str, hold_down: &str) -> Self {
        self.with(&format!("anycast: {{establishedConnections: {established}, holdDown: {hold_down}}}"))
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

#[cfg(test)]
mod tests {
    use flock_agent::source::document::{Object, Reading, split};
    use flock_core::claim::Claims;
    use flock_core::node::EstablishedConnections;

    use super::*;

    /// What the agent reads, with nothing to remark upon.
    pub(super) fn read(yaml: &str) -> Object {
        match split(yaml)[0].read() {
            Ok(Reading { object: Some(object), remarks }) if remarks.is_empty() => object,
            other => panic!("{yaml}{other:?}"),
        }
    }

    fn config() -> NodeConfig {
        NodeConfig {
            name: "node-a".to_owned(),
            cidr6: vec!["2001:db8:a:1::/64".to_owned()],
            cidr4: Vec::new(),
            fields: Vec::new(),
            ip_algo: None,
        }
    }

    #[test]
    fn a_node_lists_its_prefixes() {
        let yaml = config().with("mtu: 1400").yaml();
        assert!(
            yaml.ends_with("spec:\n  cidr6: [\"2001:db8:a:1::/64\"]\n  cidr4: []\n  mtu: 1400\n"),
            "{yaml}"
        );
    }

    #[test]
    fn a_node_says_what_becomes_of_claims_and_anycast_addresses() {
        let bgp = Bgp::new(65001).anycast_weight("MED");
        let yaml = config().claims("Any").anycast("Move", "5s").with(&bgp.field()).yaml();
        let Object::NodeConfig(config) = read(&yaml) else { panic!("{yaml}") };
        let plan = config.alone().unwrap();
        assert_eq!((plan.claims, plan.anycast.established), (Claims::Any, EstablishedConnections::Move));
        assert_eq!(plan.anycast.hold_down.as_secs(), 5);
    }
}
