//! AddressPool: cluster-scoped; sets addresses aside that pods may name themselves.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::bgp::Scalar;
use crate::crd::{rules, text};
use crate::node_config::{Metadata, Unserved};
use crate::selector::LabelSelector;

/// Addresses that pods of some namespaces may claim by annotation.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AddressPool {
    /// [`crate::API_VERSION`].
    pub api_version: String,
    /// `AddressPool`.
    pub kind: String,
    /// Its name.
    pub metadata: Metadata,
    /// What it holds, and for whom.
    pub spec: AddressPoolSpec,
    /// Written by the agent, never read by it.
    #[serde(default)]
    pub status: Option<Unserved>,
}

/// The addresses, and who may have them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = rules::address_pool_spec()))]
pub struct AddressPoolSpec {
    /// Prefixes of either family, 1 to 256 of them, none of which may overlap another; host bits are cut off.
    #[schemars(with = "Vec<text::Cidr>", length(min = 1, max = 256), extend("x-kubernetes-validations" = rules::disjoint()))]
    pub cidrs: Vec<String>,
    /// What the addresses are for.
    #[serde(rename = "use")]
    pub usage: PoolUse,
    /// The namespaces whose pods may claim the addresses, by their labels; `{}` is all of them.
    // It must be there, but a YAML reader takes an empty field for `{}` where it is not optional.
    #[schemars(required)]
    pub namespace_selector: Option<LabelSelector>,
    /// How many nodes advertise an anycast address of the pool at most, the others stand by. For `use: Anycast` only; any
    /// number unless said.
    #[schemars(range(min = 1, max = u32::MAX))]
    pub max_advertisers: Option<Scalar<i64>>,
}

/// What a pool's addresses are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum PoolUse {
    /// For many pods at once, each of which has them on its loopback interface: annotation
    /// `flock.fritzlab.net/anycast`.
    Anycast,
    /// For one pod at a time, on its own interface: annotation `flock.fritzlab.net/addresses`.
    Static,
}
