//! Where the agent learns what is wanted: the node's configuration and its pods.
//!
//! ```text
//!  folder      --> manifests  --+
//!                               +--> Objects --> compose (templates, podCIDRs, last good) --> Desired
//!  API server  --> kubernetes --+
//! ```
//!
//! A [`Source`] publishes a whole [`Desired`] at every change; nobody else knows whether it came from a folder of
//! manifests or from Kubernetes.

mod address_pool;
mod bgp;
mod compose;
pub mod document;
mod field;
pub mod kubernetes;
pub mod manifests;
mod node_config;
pub mod objects;
mod selector;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use flock_core::attachment::PodName;
use flock_core::claim::AddressPool;
use flock_core::node::NodePlan;
use flock_core::pod::Pod;
use flock_core::selector::Labels;
use ipnet::IpNet;
use tokio::sync::watch;

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
    /// The pods that are known.
    pub pods: BTreeMap<PodName, Arc<Pod>>,
    /// All AddressPools, by name; no two have the same.
    pub pools: Vec<AddressPool>,
    /// The labels of the namespaces that are known, `kubernetes.io/metadata.name` among them.
    pub namespaces: BTreeMap<String, Labels>,
    /// What was refused, and why.
    pub problems: Vec<Problem>,
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

/// A source of what is wanted.
pub trait Source: Send + Sync + 'static {
    /// Follows what is wanted. Until [`Source::known`] is done it is empty and means nothing.
    fn desired(&self) -> watch::Receiver<Arc<Desired>>;

    /// Waits until what is wanted is known as a whole. Nothing may be programmed, or taken away, before.
    fn known(&self) -> impl Future<Output = ()> + Send;

    /// Why nothing is known yet, or why what is known may be old; none: it is known and fresh. For people.
    fn trouble(&self) -> Option<String>;

    /// Looks again now, because `pod` was asked for and is not known; where the runtime says its UID, for that one.
    fn refresh(&self, pod: &PodName, uid: Option<&str>) -> impl Future<Output = ()> + Send;

    /// What a person does to make `object` known, for the error of one that is not.
    fn advice(&self, object: &str) -> String;
}

/// Says what was obeyed before, or never was.
fn log_new_problems(before: &[Problem], now: &[Problem]) {
    for problem in now.iter().filter(|problem| !before.contains(problem)) {
        tracing::error!(
            place = %problem.place,
            reason = problem.reason,
            "not obeyed; where it said something else before, that stays"
        );
    }
}
