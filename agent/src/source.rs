//! Where the agent learns what is wanted: the node's configuration and its pods.
//!
//! A [`Source`] publishes a whole [`Desired`] at every change; nobody else knows whether it came from a folder of
//! manifests or from Kubernetes.

mod address_pool;
mod bgp;
pub mod document;
mod field;
pub mod manifests;
mod node_config;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;
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
    /// The node's plan; none: there is no NodeConfig for it.
    pub node: Option<Arc<NodePlan>>,
    /// The prefixes of the cluster's other nodes, as their NodeConfigs say.
    pub cluster: BTreeSet<IpNet>,
    /// The pods that are known.
    pub pods: BTreeMap<PodName, Arc<Pod>>,
    /// All AddressPools, by name; no two have the same.
    pub pools: Vec<AddressPool>,
    /// The labels of the namespaces that are known, `kubernetes.io/metadata.name` among them.
    pub namespaces: BTreeMap<String, Labels>,
    /// What was refused, and why.
    pub problems: Vec<Problem>,
}

/// A document that was refused, or that contains something which is not obeyed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1; none when it is the file as a whole.
    pub line: Option<usize>,
    /// What is wrong, and what to do.
    pub reason: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file.display(), self.reason),
            None => write!(f, "{}: {}", self.file.display(), self.reason),
        }
    }
}

/// A source of what is wanted.
pub trait Source: Send + Sync + 'static {
    /// Follows what is wanted. The first value is complete: an agent acts on it.
    fn desired(&self) -> watch::Receiver<Arc<Desired>>;

    /// Looks again now, because `pod` was asked for and is not known.
    fn refresh(&self, pod: &PodName) -> impl Future<Output = ()> + Send;

    /// What a person does to make `object` known, for the error of one that is not.
    fn advice(&self, object: &str) -> String;
}
