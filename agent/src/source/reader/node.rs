//! Nodes, as far as templates and pools ask, and those who write to the agent's own.

use std::collections::BTreeMap;
use std::net::IpAddr;

use flock_core::feed::Parsed;
use ipnet::IpNet;
use serde::{Deserialize, Deserializer};

use super::{Meta, ReadError, Reader, parsed, shaped};
use crate::source::objects::NodeObject;
use crate::source::own::{OwnNode, SeenCondition};

/// What is kept of a Node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::source) struct Node {
    /// What configuration asks about.
    pub(in crate::source) node: NodeObject,
    /// What those ask about who write to it.
    pub(in crate::source) own: OwnNode,
}

#[derive(Deserialize)]
struct Manifest {
    metadata: Metadata,
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
    #[serde(default)]
    uid: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Spec {
    /// Before Kubernetes had two families; still the first of `podCIDRs`.
    #[serde(rename = "podCIDR")]
    pod_cidr: Option<Prefix>,
    #[serde(rename = "podCIDRs", default)]
    pod_cidrs: Vec<Prefix>,
}

#[derive(Deserialize, Default)]
struct Status {
    #[serde(default)]
    addresses: Vec<Address>,
    #[serde(default)]
    conditions: Vec<Condition>,
}

#[derive(Deserialize)]
struct Condition {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    reason: String,
}

#[derive(Deserialize)]
struct Address {
    #[serde(rename = "type")]
    kind: String,
    address: String,
}

/// Its host bits are cut off.
struct Prefix(IpNet);

impl<'de> Deserialize<'de> for Prefix {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong = |_| {
            serde::de::Error::custom(format_args!(
                "{text:?} is no prefix: write 2001:db8:a:1::/64 or 10.244.1.0/24"
            ))
        };
        text.trim().parse().map(|net: IpNet| Self(net.trunc())).map_err(wrong)
    }
}

impl Address {
    /// A host name is no address of ours to know.
    fn ip(&self) -> Option<IpAddr> {
        let counts = matches!(self.kind.as_str(), "InternalIP" | "ExternalIP");
        self.address.parse().ok().filter(|_| counts)
    }
}

/// Reads a Node, with its name.
///
/// # Errors
/// The first field that cannot be read, and why.
pub(in crate::source) fn node(text: &str) -> Result<(String, Node), ReadError> {
    let Manifest { metadata, spec, status } = shaped(text)?;
    let Spec { pod_cidr, pod_cidrs } = spec;
    let first = if pod_cidrs.is_empty() { pod_cidr } else { None };
    let pod_cidrs = first.into_iter().chain(pod_cidrs).map(|Prefix(net)| net).collect();
    let addresses = status.addresses.iter().filter_map(Address::ip).collect();
    let network = status.conditions.into_iter().find(|condition| condition.kind == "NetworkUnavailable");
    let network_unavailable =
        network.map(|Condition { status, reason, .. }| SeenCondition { status, reason });
    let node = Node {
        node: NodeObject { labels: metadata.labels.into_iter().collect(), pod_cidrs, addresses },
        own: OwnNode { uid: metadata.uid, network_unavailable },
    };
    Ok((metadata.name, node))
}

#[derive(Debug)]
pub(in crate::source) struct NodeReader;

impl Reader for NodeReader {
    type Key = String;
    type Value = Node;

    fn of_node(_: &str) -> Self {
        Self
    }

    fn key(&mut self, meta: &Meta) -> Option<String> {
        meta.cluster_scoped()
    }

    fn read(&mut self, text: &str, _: Option<&Node>) -> Parsed<Node> {
        parsed("Node", text, node(text).map(|(_, node)| Some(node)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(yaml: &str) -> (String, NodeObject) {
        let (name, Node { node, .. }) = node(&crate::source::document::json(yaml)).unwrap();
        (name, node)
    }

    fn saying(rest: &str) -> NodeObject {
        read(&format!("metadata: {{name: node-a}}\n{rest}")).1
    }

    #[test]
    fn a_full_document_becomes_the_node() {
        let text = r#"
metadata: {name: node-a, labels: {rack: r1}, uid: x}
spec: {podCIDR: 10.244.1.0/24, podCIDRs: [10.244.1.7/24, "fd00:1::/64"], taints: []}
status:
  addresses:
  - {type: InternalIP, address: 192.0.2.1}
  - {type: ExternalIP, address: "2001:db8::1"}
  - {type: Hostname, address: node-a}
  - {type: InternalDNS, address: 192.0.2.9}
"#;
        let (name, node) = read(text);
        let nets: Vec<String> = node.pod_cidrs.iter().map(ToString::to_string).collect();
        let addresses: Vec<String> = node.addresses.iter().map(ToString::to_string).collect();
        assert_eq!((name.as_str(), node.labels.get("rack").unwrap()), ("node-a", "r1"));
        assert_eq!(nets, ["10.244.1.0/24", "fd00:1::/64"]);
        assert_eq!(addresses, ["192.0.2.1", "2001:db8::1"]);
    }

    #[test]
    fn what_is_not_said_is_empty() {
        assert_eq!(saying(""), NodeObject::default());
        assert_eq!(saying("spec: {}\nstatus: {}"), NodeObject::default());
        assert_eq!(saying("spec: {podCIDR: 10.244.1.0/24}").pod_cidrs.len(), 1);
    }
}
