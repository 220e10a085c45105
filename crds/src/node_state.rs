//! NodeState: cluster-scoped, named like the node. What its agent reports; people and programs read it, agents never do.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::anycast::AnycastStatus;
use crate::status::{BgpStatus, Condition, PoolStatus};

/// How a node is, as its agent reports. It is named like the node and goes with it. Nobody but that agent writes it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct NodeState {
    /// The report.
    #[serde(default)]
    pub status: NodeStateStatus,
}

/// How the node is. Lists are bounded, so that the object can always be stored: 64 entries, and 100 anycast addresses
/// with 16 pods each. `flockctl` on the node shows all.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeStateStatus {
    /// When the agent has reported last (RFC 3339). It does so at least every 60 s: one that is older has an agent that
    /// does not run, or that cannot reach the API server.
    #[schemars(extend("format" = "date-time"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<String>,
    /// What becomes of the configuration that is written for the node: `Applied`, `OnTrial`, `Pending`, `RolledBack`,
    /// `Refused`, `RefusedByBird`, `TemplateConflict` or `NotObeyed`. The conditions `ConfigValid` and
    /// `ConfigRolledBack` say why.
    #[serde(default)]
    pub config: String,
    /// The `metadata.generation` of the node's NodeConfig that this is about, in the conditions too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_generation: Option<i64>,
    /// Conditions of type `Ready`, `ConfigValid`, `BirdRunning`, `SessionsEstablished`, `ConfigRolledBack` and `PoolLow`.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    #[serde(default)]
    pub conditions: Vec<Condition>,
    /// What runs on the node.
    #[serde(default)]
    pub versions: Versions,
    /// The prefixes that pods get addresses of, with their usage.
    #[serde(default)]
    pub pools: Vec<PoolStatus>,
    /// BGP on the node; not there where it speaks none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bgp: Option<BgpStatus>,
    /// The anycast addresses that pods of the node claim.
    #[serde(default)]
    pub anycast: Vec<AnycastStatus>,
}

/// What runs on the node.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Versions {
    /// The agent's version.
    #[serde(default)]
    pub agent: String,
    /// BIRD's version, while it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bird: Option<String>,
}
