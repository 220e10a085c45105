//! One NodeConfig by itself: its types, and the ranges that do not depend on what others say.

use flock_crds::node_config::NodeConfigSpec;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{FieldError, check};
use crate::source::field::{Path, number};
use crate::source::objects::{ConfigObject, Template};
use crate::source::reader::{ReadError, one_line, plain};
use crate::source::selector::label_selector;

/// More would only be a typing error.
const PRIORITIES: std::ops::RangeInclusive<i64> = -1_000_000..=1_000_000;

/// Reads a NodeConfig whose `spec` is as somebody wrote it: afterwards it is checked, and what makes it a template is
/// in `template`. Beside it the fields that this release does not serve.
///
/// # Errors
/// The path of the first field that is to be changed, and why.
pub(in crate::source) fn part(
    mut object: ConfigObject,
) -> Result<(ConfigObject, Vec<&'static str>), ReadError> {
    let spec: NodeConfigSpec = typed(&object.spec).map_err(ReadError::Shape)?;
    let unsupported = spec.unsupported();
    object.template = template(&spec).map_err(ReadError::Value)?;
    check(spec).map_err(ReadError::Value)?;
    if let Value::Object(fields) = &mut object.spec {
        fields.remove("nodeSelector");
        fields.remove("priority");
    }
    Ok((object, unsupported))
}

/// A `spec` as its type.
///
/// # Errors
/// The path of the first field that does not fit, and why.
pub(in crate::source) fn typed<T: DeserializeOwned>(spec: &Value) -> Result<T, FieldError> {
    serde_path_to_error::deserialize(spec).map_err(|error| {
        let path = error.path().to_string();
        let field = if path == "." { "spec".to_owned() } else { format!("spec.{path}") };
        FieldError { field: one_line(&field), reason: plain(&error.into_inner().to_string()) }
    })
}

/// Takes out what is written without a value: that is as if it were not there.
pub(in crate::source) fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(without_nulls);
        }
        Value::Array(entries) => entries.iter_mut().for_each(without_nulls),
        _ => {}
    }
}

fn template(spec: &NodeConfigSpec) -> Result<Option<Template>, FieldError> {
    let at = Path::new("spec");
    let priority = at.field("priority");
    let Some(selector) = &spec.node_selector else {
        return match spec.priority {
            Some(_) => {
                Err(priority.refuse("only templates have a priority: add nodeSelector, or leave it out"))
            }
            None => Ok(None),
        };
    };
    Ok(Some(Template {
        nodes: label_selector(&at.field("nodeSelector"), selector.clone())?,
        priority: spec.priority.map_or(Ok(0), |given| number(&priority, given, PRIORITIES))?,
    }))
}

#[cfg(test)]
mod tests {
    use flock_core::selector::Labels;
    use serde_json::json;

    use super::*;
    use flock_core::desired::Place;

    fn read(mut spec: Value) -> Result<ConfigObject, String> {
        without_nulls(&mut spec);
        let object = part(ConfigObject::new("rack-1", Place::Composition(String::new()), spec));
        object.map(|(object, _)| object).map_err(|error| error.to_string())
    }

    #[test]
    fn a_node_selector_makes_a_template_and_is_no_part_of_what_it_says() {
        let object =
            read(json!({"mtu": 1400, "priority": 7, "nodeSelector": {"matchLabels": {"rack": "1"}}}))
                .unwrap();
        let template = object.template.unwrap();
        assert_eq!((template.priority, object.spec), (7, json!({"mtu": 1400})));
        let labels = |rack: &str| Labels::from([("rack".to_owned(), rack.to_owned())]);
        assert!(template.nodes.admits(&labels("1")) && !template.nodes.admits(&labels("2")));
        let everywhere = read(json!({"nodeSelector": {}})).unwrap().template.unwrap();
        assert!(everywhere.priority == 0 && everywhere.nodes.admits(&Labels::new()));
        for own in [json!({}), json!({"nodeSelector": null, "priority": null})] {
            assert_eq!(read(own).unwrap().template, None);
        }
    }

    #[test]
    fn what_is_written_without_a_value_is_not_said() {
        let object = read(
            json!({"mtu": null, "bgp": {"asn": null, "peers": [{"address": "192.0.2.1", "asn": 1, "port": null}]}}),
        );
        let peer = json!({"address": "192.0.2.1", "asn": 1});
        assert_eq!(object.unwrap().spec, json!({"bgp": {"peers": [peer]}}));
    }

    #[test]
    fn a_part_may_leave_to_others_what_the_whole_must_say() {
        for spec in [
            json!({"bgp": {}}),
            json!({"bgp": {"peers": [{"address": "192.0.2.1", "asn": 1, "localPref": 200}]}}),
            json!({"bgp": {"peers": [{"address": "192.0.2.1", "asn": 1, "prepend": 3}]}}),
            json!({"mtu": 576}),
        ] {
            read(spec.clone()).unwrap_or_else(|error| panic!("{spec}: {error}"));
        }
    }

    #[test]
    fn a_refusal_names_the_field() {
        let peer = |field: &str, value: Value| json!({"bgp": {"peers": [{"address": "192.0.2.1", "asn": 1, field: value}]}});
        let cases = [
            (json!({"mtu": "wide"}), "spec.mtu: invalid type: string \"wide\""),
            (json!({"cidr6": ["2001:db8::/32"]}), "spec.cidr6[0]: 2001:db8::/32"),
            (json!({"cidr4": "192.0.2.0/24"}), "spec.cidr4: invalid type: string"),
            (peer("port", json!(0)), "spec.bgp.peers[0].port: 0 is out of range"),
            (peer("mood", json!(0)), "spec.bgp.peers[0].mood: unknown field `mood`"),
            (json!({"bgp": {"peers": [{"asn": 1}]}}), "spec.bgp.peers[0]: missing field `address`"),
            (json!({"bgp": {"asn": 0}}), "spec.bgp.asn: 0 is out of range"),
            (json!({"priority": 1}), "spec.priority: only templates have a priority"),
            (json!({"nodeSelector": {}, "priority": 1_000_001}), "spec.priority: 1000001 is out of range"),
            (
                json!({"nodeSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}}),
                "spec.nodeSelector.matchExpressions[0].values: operator In needs at least one value",
            ),
        ];
        for (spec, words) in cases {
            let error = read(spec.clone()).unwrap_err();
            assert!(error.starts_with(words), "{spec}: {error}");
        }
    }
}
