//! From objects to what is wanted: the node's own NodeConfig over its templates, field by field.
//!
//! ```text
//!  Objects --layers--> merge --cidrs, or podCIDRs--> node_plan --others' prefixes--> plan
//!                                  |                     |              |
//!                                  +------- refused -----+--------------+--> the last good plan
//! ```
//!
//! * [`merge`]: field by field, and which object each field is of.
//! * [`others`]: what the cluster's other nodes give their pods, and who was first.
//! * [`last_good`]: what has been good last, which a restart survives.

mod last_good;
mod layers;
mod merge;
mod others;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use flock_core::node::NodePlan;
use flock_core::selector::Labels;
use ipnet::IpNet;

pub(super) use self::last_good::Save;
use self::last_good::{LastGood, LastGoodStore};
use self::layers::Layers;
use self::merge::Merged;
use self::others::{Giver, Others};
use super::node_config::{FieldError, node_plan, typed};
use super::objects::{Audience, ConfigObject, Fallback, NodeObject, Objects, Unreadable};
use super::reader::one_line;
use crate::store::Files;
use flock_core::desired::{ConfigReport, Desired, Place, Problem};

/// Composes the configuration of one node, and remembers the last good one.
#[derive(Debug)]
pub(super) struct Composer {
    node: String,
    last_good: LastGoodStore,
    /// What the last composition was made of, and what became of it: most changes are of pods.
    former: Option<(Inputs, Composition)>,
}

/// What a composition is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Inputs {
    nodes: BTreeMap<String, NodeObject>,
    configs: BTreeMap<String, Arc<ConfigObject>>,
    unreadable: Vec<Unreadable>,
    servers: BTreeSet<IpAddr>,
}

/// What objects say together.
#[derive(Debug, Clone, Default)]
struct Composition {
    node: Option<Arc<NodePlan>>,
    config: ConfigReport,
    cluster: BTreeSet<IpNet>,
    machines: BTreeSet<IpAddr>,
    problems: Vec<Problem>,
}

/// What the node's objects come to, if nothing speaks against it.
enum Outcome {
    /// There is nothing for this node.
    Nothing,
    Good(LastGood),
    /// Why it is not obeyed.
    Refused(String),
}

impl Composer {
    /// Remembers the last good configuration as long as it lives.
    pub(super) fn new(node: &str) -> Self {
        Self { node: node.to_owned(), last_good: LastGoodStore::default(), former: None }
    }

    /// Keeps the last good configuration in `run_dir`, and goes on with what is there.
    pub(super) fn kept_in(node: &str, files: impl Files, run_dir: &Path) -> Self {
        Self { last_good: LastGoodStore::open(node, files, run_dir), ..Self::new(node) }
    }

    /// What is wanted of the node. `problems` are those of the objects' own.
    pub(super) fn compose(&mut self, objects: Objects, problems: Vec<Problem>) -> Desired {
        let Objects { nodes, configs, pools, namespaces, pods, unreadable, servers } = objects;
        let inputs = Inputs { nodes, configs, unreadable, servers };
        let composition = match self.former.take() {
            Some((former, composition)) if former == inputs => composition,
            _ => self.composition(&inputs),
        };
        let Composition { node, config, cluster, machines, problems: more } = composition.clone();
        self.former = Some((inputs, composition));
        let pools = pools.into_values().collect();
        let problems = problems.into_iter().chain(more).collect();
        Desired { node, config, cluster, machines, pods, pools, namespaces, problems }
    }

    /// What a restart is to find, where that is another than it was at the last call.
    pub(super) fn unsaved(&mut self) -> Option<Save> {
        self.last_good.unsaved()
    }

