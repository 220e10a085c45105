//! Everything that is known of the cluster, and what is made of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flock_core::pod::Pod;
use jiff::Timestamp;

use super::follow::{Collection, Failure};
use super::kinds::{Configs, Namespaces, Nodes, Peers, Pods, Pools, unknown_kind};
use super::shelf::Shelf;
use crate::source::compose::Composer;
use crate::source::objects::{Instead, Objects, Unread, Whom};
use crate::store::Files;
use flock_core::desired::{Desired, Place, Problem};

/// What is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    Node,
    NodeConfigs,
    AddressPools,
    Namespaces,
    Pods,
    Peers,
}

impl What {
    pub(super) const ALL: [Self; 6] =
        [Self::Node, Self::NodeConfigs, Self::AddressPools, Self::Namespaces, Self::Pods, Self::Peers];

    pub(super) fn collection(self, node: &str) -> Collection {
        let (path, fields) = match self {
            Self::Node => ("/api/v1/nodes", Some(format!("metadata.name={node}"))),
            Self::NodeConfigs => ("/apis/flock.fritzlab.net/v1alpha1/nodeconfigs", None),
            Self::AddressPools => ("/apis/flock.fritzlab.net/v1alpha1/addresspools", None),
            Self::Namespaces => ("/api/v1/namespaces", None),
            Self::Pods => ("/api/v1/pods", Some(format!("spec.nodeName={node}"))),
            Self::Peers => {
                let elsewhere = format!("spec.nodeName!={node},spec.nodeName!=");
                ("/api/v1/pods", Some(format!("{elsewhere},status.phase!=Succeeded,status.phase!=Failed")))
            }
        };
        Collection { path, fields, metadata_only: self == Self::Namespaces }
    }

    /// Whose objects are of flock's own kinds: without them a node can still take pods.
    fn resource(self) -> Option<&'static str> {
        match self {
            Self::NodeConfigs => Some("nodeconfigs.flock.fritzlab.net"),
            Self::AddressPools => Some("addresspools.flock.fritzlab.net"),
            _ => None,
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Node => "this node",
            Self::NodeConfigs => "NodeConfigs",
            Self::AddressPools => "AddressPools",
            Self::Namespaces => "namespaces",
            Self::Pods => "this node's pods",
            Self::Peers => "other nodes' pods",
        })
    }
}

/// A collection that cannot be followed.
#[derive(Debug, Clone)]
struct Trouble {
    since: Timestamp,
    reason: String,
}

/// Everything.
pub(super) struct State {
    pub(super) node: Shelf<Nodes>,
    pub(super) configs: Shelf<Configs>,
    pub(super) pools: Shelf<Pools>,
    pub(super) namespaces: Shelf<Namespaces>,
    pub(super) pods: Shelf<Pods>,
    pub(super) peers: Shelf<Peers>,
    pub(super) servers: BTreeSet<IpAddr>,
    name: String,
    composer: Composer,
    troubles: BTreeMap<What, Trouble>,
    /// Collections that there are none of, and why.
    absent: BTreeMap<What, String>,
}

/// What a failure makes of a collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It will be there later; what is known stays.
    Wait,
    /// It counts as empty until it is there.
    Empty,
}

/// A missing permission counts as such only after so long: an API server that has just come up refuses everybody for a
/// moment.
const FORBIDDEN_FOR: Duration = Duration::from_secs(5);

impl State {
    pub(super) fn new(node: &str, files: impl Files, run_dir: &Path) -> Self {
        Self {
            node: Shelf::new(Nodes),
            configs: Shelf::new(Configs { node: node.to_owned() }),
            pools: Shelf::new(Pools),
            namespaces: Shelf::new(Namespaces),
            pods: Shelf::new(Pods { node: node.to_owned() }),
            peers: Shelf::new(Peers::default()),
            servers: BTreeSet::new(),
            name: node.to_owned(),
            composer: Composer::kept_in(node, files, run_dir),
            troubles: BTreeMap::new(),
            absent: BTreeMap::new(),
        }
    }

    fn is_listed(&self, what: What) -> bool {
        match what {
            What::Node => self.node.is_complete(),
            What::NodeConfigs => self.configs.is_complete(),
            What::AddressPools => self.pools.is_complete(),
            What::Namespaces => self.namespaces.is_complete(),
            What::Pods => self.pods.is_complete(),
            What::Peers => self.peers.is_complete(),
        }
    }

    /// What is wanted; none before every list has been complete once.
    pub(super) fn desired(&mut self) -> Option<Desired> {
        if !What::ALL.iter().all(|what| self.is_listed(*what)) {
            return None;
        }
        let (objects, problems) = (self.objects(), self.problems());
        Some(self.composer.compose(objects, problems))
    }

