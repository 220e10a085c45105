//! NodeConfig `spec.bgp`: whom the node speaks BGP with, what it says and what it believes.
//!
//! Text, numbers and lists are kept as written. Ranges, and what fields mean together, are checked where they become
//! core's types: a refusal names the field's path there.

use std::fmt;
use std::str::FromStr;

use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer};

use crate::duration::Duration;
use crate::node_config::IpFamily;

/// NodeConfig `spec.bgp`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BgpSpec {
    /// The node's autonomous system, 1 to 4294967295 (RFC 6793).
    pub asn: Scalar<i64>,
    /// The BGP identifier, written as an IPv4 address, not 0.0.0.0 (RFC 6286); the node's IPv4 address unless said, and
    /// for a node without one a hash of its name.
    #[serde(rename = "routerID")]
    pub router_id: Option<String>,
    /// The TCP port that the node listens on, 1 to 65535; 179 unless said.
    pub listen_port: Option<Scalar<i64>>,
    /// The routers, at most 64; no two with the same address and port.
    #[serde(default)]
    pub peers: Vec<PeerSpec>,
    /// What is learned beside the other nodes' prefixes; nothing unless said.
    #[serde(default)]
    pub import: ImportSpec,
    /// What is advertised for the node's pods; `NodePrefix` unless said.
    pub aggregation: Option<Aggregation>,
    /// How routers are told how many pods serve an anycast address here; `None` unless said.
    pub anycast_weight: Option<AnycastWeight>,
}

/// One of `spec.bgp.peers`: a router that the node speaks BGP with.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PeerSpec {
    /// IPv4, IPv6, or IPv6 link-local with its interface: `fe80::1%eth0`.
    pub address: String,
    /// The router's autonomous system, 1 to 4294967295; the node's own makes the session iBGP.
    pub asn: Scalar<i64>,
    /// The router's TCP port, 1 to 65535; 179 unless said.
    pub port: Option<Scalar<i64>>,
    /// The node's end of the session, of the same family as `address`; the node's address on the router's subnet
    /// unless said. Not for a link-local `address`.
    pub source_address: Option<String>,
    /// Absolute path, up to 4096 bytes, of the file that holds the TCP MD5 password (RFC 2385).
    pub password_file: Option<String>,
    /// Without a message for so long the session is given up: 3s to 65535s, whole seconds (RFC 4271, section 4.2); 30s
    /// unless said.
    pub hold_time: Option<Duration>,
    /// Time between two keepalive messages: 1s to 21845s, whole seconds, not beyond `holdTime`; a third of it unless
    /// said (RFC 4271, section 4.4).
    pub keepalive_time: Option<Duration>,
    /// Time between two attempts to connect: 1s to 3600s, whole seconds; 5s unless said.
    pub connect_retry_time: Option<Duration>,
    /// How many hops away the router may be, 2 to 255; on a subnet of the node unless said.
    pub multihop: Option<Scalar<i64>>,
    /// Generalized TTL security (RFC 5082): nothing is taken that came further than it should. Both ends must have it.
    /// Off unless said.
    pub ttl_security: Option<Scalar<bool>>,
    /// Bidirectional forwarding detection (RFC 5880); off unless there, `{}` switches it on.
    pub bfd: Option<BfdSpec>,
    /// Graceful restart (RFC 4724); on unless said.
    #[serde(default)]
    pub graceful_restart: GracefulRestartSpec,
    /// The address families whose routes are exchanged, at least one; that of `address` unless said. IPv4 over an
    /// IPv6 session without an IPv4 next hop takes RFC 8950.
    pub families: Option<Vec<IpFamily>>,
    /// Communities that routes are advertised with; none unless said.
    #[serde(default)]
    pub communities: CommunitiesSpec,
    /// Multi-exit discriminator (RFC 4271, section 5.1.4), 0 to 4294967295; none unless said.
    pub med: Option<Scalar<i64>>,
    /// LOCAL_PREF (RFC 4271, section 5.1.5), 0 to 4294967295; iBGP only.
    pub local_pref: Option<Scalar<i64>>,
    /// How many times more the node's autonomous system stands in the path, 0 to 16; eBGP only. 0 unless said.
    pub prepend: Option<Scalar<i64>>,
    /// At most so many routes of a family are taken, from 1; any number unless said.
    pub import_limit: Option<Scalar<i64>>,
    /// At most so many routes of a family are advertised, from 1; any number unless said.
    pub export_limit: Option<Scalar<i64>>,
    /// The node waits for the router to connect; it opens the connection itself unless said.
    pub passive: Option<Scalar<bool>>,
}