    fn composition(&mut self, inputs: &Inputs) -> Composition {
        let layers = Layers::of(inputs, &self.node);
        let merged = merge::merge(&layers);
        let others = Others::of(inputs, &self.node);
        let outcome = self.outcome(inputs, &layers, &merged, &others);
        let refused = match outcome {
            Outcome::Nothing => {
                self.last_good.forget();
                None
            }
            Outcome::Good(good) => {
                self.last_good.keep(good);
                None
            }
            Outcome::Refused(reason) => Some(one_line(&reason)),
        };
        let node = self.last_good.plan();
        let place = || Place::Composition(self.node.clone());
        let conflicts = merged.conflicts.iter().map(ToString::to_string);
        let problems = refused.iter().cloned().chain(conflicts);
        let superseded = self.unreadable(inputs, &layers, Fallback::Earlier);
        let machines = others.addresses().chain(inputs.servers.iter().copied()).collect();
        Composition {
            cluster: others.prefixes_beside(node.as_deref()),
            problems: problems.map(|reason| Problem { place: place(), reason }).collect(),
            config: ConfigReport {
                generation: layers.own().and_then(|own| own.generation),
                templates: layers.templates().map(|template| template.name.clone()).collect(),
                conflicts: merged.conflicts,
                refused: refused.or(superseded),
            },
            node,
            machines,
        }
    }

    fn outcome(&self, inputs: &Inputs, layers: &Layers<'_>, merged: &Merged, others: &Others) -> Outcome {
        if let Some(reason) = self.unreadable(inputs, layers, Fallback::Nothing) {
            return Outcome::Refused(reason);
        }
        let mut whole = merged.clone();
        let pod_cidrs = inputs.nodes.get(&self.node).map_or(&[][..], |node| &node.pod_cidrs);
        let giver = if whole.says_prefixes() { Giver::Configs } else { Giver::Kubernetes };
        if giver == Giver::Kubernetes {
            whole.set_prefixes(pod_cidrs);
        }
        if layers.is_empty() && pod_cidrs.is_empty() {
            return Outcome::Nothing;
        }
        match self.plan(&whole, layers) {
            Ok(good) => match others.contradict(&good.plan, giver) {
                Some((field, reason)) => {
                    Outcome::Refused(format!("{}: {field}: {reason}", self.sources(&field, &whole, layers)))
                }
                None => Outcome::Good(good),
            },
            Err(error) => {
                Outcome::Refused(format!("{}: {error}", self.sources(&error.field, &whole, layers)))
            }
        }
    }

    /// Why something that concerns the node cannot be read.
    fn unreadable(&self, inputs: &Inputs, layers: &Layers<'_>, fallback: Fallback) -> Option<String> {
        let nothing = Labels::new();
        let labels = inputs.nodes.get(&self.node).map_or(&nothing, |node| &node.labels);
        let concerns = |unreadable: &&Unreadable| match &unreadable.nodes {
            Audience::Named(name) => *name == self.node,
            Audience::Selected(selector) => selector.admits(labels),
            // The last good configuration is at stake, not one that nobody has ever seen.
            Audience::Unknown => layers.is_empty() && self.last_good.is_of_configs(),
        };
        let mut unreadable = inputs.unreadable.iter().filter(|unreadable| unreadable.fallback == fallback);
        let Unreadable { place, reason, .. } = unreadable.find(concerns)?;
        Some(one_line(&format!("{place} cannot be read: {reason}")))
    }

    fn plan(&self, whole: &Merged, layers: &Layers<'_>) -> Result<LastGood, FieldError> {
        let spec = serde_json::Value::Object(whole.spec.clone());
        let plan = node_plan(&self.node, whole.ip_algo.clone(), typed(&spec)?)?;
        let ip_algo = whole.ip_algo.clone();
        Ok(LastGood { spec, ip_algo, of_configs: !layers.is_empty(), plan: Arc::new(plan) })
    }

    /// The objects that a field is of.
    fn sources(&self, field: &str, whole: &Merged, layers: &Layers<'_>) -> String {
        let names: Vec<String> =
            whole.origins(field).into_iter().filter_map(|layer| layers.title(layer)).collect();
        if names.is_empty() { format!("Node {} spec.podCIDRs", self.node) } else { names.join(" and ") }
    }
}

#[cfg(test)]
mod tests;
