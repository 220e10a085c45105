//! The objects of one kind, as they were last seen.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::source::Problem;

/// How the objects of a kind are read.
pub(super) trait Kind: Send + 'static {
    /// What tells two of them apart.
    type Key: Ord + Clone + Send;
    /// What is kept of one.
    type Value: Clone + PartialEq + Send;
    /// The key of the object with this metadata; none: it is none that the API server would have.
    fn key(&self, meta: &Meta) -> Option<Self::Key>;
    /// Reads one. `former` is what was read of its earlier version.
    fn read(&mut self, text: &str, former: Option<&Self::Value>) -> Reading<Self::Value>;
    /// A list is complete.
    fn tidy(&mut self) {}
}

/// What was read of an object.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reading<V> {
    /// None: it cannot be read, or is of no concern.
    pub(super) value: Option<V>,
    /// What is to be said about it.
    pub(super) problems: Vec<Problem>,
}

/// What every object has.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Meta {
    #[serde(default)]
    pub(super) namespace: String,
    #[serde(default)]
    pub(super) name: String,
    resource_version: Option<String>,
}

/// A version of an object or of a collection. They compare: of two, the larger number is the later one (KEP-5504), until
/// somebody puts an old backup back; so nothing but a refresh is judged by them.
type Version = u64;

/// All objects of one kind.
pub(super) struct Shelf<K: Kind> {
    kind: K,
    objects: BTreeMap<K::Key, Entry<K::Value>>,
    /// The list that is being read: what is in it counts when it is complete.
    coming: Option<BTreeMap<K::Key, Entry<K::Value>>>,
    /// Everything up to here is seen.
    seen: Version,
    complete: bool,
}

struct Entry<V> {
    version: Version,
    reading: Reading<V>,
    /// A refresh has seen it, the watch not yet.
    ahead: bool,
}

impl<V> Entry<V> {
    fn is_ahead_of(&self, version: Version) -> bool {
        self.ahead && self.version > version
    }
}

/// Whether what is known is another now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Same,
    Other,
}

impl Change {
    fn when(changed: bool) -> Self {
        if changed { Self::Other } else { Self::Same }
    }
}

impl<K: Kind> Shelf<K> {
    pub(super) fn new(kind: K) -> Self {
        Self { kind, objects: BTreeMap::new(), coming: None, seen: 0, complete: false }
    }

    /// Whether a list has been read as a whole.
    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }

    /// There is nothing to list.
    pub(super) fn give_up(&mut self) {
        self.complete = true;
    }

    /// The objects that are read and of concern.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&K::Key, &K::Value)> {
        self.objects.iter().filter_map(|(key, entry)| Some((key, entry.reading.value.as_ref()?)))
    }

    /// One of them.
    pub(super) fn get(&self, key: &K::Key) -> Option<&K::Value> {
        self.objects.get(key)?.reading.value.as_ref()
    }

    /// What is to be said about them.
    pub(super) fn problems(&self) -> impl Iterator<Item = &Problem> {
        self.objects.values().flat_map(|entry| &entry.reading.problems)
    }

    /// A list begins.
    pub(super) fn begin(&mut self) {
        self.coming = Some(BTreeMap::new());
    }

    /// An object of the list.
    pub(super) fn listed(&mut self, object: &RawValue) {
        let Some((key, version)) = self.identity(object) else { return };
        let former = self.objects.get(&key).and_then(|entry| entry.reading.value.as_ref());
        let reading = self.kind.read(object.get(), former);
        self.coming.get_or_insert_default().insert(key, Entry { version, reading, ahead: false });
    }

    /// The list is complete.
    pub(super) fn complete(&mut self, version: &str) -> Change {
        self.seen = version.parse().unwrap_or(0);
        let mut coming = self.coming.take().unwrap_or_default();
        let former = std::mem::take(&mut self.objects);
        let same = former.len() == coming.len()
            && former.iter().zip(&coming).all(|(a, b)| a.0 == b.0 && a.1.reading == b.1.reading);
        coming.extend(former.into_iter().filter(|(_, entry)| entry.is_ahead_of(self.seen)));
        self.objects = coming;
        self.kind.tidy();
        let first = !std::mem::replace(&mut self.complete, true);
        Change::when(first || !same)
    }

    /// An object is new, or is another now.
    pub(super) fn applied(&mut self, object: &RawValue) -> Change {
        let Some((key, version)) = self.identity(object) else { return Change::Same };
        self.seen = self.seen.max(version);
        if self.objects.get(&key).is_some_and(|entry| entry.is_ahead_of(version)) {
            return Change::Same;
        }
        self.put(key, version, object, false)
    }

    /// An object is not there any more.
    pub(super) fn deleted(&mut self, object: &RawValue) -> Change {
        let Some((key, version)) = self.identity(object) else { return Change::Same };
        self.seen = self.seen.max(version);
        // One of the same name may have been made anew, and a refresh have seen it.
        if self.objects.get(&key).is_some_and(|entry| entry.is_ahead_of(version)) {
            return Change::Same;
        }
        Change::when(self.objects.remove(&key).is_some())
    }

    /// Takes in an object that somebody has asked for, unless the watch has seen as much or more: then it is another by
    /// now, or not there any more.
    pub(super) fn refreshed(&mut self, object: &RawValue) -> Change {
        let Some((key, version)) = self.identity(object) else { return Change::Same };
        let older = self.objects.get(&key).is_none_or(|entry| entry.version < version);
        if !self.complete || version <= self.seen || !older {
            return Change::Same;
        }
        self.put(key, version, object, true)
    }

    fn put(&mut self, key: K::Key, version: Version, object: &RawValue, ahead: bool) -> Change {
        let former = self.objects.get(&key).map(|entry| &entry.reading);
        let reading = self.kind.read(object.get(), former.and_then(|reading| reading.value.as_ref()));
        let changed = former != Some(&reading);
        self.objects.insert(key, Entry { version, reading, ahead });
        Change::when(changed)
    }

    fn identity(&self, object: &RawValue) -> Option<(K::Key, Version)> {
        #[derive(Deserialize)]
        struct Object {
            metadata: Meta,
        }
        let Object { metadata } = serde_json::from_str(object.get()).ok()?;
        let version = metadata.resource_version.as_deref()?.parse().ok()?;
        Some((self.kind.key(&metadata)?, version))
    }
}

#[cfg(test)]
mod tests;