/// `bfd` of a peer (RFC 5880).
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BfdSpec {
    /// Required minimum RX interval, 10ms to 60s; 300ms unless said.
    pub min_rx: Option<Duration>,
    /// Desired minimum TX interval, 10ms to 60s; 300ms unless said.
    pub min_tx: Option<Duration>,
    /// So many packets missing in a row are a failure, 2 to 255; 3 unless said.
    pub multiplier: Option<Scalar<i64>>,
}

/// `gracefulRestart` of a peer (RFC 4724).
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GracefulRestartSpec {
    /// Whether the router is asked to keep the node's routes while BIRD restarts; true unless said.
    pub enabled: Option<Scalar<bool>>,
    /// For how long, 1s to 4095s, whole seconds; 120s unless said.
    pub time: Option<Duration>,
}

/// `communities` of a peer; at most 32 of each kind, none twice.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CommunitiesSpec {
    /// RFC 1997: `65001:100`, or a well-known name as `no-export`.
    #[serde(default)]
    pub standard: Vec<String>,
    /// RFC 8092: `65001:1:2`.
    #[serde(default)]
    pub large: Vec<String>,
    /// RFC 4360: `rt:65001:100`, `soo:65001:100` or `generic:0x43000000:0x1`.
    #[serde(default)]
    pub extended: Vec<String>,
}

/// `spec.bgp.import`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ImportSpec {
    /// Prefixes that are learned beside the other nodes', at most 1000, none twice.
    #[serde(default)]
    pub prefixes: Vec<ImportPrefix>,
}

/// One of `spec.bgp.import.prefixes`. With neither `ge` nor `le` it is exactly the prefix; `ge` alone goes up to full
/// length; `le` alone begins at the prefix's own length.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ImportPrefix {
    /// The prefix that the learned ones are in.
    pub cidr: String,
    /// The shortest prefix length that is learned.
    pub ge: Option<Scalar<i64>>,
    /// The longest prefix length that is learned.
    pub le: Option<Scalar<i64>>,
}

/// `spec.bgp.aggregation`: what is advertised for the node's pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Aggregation {
    /// The node's prefixes.
    NodePrefix,
    /// Each pod's /128 and /32.
    Pods,
    /// Both.
    Both,
}

/// `spec.bgp.anycastWeight`: how routers are told how many pods serve an anycast address on the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum AnycastWeight {
    /// By the link bandwidth extended community (draft-ietf-idr-link-bandwidth).
    LinkBandwidth,
    /// By the multi-exit discriminator (RFC 4271, section 5.1.4).
    #[serde(rename = "MED")]
    Med,
    /// Not at all.
    None,
}

/// A number or a switch. Its refusal says what was written and what is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scalar<T>(pub T);

/// What can be written as a scalar.
trait ScalarKind: FromStr {
    const ACCEPTED: &str;
}

impl ScalarKind for i64 {
    const ACCEPTED: &str = "a whole number";
}

impl ScalarKind for bool {
    const ACCEPTED: &str = "true or false";
}

impl<'de, T: ScalarKind> Deserialize<'de> for Scalar<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Written(text) = deserializer.deserialize_any(ScalarVisitor { accepted: T::ACCEPTED })?;
        text.parse().map(Self).map_err(|_| {
            let start: String = text.chars().take(60).collect();
            D::Error::custom(format!("{start:?} is not {}", T::ACCEPTED))
        })
    }
}

/// A scalar as text.
struct Written(String);

struct ScalarVisitor {
    accepted: &'static str,
}

impl Visitor<'_> for ScalarVisitor {
    type Value = Written;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.accepted)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Written, E> {
        Ok(Written(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Written, E> {
        Ok(Written(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Written, E> {
        Ok(Written(value.to_string()))
    }

    // Numbers beyond 64 bits come this way too; `{:?}` keeps 5.0 from passing as 5.
    fn visit_f64<E>(self, value: f64) -> Result<Written, E> {
        Ok(Written(format!("{value:?}")))
    }

    fn visit_str<E>(self, value: &str) -> Result<Written, E> {
        Ok(Written(value.to_owned()))
    }
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
        assert_eq!((bgp.asn, bgp.listen_port), (Scalar(65001), None));
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
