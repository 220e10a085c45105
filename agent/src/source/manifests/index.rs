//! Which of the objects in all files count: of two of one kind and name the first in the order of files and lines.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use flock_core::attachment::PodName;
use flock_core::desired::{Place, Problem};
use flock_core::feed::{Outcome, Parsed, Store, Update, Version};

use crate::source::document::Object;
use crate::source::own::OwnNode;
use crate::source::reader::Interner;
use crate::source::reader::config::Config;
use crate::source::reader::node::Node;
use crate::source::reader::peer::PeerPod;
use crate::source::stores::{Concerns, Kind, Stores};

/// An object's kind and name.
type Title = String;

/// All objects, also those that do not count.
#[derive(Debug, Default)]
pub(super) struct Index {
    objects: BTreeMap<Title, BTreeMap<(PathBuf, usize), Object>>,
    /// What is there more than once.
    repeated: BTreeSet<Title>,
    /// Counts the changes: a folder's objects have no versions of their own.
    version: Version,
    interner: Interner,
}

/// What has changed in a file: its objects before and now, each with its line.
#[derive(Debug)]
pub(super) struct FileChange {
    pub(super) path: PathBuf,
    pub(super) before: Vec<(usize, Object)>,
    pub(super) now: Vec<(usize, Object)>,
}

impl Index {
    /// Takes in a file's change, and says whether it concerns the node's Desired.
    pub(super) fn change(&mut self, change: FileChange, stores: &Stores, node: &str) -> bool {
        let FileChange { path, before, now } = change;
        // Of each title any object: it says the kind.
        let mut touched = BTreeMap::new();
        for (line, object) in before {
            let title = title(&object);
            self.remove(&title, &(path.clone(), line));
            touched.insert(title, object);
        }
        for (line, object) in now {
            let title = title(&object);
            self.objects.entry(title.clone()).or_default().insert((path.clone(), line), object.clone());
            touched.insert(title, object);
        }
        touched.into_iter().fold(false, |concerns, (title, object)| {
            let repeated = self.note_repetition(&title);
            self.apply(&title, &object, stores, node) || repeated || concerns
        })
    }

    /// The objects that have no effect, and where they are.
    pub(super) fn problems(&self) -> impl Iterator<Item = Problem> {
        let repeated = self.repeated.iter().filter_map(|title| Some((title, self.objects.get(title)?)));
        repeated.flat_map(|(title, places)| {
            places.keys().skip(1).map(move |(path, line)| Problem {
                place: Place::File { path: path.clone(), line: Some(*line) },
                reason: format!(
                    "{title} is there already, in an earlier document or file: this one has no effect"
                ),
            })
        })
    }

    fn remove(&mut self, title: &Title, place: &(PathBuf, usize)) {
        if let Entry::Occupied(mut found) = self.objects.entry(title.clone()) {
            found.get_mut().remove(place);
            if found.get().is_empty() {
                found.remove();
            }
        }
    }

    /// Says whether the object was there more than once, or is.
    fn note_repetition(&mut self, title: &Title) -> bool {
        let was = self.repeated.remove(title);
        let is = self.objects.get(title).is_some_and(|places| places.len() > 1);
        if is {
            self.repeated.insert(title.clone());
        }
        was || is
    }

    /// Brings the object that counts into its store. `like` is one of this title: it says which store that is.
    fn apply(&mut self, title: &Title, like: &Object, stores: &Stores, node: &str) -> bool {
        self.version += 1;
        let version = self.version;
        let counts = self.objects.get(title).and_then(|places| places.values().next()).cloned();
        let concerns = match like {
            Object::Pod(pod) => return self.apply_pod(&pod.name, counts, stores, node),
            Object::NodeConfig(config) => stores.update(Kind::NodeConfigs, |kinds| {
                let config_of = |object| match object {
                    Object::NodeConfig(config) => Some(Config { config: Some(config), ..Config::default() }),
                    _ => None,
                };
                put(&mut kinds.configs, config.name.clone(), version, counts.and_then(config_of))
            }),
            Object::Node(name, _) => stores.update(Kind::Nodes, |kinds| {
                let node_of = |object| match object {
                    Object::Node(_, node) => Some(Node { node, own: OwnNode::default() }),
                    _ => None,
                };
                put(&mut kinds.nodes, name.clone(), version, counts.and_then(node_of))
            }),
            Object::Namespace(name, _) => stores.update(Kind::Namespaces, |kinds| {
                let labels_of =
                    |object| if let Object::Namespace(_, labels) = object { Some(labels) } else { None };
                put(&mut kinds.namespaces, name.clone(), version, counts.and_then(labels_of))
            }),
            Object::AddressPool(pool) => stores.update(Kind::AddressPools, |kinds| {
                let pool_of = |object| if let Object::AddressPool(pool) = object { Some(pool) } else { None };
                put(&mut kinds.pools, pool.name.clone(), version, counts.and_then(pool_of))
            }),
        };
        concerns == Concerns::Desired
    }

    /// A pod is the node's own or another's, and may become the other.
    fn apply_pod(&mut self, name: &PodName, counts: Option<Object>, stores: &Stores, node: &str) -> bool {
        let pod = counts.and_then(|object| if let Object::Pod(pod) = object { Some(pod) } else { None });
        let (own, peer) = match pod {
            Some(pod) if pod.is_on(node) => (Some(Arc::unwrap_or_clone(pod)), None),
            Some(pod) => (None, PeerPod::of(Arc::unwrap_or_clone(pod), &mut self.interner)),
            None => (None, None),
        };
        let version = self.version;
        let own = stores.update(Kind::Pods, |kinds| put(&mut kinds.pods, name.clone(), version, own));
        let peer = stores.update(Kind::Peers, |kinds| put(&mut kinds.peers, name.clone(), version, peer));
        own == Concerns::Desired || peer == Concerns::Desired
    }
}

fn put<K: Ord + Clone, V: Eq>(store: &mut Store<K, V>, key: K, version: Version, value: Option<V>) -> Update {
    match value {
        Some(value) => {
            store.applied(key, version, |_| Parsed { outcome: Outcome::Value(value), problems: Vec::new() })
        }
        None => store.deleted(&key, version),
    }
}

fn title(object: &Object) -> Title {
    match object {
        Object::NodeConfig(config) => format!("NodeConfig {}", config.name),
        Object::Node(name, _) => format!("Node {name}"),
        Object::Pod(pod) => format!("Pod {}", pod.name),
        Object::Namespace(name, _) => format!("Namespace {name}"),
        Object::AddressPool(pool) => format!("AddressPool {}", pool.name),
    }
}
