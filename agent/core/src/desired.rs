//! What is wanted of a node, as a source has read it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use ipnet::IpNet;

use crate::attachment::PodName;
use crate::claim::AddressPool;
use crate::node::NodePlan;
use crate::pod::Pod;
use crate::selector::Labels;

/// What is wanted of this node, as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Desired {
    /// The node's plan; none: nothing says where its pods' addresses come from, or nothing valid ever did.
    pub node: Option<Arc<NodePlan>>,
    /// What the plan is made of, and what became of that.
    pub config: ConfigReport,
    /// The prefixes of the cluster's other nodes, as their NodeConfigs say.
    pub cluster: BTreeSet<IpNet>,
    /// The addresses of the cluster's other nodes and of its API servers, as far as the source knows them.
    pub machines: BTreeSet<IpAddr>,
    /// This node's pods that are known, and those of other nodes that claim anycast addresses.
    pub pods: BTreeMap<PodName, Arc<Pod>>,
    /// All AddressPools, by name; no two have the same.
    pub pools: Vec<AddressPool>,
    /// The labels of the namespaces that are known, `kubernetes.io/metadata.name` among them.
    pub namespaces: BTreeMap<String, Labels>,
    /// What was refused, and why.
    pub problems: Vec<Problem>,
}

impl Desired {
    /// One of this node's own pods. Another node's pod of the same name is none.
    pub fn own_pod(&self, name: &PodName) -> Option<&Arc<Pod>> {
        let node = self.node.as_deref()?;
        self.pods.get(name).filter(|pod| pod.is_on(&node.name))
    }
}

/// What a node's plan is made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConfigReport {
    /// `metadata.generation` of the node's own NodeConfig; none: it has none, or from a folder.
    pub generation: Option<i64>,
    /// The templates that select the node, in the order of their precedence.
    pub templates: Vec<String>,
    /// Fields of which templates of the same priority say different things.
    pub conflicts: Vec<Conflict>,
    /// Why what is written now is not obeyed; the plan is then the last good one, if there ever was one.
    pub refused: Option<String>,
}

/// A field of which two templates of the same priority say different things.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Conflict {
    /// The field's path, as `spec.mtu`.
    pub field: String,
    /// The template whose value counts: the first in the alphabet.
    pub used: String,
    /// The template whose value does not.
    pub ignored: String,
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, used, ignored } = self;
        write!(
            f,
            "NodeConfigs {used} and {ignored} of the same priority say different things of {field}: that of {used} \
             counts; give one of them a higher spec.priority"
        )
    }
}

/// Something that was refused, or that contains what is not obeyed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where it is.
    pub place: Place,
    /// What is wrong, and what to do.
    pub reason: String,
}

/// Where something is written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// In the folder of manifests.
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1; none when it is the file as a whole.
        line: Option<usize>,
    },
    /// In the API server.
    Object {
        /// Its kind.
        kind: &'static str,
        /// Its name, with its namespace if it is in one.
        name: String,
    },
    /// In what several objects say together, for the node of this name.
    Composition(String),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.reason)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File { path, line: Some(line) } => write!(f, "{}:{line}", path.display()),
            Place::File { path, line: None } => path.display().fmt(f),
            Place::Object { kind, name } => write!(f, "{kind} {name}"),
            Place::Composition(node) => write!(f, "configuration of node {node}"),
        }
    }
}
