//! NodeConfig `spec.bgp`: whom the node speaks BGP with, what it says and what it believes.
//!
//! Text, numbers and lists are kept as written. Ranges, and what fields mean together, are checked where they become
//! core's types: a refusal names the field's path there.

mod scalar;

pub use scalar::Scalar;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::crd::{rules, text};
use crate::duration::Duration;
use crate::node_config::IpFamily;

/// Whom the node speaks BGP with, what it says and what it believes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = rules::bgp_spec()))]
pub struct BgpSpec {
    /// The node's autonomous system, 1 to 4294967295 (RFC 6793). It must be said, here or in a template.
    #[schemars(range(min = 1, max = u32::MAX))]
    pub asn: Option<Scalar<i64>>,
    /// The BGP identifier, written as an IPv4 address, not 0.0.0.0 (RFC 6286); the node's IPv4 address, else
    /// a hash of its name, unless said.
    #[schemars(with = "Option<text::RouterId>")]
    #[serde(rename = "routerID")]
    pub router_id: Option<String>,
    /// The TCP port that the node listens on for BGP, 1 to 65535; 179 unless said.
    #[schemars(range(min = 1, max = 65_535))]
    pub listen_port: Option<Scalar<i64>>,
    /// The routers that the node speaks BGP with, at most 64, no two with the same address and port; none unless said.
    #[schemars(length(max = 64), extend("x-kubernetes-validations" = rules::peers()))]
    #[serde(default)]
    pub peers: Vec<PeerSpec>,
    /// What is learned beside the other nodes' prefixes; nothing unless said.
    #[serde(default)]
    pub import: ImportSpec,
    /// What is advertised for the node's pods; `NodePrefix` unless said.
    pub aggregation: Option<Aggregation>,
    /// How routers are told how many pods serve an anycast address here; `None` unless said.
    pub anycast_weight: Option<AnycastWeight>,
    /// How many sessions must be up before Kubernetes may schedule pods to a node that has just started. `{}` is all of
    /// them, or two minutes; none unless there.
    pub require_established: Option<RequireEstablishedSpec>,
}

/// What a node that starts waits for: the Node's condition `NetworkUnavailable` waits for BGP when the agent starts. Once it
/// is `False`, sessions that go down do not bring it back: pods that run could not be helped by that.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequireEstablishedSpec {
    /// How many of the peers, in per cent, rounded up: 1 to 100; 100 unless said.
    #[schemars(range(min = 1, max = 100))]
    pub percent: Option<Scalar<i64>>,
    /// After so long the node is taken as it is, so that one dead router does not keep it out for ever: 0s to 1h; 2m
    /// unless said.
    #[schemars(extend("x-kubernetes-validations" = rules::duration("0s", "1h")))]
    pub timeout: Option<Duration>,
}

