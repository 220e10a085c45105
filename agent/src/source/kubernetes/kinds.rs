//! How each kind of objects is read, and what is kept of it. What is not asked about is never kept: metadata of field
//! managers, specs of containers, other nodes' configuration.

mod config;
mod node;
mod peer;
mod pod;
mod pool;

use flock_core::selector::Labels;
use serde::Deserialize;
use serde_json::value::RawValue;

pub(super) use self::config::Configs;
pub(super) use self::node::Nodes;
pub use self::peer::PeerPod;
pub(super) use self::peer::Peers;
pub(super) use self::pod::Pods;
pub(super) use self::pool::Pools;
use super::shelf::{Kind, Meta, Reading};
use crate::source::document::reason::one_line;
use crate::source::node_config::FieldError;
use flock_core::desired::{Place, Problem};

/// Namespaces: their labels, `kubernetes.io/metadata.name` among them.
#[derive(Debug, Default)]
pub(super) struct Namespaces;

impl Kind for Namespaces {
    type Key = String;
    type Value = Labels;

    fn key(&self, meta: &Meta) -> Option<String> {
        named(meta)
    }

    fn read(&mut self, text: &str, former: Option<&Labels>) -> Reading<Labels> {
        #[derive(Deserialize)]
        struct Namespace {
            metadata: NamespaceMeta,
        }
        #[derive(Deserialize)]
        struct NamespaceMeta {
            #[serde(default)]
            labels: Labels,
        }
        read(text, "Namespace", former, |Namespace { metadata }| Ok(Some(metadata.labels)))
    }
}

fn named(meta: &Meta) -> Option<String> {
    Some(meta.name.clone()).filter(|name| !name.is_empty())
}

/// Reads an object; of one that cannot be read what was there before stays.
fn read<T: for<'de> Deserialize<'de>, V: Clone>(
    text: &str,
    kind: &'static str,
    former: Option<&V>,
    of: impl FnOnce(T) -> Result<Option<V>, FieldError>,
) -> Reading<V> {
    match whole(text).and_then(of) {
        Ok(value) => Reading { value, problems: Vec::new() },
        Err(error) => {
            Reading { value: former.cloned(), problems: vec![problem(kind, &name(text), &error.to_string())] }
        }
    }
}

/// An object as its type.
fn whole<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T, FieldError> {
    let mut reader = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let field = one_line(&error.path().to_string());
        FieldError { field, reason: one_line(&error.into_inner().to_string()) }
    })
}

/// For people.
fn name(text: &str) -> String {
    #[derive(Deserialize)]
    struct Named {
        metadata: Meta,
    }
    let meta = serde_json::from_str(text).map(|Named { metadata }| metadata).unwrap_or_default();
    if meta.namespace.is_empty() { meta.name } else { format!("{}/{}", meta.namespace, meta.name) }
}

fn problem(kind: &'static str, name: &str, reason: &str) -> Problem {
    Problem { place: Place::Object { kind, name: name.to_owned() }, reason: one_line(reason) }
}

/// What is said of a field that a newer release may know.
fn unknown(field: &str) -> String {
    format!("{field} is not known to this release: it has no effect")
}

/// What is said of a kind of objects that the API server does not know.
pub(super) fn unknown_kind(resource: &str) -> String {
    format!("the API server knows no {resource}: apply deploy/crds, as `kubectl apply -f deploy/crds`")
}

/// An object's UID; empty: it has none.
pub(super) fn uid(object: &RawValue) -> String {
    #[derive(Deserialize)]
    struct Object {
        metadata: Identity,
    }
    #[derive(Deserialize)]
    struct Identity {
        #[serde(default)]
        uid: String,
    }
    serde_json::from_str::<Object>(object.get()).map(|object| object.metadata.uid).unwrap_or_default()
}
