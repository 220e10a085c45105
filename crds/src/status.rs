//! NodeConfig `status`, and the parts that NodeState has as well: written by agents, read by people and programs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

/// What all nodes need to know of the node that is named like this object, and whether its configuration is obeyed. Its
/// agent writes it, and only when that changes: every change is delivered to every node. How the node is stands in its
/// NodeState. Lists have 64 entries at most.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeConfigStatus {
    /// The `metadata.generation` that this is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Conditions of type `ConfigValid` and `ConfigRolledBack`. That BIRD tries a configuration is said of a new
    /// generation only.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    #[serde(default)]
    pub conditions: Vec<Condition>,
    /// The templates that the node's configuration is made of beside this object, in the order of their precedence.
    #[serde(default)]
    pub templates: Vec<String>,
    /// Fields of which templates of the same priority say different things.
    #[serde(default)]
    pub conflicts: Vec<TemplateConflict>,
    /// The node's own addresses.
    #[serde(default)]
    pub addresses: Vec<String>,
    /// The prefixes that pods get addresses of.
    #[serde(default)]
    pub pools: Vec<PoolPrefix>,
}

/// A condition, as Kubernetes has them (`metav1.Condition`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What it is about: the name of the condition.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    #[schemars(extend("enum" = ["True", "False", "Unknown"]))]
    pub status: String,
    /// The `metadata.generation` that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// When `status` changed last (RFC 3339).
    #[schemars(extend("format" = "date-time"))]
    pub last_transition_time: String,
    /// Why, for programs.
    pub reason: String,
    /// Why, for people.
    pub message: String,
}

/// A field of which templates of the same priority say different things.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TemplateConflict {
    /// The field's path, as `spec.mtu`.
    pub field: String,
    /// The template whose value counts.
    pub used: String,
    /// The template whose value does not.
    pub ignored: String,
}

/// One prefix that pods get addresses of.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PoolPrefix {
    /// The prefix.
    pub cidr: String,
}

/// One prefix that pods get addresses of, with its usage.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PoolStatus {
    /// The prefix.
    pub cidr: String,
    /// How many addresses pods can have of it; 9223372036854775807 for all that are more.
    #[serde(serialize_with = "as_int64")]
    pub size: u64,
    /// How many they have.
    pub used: u64,
    /// How many rest before they are used again.
    pub resting: u64,
}

/// The largest number that Kubernetes takes as whole.
fn as_int64<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_i64(i64::try_from(*number).unwrap_or(i64::MAX))
}

/// BGP on the node.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BgpStatus {
    /// BIRD, the program that speaks BGP.
    pub bird: BirdStatus,
    /// What became of `spec.bgp`: whether BIRD runs with it.
    pub config: BgpConfigStatus,
    /// How many of the peers have a session, as `2/3`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub established: String,
    /// The peers, in the order of `spec.bgp.peers`.
    #[serde(default)]
    pub peers: Vec<BgpPeerStatus>,
}

/// BIRD, the program that speaks BGP.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BirdStatus {
    /// `Running`, `Away` or `Unknown`.
    pub state: String,
    /// Its version, while it is running.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Why it is away, and what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What became of `spec.bgp`: whether BIRD runs with it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BgpConfigStatus {
    /// `None` (there is no `spec.bgp`), `Pending`, `OnTrial`, `Applied`, `Refused` or `RolledBack`.
    pub state: String,
    /// The configuration that this is about, as `birdc eval flock_revision` says it when BIRD runs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Why it was refused or taken back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it was taken back (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
}

/// A router, and the session with it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BgpPeerStatus {
    /// Its address, as in `spec`.
    pub address: String,
    /// Its autonomous system.
    pub asn: u32,
    /// `eBGP` or `iBGP`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The session's state (RFC 4271, section 8.2.2), `Down` for one that BIRD has not started, or `Unknown`.
    pub state: String,
    /// Since when (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// The last error, in BIRD's words. It stays after the session is up again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// Why the session is not up, or what is wrong with one that is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The families of the session.
    pub families: Vec<BgpFamilyStatus>,
    /// The BFD session (RFC 5880); not there where none is configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bfd: Option<BfdStatus>,
}

/// One address family of a session.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BgpFamilyStatus {
    /// `IPv6` or `IPv4`.
    pub family: String,
    /// Whether its routes are exchanged.
    pub up: bool,
    /// Prefixes taken from the peer.
    pub imported: u64,
    /// Prefixes of the peer that the import filter has refused.
    pub filtered: u64,
    /// Prefixes advertised to the peer.
    pub exported: u64,
}

/// A BFD session (RFC 5880).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BfdStatus {
    /// `Up`, `Down`, `Init` or `AdminDown` (RFC 5880, section 4.1).
    pub state: String,
    /// Since when (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The API server refuses a status as a whole for one number beyond 63 bits.
    #[test]
    fn a_pool_of_more_addresses_than_fit_is_written_with_the_largest_number_that_does() {
        let size = |size| {
            serde_json::to_value(PoolStatus { size, ..PoolStatus::default() }).unwrap()["size"].clone()
        };
        assert_eq!((size(61), size(u64::MAX)), (61.into(), i64::MAX.into()));
    }
}
