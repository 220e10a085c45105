//! Namespaces.

use std::collections::BTreeMap;

/// A namespace with its labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

impl Namespace {
    /// With the label that the API server gives it.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), labels: BTreeMap::new() }.labelled("kubernetes.io/metadata.name", name)
    }

    /// With one more label.
    #[must_use]
    pub fn labelled(mut self, key: &str, value: &str) -> Self {
        self.labels.insert(key.to_owned(), value.to_owned());
        self
    }

    /// The document.
    pub fn yaml(&self) -> String {
        let labels: Vec<String> =
            self.labels.iter().map(|(key, value)| format!("{key}: {value:?}")).collect();
        format!(
            "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {}\n  labels: {{{}}}\n",
            self.name,
            labels.join(", ")
        )
    }
}

/// A namespace of which nothing more is said.
pub fn namespace(name: &str) -> String {
    Namespace::new(name).yaml()
}

#[cfg(test)]
mod tests {
    use flock_agent::source::document::Object;

    use super::super::tests::read;
    use super::*;

    #[test]
    fn a_namespace_has_its_labels() {
        let dns = Namespace::new("dns").labelled("team", "network");
        assert_eq!(read(&dns.yaml()), Object::Namespace("dns".to_owned(), dns.labels.into_iter().collect()));
    }
}
