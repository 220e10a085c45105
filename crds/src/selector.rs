//! Label selectors, as Kubernetes writes them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::crd::{rules, text};

/// Kubernetes' label selector: what all of it says must hold. `{}` selects everything.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct LabelSelector {
    /// Labels that an object must have, with these values; none unless said.
    #[schemars(with = "BTreeMap<String, text::LabelValue>", extend("maxProperties" = 64, "x-kubernetes-validations" = rules::labels()))]
    #[serde(default)]
    pub match_labels: BTreeMap<String, String>,
    /// What else is asked of its labels; nothing unless said.
    #[schemars(length(max = 64))]
    #[serde(default)]
    pub match_expressions: Vec<LabelSelectorRequirement>,
}

/// Something that is asked of a label.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = rules::label_requirement()))]
pub struct LabelSelectorRequirement {
    /// The label's key.
    #[schemars(length(min = 1, max = 317))]
    pub key: String,
    /// What is asked of it.
    pub operator: LabelSelectorOperator,
    /// The values to compare with: for `In` and `NotIn` at least one, for the others none.
    #[schemars(with = "Vec<text::LabelValue>", length(max = 64))]
    #[serde(default)]
    pub values: Vec<String>,
}

/// `metav1.LabelSelectorOperator`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the names are the API's")]
pub enum LabelSelectorOperator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}
