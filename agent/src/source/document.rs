//! One YAML document of a manifest file: its text, its kind, and core's words for it.

mod namespace;
mod node;
mod outline;
pub(super) mod pod;
pub(super) mod reason;

use std::path::PathBuf;
use std::sync::Arc;

use flock_core::claim;
use flock_core::pod::Pod;
use flock_core::selector::Labels;
use flock_crds::API_VERSION;
use flock_crds::address_pool::AddressPool;
use flock_crds::node_config::NodeConfig;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_saphyr::Error as ReadError;

use self::namespace::NamespaceManifest;
pub(super) use self::node::NodeManifest;
use self::outline::{About, Outline};
use self::pod::PodManifest;
use self::reason::{one_line, readers_reason, shortened};
use super::address_pool::address_pool;
use super::node_config::{FieldError, as_typed, part};
use super::objects::{ConfigObject, NodeObject};
use flock_core::desired::Place;

/// What a document says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Object {
    /// A node's configuration, or a part of that of several.
    NodeConfig(Arc<ConfigObject>),
    /// A node: its name, and what templates and pools ask of it.
    Node(String, NodeObject),
    /// A pod.
    Pod(Arc<Pod>),
    /// A namespace: its name and its labels.
    Namespace(String, Labels),
    /// Addresses that pods may name themselves.
    AddressPool(claim::AddressPool),
}

/// A document's object, if it is of a kind that is read, and what is to be said about it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reading {
    /// The object.
    pub object: Option<Object>,
    /// Line and text of what is accepted but not obeyed.
    pub remarks: Vec<(usize, String)>,
}

/// Why a document is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Line in the file, from 1.
    pub line: usize,
    /// What is wrong.
    pub reason: String,
}

/// One document of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Document<'a> {
    first_line: usize,
    text: &'a str,
}

/// Splits a file at its `---` lines. YAML 1.2, section 9.1.2: such a line at the margin ends a document wherever it
/// stands, within a block scalar too. Documents of nothing but comments are left out.
pub fn split(file: &str) -> Vec<Document<'_>> {
    let mut documents = Vec::new();
    let (mut begin, mut first_line, mut offset) = (0, 1, 0);
    for (index, line) in file.split_inclusive('\n').enumerate() {
        if is_separator(line) {
            documents.push(Document { first_line, text: &file[begin..offset] });
            (begin, first_line) = (offset + line.len(), index + 2);
        }
        offset += line.len();
    }
    documents.push(Document { first_line, text: &file[begin..] });
    documents.retain(|document| !document.is_blank());
    documents
}

fn is_separator(line: &str) -> bool {
    let line = line.trim_end();
    line == "---" || line.starts_with("--- #")
}