/// A router that the node speaks BGP with.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = rules::peer()))]
pub struct PeerSpec {
    /// The router's address: IPv4, IPv6, or IPv6 link-local with the node's interface, `fe80::1%eth0`.
    #[schemars(with = "text::PeerAddress")]
    pub address: String,
    /// The router's autonomous system, 1 to 4294967295; the node's own makes the session iBGP.
    #[schemars(range(min = 1, max = u32::MAX))]
    pub asn: Scalar<i64>,
    /// The router's TCP port, 1 to 65535; 179 unless said.
    #[schemars(range(min = 1, max = 65_535), extend("default" = 179))]
    pub port: Option<Scalar<i64>>,
    /// The node's end of the session, of the same family as `address`; the node's address on the router's subnet
    /// unless said. Not for a link-local `address`.
    #[schemars(with = "Option<text::SourceAddress>")]
    pub source_address: Option<String>,
    /// Absolute path, up to 4096 bytes, of the file on the node that holds the TCP MD5 password (RFC 2385). Without the file
    /// the session is not started; no password unless said.
    #[schemars(length(min = 1, max = 4096), extend("x-kubernetes-validations" = rules::password_path()))]
    pub password_file: Option<String>,
    /// The Secret that holds the TCP MD5 password (RFC 2385), in the namespace that the agent runs in. Not beside
    /// `passwordFile`; no password unless said.
    pub password_secret: Option<SecretKeyRef>,
    /// Without a message for so long the session is given up: 3s to 65535s, whole seconds (RFC 4271, section 4.2); 30s
    /// unless said.
    #[schemars(extend("default" = "30s", "x-kubernetes-validations" = rules::whole_seconds("3s", "65535s")))]
    pub hold_time: Option<Duration>,
    /// Time between two keepalive messages (RFC 4271, section 4.4): 1s to 21845s, whole seconds, not longer than
    /// the hold time; a third of `holdTime` unless said.
    #[schemars(extend("x-kubernetes-validations" = rules::whole_seconds("1s", "21845s")))]
    pub keepalive_time: Option<Duration>,
    /// Time between two attempts to connect: 1s to 3600s, whole seconds; 5s unless said.
    #[schemars(extend("default" = "5s", "x-kubernetes-validations" = rules::whole_seconds("1s", "3600s")))]
    pub connect_retry_time: Option<Duration>,
    /// How many hops away the router may be, 2 to 255; on a subnet of the node unless said.
    #[schemars(range(min = 2, max = 255))]
    pub multihop: Option<Scalar<i64>>,
    /// Generalized TTL security (RFC 5082): nothing is taken that came further than it should. Both ends must have it;
    /// off unless said.
    #[schemars(extend("default" = false))]
    pub ttl_security: Option<Scalar<bool>>,
    /// Bidirectional forwarding detection (RFC 5880): a link that is dead is noticed within a second. `{}` switches it on;
    /// off unless there.
    pub bfd: Option<BfdSpec>,
    /// Graceful restart (RFC 4724); on unless said.
    #[schemars(extend("default" = json!({"enabled": true, "time": "120s"})))]
    #[serde(default)]
    pub graceful_restart: GracefulRestartSpec,
    /// The address families whose routes are exchanged, at least one; that of `address` unless said. IPv4 over an
    /// IPv6 session without an IPv4 next hop takes RFC 8950.
    #[schemars(length(min = 1, max = 2), extend("x-kubernetes-list-type" = "set"))]
    pub families: Option<Vec<IpFamily>>,
    /// Communities that routes are advertised with; none unless said.
    #[serde(default)]
    pub communities: CommunitiesSpec,
    /// Multi-exit discriminator (RFC 4271, section 5.1.4), 0 to 4294967295; none unless said.
    #[schemars(range(min = 0, max = u32::MAX))]
    pub med: Option<Scalar<i64>>,
    /// LOCAL_PREF (RFC 4271, section 5.1.5), 0 to 4294967295. For routers of the node's own autonomous system only; none
    /// unless said.
    #[schemars(range(min = 0, max = u32::MAX))]
    pub local_pref: Option<Scalar<i64>>,
    /// How many times more the node's autonomous system stands in the path, 0 to 16. For routers of other autonomous
    /// systems only; 0 unless said.
    #[schemars(range(min = 0, max = 16), extend("default" = 0))]
    pub prepend: Option<Scalar<i64>>,
    /// At most so many routes of a family are taken, from 1; any number unless said.
    #[schemars(range(min = 1, max = u32::MAX))]
    pub import_limit: Option<Scalar<i64>>,
    /// At most so many routes of a family are advertised, from 1; any number unless said.
    #[schemars(range(min = 1, max = u32::MAX))]
    pub export_limit: Option<Scalar<i64>>,
    /// The node waits for the router to connect; it opens the connection itself unless said.
    #[schemars(extend("default" = false))]
    pub passive: Option<Scalar<bool>>,
}

/// One value of a Secret.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretKeyRef {
    /// The Secret's name.
    #[schemars(length(min = 1, max = 253), extend("x-kubernetes-validations" = rules::secret_name()))]
    pub name: String,
    /// The key in its `data`; `password` unless said.
    #[schemars(length(min = 1, max = 253), extend("default" = "password", "x-kubernetes-validations" = rules::secret_key()))]
    pub key: Option<String>,
}

/// Bidirectional forwarding detection (RFC 5880).
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BfdSpec {
    /// Required minimum RX interval, 10ms to 60s; 300ms unless said.
    #[schemars(extend("default" = "300ms", "x-kubernetes-validations" = rules::duration("10ms", "60s")))]
    pub min_rx: Option<Duration>,
    /// Desired minimum TX interval, 10ms to 60s; 300ms unless said.
    #[schemars(extend("default" = "300ms", "x-kubernetes-validations" = rules::duration("10ms", "60s")))]
    pub min_tx: Option<Duration>,
    /// So many packets missing in a row are a failure, 2 to 255; 3 unless said.
    #[schemars(range(min = 2, max = 255), extend("default" = 3))]
    pub multiplier: Option<Scalar<i64>>,
}

/// Graceful restart (RFC 4724).
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GracefulRestartSpec {
    /// Whether the router is asked to keep the node's routes while BIRD restarts; true unless said.
    #[schemars(extend("default" = true))]
    pub enabled: Option<Scalar<bool>>,
    /// For how long, 1s to 4095s, whole seconds; 120s unless said.
    #[schemars(extend("default" = "120s", "x-kubernetes-validations" = rules::whole_seconds("1s", "4095s")))]
    pub time: Option<Duration>,
}

/// Communities that routes are advertised with; at most 32 of each kind, none twice.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CommunitiesSpec {
    /// Standard communities (RFC 1997): `65001:100`, or a well-known name as `no-export`; none unless said.
    #[schemars(with = "Vec<text::StandardCommunity>", length(max = 32), extend("x-kubernetes-list-type" = "set"))]
    #[serde(default)]
    pub standard: Vec<String>,
    /// Large communities (RFC 8092): `65001:1:2`; none unless said.
    #[schemars(with = "Vec<text::LargeCommunity>", length(max = 32), extend("x-kubernetes-list-type" = "set"))]
    #[serde(default)]
    pub large: Vec<String>,
    /// Extended communities (RFC 4360): `rt:65001:100`, `soo:65001:100` or `generic:0x43000000:0x1`; none unless said.
    #[schemars(with = "Vec<text::ExtendedCommunity>", length(max = 32), extend("x-kubernetes-list-type" = "set"))]
    #[serde(default)]
    pub extended: Vec<String>,
}

