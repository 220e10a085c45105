//! The objects of one kind as they were last read, and a feed of what changes among them.
//!
//! ```text
//!  list  --begin, listed.., complete--+
//!  watch --applied, deleted-----------+--> Store --changes(&mut Cursor)--> one consumer
//!  GET   --refreshed------------------+      |  \--changes(&mut Cursor)--> another, at its own pace
//!                                            +--iter, get, problems
//! ```
//!
//! * A list counts when it is complete; until then the former objects stay.
//! * An object that cannot be read keeps its former value, and its problems are told.
//! * An object that is read as before is no change.
//! * The store remembers a bounded number of changes. A consumer that falls behind them is told [`Changes::Relisted`] and
//!   reads the store again; nothing grows because a consumer is slow.

mod log;

use std::collections::BTreeMap;
use std::sync::Arc;

use self::log::Log;
use crate::desired::Problem;

pub use self::log::{Change, Changes, Cursor};

/// `metadata.resourceVersion`. They compare: of two, the larger number is the later one (KEP-5504), until somebody restores
/// an old backup; so only a refresh is judged by them.
pub type Version = u64;

/// How many changes a store remembers unless said: a rollout of a large Deployment between two looks of a consumer.
pub const REMEMBERED: usize = 1024;

/// What a reader made of an object's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed<V> {
    /// The value, or why there is none.
    pub outcome: Outcome<V>,
    /// What is to be told about the object.
    pub problems: Vec<Problem>,
}

/// The value of an object, or why there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome<V> {
    /// It is read.
    Value(V),
    /// Nobody asks about such an object: it is as if it were not there.
    Irrelevant,
    /// It cannot be read: its former value stays.
    Unreadable,
}

/// Whether a call has changed what the store has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Update {
    /// Values and problems are as before.
    Unchanged,
    /// A value or a problem is another, or the first list is complete.
    Changed,
}

impl Update {
    fn when(changed: bool) -> Self {
        if changed { Self::Changed } else { Self::Unchanged }
    }
}

/// All objects of one kind.
#[derive(Debug)]
pub struct Store<K, V> {
    table: Table<K, V>,
    /// The list that is being read.
    relisting: Option<Table<K, V>>,
    /// The watch has seen everything up to here.
    seen: Version,
    is_listed: bool,
    log: Log<K, V>,
}

/// Objects with their problems. Few have any, so those are beside the objects and not in each.
#[derive(Debug)]
struct Table<K, V> {
    entries: BTreeMap<K, Entry<V>>,
    problems: BTreeMap<K, Vec<Problem>>,
}

#[derive(Debug)]
struct Entry<V> {
    version: Version,
    value: Option<Arc<V>>,
    /// A refresh has seen it, the watch not yet.
    ahead: bool,
}

impl<V> Entry<V> {
    fn is_ahead_of(&self, version: Version) -> bool {
        self.ahead && self.version > version
    }
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), problems: BTreeMap::new() }
    }
}

impl<K: Ord + Clone, V> Table<K, V> {
    fn value(&self, key: &K) -> Option<&Arc<V>> {
        self.entries.get(key)?.value.as_ref()
    }

    /// The objects that have a value.
    fn values(&self) -> impl Iterator<Item = (&K, &Arc<V>)> {
        self.entries.iter().filter_map(|(key, entry)| Some((key, entry.value.as_ref()?)))
    }

    fn is_ahead_of(&self, key: &K, version: Version) -> bool {
        self.entries.get(key).is_some_and(|entry| entry.is_ahead_of(version))
    }

    /// Says whether the object's problems are others now.
    fn put(&mut self, key: K, entry: Entry<V>, problems: Vec<Problem>) -> bool {
        let former = if problems.is_empty() {
            self.problems.remove(&key)
        } else {
            self.problems.insert(key.clone(), problems)
        };
        let changed = former.as_ref() != self.problems.get(&key);
        self.entries.insert(key, entry);
        changed
    }
}

impl<K: Ord + Clone, V: Eq> Default for Store<K, V> {
    fn default() -> Self {
        Self::remembering(REMEMBERED)
    }
}

impl<K: Ord + Clone, V: Eq> Store<K, V> {
    /// An empty store that remembers so many changes for its consumers.
    pub fn remembering(changes: usize) -> Self {
        Self {
            table: Table::default(),
            relisting: None,
            seen: 0,
            is_listed: false,
            log: Log::of_at_most(changes),
        }
    }

    /// Whether a list has been read as a whole, or [`Store::give_up`] says that there is none.
    pub fn is_listed(&self) -> bool {
        self.is_listed
    }

