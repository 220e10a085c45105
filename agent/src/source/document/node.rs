//! A Node as Kubernetes writes it, as far as templates and pools ask.

use std::net::IpAddr;

use flock_core::selector::Labels;
use ipnet::IpNet;
use serde::{Deserialize, Deserializer};

use crate::source::objects::NodeObject;

/// A Node.
#[derive(Deserialize)]
#[serde(from = "Manifest")]
pub(in crate::source) struct NodeManifest {
    pub(in crate::source) name: String,
    pub(in crate::source) node: NodeObject,
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
    labels: Labels,
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

impl From<Manifest> for NodeManifest {
    fn from(Manifest { metadata, spec, status }: Manifest) -> Self {
        let Spec { pod_cidr, pod_cidrs } = spec;
        let first = if pod_cidrs.is_empty() { pod_cidr } else { None };
        let pod_cidrs = first.into_iter().chain(pod_cidrs).map(|Prefix(net)| net).collect();
        let addresses = status.addresses.iter().filter_map(Address::ip).collect();
        Self { name: metadata.name, node: NodeObject { labels: metadata.labels, pod_cidrs, addresses } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(rest: &str) -> NodeObject {
        serde_saphyr::from_str::<NodeManifest>(&format!("metadata: {{name: node-a}}\n{rest}")).unwrap().node
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
        let NodeManifest { name, node } = serde_saphyr::from_str(text).unwrap();
        let nets: Vec<String> = node.pod_cidrs.iter().map(ToString::to_string).collect();
        let addresses: Vec<String> = node.addresses.iter().map(ToString::to_string).collect();
        assert_eq!((name.as_str(), node.labels["rack"].as_str()), ("node-a", "r1"));
        assert_eq!(nets, ["10.244.1.0/24", "fd00:1::/64"]);
        assert_eq!(addresses, ["192.0.2.1", "2001:db8::1"]);
    }

    #[test]
    fn what_is_not_said_is_empty() {
        assert_eq!(node(""), NodeObject::default());
        assert_eq!(node("spec: {}\nstatus: {}"), NodeObject::default());
        assert_eq!(node("spec: {podCIDR: 10.244.1.0/24}").pod_cidrs.len(), 1);
    }
}
