//! What the API server says of an object before it asks CEL, as far as our schemas go, in its words.

use flock_crds::duration::Duration;
use serde_json::{Map, Value};

/// A refusal.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Complaint {
    /// The field's path, as `spec.bgp.peers[0].asn`.
    pub(super) field: String,
    /// What is wrong with it.
    pub(super) words: String,
}

/// All refusals. Nulls count as absent; unknown fields are refused, as `kubectl` asks for.
pub(super) fn complaints(schema: &Value, value: &Value) -> Vec<Complaint> {
    let mut found = Found(Vec::new());
    found.check("", schema, value);
    found.0
}

struct Found(Vec<Complaint>);

impl Found {
    fn say(&mut self, field: &str, words: impl Into<String>) {
        self.0.push(Complaint { field: field.to_owned(), words: words.into() });
    }

    fn check(&mut self, path: &str, schema: &Value, value: &Value) {
        let name = schema["type"].as_str().unwrap_or_default();
        match (name, value) {
            ("object", Value::Object(map)) => self.object(path, schema, map),
            ("array", Value::Array(list)) => self.list(path, schema, list),
            ("string", Value::String(text)) => self.text(path, schema, text),
            ("integer", Value::Number(number)) if number.is_i64() || number.is_u64() => {
                self.number(path, schema, i128::from(number.as_i64().unwrap_or(i64::MAX)));
            }
            ("boolean", Value::Bool(_)) => {}
            _ => self.say(path, format!("must be of type {name}")),
        }
    }

    fn object(&mut self, path: &str, schema: &Value, map: &Map<String, Value>) {
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if map.get(name).is_none_or(Value::is_null) {
                self.say(&join(path, name), "Required value");
            }
        }
        for (name, value) in map.iter().filter(|(_, value)| !value.is_null()) {
            if let Some(each) = schema.get("additionalProperties") {
                self.check(&format!("{path}[{name}]"), each, value);
            } else if let Some(field) = schema["properties"].get(name) {
                self.check(&join(path, name), field, value);
            } else if path != "metadata" && schema.get("x-kubernetes-preserve-unknown-fields").is_none() {
                self.say(&join(path, name), "unknown field");
            }
        }
    }

    fn list(&mut self, path: &str, schema: &Value, list: &[Value]) {
        if let Some(most) = schema["maxItems"].as_u64().filter(|most| list.len() as u64 > *most) {
            self.say(path, format!("must have at most {most} items"));
        }
        if let Some(least) = schema["minItems"].as_u64().filter(|least| (list.len() as u64) < *least) {
            self.say(path, format!("should have at least {least} items"));
        }
        for (index, value) in list.iter().enumerate() {
            let path = format!("{path}[{index}]");
            if schema["x-kubernetes-list-type"] == "set" && list[..index].contains(value) {
                self.say(&path, "Duplicate value");
            }
            self.check(&path, &schema["items"], value);
        }
    }

    fn text(&mut self, path: &str, schema: &Value, text: &str) {
        if let Some(most) = schema["maxLength"].as_u64().filter(|most| text.chars().count() as u64 > *most) {
            self.say(path, format!("may not be more than {most} bytes"));
        }
        if let Some(least) =
            schema["minLength"].as_u64().filter(|least| (text.chars().count() as u64) < *least)
        {
            self.say(path, format!("should be at least {least} chars long"));
        }
        // Durations are the only ones that have a pattern.
        if schema.get("pattern").is_some() && text.parse::<Duration>().is_err() {
            self.say(path, "should match");
        }
        let names: Option<&Vec<Value>> = schema["enum"].as_array();
        if let Some(names) = names.filter(|names| !names.iter().any(|name| name == text)) {
            let names: Vec<String> = names.iter().map(Value::to_string).collect();
            self.say(path, format!("supported values: {}", names.join(", ")));
        }
    }

    fn number(&mut self, path: &str, schema: &Value, number: i128) {
        let bound = |name: &str| schema[name].as_i64().map(i128::from);
        if let Some(least) = bound("minimum").filter(|least| number < *least) {
            self.say(path, format!("should be greater than or equal to {least}"));
        }
        if let Some(most) = bound("maximum").filter(|most| number > *most) {
            self.say(path, format!("should be less than or equal to {most}"));
        }
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}
