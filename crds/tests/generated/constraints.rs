//! What a schema says of values, in words.

use serde_json::Value;

/// What the API server calls its type, and for text what it is.
pub(super) fn type_name(schema: &Value) -> String {
    match schema["type"].as_str().unwrap_or_default() {
        "array" => format!("list of {}", plural(&type_name(&schema["items"]))),
        "object" if schema.get("additionalProperties").is_some() => "map of strings".to_owned(),
        "string" if schema.get("pattern").is_some() => "duration".to_owned(),
        "string" if schema["format"] == "date-time" => "time".to_owned(),
        name => name.to_owned(),
    }
}

fn plural(name: &str) -> String {
    match name.split_once(' ') {
        Some((first, rest)) => format!("{first}s {rest}"),
        None => format!("{name}s"),
    }
}

/// What is accepted beside the type: names, numbers, how many, how long.
pub(super) fn accepted(schema: &Value) -> String {
    let mut words = Vec::new();
    words.extend(names(schema).or_else(|| schema.get("items").and_then(names)));
    words.extend(range(schema, "minimum", "maximum", ""));
    words.extend(range(schema, "minItems", "maxItems", " entries"));
    words.extend(range(schema, "minProperties", "maxProperties", " entries"));
    if type_name(schema) == "duration" {
        let ranges = rules(schema).map(|(_, words)| words.trim_start_matches("must be "));
        let ranges = ranges.filter(|words| !words.starts_with("a duration"));
        words.extend(ranges.map(|words| words.trim_start_matches("from ").to_owned()));
    } else {
        words.extend(range(schema, "minLength", "maxLength", " characters"));
    }
    words.join(", ")
}

/// What else the API server refuses, in its words: each with the field that they are about.
pub(super) fn refusals(schema: &Value) -> Vec<String> {
    let mut refusals = Vec::new();
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let entry = field.get("items").or_else(|| field.get("additionalProperties"));
        let own =
            Some(field).filter(|field| type_name(field) != "duration" && field.get("properties").is_none());
        let each = entry.filter(|entry| entry.get("properties").is_none());
        refusals.extend(own.into_iter().flat_map(rules).map(|(_, words)| format!("`{name}`: {words}")));
        refusals.extend(each.into_iter().flat_map(rules).map(|(_, words)| format!("`{name}[]`: {words}")));
    }
    refusals.extend(rules(schema).map(|(field, words)| format!("`{field}`: {words}")));
    refusals
}

fn names(schema: &Value) -> Option<String> {
    let names = schema.get("enum")?.as_array()?.iter();
    Some(names.map(|name| format!("`{}`", name.as_str().unwrap_or_default())).collect::<Vec<_>>().join(", "))
}

fn range(schema: &Value, min: &str, max: &str, unit: &str) -> Option<String> {
    let bound = |name: &str| schema.get(name).and_then(Value::as_i64);
    match (bound(min), bound(max)) {
        (Some(min), Some(max)) => Some(format!("{min} to {max}{unit}")),
        (Some(min), None) => Some(format!("from {min}{unit}")),
        (None, Some(max)) => Some(format!("up to {max}{unit}")),
        (None, None) => None,
    }
}

/// The rules of a schema: the field below it that each is about, and what people are told.
fn rules(schema: &Value) -> impl Iterator<Item = (&str, &str)> {
    let rules = schema["x-kubernetes-validations"].as_array().into_iter().flatten();
    rules.map(|rule| {
        let field = rule["fieldPath"].as_str().unwrap_or_default();
        (field.trim_start_matches('.'), rule["message"].as_str().unwrap_or_default())
    })
}
