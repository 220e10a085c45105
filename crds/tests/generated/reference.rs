//! docs/reference.md: tables for people, from the schemas.

use std::fmt::Write as _;

use flock_crds::Kind;
use flock_crds::crd::object_schema;
use serde_json::{Map, Value};

use super::constraints::{accepted, refusals, type_name};

const HEAD: &str = include_str!("head.md");

pub(super) fn markdown() -> String {
    let mut text = HEAD.to_owned();
    let kinds = [
        ("NodeConfig", Kind::NodeConfig),
        ("AddressPool", Kind::AddressPool),
        ("NodeState", Kind::NodeState),
    ];
    for (name, kind) in kinds {
        let schema = object_schema(kind);
        write!(text, "\n## {name}\n\n{}\n", description(&schema)).unwrap();
        for part in ["spec", "status"] {
            if let Some(schema) = schema.pointer(&format!("/properties/{part}")) {
                object(&mut text, &format!("{name} `{part}`"), part, schema);
            }
        }
    }
    text
}

/// One table, and those of the objects in it.
fn object(text: &mut String, title: &str, path: &str, schema: &Value) {
    let Some(Value::Object(fields)) = schema.get("properties") else { return };
    write!(text, "\n### {title}\n\n{}\n\n", meaning(description(schema)).0).unwrap();
    if path.starts_with("status") {
        status_table(text, fields);
    } else {
        spec_table(text, schema, fields);
    }
    let refusals = refusals(schema);
    if !refusals.is_empty() {
        write!(text, "\nRefused with these words:\n\n* {}\n", refusals.join("\n* ")).unwrap();
    }
    for (name, field) in fields {
        let entry = field.get("items");
        let path = format!("{path}.{name}{}", if entry.is_some() { "[]" } else { "" });
        object(text, &format!("`{path}`"), &path, entry.unwrap_or(field));
    }
}

fn spec_table(text: &mut String, schema: &Value, fields: &Map<String, Value>) {
    text.push_str("| field | type | default | accepted | meaning |\n|---|---|---|---|---|\n");
    for (name, field) in fields {
        let required =
            schema["required"].as_array().is_some_and(|names| names.contains(&name.as_str().into()));
        let (meaning, unless_said) = meaning(description(field));
        let default = match field.get("default") {
            Some(value) => format!("{} *(written out)*", literal(value)),
            None if required => "required".to_owned(),
            None => unless_said,
        };
        row(text, &[&format!("`{name}`"), &type_name(field), &default, &accepted(field), &meaning]);
    }
}

fn status_table(text: &mut String, fields: &Map<String, Value>) {
    text.push_str("| field | type | meaning |\n|---|---|---|\n");
    for (name, field) in fields {
        row(text, &[&format!("`{name}`"), &type_name(field), description(field)]);
    }
}

fn row(text: &mut String, cells: &[&str]) {
    let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    writeln!(text, "| {} |", cells.join(" | ")).unwrap();
}

fn description(schema: &Value) -> &str {
    schema["description"].as_str().unwrap_or_default()
}

fn literal(value: &Value) -> String {
    match value {
        Value::String(text) => format!("`{text}`"),
        Value::Object(map) => {
            let fields: Vec<String> =
                map.iter().map(|(key, value)| format!("{key}: {}", plain(value))).collect();
            format!("`{{{}}}`", fields.join(", "))
        }
        other => format!("`{other}`"),
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Doc comments say the default as "...; X unless said.", before what they say of an enum's names.
fn meaning(text: &str) -> (String, String) {
    let Some(end) = [" unless said.", " unless there."]
        .iter()
        .find_map(|words| text.find(words).map(|at| (at, at + words.len())))
    else {
        return (text.to_owned(), String::new());
    };
    let (before, after) = (&text[..end.0], &text[end.1..]);
    match before.rfind("; ") {
        Some(at) => (format!("{}.{after}", &before[..at]), before[at + 2..].trim_end_matches(',').to_owned()),
        None => (text.to_owned(), String::new()),
    }
}