impl Document<'_> {
    /// The line in its file, from 1, of the document's first one.
    pub fn first_line(&self) -> usize {
        self.first_line
    }

    fn is_blank(&self) -> bool {
        self.text.lines().map(str::trim).all(|line| line.is_empty() || line.starts_with('#') || line == "...")
    }

    /// Reads the document.
    pub fn read(&self) -> Result<Reading, Refusal> {
        let TypeMeta { api_version, kind } = self.parse()?;
        match (api_version.as_str(), kind.as_str()) {
            (API_VERSION, "NodeConfig") => self.node_config(),
            ("v1", "Pod") => self.pod(),
            ("v1", "Node") => {
                let NodeManifest { name, node } = self.parse()?;
                Ok(Reading::of(Object::Node(name, node)))
            }
            ("v1", "Namespace") => self.parse::<NamespaceManifest>().map(|read| Reading::of(read.into())),
            (API_VERSION, "AddressPool") => self.address_pool(),
            ("networking.k8s.io/v1", "NetworkPolicy") => {
                Ok(self.remark(&kind, format!("{kind} is not served by this release: it has no effect")))
            }
            (group, _) if group.starts_with("flock.fritzlab.net/") => {
                let known = format!("flock knows {API_VERSION} NodeConfig and AddressPool");
                Err(self.refuse(&format!("there is no {kind} in {group}: {known}")))
            }
            _ => {
                Ok(self
                    .remark(&kind, format!("{api_version} {kind} is not a kind that flock reads: left out")))
            }
        }
    }

    fn node_config(&self) -> Result<Reading, Refusal> {
        let config: NodeConfig = self.parse()?;
        let unserved = config.spec.unserved();
        let name = config.metadata.name.clone();
        let object = self
            .config_object(config)
            .and_then(part)
            .map_err(|error| self.refuse_field("NodeConfig", &name, &error))?;
        let remarks = unserved.into_iter().map(|field| {
            let text =
                format!("NodeConfig {name}: spec.{field} is not served by this release: it has no effect");
            (self.line_of_field(&format!("spec.{field}")), one_line(&text))
        });
        Ok(Reading { object: Some(Object::NodeConfig(Arc::new(object))), remarks: remarks.collect() })
    }

    fn config_object(&self, config: NodeConfig) -> Result<ConfigObject, FieldError> {
        let NodeConfig { metadata, spec, .. } = config;
        let refuse = |error: ReadError| FieldError { field: "spec".to_owned(), reason: error.to_string() };
        let mut value: Value = serde_saphyr::from_str(self.text).map_err(refuse)?;
        let value = as_typed(value["spec"].take(), &spec)?;
        let place = Place::File { path: PathBuf::new(), line: Some(self.first_line) };
        Ok(ConfigObject {
            annotations: metadata.annotations,
            ..ConfigObject::new(&metadata.name, place, value)
        })
    }

    fn address_pool(&self) -> Result<Reading, Refusal> {
        let AddressPool { metadata, spec, .. } = self.parse()?;
        let name = metadata.name;
        let pool = address_pool(name.clone(), spec)
            .map_err(|error| self.refuse_field("AddressPool", &name, &error))?;
        Ok(Reading::of(Object::AddressPool(pool)))
    }

    fn pod(&self) -> Result<Reading, Refusal> {
        let manifest: PodManifest = self.parse()?;
        let odd = manifest.odd_condition();
        let pod = Pod::try_from(manifest).map_err(|error| self.refuse(&error.to_string()))?;
        let remark = odd.map(|odd| {
            let text = format!("Pod {}: {odd}: it counts as not ready", pod.name);
            (self.line_of_field(&odd.field), one_line(&text))
        });
        Ok(Reading { object: Some(Object::Pod(Arc::new(pod))), remarks: remark.into_iter().collect() })
    }

    fn parse<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        serde_saphyr::from_str(self.text).map_err(|error| self.unreadable(&error))
    }

    /// The reader says where in the text and what; people want to know which field, too.
    fn unreadable(&self, error: &ReadError) -> Refusal {
        let place = error.location();
        let line = place.and_then(|at| usize::try_from(at.line()).ok()).unwrap_or(1);
        let error = error.without_snippet();
        let reason = readers_reason(error);
        let about = match error {
            ReadError::SerdeMissingField { .. } => About::Mapping,
            _ => About::Field,
        };
        let outline = Outline::of(self.text);
        let path = place.and_then(|place| outline.path_at(place, about)).filter(|path| !path.is_empty());
        let reason = match path {
            Some(path) => format!("{}: {reason}", shortened(path, 200)),
            None => reason,
        };
        Refusal { line: self.first_line + line.saturating_sub(1), reason: one_line(&reason) }
    }

    fn refuse(&self, reason: &str) -> Refusal {
        Refusal { line: self.first_line, reason: one_line(reason) }
    }

    fn refuse_field(&self, kind: &str, name: &str, error: &FieldError) -> Refusal {
        let reason = one_line(&format!("{kind} {name}: {error}"));
        Refusal { line: self.line_of_field(&error.field), reason }
    }

    fn remark(&self, key: &str, text: String) -> Reading {
        Reading { object: None, remarks: vec![(self.line_of(key), one_line(&text))] }
    }

    fn line_of_field(&self, path: &str) -> usize {
        let line = Outline::of(self.text).line_of(path).and_then(|line| usize::try_from(line).ok());
        self.first_line + line.unwrap_or(1).saturating_sub(1)
    }

    /// The line of the first mention of `word`; the document's first one where there is none.
    fn line_of(&self, word: &str) -> usize {
        let index =
            self.text.lines().position(|line| !line.trim_start().starts_with('#') && line.contains(word));
        self.first_line + index.unwrap_or(0)
    }
}

impl Reading {
    fn of(object: Object) -> Self {
        Self { object: Some(object), remarks: Vec::new() }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TypeMeta {
    api_version: String,
    kind: String,
}

#[cfg(test)]
mod tests;
