//! One YAML document of a manifest file: its text, its kind, and core's words for it.

mod outline;

use std::collections::BTreeMap;

use flock_core::attachment::PodName;
use flock_core::node::NodePlan;
use flock_core::pod::{Controller, Pod};
use flock_crds::API_VERSION;
use flock_crds::address_pool::AddressPool;
use flock_crds::node_config::NodeConfig;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_saphyr::Error as ReadError;

use self::outline::{About, Outline};
use super::address_pool::address_pool;
use super::node_config::node_plan;

/// A reason that is longer repeats what was given; that must fill neither a log nor a terminal.
const LONGEST_REASON: usize = 600;

/// What a document says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Object {
    /// A node's configuration.
    Node(NodePlan),
    /// A pod.
    Pod(Pod),
    /// A namespace, by name.
    Namespace(String),
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
            ("v1", "Pod") => {
                self.parse::<PodManifest>()?.try_into().map_err(|e| self.refuse(e)).map(Reading::of)
            }
            ("v1", "Namespace") => {
                Ok(Reading::of(Object::Namespace(self.parse::<NamespaceManifest>()?.metadata.name)))
            }
            (API_VERSION, "AddressPool") => self.address_pool(),
            ("networking.k8s.io/v1", "NetworkPolicy") => {
                Ok(self.remark(&kind, format!("{kind} is not served by this release: it has no effect")))
            }
            (group, _) if group.starts_with("flock.fritzlab.net/") => {
                let known = format!("flock knows {API_VERSION} NodeConfig and AddressPool");
                Err(self.refuse(format!("there is no {kind} in {group}: {known}")))
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
        let plan = node_plan(config).map_err(|error| Refusal {
            line: self.line_of_field(&error.field),
            reason: one_line(&format!("NodeConfig {name}: {error}")),
        })?;
        let remarks = unserved.into_iter().map(|field| {
            let text =
                format!("NodeConfig {name}: spec.{field} is not served by this release: it has no effect");
            (self.line_of_field(&format!("spec.{field}")), one_line(&text))
        });
        Ok(Reading { object: Some(Object::Node(plan)), remarks: remarks.collect() })
    }

    /// Read, so that what is wrong with it is found, but nothing is given from it yet.
    fn address_pool(&self) -> Result<Reading, Refusal> {
        let pool: AddressPool = self.parse()?;
        let name = pool.metadata.name.clone();
        address_pool(pool).map_err(|error| Refusal {
            line: self.line_of_field(&error.field),
            reason: one_line(&format!("AddressPool {name}: {error}")),
        })?;
        let text = format!("AddressPool {name} is not served by this release: it has no effect");
        Ok(self.remark("AddressPool", text))
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

    fn refuse(&self, reason: String) -> Refusal {
        Refusal { line: self.first_line, reason: one_line(&reason) }
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

/// The reader's words, but where they are meant for its programmer.
fn readers_reason(error: &ReadError) -> String {
    match error {
        ReadError::Unexpected { expected: "sequence start", .. } => "must be a list".to_owned(),
        ReadError::Unexpected { expected: "mapping start", .. } => "must be a mapping of fields".to_owned(),
        ReadError::DuplicateMappingKey { key, .. } => {
            format!("{} is there twice: leave one out", key.as_deref().unwrap_or("a field"))
        }
        error => {
            let text = error.to_string();
            text.rsplit_once(" at line ").map_or(text.as_str(), |(reason, _)| reason).to_owned()
        }
    }
}

/// A reason as one line of a log, whatever was given.
fn one_line(reason: &str) -> String {
    // U+2028 and U+2029 separate lines and paragraphs, too.
    let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    let printable: String = reason.chars().map(|c| if breaks(c) { ' ' } else { c }).collect();
    shortened(&printable, LONGEST_REASON)
}

/// Beginning and end of a text: the one says what it is about, the other what is accepted.
fn shortened(text: &str, longest: usize) -> String {
    let length = text.chars().count();
    if length <= longest {
        return text.to_owned();
    }
    let start: String = text.chars().take(longest / 3).collect();
    let end: String = text.chars().skip(length - longest / 3 * 2).collect();
    format!("{start} … {end}")
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

#[derive(Deserialize)]
struct NamespaceManifest {
    metadata: NamespaceMeta,
}

#[derive(Deserialize)]
struct NamespaceMeta {
    name: String,
}

#[derive(Deserialize)]
struct PodManifest {
    metadata: PodMeta,
    #[serde(default)]
    spec: PodSpec,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodMeta {
    #[serde(default = "default_namespace")]
    namespace: String,
    name: String,
    uid: Option<String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    owner_references: Vec<OwnerReference>,
}

fn default_namespace() -> String {
    "default".to_owned()
}

#[derive(Deserialize)]
struct OwnerReference {
    kind: String,
    name: String,
    #[serde(default)]
    controller: bool,
}

#[derive(Deserialize, Default)]
struct PodSpec {
    #[serde(default)]
    containers: Vec<Container>,
}

#[derive(Deserialize)]
struct Container {
    image: Option<String>,
}

impl TryFrom<PodManifest> for Object {
    type Error = String;

    fn try_from(PodManifest { metadata, spec }: PodManifest) -> Result<Self, String> {
        let PodMeta { namespace, name, uid, annotations, labels, owner_references } = metadata;
        let controller = owner_references.into_iter().find(|owner| owner.controller);
        Ok(Object::Pod(Pod {
            name: PodName::new(&namespace, &name).map_err(|error| error.to_string())?,
            uid,
            annotations,
            labels,
            controller: controller.map(|OwnerReference { kind, name, .. }| Controller { kind, name }),
            image: spec.containers.into_iter().find_map(|container| container.image),
        }))
    }
}