    /// The objects that have a value, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &Arc<V>)> {
        self.table.values()
    }

    /// The value of one.
    pub fn get(&self, key: &K) -> Option<&Arc<V>> {
        self.table.value(key)
    }

    /// What is to be told about the objects, by key.
    pub fn problems(&self) -> impl Iterator<Item = &Problem> {
        self.table.problems.values().flatten()
    }

    /// What has changed since the cursor's last call; its first call is told [`Changes::Relisted`].
    pub fn changes(&self, cursor: &mut Cursor) -> Changes<K, V> {
        self.log.since(cursor)
    }

    /// There is nothing to list: the kind does not exist.
    pub fn give_up(&mut self) -> Update {
        Update::when(self.listed_now())
    }

    /// A list begins. What an earlier one that broke off has brought is forgotten.
    pub fn begin(&mut self) {
        self.relisting = Some(Table::default());
    }

    /// An object of the list. `parse` is given the object's present value.
    pub fn listed(&mut self, key: K, version: Version, parse: impl FnOnce(Option<&V>) -> Parsed<V>) {
        let former = self.table.value(&key);
        let Parsed { outcome, problems } = parse(former.map(Arc::as_ref));
        let entry = Entry { version, value: value(outcome, former), ahead: false };
        self.relisting.get_or_insert_default().put(key, entry, problems);
    }

    /// The list is complete; what was not in it is not there.
    pub fn complete(&mut self, version: Version) -> Update {
        self.seen = version;
        let listed = self.relisting.take().unwrap_or_default();
        let mut former = std::mem::replace(&mut self.table, listed);
        for (key, entry) in former.entries.iter_mut().filter(|(_, entry)| entry.is_ahead_of(version)) {
            let kept = Entry { value: entry.value.clone(), ..*entry };
            self.table.put(key.clone(), kept, former.problems.get(key).cloned().unwrap_or_default());
        }
        let changed = self.log_differences(&former) || former.problems != self.table.problems;
        let first = self.listed_now();
        Update::when(first || changed)
    }

    /// An object is new, or is another now.
    pub fn applied(
        &mut self,
        key: K,
        version: Version,
        parse: impl FnOnce(Option<&V>) -> Parsed<V>,
    ) -> Update {
        self.seen = self.seen.max(version);
        if self.table.is_ahead_of(&key, version) {
            return Update::Unchanged;
        }
        self.put(key, Entry { version, value: None, ahead: false }, parse)
    }

    /// An object is not there any more.
    pub fn deleted(&mut self, key: &K, version: Version) -> Update {
        self.seen = self.seen.max(version);
        // One of the same name may have been made anew, and a refresh have seen it.
        if self.table.is_ahead_of(key, version) {
            return Update::Unchanged;
        }
        let value = self.table.entries.remove(key).and_then(|entry| entry.value);
        let problems = self.table.problems.remove(key);
        if value.is_some() {
            self.log.push(Change::Deleted(key.clone()));
        }
        Update::when(value.is_some() || problems.is_some())
    }

    /// Takes in an object that somebody has asked for, unless the watch has seen as much or more: then it is another by
    /// now, or not there any more.
    pub fn refreshed(
        &mut self,
        key: K,
        version: Version,
        parse: impl FnOnce(Option<&V>) -> Parsed<V>,
    ) -> Update {
        let is_newer = self.table.entries.get(&key).is_none_or(|entry| entry.version < version);
        if !self.is_listed || version <= self.seen || !is_newer {
            return Update::Unchanged;
        }
        self.put(key, Entry { version, value: None, ahead: true }, parse)
    }

    fn put(&mut self, key: K, entry: Entry<V>, parse: impl FnOnce(Option<&V>) -> Parsed<V>) -> Update {
        let former = self.table.value(&key).cloned();
        let Parsed { outcome, problems } = parse(former.as_deref());
        let value = value(outcome, former.as_ref());
        let is_other = value != former;
        if is_other {
            self.log.push(change(&key, value.as_ref()));
        }
        let are_others = self.table.put(key, Entry { value, ..entry }, problems);
        Update::when(is_other || are_others)
    }

    /// Logs what is another than in `former`, and says whether anything is.
    fn log_differences(&mut self, former: &Table<K, V>) -> bool {
        let mut changed = false;
        for (key, value) in self.table.values().filter(|(key, value)| former.value(key) != Some(*value)) {
            self.log.push(change(key, Some(value)));
            changed = true;
        }
        for (key, _) in former.values().filter(|(key, _)| self.table.value(key).is_none()) {
            self.log.push(change(key, None));
            changed = true;
        }
        changed
    }

    /// Says whether this is the first time. The first list is told even if nothing is in it.
    fn listed_now(&mut self) -> bool {
        let first = !std::mem::replace(&mut self.is_listed, true);
        if first {
            self.log.restart();
        }
        first
    }
}

/// An equal value stays where it is, so that who compares it finds that out at once.
fn value<V: Eq>(outcome: Outcome<V>, former: Option<&Arc<V>>) -> Option<Arc<V>> {
    match outcome {
        Outcome::Value(value) => {
            let former = former.filter(|former| ***former == value);
            Some(former.map_or_else(|| Arc::new(value), Arc::clone))
        }
        Outcome::Irrelevant => None,
        Outcome::Unreadable => former.cloned(),
    }
}

fn change<K: Clone, V>(key: &K, value: Option<&Arc<V>>) -> Change<K, V> {
    match value {
        Some(value) => Change::Applied(key.clone(), Arc::clone(value)),
        None => Change::Deleted(key.clone()),
    }
}

#[cfg(test)]
mod tests;
