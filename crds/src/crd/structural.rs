//! From JSON schemas, as schemars makes them, to Kubernetes' structural ones: every value has one type, nothing is
//! referred to, and what a schema allows is not said by alternatives.

use serde_json::{Map, Value, json};

/// Keywords that are for other readers than the API server.
const FOREIGN: [&str; 5] = ["$schema", "title", "components", "nullable", "additionalProperties"];

/// Rewrites a schema and all that are in it.
pub(super) fn make(schema: &mut Value) {
    let Value::Object(map) = schema else { return };
    flatten_option(map);
    flatten_variants(map);
    strip(map);
    describe(map);
    whole_lists(map);
    for child in children(map) {
        make(child);
    }
}

/// The schemas of an object's fields, of a map's values and of a list's entries.
fn children(map: &mut Map<String, Value>) -> impl Iterator<Item = &mut Value> {
    map.iter_mut().flat_map(|(key, value)| match (key.as_str(), value) {
        ("properties", Value::Object(fields)) => fields.values_mut().collect::<Vec<_>>(),
        ("items" | "additionalProperties", value) => vec![value],
        _ => Vec::new(),
    })
}

/// `Option<T>`, where it is "a T or null": a field that is not there is not null, and the API server takes out nulls.
fn flatten_option(map: &mut Map<String, Value>) {
    if let Some(Value::Array(choices)) = map.remove("anyOf") {
        let of = choices
            .into_iter()
            .find(|choice| choice.get("nullable") != Some(&json!(true)) || is_typed(choice));
        merge(map, of);
    }
    if let Some(Value::Array(only)) = map.remove("allOf") {
        only.into_iter().for_each(|schema| merge(map, Some(schema)));
    }
}

fn is_typed(schema: &Value) -> bool {
    schema.get("type").is_some() || schema.get("oneOf").is_some()
}

/// What the field says itself, its description above all, goes before what its type says.
fn merge(map: &mut Map<String, Value>, schema: Option<Value>) {
    if let Some(Value::Object(inner)) = schema {
        for (key, value) in inner {
            map.entry(key).or_insert(value);
        }
    }
}

/// An enum whose variants have descriptions comes as alternatives of one value each.
fn flatten_variants(map: &mut Map<String, Value>) {
    let Some(Value::Array(variants)) = map.remove("oneOf") else { return };
    let mut names = Vec::new();
    let mut text = map.get("description").and_then(Value::as_str).unwrap_or_default().to_owned();
    for variant in &variants {
        let values = variant.get("enum").and_then(Value::as_array).cloned();
        let values = values.or_else(|| variant.get("const").map(|one| vec![one.clone()])).unwrap_or_default();
        if let (Some(about), Some(name)) =
            (variant.get("description").and_then(Value::as_str), values.first())
        {
            text.push_str(&format!("\n`{}`: {about}", name.as_str().unwrap_or_default()));
        }
        names.extend(values);
    }
    map.insert("type".to_owned(), json!("string"));
    map.insert("enum".to_owned(), Value::Array(names));
    map.insert("description".to_owned(), json!(text));
}

fn strip(map: &mut Map<String, Value>) {
    map.retain(|key, value| match key.as_str() {
        "additionalProperties" => value.is_object(),
        // serde's: how a missing field is read. It says nothing that the field's absence does not.
        "default" => !is_empty(value),
        key => !FOREIGN.contains(&key),
    });
    if let Some(Value::Array(values)) = map.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    if map.get("type") == Some(&json!("integer")) {
        map.insert("format".to_owned(), json!("int64"));
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

/// Doc comments are broken into lines at any place, and link to Rust's names.
fn describe(map: &mut Map<String, Value>) {
    if let Some(Value::String(text)) = map.get_mut("description") {
        *text = text.split_whitespace().collect::<Vec<_>>().join(" ").replace("[`", "`").replace("`]", "`");
    }
}

/// Lists are taken whole, by the agent's merging as by server-side apply, unless a field says otherwise.
fn whole_lists(map: &mut Map<String, Value>) {
    if map.get("type") == Some(&json!("array")) {
        map.entry("x-kubernetes-list-type").or_insert_with(|| json!("atomic"));
    }
}
