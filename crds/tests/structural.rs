//! The schemas are structural, in Kubernetes' sense, and say enough for the API server to know what a rule costs.
//!
//! The rules are those of "Extend the Kubernetes API with CustomResourceDefinitions", sections "Specifying a structural
//! schema" and "Defaulting", and of what flock promises of its own: docs/reference.md, "Defaults".

use flock_crds::Kind;
use flock_crds::crd::{object_schema, spec_schema};
use serde_json::Value;

const KINDS: [Kind; 3] = [Kind::NodeConfig, Kind::AddressPool, Kind::NodeState];

const KEYWORDS: [&str; 19] = [
    "additionalProperties",
    "default",
    "description",
    "enum",
    "format",
    "items",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minimum",
    "pattern",
    "properties",
    "required",
    "type",
    "x-kubernetes-validations",
    "x-kubernetes-map-type",
];

const LIST_KEYWORDS: [&str; 2] = ["x-kubernetes-list-type", "x-kubernetes-list-map-keys"];

/// Every schema in a schema, with its path: `spec.cidr6[]`, `spec.nodeSelector.matchLabels{}`.
fn walk(path: &str, schema: &Value, visit: &mut impl FnMut(&str, &Value)) {
    visit(path, schema);
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        walk(&format!("{path}.{name}"), field, visit);
    }
    for (keyword, mark) in [("items", "[]"), ("additionalProperties", "{}")] {
        schema.get(keyword).into_iter().for_each(|each| walk(&format!("{path}{mark}"), each, visit));
    }
}

fn in_objects(mut visit: impl FnMut(&str, &Value)) {
    for kind in KINDS {
        walk("", &object_schema(kind), &mut visit);
    }
}

fn in_specs(mut visit: impl FnMut(&str, &Value)) {
    for schema in KINDS.into_iter().filter_map(spec_schema) {
        walk("spec", &schema, &mut visit);
    }
}

#[test]
fn every_value_has_one_type_and_only_known_keywords() {
    in_objects(|path, schema| {
        let name = schema["type"].as_str().unwrap_or_else(|| panic!("{path} has no type: {schema}"));
        assert!(["object", "array", "string", "integer", "boolean"].contains(&name), "{path}: {name}");
        for keyword in schema.as_object().unwrap().keys() {
            let known = KEYWORDS.contains(&keyword.as_str())
                || LIST_KEYWORDS.contains(&keyword.as_str())
                || keyword == "x-kubernetes-preserve-unknown-fields";
            assert!(known, "{path}: {keyword}");
        }
        assert!(name != "array" || schema.get("items").is_some(), "{path}: a list of what?");
        assert!(name != "integer" || schema["format"] == "int64", "{path}: integers are 64 bits");
        let both = schema.get("properties").is_some() && schema.get("additionalProperties").is_some();
        assert!(!both, "{path}: an object has fields, or it is a map");
    });
}

#[test]
fn every_field_has_a_description_without_links_of_rusts() {
    in_objects(|path, schema| {
        let entry = path.ends_with("[]") || path.ends_with("{}") || path == ".metadata";
        let text = schema["description"].as_str().unwrap_or_default();
        assert!(entry || !text.is_empty(), "{path}");
        assert!(!text.contains("[`") && !text.contains("crate::"), "{path}: {text}");
    });
}

#[test]
fn everything_that_people_write_has_a_limit() {
    in_specs(|path, schema| {
        let limits: &[&str] = match schema["type"].as_str().unwrap() {
            "array" => &["maxItems"],
            "string" if schema.get("enum").is_none() => &["maxLength"],
            "integer" => &["minimum", "maximum"],
            "object" if schema.get("additionalProperties").is_some() => &["maxProperties"],
            _ => &[],
        };
        limits.iter().for_each(|limit| assert!(schema.get(*limit).is_some(), "{path} has no {limit}"));
    });
}

#[test]
fn lists_are_taken_whole_unless_something_above_them_is() {
    in_specs(|path, schema| {
        if schema["type"] == "array" {
            let whole = if path.contains("[]") { &["atomic", "set"][..] } else { &["atomic"] };
            assert!(whole.contains(&schema["x-kubernetes-list-type"].as_str().unwrap()), "{path}");
        }
    });
}

#[test]
fn nothing_that_is_merged_has_a_default() {
    in_specs(|path, schema| {
        assert!(
            schema.get("default").is_none() || path.contains("[]"),
            "{path} would hide a template's value"
        );
    });
    assert_eq!(object_schema(Kind::NodeConfig)["properties"]["spec"]["default"], serde_json::json!({}));
}

#[test]
fn what_is_required_is_there() {
    in_objects(|path, schema| {
        for name in schema["required"].as_array().into_iter().flatten() {
            assert!(schema["properties"].get(name.as_str().unwrap()).is_some(), "{path}: {name}");
        }
    });
}

#[test]
fn a_status_may_lack_anything_but_a_conditions_parts() {
    in_objects(|path, schema| {
        if path.starts_with(".status") && path != ".status.conditions[]" {
            assert!(schema.get("required").is_none(), "{path}");
        }
    });
}

#[test]
fn every_rule_says_what_is_wrong_at_a_field_that_there_is() {
    in_specs(|path, schema| {
        for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
            assert!(rule["message"].as_str().is_some_and(|words| words.len() > 10), "{path}: {rule}");
            // Its message would not be shown.
            assert_ne!(rule["reason"], "FieldValueDuplicate", "{path}: {rule}");
            if let Some(field) = rule["fieldPath"].as_str() {
                assert!(schema["properties"].get(&field[1..]).is_some(), "{path}: {field}");
            }
        }
    });
}
