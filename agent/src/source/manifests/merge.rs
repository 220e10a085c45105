//! All files' objects as one.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use super::file::Files;
use crate::source::document::Object;
use crate::source::{Desired, Problem};

/// Of two objects of one name the first in the order of file names counts.
pub(super) fn merge(files: &Files, node: &str) -> Desired {
    let mut desired = Desired::default();
    for (path, file) in files.iter() {
        desired.problems.extend(file.problems().iter().cloned());
        for (line, object) in file.objects() {
            let twice = add(&mut desired, node, object).err();
            desired.problems.extend(twice.map(|Twice(what)| Problem {
                file: path.to_owned(),
                line: Some(*line),
                reason: format!(
                    "{what} is there already, in an earlier document or file: this one has no effect"
                ),
            }));
        }
    }
    desired.pools.sort_by(|a, b| a.name.cmp(&b.name));
    desired
}

/// What is there already.
struct Twice(String);

fn add(desired: &mut Desired, node: &str, object: &Object) -> Result<(), Twice> {
    let added = match object {
        Object::Node(plan) if plan.name != node => {
            desired.cluster.extend(plan.pools.iter());
            true
        }
        Object::Node(plan) => {
            let first = desired.node.is_none();
            desired.node.get_or_insert_with(|| Arc::new(plan.clone()));
            first
        }
        Object::Pod(pod) => insert(&mut desired.pods, &pod.name, pod),
        Object::Namespace(name, labels) => insert(&mut desired.namespaces, name, labels),
        Object::AddressPool(pool) => {
            let first = desired.pools.iter().all(|other| other.name != pool.name);
            desired.pools.extend(first.then(|| pool.clone()));
            first
        }
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
        Object::Node(plan) => format!("NodeConfig {}", plan.name),
        Object::Pod(pod) => format!("Pod {}", pod.name),
        Object::Namespace(name, _) => format!("Namespace {name}"),
        Object::AddressPool(pool) => format!("AddressPool {}", pool.name),
    }
}
