//! One YAML document of a manifest file: its text, its kind, and core's words for it.
//!
//! YAML is turned into JSON and read by the readers of the API server's objects, so that a document means here what it means
//! there: `"65001"` is no number, `7` is no text, and what is written without a value is not there.

mod outline;

use std::path::PathBuf;
use std::sync::Arc;

use flock_core::claim;
use flock_core::desired::Place;
use flock_core::pod::Pod;
use flock_core::selector::Labels;
use flock_crds::API_VERSION;
use serde::Deserialize;
use serde_json::Value;
use serde_saphyr::Error as YamlError;

use self::outline::Outline;
use super::node_config::{FieldError, without_nulls};
use super::objects::{ConfigObject, NodeObject};
use super::reader::config::node_config;
use super::reader::namespace::namespace;
use super::reader::node::node;
use super::reader::pod::{ReadPod, pod};
use super::reader::pool::pool;
use super::reader::{Interner, ReadError, one_line, shaped, shortened};

/// What a document says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Object {
    /// A node's configuration, or a part of that of several.
    NodeConfig(Arc<ConfigObject>),
    /// A node: its name, and what templates and pools ask of it.
    Node(String, NodeObject),
    Pod(Arc<Pod>),
    /// A namespace: its name and its labels.
    Namespace(String, Labels),
    /// Addresses that pods may name themselves.
    AddressPool(claim::AddressPool),
}

/// A document's object, if it is of a kind that is read, and what is to be said about it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reading {
    pub object: Option<Object>,
    /// Line and text of what is accepted but not obeyed.
    pub remarks: Vec<(usize, String)>,
}