/// What is learned beside the other nodes' prefixes, which always are.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ImportSpec {
    /// Prefixes that are learned beside the other nodes', at most 1000, none twice; none unless said. A default route is
    /// learned only if it is there: `{cidr: "::/0", le: 0}`.
    #[schemars(length(max = 1000))]
    #[serde(default)]
    pub prefixes: Vec<ImportPrefix>,
}

/// Prefixes that are learned. With neither `ge` nor `le` it is exactly the prefix; `ge` alone goes up to full
/// length; `le` alone begins at the prefix's own length.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = rules::import_prefix()))]
pub struct ImportPrefix {
    /// The prefix that the learned ones are in.
    #[schemars(with = "text::Cidr")]
    pub cidr: String,
    /// The shortest prefix length that is learned; the prefix's own unless said.
    #[schemars(range(min = 0, max = 128))]
    pub ge: Option<Scalar<i64>>,
    /// The longest prefix length that is learned; full length beside `ge`, else the prefix's own, unless said.
    #[schemars(range(min = 0, max = 128))]
    pub le: Option<Scalar<i64>>,
}

/// `spec.bgp.aggregation`: what is advertised for the node's pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum Aggregation {
    /// The node's prefixes.
    NodePrefix,
    /// Each pod's /128 and /32.
    Pods,
    /// Both.
    Both,
}

/// `spec.bgp.anycastWeight`: how routers are told how many pods serve an anycast address on the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum AnycastWeight {
    /// By the link bandwidth extended community (draft-ietf-idr-link-bandwidth).
    LinkBandwidth,
    /// By the multi-exit discriminator (RFC 4271, section 5.1.4).
    #[serde(rename = "MED")]
    Med,
    /// Not at all.
    None,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(yaml: &str) -> BgpSpec {
        serde_saphyr::from_str(yaml).unwrap()
    }

    fn error(yaml: &str) -> String {
        serde_saphyr::from_str::<BgpSpec>(yaml).unwrap_err().without_snippet().to_string()
    }

    #[test]
    fn what_is_not_said_is_left_open() {
        let bgp = spec("{asn: 65001, peers: [{address: 192.0.2.1, asn: 65000, bfd: {}}]}");
        assert_eq!((bgp.asn, bgp.listen_port), (Some(Scalar(65001)), None));
        assert_eq!((bgp.aggregation, bgp.anycast_weight), (None, None));
        assert_eq!(bgp.import, ImportSpec::default());
        assert_eq!(bgp.peers[0].bfd, Some(BfdSpec::default()));
        assert_eq!(bgp.peers[0].graceful_restart, GracefulRestartSpec::default());
        assert_eq!(bgp.peers[0].families, None);
    }

    #[test]
    fn names_are_those_of_the_api() {
        let bgp =
            spec("{asn: 1, routerID: 192.0.2.1, listenPort: 1179, aggregation: Both, anycastWeight: MED}");
        assert_eq!(bgp.router_id.as_deref(), Some("192.0.2.1"));
        assert_eq!(bgp.listen_port, Some(Scalar(1179)));
        assert_eq!(bgp.aggregation, Some(Aggregation::Both));
        assert_eq!(bgp.anycast_weight, Some(AnycastWeight::Med));
        let bgp = spec("{asn: 1, anycastWeight: None}");
        assert_eq!(bgp.anycast_weight, Some(AnycastWeight::None));
    }

    #[test]
    fn what_is_no_number_or_switch_is_repeated_in_short_with_what_is_accepted() {
        let cases = [
            ("{asn: router}", "\"router\" is not a whole number"),
            ("{asn: 65001.5}", "\"65001.5\" is not a whole number"),
            ("{asn: 5.0}", "\"5.0\" is not a whole number"),
            ("{asn: true}", "\"true\" is not a whole number"),
            ("{asn: \"a\\nb\"}", "\"a\\nb\" is not a whole number"),
            ("{asn: 99999999999999999999}", "is not a whole number"),
            ("{asn: [1]}", "a whole number"),
            ("{asn: 1, peers: [{address: a, asn: 1, passive: maybe}]}", "\"maybe\" is not true or false"),
            ("{asn: 1, peers: [{address: a, asn: 1, passive: 1}]}", "\"1\" is not true or false"),
            ("{asn: 1, aggregation: All}", "expected one of NodePrefix, Pods, Both"),
            ("{asn: 1, anycastWeight: Med}", "expected one of LinkBandwidth, MED, None"),
            ("{asn: 1, peer: []}", "unknown field `peer`"),
        ];
        for (yaml, expected) in cases {
            assert!(error(yaml).contains(expected), "{yaml}: {}", error(yaml));
        }
        assert!(error(&format!("{{asn: {}}}", "x".repeat(1 << 20))).len() < 200);
    }
}
