//! NodeConfig: cluster-scoped. One that is named like a node is that node's; one with a nodeSelector is a template.

use std::collections::BTreeMap;
use std::str::FromStr;

use ipnet::{Ipv4Net, Ipv6Net};
use schemars::JsonSchema;
use serde::de::{Error as _, IgnoredAny};
use serde::{Deserialize, Deserializer};

use crate::bgp::{BgpSpec, Scalar};
use crate::crd::{rules, text};
use crate::duration::Duration;
use crate::selector::LabelSelector;

/// What a node gives its pods: addresses, interfaces, anycast, BGP. A NodeConfig that is named like a node is that node's
/// own. One with a `nodeSelector` is a template for the nodes that it selects. A node's configuration is put together
/// field by field: what its own NodeConfig says goes before what templates say, and that before what is built in. Lists
/// are taken whole.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeConfig {
    /// [`crate::API_VERSION`].
    pub api_version: String,
    /// `NodeConfig`.
    pub kind: String,
    /// Name and annotations.
    pub metadata: Metadata,
    /// The configuration; a NodeConfig may say nothing.
    #[serde(default)]
    pub spec: NodeConfigSpec,
    /// Written by the agent, never read by it.
    #[serde(default)]
    pub status: Option<Unserved>,
}

/// The part of Kubernetes' ObjectMeta that counts here; the rest is ignored.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
pub struct Metadata {
    /// The node's name.
    pub name: String,
    /// `flock.fritzlab.net/ip-algo` is the node's default.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
}

/// What the node gives its pods.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = rules::node_config_spec()))]
pub struct NodeConfigSpec {
    /// IPv6 prefixes that pods get addresses of, /48 to /120, in order of preference, of which none may overlap another;
    /// none unless said. With no prefix of either family, those of the Node's `spec.podCIDRs` are taken.
    #[schemars(length(max = 64), extend("x-kubernetes-validations" = rules::disjoint()))]
    #[serde(default)]
    pub cidr6: Vec<Prefix<Ipv6Net>>,
    /// IPv4 prefixes that pods get addresses of, /8 to /30, in order of preference, of which none may overlap another;
    /// none unless said.
    #[schemars(length(max = 64), extend("x-kubernetes-validations" = rules::disjoint()))]
    #[serde(default)]
    pub cidr4: Vec<Prefix<Ipv4Net>>,
    /// The address families of a pod whose annotations `flock.fritzlab.net/ipv6` and `/ipv4` do not say; those that the
    /// node has prefixes for unless said.
    #[serde(default)]
    pub defaults: Defaults,
    /// The family that a CNI result lists first, and by that the family of the pod's primary address; `IPv6` unless said.
    pub primary_family: Option<IpFamily>,
    /// Interfaces towards the network, by name; those of the default routes unless said.
    #[schemars(with = "Vec<text::InterfaceName>", length(max = 64))]
    #[serde(default)]
    pub uplinks: Vec<String>,
    /// Pods' MTU in bytes; the uplinks' smallest unless said.
    #[schemars(range(min = 576, max = 65_535))]
    pub mtu: Option<u32>,
    /// How long a released IPv4 address rests before it is used again; 30s unless said.
    #[schemars(extend("x-kubernetes-validations" = rules::duration("0s", "24h")))]
    pub cooldown: Option<Duration>,
    /// Makes this a template for the nodes that it selects; `{}` selects all. What a node's own NodeConfig, the one that
    /// is named like it, says goes before.
    pub node_selector: Option<LabelSelector>,
    /// Of two templates that say different things the one with the higher priority counts, of two with the same the one
    /// whose name is first in the alphabet: -1000000 to 1000000; 0 unless said. Templates only.
    #[schemars(range(min = -1_000_000, max = 1_000_000))]
    pub priority: Option<Scalar<i64>>,
    /// Which addresses pods may name themselves, for anycast or as their own; `Pools` unless said.
    pub claims: Option<Claims>,
    /// What the node does when pods that serve anycast addresses come and go.
    #[serde(default)]
    pub anycast: AnycastSpec,
    /// Masquerading of pods' addresses. Not served yet: it is accepted and reported, and nothing happens.
    pub masquerade: Option<Unserved>,
    /// How NetworkPolicies are enforced. Not served yet: it is accepted and reported, and nothing happens.
    pub policy: Option<Unserved>,
    /// Whom the node speaks BGP with; nobody unless said.
    pub bgp: Option<BgpSpec>,
}

impl NodeConfigSpec {
    /// The fields of the API that are set but that this release does not serve. They are accepted, so that one
    /// document serves two releases, and must be reported.
    pub fn unsupported(&self) -> Vec<&'static str> {
        let fields = [("masquerade", &self.masquerade), ("policy", &self.policy)];
        fields.into_iter().filter(|(_, value)| value.is_some()).map(|(name, _)| name).collect()
    }
}

/// The address families of a pod whose annotations do not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Defaults {
    /// Whether such a pod gets IPv6; true where the node has IPv6 prefixes unless said.
    pub ipv6: Option<bool>,
    /// Whether such a pod gets IPv4; true where the node has IPv4 prefixes unless said.
    pub ipv4: Option<bool>,
}

