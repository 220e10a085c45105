//! Everything that a source has read, before it becomes what is wanted: the same whether it came from a folder or from
//! an API server.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use flock_core::attachment::PodName;
use flock_core::claim::AddressPool;
use flock_core::node::NodePlan;
use flock_core::pod::Pod;
use flock_core::selector::{LabelSelector, Labels};
use ipnet::IpNet;
use jiff::Timestamp;
use serde_json::Value;

use super::node_config::{IP_ALGO, node_plan, typed};
use flock_core::desired::Place;

/// All objects that count, each read and checked by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Objects {
    /// Nodes by name. From an API server it is the agent's own alone.
    pub nodes: BTreeMap<String, NodeObject>,
    /// NodeConfigs by name: nodes' own and templates.
    pub configs: BTreeMap<String, Arc<ConfigObject>>,
    pub pools: BTreeMap<String, AddressPool>,
    /// The labels of namespaces.
    pub namespaces: BTreeMap<String, Labels>,
    pub pods: BTreeMap<PodName, Arc<Pod>>,
    /// What cannot be read, and says or may say what a node's configuration is.
    pub unreadable: Vec<Unreadable>,
    /// The addresses of the API servers, as far as the source knows them.
    pub servers: BTreeSet<IpAddr>,
}

impl Objects {
    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        let Self { nodes, configs, pools, namespaces, pods, .. } = self;
        (nodes.len() + configs.len() + pools.len() + namespaces.len() + pods.len()) as u64
    }
}

/// Something that may be a NodeConfig and cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    pub place: Place,
    /// Why it cannot be read, and what to do.
    pub reason: String,
    /// The nodes that it is for.
    pub nodes: Audience,
    /// What stands in for it.
    pub fallback: Fallback,
}

/// What stands in for an object that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fallback {
    /// An earlier version, which is among the objects.
    Earlier,
    /// Nothing: none has been read since the agent was started.
    Nothing,
}

/// The nodes that something is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Audience {
    /// The one of this name.
    Named(String),
    /// Those with such labels.
    Selected(LabelSelector),
    Unknown,
}

/// A Node, as far as the agent asks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeObject {
    /// What templates select by.
    pub labels: Labels,
    /// `spec.podCIDRs`: where pods' addresses come from when no NodeConfig says.
    pub pod_cidrs: Vec<IpNet>,
    /// Its addresses of type InternalIP and ExternalIP.
    pub addresses: Vec<IpAddr>,
}

/// A NodeConfig: one that is read, so its `spec` fits the types, but not yet one that makes sense with others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigObject {
    /// `metadata.name`.
    pub name: String,
    /// Where it is, for what is said about it.
    pub place: Place,
    /// `metadata.annotations`.
    pub annotations: BTreeMap<String, String>,
    /// `metadata.generation`; a folder has none.
    pub generation: Option<i64>,
    /// `metadata.creationTimestamp`; a folder has none.
    pub created: Option<Timestamp>,
    /// Of a template: which nodes it is for.
    pub template: Option<Template>,
    /// `spec` as written, without `nodeSelector` and `priority`.
    pub spec: Value,
    /// The prefixes that the node of this name gives its pods addresses of, as its agent says in `status.pools`.
    pub pools_in_use: Vec<IpNet>,
    /// The addresses of the node of this name, as its agent says in `status.addresses`.
    pub addresses: Vec<IpAddr>,
}

impl ConfigObject {
    /// One of which nothing is known but its `spec`.
    pub fn new(name: &str, place: Place, spec: Value) -> Self {
        Self {
            name: name.to_owned(),
            place,
            annotations: BTreeMap::new(),
            generation: None,
            created: None,
            template: None,
            spec,
            pools_in_use: Vec::new(),
            addresses: Vec::new(),
        }
    }

    /// The nodes that it is for.
    pub fn nodes(&self) -> Audience {
        match &self.template {
            Some(template) => Audience::Selected(template.nodes.clone()),
            None => Audience::Named(self.name.clone()),
        }
    }

    /// The plan of a node of which nobody else says anything.
    ///
    /// # Errors
    /// The path of the first field that is to be changed, and why.
    pub fn alone(&self) -> Result<NodePlan, String> {
        let ip_algo = self.annotations.get(IP_ALGO).cloned();
        let plan = typed(&self.spec).and_then(|spec| node_plan(&self.name, ip_algo, spec));
        plan.map_err(|error| error.to_string())
    }
}

/// What makes a NodeConfig a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    pub nodes: LabelSelector,
    /// Higher ones count more.
    pub priority: i32,
}