    fn objects(&self) -> Objects {
        let claiming = self.peers.iter().filter_map(|(name, peer)| Some((name, peer.claims.as_ref()?)));
        // A pod that was made anew here is not the one that another node had.
        let pods = claiming.chain(self.pods.iter()).map(|(name, pod)| (name.clone(), Arc::<Pod>::clone(pod)));
        let own = self.node.get(&self.name).map(|node| (self.name.clone(), node.node.clone()));
        let configs = self.configs.iter();
        Objects {
            nodes: own.into_iter().collect(),
            configs: configs
                .filter_map(|(name, config)| Some((name.clone(), config.config.clone()?)))
                .collect(),
            pools: self.pools.iter().map(|(name, pool)| (name.clone(), pool.clone())).collect(),
            namespaces: self.namespaces.iter().map(|(name, labels)| (name.clone(), labels.clone())).collect(),
            pods: pods.collect(),
            unread: self.unread(),
            servers: self.servers.clone(),
        }
    }

    fn unread(&self) -> Vec<Unread> {
        let absent = self.absent.get(&What::NodeConfigs).map(|reason| Unread {
            place: kind_of(What::NodeConfigs),
            reason: reason.clone(),
            nodes: Whom::Unknown,
            instead: Instead::Nothing,
        });
        absent
            .into_iter()
            .chain(self.configs.iter().filter_map(|(_, config)| config.unread.clone()))
            .collect()
    }

    fn problems(&self) -> Vec<Problem> {
        let absent = self.absent.iter();
        let absent = absent.map(|(what, reason)| Problem { place: kind_of(*what), reason: reason.clone() });
        let flocks = self.configs.problems().chain(self.pools.problems());
        let kubernetes = self.node.problems().chain(self.namespaces.problems()).chain(self.pods.problems());
        absent.chain(flocks.chain(kubernetes).cloned()).collect()
    }

    /// A collection is followed. Says whether it was not.
    pub(super) fn following(&mut self, what: What) -> bool {
        self.troubles.remove(&what).is_some()
    }

    /// A list is complete, so there is such a collection. Says whether that is news.
    pub(super) fn present(&mut self, what: What) -> bool {
        self.absent.remove(&what).is_some()
    }

    /// A collection cannot be followed. Says whether it could be before.
    pub(super) fn failing(&mut self, what: What, failure: &Failure, now: Timestamp) -> (bool, Verdict) {
        let reason = failure.reason.clone();
        let first = !self.troubles.contains_key(&what);
        let since = self.troubles.get(&what).map_or(now, |trouble| trouble.since);
        let lasts = now.duration_since(since) >= FORBIDDEN_FOR.try_into().unwrap_or_default();
        // What has been there is not gone because the API server says so once.
        let is_absent = self.absent.contains_key(&what);
        let counts_as_empty = is_absent || !self.is_listed(what);
        let why = what.resource().filter(|_| counts_as_empty).and_then(|resource| match failure.code {
            Some(404) => Some(unknown_kind(resource)),
            Some(403) if lasts || is_absent => {
                Some(format!("{reason}: grant `list` and `watch` of {resource} to the agent's ClusterRole"))
            }
            _ => None,
        });
        match why {
            Some(why) => {
                self.troubles.remove(&what);
                let first = self.absent.insert(what, why).is_none();
                (first, Verdict::Empty)
            }
            None => {
                self.troubles.insert(what, Trouble { since, reason });
                (first, Verdict::Wait)
            }
        }
    }

    /// Why what is known is not all, or may be old.
    pub(super) fn trouble(&self) -> Option<String> {
        let mut by_reason: BTreeMap<&str, (Vec<String>, Timestamp)> = BTreeMap::new();
        for (what, Trouble { since, reason }) in &self.troubles {
            let (whats, first) = by_reason.entry(reason).or_insert((Vec::new(), *since));
            whats.push(what.to_string());
            *first = (*first).min(*since);
        }
        if by_reason.is_empty() {
            let missing = What::ALL.into_iter().filter(|what| !self.is_listed(*what));
            let missing: Vec<String> = missing.map(|what| what.to_string()).collect();
            return (!missing.is_empty())
                .then(|| format!("the API server has not listed {} yet", missing.join(", ")));
        }
        let one = |(reason, (whats, since)): (&str, (Vec<String>, Timestamp))| {
            format!("{} cannot be followed since {since:.0}: {reason}", whats.join(", "))
        };
        let all: Vec<String> = by_reason.into_iter().map(one).collect();
        Some(format!("API server: {}", all.join("; ")))
    }
}

fn kind_of(what: What) -> Place {
    let name = what.resource().unwrap_or_default().to_owned();
    Place::Object { kind: "CustomResourceDefinition", name }
}
