//! How each kind of objects is read: one reader per kind, for the API server's objects and a folder's documents alike. What
//! nobody asks about is never kept: metadata of field managers, specs of containers, other nodes' configuration.
//!
//! A reader is given JSON. A folder's YAML is turned into that first, so that a document means the same in both.

pub(super) mod config;
mod interner;
pub(super) mod namespace;
pub(super) mod node;
pub(super) mod peer;
pub(super) mod pod;
pub(super) mod pool;
mod reason;

use std::fmt;

use flock_core::desired::{Place, Problem};
use flock_core::feed::{Outcome, Parsed};
use serde::Deserialize;
use serde::de::DeserializeOwned;

pub(super) use self::interner::Interner;
pub(super) use self::reason::{one_line, plain, shortened};
use super::node_config::FieldError;

/// Reads the objects of one kind for their store.
pub(super) trait Reader: Send + Sync + 'static {
    /// What tells two of them apart.
    type Key: Ord + Clone + Send + Sync;
    /// What is kept of one.
    type Value: Eq + Send + Sync;

    /// As the agent of this node reads them.
    fn of_node(node: &str) -> Self;

    /// The key of the object with this metadata; none: the API server would not have such an object.
    fn key(&mut self, meta: &Meta) -> Option<Self::Key>;

    /// Reads one. `former` is what was read of it before.
    fn read(&mut self, text: &str, former: Option<&Self::Value>) -> Parsed<Self::Value>;

    /// A list is complete: what only former objects had may be forgotten.
    fn relisted(&mut self) {}
}

/// Metadata that every object has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Meta {
    #[serde(default)]
    pub(super) namespace: String,
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) uid: String,
    pub(super) resource_version: Option<String>,
}

impl Meta {
    /// That of an object; empty for what is none.
    pub(super) fn of(text: &str) -> Self {
        #[derive(Deserialize)]
        struct Object {
            metadata: Meta,
        }
        serde_json::from_str(text).map(|Object { metadata }| metadata).unwrap_or_default()
    }

    /// The name of an object that is in no namespace.
    pub(super) fn cluster_scoped(&self) -> Option<String> {
        Some(self.name.clone()).filter(|name| !name.is_empty())
    }
}

impl fmt::Display for Meta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.namespace.as_str() {
            "" => f.write_str(&self.name),
            namespace => write!(f, "{namespace}/{}", self.name),
        }
    }
}

/// Why an object cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ReadError {
    /// A field has another type than it should, or is missing, or is not known.
    Shape(FieldError),
    /// A value is refused.
    Value(FieldError),
}

impl ReadError {
    /// The field, and what is wrong with it.
    pub(super) fn field(&self) -> &FieldError {
        let (Self::Shape(error) | Self::Value(error)) = self;
        error
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.field().fmt(f)
    }
}

/// An object as its type.
pub(super) fn shaped<T: DeserializeOwned>(text: &str) -> Result<T, ReadError> {
    let mut reader = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        let field = if path == "." { String::new() } else { one_line(&path) };
        ReadError::Shape(FieldError { field, reason: plain(&error.into_inner().to_string()) })
    })
}

/// What was read, for the store of the API server's objects.
fn parsed<V>(kind: &'static str, text: &str, read: Result<Option<V>, ReadError>) -> Parsed<V> {
    match read {
        Ok(Some(value)) => Parsed { outcome: Outcome::Value(value), problems: Vec::new() },
        Ok(None) => Parsed { outcome: Outcome::Irrelevant, problems: Vec::new() },
        Err(error) => {
            let problem = problem(kind, &Meta::of(text).to_string(), &error.to_string());
            Parsed { outcome: Outcome::Unreadable, problems: vec![problem] }
        }
    }
}

fn problem(kind: &'static str, name: &str, reason: &str) -> Problem {
    Problem { place: Place::Object { kind, name: name.to_owned() }, reason: one_line(reason) }
}

/// What is told of a field that a newer release may know.
fn unknown(field: &str) -> String {
    format!("{field} is not known to this release: it has no effect")
}
