//! NodeConfig: cluster-scoped, its name is the node's.

use std::collections::BTreeMap;
use std::str::FromStr;

use ipnet::{Ipv4Net, Ipv6Net};
use serde::de::{Error as _, IgnoredAny};
use serde::{Deserialize, Deserializer};

use crate::bgp::BgpSpec;
use crate::duration::Duration;

/// What a node gives its pods.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeConfig {
    /// [`crate::API_VERSION`].
    pub api_version: String,
    /// `NodeConfig`.
    pub kind: String,
    /// Name and annotations.
    pub metadata: Metadata,
    /// The configuration.
    pub spec: NodeConfigSpec,
    /// Written by the agent, never read by it.
    #[serde(default)]
    pub status: Option<Unserved>,
}

/// The part of Kubernetes' ObjectMeta that counts here; the rest is ignored.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub struct Metadata {
    /// The node's name.
    pub name: String,
    /// `flock.fritzlab.net/ip-algo` is the node's default.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
}

/// NodeConfig `spec`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeConfigSpec {
    /// IPv6 prefixes for pods, /48 to /120, in order of preference.
    #[serde(default)]
    pub cidr6: Vec<Prefix<Ipv6Net>>,
    /// IPv4 prefixes for pods, /8 to /30, in order of preference.
    #[serde(default)]
    pub cidr4: Vec<Prefix<Ipv4Net>>,
    /// Families of a pod that says nothing.
    #[serde(default)]
    pub defaults: Defaults,
    /// The family that a CNI result lists first; IPv6 unless said.
    pub primary_family: Option<IpFamily>,
    /// Interfaces towards the network; those of the default routes unless said.
    #[serde(default)]
    pub uplinks: Vec<String>,
    /// Pods' MTU in bytes; the uplinks' smallest unless said.
    pub mtu: Option<u32>,
    /// How long a released IPv4 address rests before it is used again; 30s unless said.
    pub cooldown: Option<Duration>,
    /// Not served yet.
    pub node_selector: Option<Unserved>,
    /// Which addresses pods may name themselves; `Pools` unless said.
    pub claims: Option<Claims>,
    /// What the node does when pods with anycast addresses come and go.
    #[serde(default)]
    pub anycast: AnycastSpec,
    /// Not served yet.
    pub masquerade: Option<Unserved>,
    /// Not served yet.
    pub policy: Option<Unserved>,
    /// Whom the node speaks BGP with; it speaks none unless said.
    pub bgp: Option<BgpSpec>,
}

impl NodeConfigSpec {
    /// The fields of the API that are set but that this release does not serve. They are accepted, so that one
    /// document serves two releases, and must be reported.
    pub fn unserved(&self) -> Vec<&'static str> {
        let fields = [
            ("nodeSelector", &self.node_selector),
            ("masquerade", &self.masquerade),
            ("policy", &self.policy),
        ];
        fields.into_iter().filter(|(_, value)| value.is_some()).map(|(name, _)| name).collect()
    }
}

/// NodeConfig `spec.defaults`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Defaults {
    /// Whether a pod that says nothing gets IPv6.
    pub ipv6: Option<bool>,
    /// Whether a pod that says nothing gets IPv4.
    pub ipv4: Option<bool>,
}

/// NodeConfig `spec.claims`: which addresses pods may name themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Claims {
    /// Those that an AddressPool has for the pod's namespace.
    Pools,
    /// Whatever is nobody else's.
    Any,
}

/// NodeConfig `spec.anycast`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AnycastSpec {
    /// What becomes of the connections of a pod that stops to take new ones; `Keep` unless said.
    pub established_connections: Option<EstablishedConnections>,
    /// How long an address that was withdrawn more than once within a minute stays withdrawn at least: 0s to 1h; 1s
    /// unless said.
    pub hold_down: Option<Duration>,
}

/// `establishedConnections` of `spec.anycast`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum EstablishedConnections {
    /// They stay with the pod as long as it is there.
    Keep,
    /// They go where new ones go, and are reset there.
    Move,
}

/// An address family, as Kubernetes' `ipFamilies` spell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
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
    use crate::bgp::Scalar;

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
        assert_eq!(config.spec.unserved(), ["masquerade"]);
        assert_eq!(config.spec.claims, Some(Claims::Any));
        let anycast = AnycastSpec {
            established_connections: Some(EstablishedConnections::Move),
            hold_down: Some("5s".parse().unwrap()),
        };
        assert_eq!(config.spec.anycast, anycast);
        assert_eq!(config.spec.bgp.unwrap().asn, Scalar(65001));
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
