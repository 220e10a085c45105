//! The last changes of a store, and how far each consumer has read them.

use std::collections::VecDeque;
use std::sync::Arc;

/// A change of one object.
#[derive(Debug, PartialEq, Eq)]
pub enum Change<K, V> {
    /// It has this value now.
    Applied(K, Arc<V>),
    /// It has no value any more.
    Deleted(K),
}

impl<K: Clone, V> Clone for Change<K, V> {
    fn clone(&self) -> Self {
        match self {
            Self::Applied(key, value) => Self::Applied(key.clone(), Arc::clone(value)),
            Self::Deleted(key) => Self::Deleted(key.clone()),
        }
    }
}

/// What a consumer is told.
#[derive(Debug, PartialEq, Eq)]
pub enum Changes<K, V> {
    /// All changes since it was told last, in their order.
    Since(Vec<Change<K, V>>),
    /// More than is remembered, or everything: it reads the store.
    Relisted,
}

/// How far a consumer has read. A new one has read nothing.
#[derive(Debug, Default)]
pub struct Cursor(u64);

/// The last changes, numbered without a gap.
#[derive(Debug)]
pub(super) struct Log<K, V> {
    changes: VecDeque<Change<K, V>>,
    /// The number of the first of them, or of the next one. A new cursor is before it.
    first: u64,
    most: usize,
}

impl<K: Clone, V> Log<K, V> {
    pub(super) fn of_at_most(most: usize) -> Self {
        Self { changes: VecDeque::new(), first: 1, most }
    }

    pub(super) fn push(&mut self, change: Change<K, V>) {
        self.changes.push_back(change);
        if self.changes.len() > self.most {
            self.changes.pop_front();
            self.first += 1;
        }
    }

    /// Forgets all changes: every consumer reads the store.
    pub(super) fn restart(&mut self) {
        self.first = self.end() + 1;
        self.changes.clear();
    }

    pub(super) fn since(&self, cursor: &mut Cursor) -> Changes<K, V> {
        let from = std::mem::replace(&mut cursor.0, self.end());
        if from < self.first {
            return Changes::Relisted;
        }
        let known = usize::try_from(from - self.first).unwrap_or(usize::MAX);
        Changes::Since(self.changes.iter().skip(known).cloned().collect())
    }

    #[cfg(test)]
    pub(super) fn length(&self) -> usize {
        self.changes.len()
    }

    /// The number of the next change.
    fn end(&self) -> u64 {
        self.first + self.changes.len() as u64
    }
}
