//! What an object of a newer release has that this one does not know.
//!
//! The API server takes such fields out as long as its CustomResourceDefinitions are this release's. During an upgrade
//! they are newer than some agents, and nobody takes them out of a file.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::{Map, Value};

use crate::crd;

/// A kind of the API group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// [`crate::node_config::NodeConfig`].
    NodeConfig,
    /// [`crate::address_pool::AddressPool`].
    AddressPool,
    /// [`crate::node_state::NodeState`].
    NodeState,
}

/// Takes out of a `spec` what the schema does not know, as the API server does. Returns the paths of what is gone, as
/// `spec.bgp.peers[0].mood`. What has another type than the schema says stays, for whoever reads it to refuse.
pub fn unknown_fields(kind: Kind, spec: &mut Value) -> Vec<String> {
    let known = match kind {
        Kind::NodeConfig => &*NODE_CONFIG,
        Kind::AddressPool => &*ADDRESS_POOL,
        Kind::NodeState => &NOTHING,
    };
    let mut gone = Vec::new();
    prune(known, "spec", spec, &mut gone);
    gone
}

static NODE_CONFIG: LazyLock<Known> = LazyLock::new(|| Known::of_spec(Kind::NodeConfig));
static ADDRESS_POOL: LazyLock<Known> = LazyLock::new(|| Known::of_spec(Kind::AddressPool));
static NOTHING: Known = Known::Fields(BTreeMap::new());

/// The names in a schema, without all that it says of their values.
enum Known {
    /// A scalar, or an object that may have any field.
    Anything,
    /// An object with these fields.
    Fields(BTreeMap<String, Known>),
    /// A list of such values, or an object with any keys and such values.
    Each(Box<Known>),
}

impl Known {
    fn of_spec(kind: Kind) -> Self {
        crd::spec_schema(kind).map_or(Self::Fields(BTreeMap::new()), |schema| Self::of(&schema))
    }

    fn of(schema: &Value) -> Self {
        let keyword = |name| schema.get(name);
        if let Some(Value::Object(fields)) = keyword("properties") {
            return Self::Fields(
                fields.iter().map(|(name, schema)| (name.clone(), Self::of(schema))).collect(),
            );
        }
        let each = keyword("items").or_else(|| keyword("additionalProperties"));
        each.map_or(Self::Anything, |schema| Self::Each(Box::new(Self::of(schema))))
    }
}

fn prune(known: &Known, path: &str, value: &mut Value, gone: &mut Vec<String>) {
    match (known, value) {
        (Known::Fields(fields), Value::Object(map)) => {
            take_unknown(fields, path, map, gone);
            for (name, value) in map {
                fields
                    .get(name)
                    .into_iter()
                    .for_each(|known| prune(known, &format!("{path}.{name}"), value, gone));
            }
        }
        (Known::Each(known), Value::Object(map)) => {
            map.iter_mut().for_each(|(key, value)| prune(known, &format!("{path}.{key}"), value, gone));
        }
        (Known::Each(known), Value::Array(list)) => {
            let entries = list.iter_mut().enumerate();
            entries.for_each(|(index, value)| prune(known, &format!("{path}[{index}]"), value, gone));
        }
        _ => {}
    }
}

fn take_unknown(
    fields: &BTreeMap<String, Known>,
    path: &str,
    map: &mut Map<String, Value>,
    gone: &mut Vec<String>,
) {
    map.retain(|name, _| {
        let known = fields.contains_key(name);
        if !known {
            gone.push(format!("{path}.{name}"));
        }
        known
    });
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_unknown_goes_and_is_named() {
        let mut spec = json!({
            "mtu": 1500,
            "colour": "blue",
            "anycast": {"holdDown": "1s", "mood": {"deep": true}},
            "bgp": {"asn": 1, "peers": [{"address": "192.0.2.1", "asn": 2}, {"address": "192.0.2.2", "bfd": {"echo": 1}}]},
        });
        let gone = unknown_fields(Kind::NodeConfig, &mut spec);
        assert_eq!(gone, ["spec.colour", "spec.anycast.mood", "spec.bgp.peers[1].bfd.echo"]);
        assert_eq!(
            spec,
            json!({
                "mtu": 1500,
                "anycast": {"holdDown": "1s"},
                "bgp": {"asn": 1, "peers": [{"address": "192.0.2.1", "asn": 2}, {"address": "192.0.2.2", "bfd": {}}]},
            })
        );
        assert!(unknown_fields(Kind::NodeConfig, &mut spec).is_empty());
    }

    #[test]
    fn labels_and_what_is_not_served_may_have_any_name() {
        let selector = json!({"matchLabels": {"a": "b", "example.org/c": "d"}, "matchFields": []});
        let mut pool = json!({"cidrs": ["10.0.0.0/8"], "use": "Static", "namespaceSelector": selector});
        assert_eq!(unknown_fields(Kind::AddressPool, &mut pool), ["spec.namespaceSelector.matchFields"]);
        assert_eq!(pool["namespaceSelector"]["matchLabels"]["example.org/c"], "d");
        let mut spec = json!({"masquerade": {"ipv4": {"anything": 1}}});
        assert!(unknown_fields(Kind::NodeConfig, &mut spec).is_empty());
        assert_eq!(spec["masquerade"]["ipv4"]["anything"], 1);
    }

    #[test]
    fn a_kind_without_a_spec_knows_no_field_of_it() {
        let mut spec = json!({"mtu": 1500});
        assert_eq!(unknown_fields(Kind::NodeState, &mut spec), ["spec.mtu"]);
    }

    #[test]
    fn what_has_another_type_is_left_for_the_reader_to_refuse() {
        for wrong in [json!(null), json!([]), json!("x"), json!({"bgp": []}), json!({"cidr6": {"a": 1}})] {
            let mut spec = wrong.clone();
            unknown_fields(Kind::NodeConfig, &mut spec);
            assert_eq!(spec, wrong);
        }
    }
}
