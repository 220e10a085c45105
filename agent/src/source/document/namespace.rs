//! A Namespace as Kubernetes writes it, as far as selectors ask.

use flock_core::selector::Labels;
use serde::Deserialize;

use super::Object;

/// The label that every namespace has: the API server sets it (KEP-2161).
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

#[derive(Deserialize)]
pub(super) struct NamespaceManifest {
    metadata: NamespaceMeta,
}

#[derive(Deserialize)]
struct NamespaceMeta {
    name: String,
    #[serde(default)]
    labels: Labels,
}

impl From<NamespaceManifest> for Object {
    fn from(NamespaceManifest { metadata }: NamespaceManifest) -> Self {
        let NamespaceMeta { name, mut labels } = metadata;
        labels.insert(NAME_LABEL.to_owned(), name.clone());
        Object::Namespace(name, labels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(metadata: &str) -> Vec<(String, String)> {
        match serde_saphyr::from_str::<NamespaceManifest>(&format!("metadata: {metadata}")).unwrap().into() {
            Object::Namespace(name, labels) if name == "dns" => labels.into_iter().collect(),
            other => panic!("{other:?}"),
        }
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
