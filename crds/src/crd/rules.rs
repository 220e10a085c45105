//! What fields say together, in CEL (`x-kubernetes-validations`).
//!
//! Only what Kubernetes 1.31 has. A rule that other rules must hold for (`cidr(x)` of what is no prefix is an error, not
//! false) lets such values through: the API server shows all refusals at once, and one of them is enough.

mod durations;
mod node_config;
mod peer;
mod pool;

pub(crate) use durations::{DURATION_PATTERN, duration, whole_seconds};
pub(crate) use node_config::{import_prefix, label_requirement, labels, node_config_spec};
pub(crate) use peer::{bgp_spec, password_path, peer, peers, secret_key, secret_name};
pub(crate) use pool::address_pool_spec;

use serde_json::{Map, Value, json};

/// One rule: what must be true, and what people are told when it is not.
pub(crate) struct Rule(Map<String, Value>);

impl Rule {
    pub(crate) fn new(rule: impl Into<String>, message: impl Into<String>) -> Self {
        Self(Map::from_iter([
            ("rule".to_owned(), json!(rule.into())),
            ("message".to_owned(), json!(message.into())),
        ]))
    }

    /// The field to change, below the one that has the rule: `.priority`.
    pub(crate) fn field(mut self, path: &str) -> Self {
        self.0.insert("fieldPath".to_owned(), json!(path));
        self
    }

    /// CEL that makes a message which names the culprit; the constant one stays for when it fails.
    pub(crate) fn telling(mut self, expression: impl Into<String>) -> Self {
        self.0.insert("messageExpression".to_owned(), json!(expression.into()));
        self
    }

    /// The value would be fine if another one were not there.
    pub(crate) fn forbidden(mut self) -> Self {
        self.0.insert("reason".to_owned(), json!("FieldValueForbidden"));
        self
    }
}

/// As a schema holds them.
pub(crate) fn list(rules: impl IntoIterator<Item = Rule>) -> Value {
    Value::Array(rules.into_iter().map(|Rule(rule)| Value::Object(rule)).collect())
}

/// No address is in two prefixes of a list.
pub(crate) fn disjoint() -> Value {
    // In a list of its own, `one` is parsed once: 256 prefixes are near the limit of what a rule may cost.
    let alone = "[cidr(one)].all(net, self.exists_one(other, cidr(other).containsCIDR(net)))";
    let rule = format!("!self.all(one, isCIDR(one)) || self.all(one, {alone})");
    let culprit = format!("self.filter(one, !({alone}))[0]");
    let rule = Rule::new(rule, "no two may overlap: name each address once")
        .telling(format!("{culprit} + ' overlaps another one: name each address once'"));
    list([rule])
}
