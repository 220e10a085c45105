//! NodeState `status.anycast`: written by the agent, read by people and programs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One anycast address on the node.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AnycastStatus {
    /// The address.
    pub address: String,
    /// Whether BIRD has it among the routes that it announces.
    pub advertised: bool,
    /// Since when BIRD has it (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// The peers that it is told to: addresses as in `spec.bgp.peers`.
    #[serde(default)]
    pub peers: Vec<String>,
    /// Why it is not advertised although pods serve it, or why nobody can say whether it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The pods of this node that claim it.
    #[serde(default)]
    pub pods: Vec<AnycastPodStatus>,
}

/// A pod's part in an anycast address.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AnycastPodStatus {
    /// The pod, as NAMESPACE/NAME.
    pub pod: String,
    /// `Serving`, `NotReady`, `Terminating`, `Unknown`, `Refused` or `NoFamily`.
    pub state: String,
    /// Why it is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The pod's own address: the next hop, while it serves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub via: Option<String>,
    /// The host veth's name, while it serves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
}