/// NodeConfig `spec.claims`: which addresses pods may name themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum Claims {
    /// Those that an AddressPool has for the pod's namespace.
    Pools,
    /// Whatever is nobody else's.
    Any,
}

/// What the node does when pods that serve anycast addresses come and go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AnycastSpec {
    /// What becomes of the connections of a pod that stops to take new ones; `Keep` unless said.
    pub established_connections: Option<EstablishedConnections>,
    /// How long an address that was withdrawn more than once within a minute stays withdrawn at least: 0s to 1h; 1s
    /// unless said.
    #[schemars(extend("x-kubernetes-validations" = rules::duration("0s", "1h")))]
    pub hold_down: Option<Duration>,
}

/// `establishedConnections` of `spec.anycast`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum EstablishedConnections {
    /// They stay with the pod as long as it is there.
    Keep,
    /// They go where new ones go, and are reset there.
    Move,
}

/// An address family, spelt as in Kubernetes' `ipFamilies`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub enum IpFamily {
    IPv6,
    IPv4,
}

/// A prefix in text, as `2001:db8::/64`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefix<T>(pub T);

/// A family's prefix, with what to call it.
trait PrefixKind: FromStr {
    const EXAMPLE: &str;
}

impl PrefixKind for Ipv6Net {
    const EXAMPLE: &str = "an IPv6 prefix as 2001:db8:a:1::/64";
}

impl PrefixKind for Ipv4Net {
    const EXAMPLE: &str = "an IPv4 prefix as 203.0.113.0/26";
}

impl<'de, T: PrefixKind> Deserialize<'de> for Prefix<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong = |_| D::Error::custom(format!("{text:?} is not {}", T::EXAMPLE));
        text.trim().parse().map(Self).map_err(wrong)
    }
}

/// A value that is there, whatever it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unserved;

impl<'de> Deserialize<'de> for Unserved {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: &str = r#"
apiVersion: flock.fritzlab.net/v1alpha1
kind: NodeConfig
metadata:
  name: node-a
  annotations: {flock.fritzlab.net/ip-algo: "app,pod"}
  labels: {rack: r1}
spec:
  cidr6: ["2001:db8:a:1::/64"]
  cidr4: ["203.0.113.0/26"]
  defaults: {ipv6: true, ipv4: false}
  primaryFamily: IPv4
  uplinks: ["eth0"]
  mtu: 1500
  cooldown: 1m
  claims: Any
  anycast: {establishedConnections: Move, holdDown: 5s}
  masquerade: {ipv4: {enabled: false}}
  bgp: {asn: 65001, peers: []}
"#;

    fn error(yaml: &str) -> String {
        serde_saphyr::from_str::<NodeConfig>(yaml).unwrap_err().to_string()
    }

    #[test]
    fn reads_a_full_document_and_reports_what_is_not_served() {
        let config: NodeConfig = serde_saphyr::from_str(FULL).unwrap();
        assert_eq!(config.metadata.name, "node-a");
        assert_eq!(config.spec.cidr6, [Prefix("2001:db8:a:1::/64".parse().unwrap())]);
        assert_eq!(config.spec.defaults, Defaults { ipv6: Some(true), ipv4: Some(false) });
        assert_eq!(config.spec.cooldown, Some("60s".parse().unwrap()));
        assert_eq!(config.spec.unsupported(), ["masquerade"]);
        assert_eq!(config.spec.claims, Some(Claims::Any));
        let anycast = AnycastSpec {
            established_connections: Some(EstablishedConnections::Move),
            hold_down: Some("5s".parse().unwrap()),
        };
        assert_eq!(config.spec.anycast, anycast);
        assert_eq!(config.spec.bgp.unwrap().asn, Some(Scalar(65001)));
    }

    #[test]
    fn what_is_not_said_is_left_open() {
        let spec: NodeConfigSpec = serde_saphyr::from_str("{anycast: {}}").unwrap();
        assert_eq!(spec, NodeConfigSpec::default());
        assert_eq!((spec.claims, spec.anycast), (None, AnycastSpec::default()));
    }

    #[test]
    fn a_name_that_is_none_of_the_apis_is_refused_with_those_that_are() {
        let cases = [
            ("claims: Any", "claims: All", "expected one of Pools, Any"),
            ("Connections: Move", "Connections: Drop", "expected one of Keep, Move"),
            ("holdDown: 5s", "holdDown: 5", "write numbers with units"),
            ("holdDown: 5s", "holddown: 5s", "unknown field `holddown`"),
        ];
        for (good, bad, words) in cases {
            let message = error(&FULL.replace(good, bad));
            assert!(message.contains(words), "{bad}: {message}");
        }
    }

    #[test]
    fn an_unknown_field_is_named() {
        assert!(
            error(&FULL.replace("mtu:", "mut:")).contains("mut"),
            "{}",
            error(&FULL.replace("mtu:", "mut:"))
        );
    }

    #[test]
    fn a_prefix_of_the_other_family_is_refused_with_an_example() {
        let message = error(&FULL.replace("203.0.113.0/26", "2001:db8::/64"));
        assert!(message.contains("is not an IPv4 prefix as 203.0.113.0/26"), "{message}");
    }
}
