//! All files' objects as one.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::file::{File, Files};
use crate::source::document::Object;
use crate::source::objects::{Instead, Objects, Unread, Whom};
use flock_core::desired::{Place, Problem};

/// Of two objects of one name the first in the order of file names counts.
pub(super) fn merge(files: &Files) -> (Objects, Vec<Problem>) {
    let mut objects = Objects::default();
    let mut problems = Vec::new();
    for (path, file) in files.iter() {
        problems.extend(file.problems().iter().cloned());
        objects.unread.extend(unread(file));
        for (line, object) in file.objects() {
            let twice = add(&mut objects, object).err();
            problems.extend(twice.map(|Twice(what)| Problem {
                place: Place::File { path: path.to_owned(), line: Some(*line) },
                reason: format!(
                    "{what} is there already, in an earlier document or file: this one has no effect"
                ),
            }));
        }
    }
    (objects, problems)
}

/// A file that cannot be read has the NodeConfigs that it had; if it never could be, it may have any.
fn unread(file: &File) -> Vec<Unread> {
    let Some(Problem { place, reason }) = file.refusal() else { return Vec::new() };
    let unread = |nodes, instead| Unread { place: place.clone(), reason: reason.clone(), nodes, instead };
    if file.objects().is_empty() {
        return vec![unread(Whom::Unknown, Instead::Nothing)];
    }
    let earlier = file.objects().iter().filter_map(|(_, object)| match object {
        Object::NodeConfig(config) => Some(config.nodes()),
        _ => None,
    });
    earlier.map(|nodes| unread(nodes, Instead::Earlier)).collect()
}

/// What is there already.
struct Twice(String);

fn add(objects: &mut Objects, object: &Object) -> Result<(), Twice> {
    let added = match object {
        Object::NodeConfig(config) => insert(&mut objects.configs, &config.name, config),
        Object::Node(name, node) => insert(&mut objects.nodes, name, node),
        Object::Pod(pod) => insert(&mut objects.pods, &pod.name, pod),
        Object::Namespace(name, labels) => insert(&mut objects.namespaces, name, labels),
        Object::AddressPool(pool) => insert(&mut objects.pools, &pool.name, pool),
    };
    if added { Ok(()) } else { Err(Twice(title(object))) }
}

/// Whether there was nothing of that name.
fn insert<K: Ord + Clone, V: Clone>(map: &mut BTreeMap<K, V>, key: &K, value: &V) -> bool {
    match map.entry(key.clone()) {
        Entry::Vacant(place) => {
            place.insert(value.clone());
            true
        }
        Entry::Occupied(_) => false,
    }
}

fn title(object: &Object) -> String {
    match object {
        Object::NodeConfig(config) => format!("NodeConfig {}", config.name),
        Object::Node(name, _) => format!("Node {name}"),
        Object::Pod(pod) => format!("Pod {}", pod.name),
        Object::Namespace(name, _) => format!("Namespace {name}"),
        Object::AddressPool(pool) => format!("AddressPool {}", pool.name),
    }
}
