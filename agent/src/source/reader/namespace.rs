//! Namespaces, as far as selectors ask.

use std::collections::BTreeMap;

use flock_core::feed::Parsed;
use flock_core::selector::Labels;
use serde::Deserialize;

use super::{Interner, Meta, ReadError, Reader, parsed, shaped};

/// The label that every namespace has: the API server sets it (KEP-2161).
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

#[derive(Deserialize)]
struct Namespace {
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

/// Reads a Namespace: its name and its labels.
///
/// # Errors
/// The first field that cannot be read, and why.
pub(in crate::source) fn namespace(
    text: &str,
    interner: &mut Interner,
) -> Result<(String, Labels), ReadError> {
    let Namespace { metadata: Metadata { name, mut labels } } = shaped(text)?;
    labels.insert(NAME_LABEL.to_owned(), name.clone());
    Ok((name, interner.labels(&labels)))
}

#[derive(Debug, Default)]
pub(in crate::source) struct NamespaceReader {
    interner: Interner,
}

impl Reader for NamespaceReader {
    type Key = String;
    type Value = Labels;

    fn of_node(_: &str) -> Self {
        Self::default()
    }

    fn key(&mut self, meta: &Meta) -> Option<String> {
        meta.cluster_scoped()
    }

    fn read(&mut self, text: &str, _: Option<&Labels>) -> Parsed<Labels> {
        parsed("Namespace", text, namespace(text, &mut self.interner).map(|(_, labels)| Some(labels)))
    }

    fn relisted(&mut self) {
        self.interner.tidy();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(metadata: &str) -> Vec<(String, String)> {
        let text = crate::source::document::json(&format!("metadata: {metadata}"));
        let (name, labels) = namespace(&text, &mut Interner::default()).unwrap();
        assert_eq!(name, "dns");
        labels.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
    }

    #[test]
    fn a_namespace_has_the_label_of_its_name_whatever_it_says() {
        let own = (NAME_LABEL.to_owned(), "dns".to_owned());
        for metadata in [
            "{name: dns}",
            "{name: dns, labels: }",
            "{name: dns, labels: {kubernetes.io/metadata.name: web}}",
        ] {
            assert_eq!(labels(metadata), std::slice::from_ref(&own), "{metadata}");
        }
        let team = ("team".to_owned(), "network".to_owned());
        assert_eq!(labels("{name: dns, uid: x, labels: {team: network}}"), [own, team]);
    }
}