/// Why a document is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Line in the file, from 1.
    pub line: usize,
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
    ///
    /// # Errors
    /// The line and the field that are to be changed, and why.
    pub fn read(&self) -> Result<Reading, Refusal> {
        self.read_with(&mut Interner::default())
    }

    /// The same, sharing with other documents what they have in common.
    pub(super) fn read_with(&self, interner: &mut Interner) -> Result<Reading, Refusal> {
        let value = self.value()?;
        let text = value.to_string();
        let TypeMeta { api_version, kind } =
            shaped(&text).map_err(|error| self.refuse_shape(error.field()))?;
        match (api_version.as_str(), kind.as_str()) {
            (API_VERSION, "NodeConfig") => {
                self.only(&["apiVersion", "kind", "metadata", "spec", "status"], &value)?;
                self.node_config(&value, &text)
            }
            (API_VERSION, "AddressPool") => {
                self.only(&["apiVersion", "kind", "metadata", "spec"], &value)?;
                let pool = pool(&text).map_err(|error| self.refusal("AddressPool", &value, &error))?;
                Ok(Reading::of(Object::AddressPool(pool)))
            }
            ("v1", "Pod") => self.pod(&value, &text, interner),
            ("v1", "Node") => {
                let (name, node) = node(&text).map_err(|error| self.refusal("Node", &value, &error))?;
                Ok(Reading::of(Object::Node(name, node.node)))
            }
            ("v1", "Namespace") => {
                let read = namespace(&text, interner);
                let (name, labels) = read.map_err(|error| self.refusal("Namespace", &value, &error))?;
                Ok(Reading::of(Object::Namespace(name, labels)))
            }
            ("networking.k8s.io/v1", "NetworkPolicy") => {
                Ok(self.remark(&kind, format!("{kind} is not served by this release: it has no effect")))
            }
            (API_VERSION, "NodeState") => {
                Ok(self.remark(&kind, "NodeState is written by agents and read by none: left out".to_owned()))
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

    fn node_config(&self, value: &Value, text: &str) -> Result<Reading, Refusal> {
        let (object, unsupported) =
            node_config(text).map_err(|error| self.refusal("NodeConfig", value, &error))?;
        let name = object.name.clone();
        let remarks = unsupported.into_iter().map(|field| {
            let text =
                format!("NodeConfig {name}: spec.{field} is not served by this release: it has no effect");
            (self.line_of_field(&format!("spec.{field}")), one_line(&text))
        });
        let remarks = remarks.collect();
        let place = Place::File { path: PathBuf::new(), line: Some(self.first_line) };
        // What an API server adds says nothing about this node.
        let object = ConfigObject {
            annotations: object.annotations,
            template: object.template,
            ..ConfigObject::new(&object.name, place, object.spec)
        };
        Ok(Reading { object: Some(Object::NodeConfig(Arc::new(object))), remarks })
    }

    fn pod(&self, value: &Value, text: &str, interner: &mut Interner) -> Result<Reading, Refusal> {
        let read = pod(text, interner).map_err(|error| match &error {
            ReadError::Shape(_) => self.refusal("Pod", value, &error),
            ReadError::Value(error) => self.refuse(&error.reason),
        })?;
        let Some(ReadPod { pod, invalid_condition }) = read else { return Ok(Reading::default()) };
        let remark = invalid_condition.map(|odd| {
            let text = format!("Pod {}: {odd}: it counts as not ready", pod.name);
            (self.line_of_field(&odd.field), one_line(&text))
        });
        Ok(Reading { object: Some(Object::Pod(Arc::new(pod))), remarks: remark.into_iter().collect() })
    }

    fn value(&self) -> Result<Value, Refusal> {
        let mut value = serde_saphyr::from_str(self.text).map_err(|error| self.no_yaml(&error))?;
        without_nulls(&mut value);
        Ok(value)
    }

    /// The YAML reader says where in the text and what; people want to know which field, too.
    fn no_yaml(&self, error: &YamlError) -> Refusal {
        let place = error.location();
        let line = place.and_then(|at| usize::try_from(at.line()).ok()).unwrap_or(1);
        let reason = match error.without_snippet() {
            YamlError::DuplicateMappingKey { key, .. } => {
                format!("{} is there twice: leave one out", key.as_deref().unwrap_or("a field"))
            }
            error => {
                let text = error.to_string();
                text.rsplit_once(" at line ").map_or(text.as_str(), |(reason, _)| reason).to_owned()
            }
        };
        let outline = Outline::of(self.text);
        let path = place.and_then(|place| outline.path_at(place)).filter(|path| !path.is_empty());
        let reason = match path {
            Some(path) => format!("{}: {reason}", shortened(path, 200)),
            None => reason,
        };
        Refusal { line: self.first_line + line.saturating_sub(1), reason: one_line(&reason) }
    }

    /// An API server takes other fields out; a person has mistyped them.
    fn only(&self, known: &[&str], value: &Value) -> Result<(), Refusal> {
        let fields = value.as_object().into_iter().flat_map(|fields| fields.keys());
        match fields.into_iter().find(|field| !known.contains(&field.as_str())) {
            None => Ok(()),
            Some(field) => {
                let reason = format!("unknown field `{field}`, expected one of {}", known.join(", "));
                Err(self.refuse_shape(&FieldError { field: field.clone(), reason }))
            }
        }
    }

    fn refusal(&self, kind: &str, value: &Value, error: &ReadError) -> Refusal {
        match error {
            ReadError::Shape(error) => self.refuse_shape(error),
            ReadError::Value(error) => {
                let name = value["metadata"]["name"].as_str().unwrap_or_default();
                let reason = one_line(&format!("{kind} {name}: {error}"));
                Refusal { line: self.line_of_field(&error.field), reason }
            }
        }
    }

    fn refuse_shape(&self, error: &FieldError) -> Refusal {
        let FieldError { field, reason } = error;
        let reason = match reason.rsplit_once(", expected a ") {
            Some((_, "list")) => "must be a list",
            Some((_, "mapping of fields")) => "must be a mapping of fields",
            _ => reason,
        };
        let reason =
            if field.is_empty() { reason.to_owned() } else { format!("{}: {reason}", shortened(field, 200)) };
        Refusal { line: self.line_of_field(field), reason: one_line(&reason) }
    }

    fn refuse(&self, reason: &str) -> Refusal {
        Refusal { line: self.first_line, reason: one_line(reason) }
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

/// A document as the readers are given it.
#[cfg(test)]
pub(super) fn json(yaml: &str) -> String {
    let mut value = serde_saphyr::from_str(yaml).unwrap_or_else(|error| panic!("{yaml}{error}"));
    without_nulls(&mut value);
    value.to_string()
}

#[cfg(test)]
mod tests;
