//! What the API server accepts and refuses: `tests/data`, the examples and the documents, against the schemas.
//!
//! The suite with a real cluster asks its API server about the same tables. Here is checked what needs none: what
//! schemas say without CEL, and that every rule in CEL has a case that asks for its words.

#![expect(clippy::unwrap_used, reason = "a test: panics are its errors")]

mod validator;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use flock_crds::Kind;
use flock_crds::address_pool::AddressPool;
use flock_crds::crd::object_schema;
use flock_crds::node_config::NodeConfig;
use flock_crds::node_state::NodeState;
use serde::Deserialize;
use serde_json::{Value, json};

use validator::{Complaint, complaints};

#[derive(Deserialize)]
struct Accepted {
    name: String,
    object: Value,
}

#[derive(Deserialize)]
struct Refused {
    field: String,
    words: String,
    object: Value,
}

fn accepted() -> Vec<Accepted> {
    serde_saphyr::from_str(include_str!("../data/accepted.yaml")).unwrap()
}

fn refused() -> Vec<Refused> {
    serde_saphyr::from_str(include_str!("../data/refused.yaml")).unwrap()
}

/// The object with what the tables leave out.
fn whole(mut object: Value) -> Value {
    object["apiVersion"] = json!(flock_crds::API_VERSION);
    object["metadata"] = json!({"name": "case"});
    object
}

static NODE_CONFIG: LazyLock<Value> = LazyLock::new(|| object_schema(Kind::NodeConfig));
static ADDRESS_POOL: LazyLock<Value> = LazyLock::new(|| object_schema(Kind::AddressPool));
static NODE_STATE: LazyLock<Value> = LazyLock::new(|| object_schema(Kind::NodeState));

fn schema(kind: Kind) -> &'static Value {
    match kind {
        Kind::NodeConfig => &NODE_CONFIG,
        Kind::AddressPool => &ADDRESS_POOL,
        Kind::NodeState => &NODE_STATE,
    }
}

fn kind(object: &Value) -> Option<Kind> {
    match object["kind"].as_str() {
        Some("NodeConfig") => Some(Kind::NodeConfig),
        Some("AddressPool") => Some(Kind::AddressPool),
        Some("NodeState") => Some(Kind::NodeState),
        _ => None,
    }
}

#[track_caller]
fn is_accepted(name: &str, object: &Value) {
    let kind = kind(object).unwrap();
    assert_eq!(complaints(schema(kind), object), [], "{name}");
    let text = object.to_string();
    let read = match kind {
        Kind::NodeConfig => serde_saphyr::from_str::<NodeConfig>(&text).map(drop),
        Kind::AddressPool => serde_saphyr::from_str::<AddressPool>(&text).map(drop),
        Kind::NodeState => serde_saphyr::from_str::<NodeState>(&text).map(drop),
    };
    assert!(read.is_ok(), "{name}: {}", read.unwrap_err());
}

#[test]
fn what_the_table_accepts_fits_the_schemas_and_the_types() {
    for Accepted { name, object } in accepted() {
        is_accepted(&name, &whole(object));
    }
}

#[test]
fn every_example_fits_the_schemas_and_the_types() {
    let mut seen = 0;
    for (name, text) in examples() {
        for object in serde_saphyr::from_multiple::<Value>(&text).unwrap() {
            if kind(&object).is_some() {
                is_accepted(&name, &object);
                seen += 1;
            }
        }
    }
    assert!(seen >= 15, "only {seen} examples were found");
}

/// The files of deploy/examples, and the YAML blocks of README.md and docs that are whole documents.
fn examples() -> Vec<(String, String)> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut examples = files(&repository.join("deploy/examples"));
    let readme = fs::read_to_string(repository.join("README.md")).unwrap();
    let mut pages = files(&repository.join("docs"));
    pages.push(("README.md".to_owned(), readme));
    for (name, page) in pages {
        let blocks = page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
        let documents = blocks.filter(|block| block.starts_with("apiVersion:"));
        examples.extend(documents.map(|block| (name.clone(), block.to_owned())));
    }
    examples
}

/// The names and the texts of a folder's files.
fn files(folder: &Path) -> Vec<(String, String)> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths.map(|path| (path.display().to_string(), fs::read_to_string(path).unwrap())).collect()
}

#[test]
fn what_the_table_refuses_is_refused_by_the_schema_or_by_a_rule_with_these_words() {
    for Refused { field, words, object } in refused() {
        let object = whole(object);
        let schema = schema(kind(&object).unwrap());
        let said = |complaint: &Complaint| complaint.field == field && complaint.words.contains(&words);
        let by_schema = complaints(schema, &object).iter().any(said);
        let by_rule = rules_about(schema, &field).iter().any(|rule| says(rule, &words));
        assert!(by_schema || by_rule, "{field}: nothing says {words:?} of {object}");
    }
}

#[test]
fn every_rule_has_a_case() {
    let asked: BTreeSet<String> = refused().into_iter().map(|case| case.words).collect();
    for kind in [Kind::NodeConfig, Kind::AddressPool, Kind::NodeState] {
        for rule in all_rules(schema(kind)) {
            assert!(asked.iter().any(|words| says(&rule, words)), "no case asks for {rule}");
        }
    }
}

fn says(rule: &Value, words: &str) -> bool {
    ["message", "messageExpression"]
        .iter()
        .any(|key| rule[*key].as_str().is_some_and(|text| text.contains(words)))
}

fn own_rules(schema: &Value) -> impl Iterator<Item = &Value> {
    schema["x-kubernetes-validations"].as_array().into_iter().flatten()
}

fn all_rules(schema: &Value) -> Vec<Value> {
    let fields = schema["properties"].as_object().into_iter().flat_map(|fields| fields.values());
    let inner = fields.chain(schema.get("items")).chain(schema.get("additionalProperties"));
    own_rules(schema).cloned().chain(inner.flat_map(all_rules)).collect()
}

/// The rules whose refusals name this field: its own, and those of the object around it that point to it.
fn rules_about(schema: &Value, field: &str) -> Vec<Value> {
    let mut schema = schema;
    let mut rules = Vec::new();
    for step in field.replace('[', ".[").split('.') {
        let pointing =
            own_rules(schema).filter(|rule| rule["fieldPath"].as_str() == Some(&format!(".{step}")));
        rules = pointing.cloned().collect();
        schema = match step.starts_with('[') {
            true => schema.get("items").unwrap_or(&schema["additionalProperties"]),
            false => &schema["properties"][step],
        };
    }
    rules.extend(own_rules(schema).filter(|rule| rule.get("fieldPath").is_none()).cloned());
    rules
}
