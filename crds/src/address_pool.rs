//! AddressPool: cluster-scoped; sets addresses aside that pods may name themselves.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::bgp::Scalar;
use crate::node_config::{Metadata, Unserved};

/// Addresses that pods of some namespaces may claim by annotation.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
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

/// AddressPool `spec`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AddressPoolSpec {
    /// Prefixes of either family, 1 to 256 of them; host bits are cut off.
    pub cidrs: Vec<String>,
    /// What the addresses are for.
    #[serde(rename = "use")]
    pub usage: PoolUse,
    /// The namespaces whose pods may claim them; `{}` is all of them. It must be there, but a YAML reader takes an empty
    /// field for `{}` where it is not optional.
    pub namespace_selector: Option<LabelSelector>,
    /// How many nodes advertise an anycast address at most; any number unless said.
    pub max_advertisers: Option<Scalar<i64>>,
}

/// What a pool's addresses are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum PoolUse {
    /// Annotation `anycast`.
    Anycast,
    /// Annotation `addresses`.
    Static,
}

/// `metav1.LabelSelector`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LabelSelector {
    /// Labels that an object must have, with these values.
    #[serde(default)]
    pub match_labels: BTreeMap<String, String>,
    /// What else is asked of its labels.
    #[serde(default)]
    pub match_expressions: Vec<LabelSelectorRequirement>,
}

/// `metav1.LabelSelectorRequirement`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LabelSelectorRequirement {
    /// The label's key.
    pub key: String,
    /// What is asked of it.
    pub operator: LabelSelectorOperator,
    /// For `In` and `NotIn`, at least one; for the others none.
    #[serde(default)]
    pub values: Vec<String>,
}

/// `metav1.LabelSelectorOperator`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "the names are the API's")]
pub enum LabelSelectorOperator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}
