//! What many objects have in common, kept once: names, labels, ports.

use std::collections::{BTreeMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;

use flock_core::pod::ContainerPort;
use flock_core::selector::Labels;

/// Looked through first when so many texts are known.
const ENOUGH: usize = 1024;

/// Values that objects share.
#[derive(Debug, Default)]
pub(in crate::source) struct Interner {
    texts: HashSet<Arc<str>>,
    labels: HashSet<Labels>,
    ports: HashSet<Arc<[ContainerPort]>>,
    enough: usize,
}

impl Interner {
    pub(in crate::source) fn text(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.texts.get(text) {
            return Arc::clone(known);
        }
        if self.texts.len() >= self.enough {
            self.tidy();
        }
        let text: Arc<str> = text.into();
        self.texts.insert(Arc::clone(&text));
        text
    }

    pub(in crate::source) fn labels(&mut self, given: &BTreeMap<String, String>) -> Labels {
        let labels = given.iter().map(|(key, value)| (self.text(key), self.text(value))).collect();
        shared(&mut self.labels, labels)
    }

    pub(in crate::source) fn ports(&mut self, given: &[ContainerPort]) -> Arc<[ContainerPort]> {
        shared(&mut self.ports, given.into())
    }

    /// Forgets what no object has any more.
    pub(in crate::source) fn tidy(&mut self) {
        self.labels.retain(|labels| labels.owners() > 1);
        self.ports.retain(|ports| Arc::strong_count(ports) > 1);
        self.texts.retain(|text| Arc::strong_count(text) > 1);
        self.labels.shrink_to_fit();
        self.ports.shrink_to_fit();
        self.texts.shrink_to_fit();
        self.enough = (self.texts.len() * 2).max(ENOUGH);
    }
}

fn shared<T: Clone + Eq + Hash>(known: &mut HashSet<T>, value: T) -> T {
    if let Some(known) = known.get(&value) {
        return known.clone();
    }
    known.insert(value.clone());
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_shared_and_forgotten_with_the_last_who_has_them() {
        let mut interner = Interner::default();
        let kept = interner.text("kept");
        assert!(Arc::ptr_eq(&kept, &interner.text("kept")));
        for number in 0..5000 {
            interner.text(&number.to_string());
        }
        assert!(interner.texts.len() <= ENOUGH, "{}", interner.texts.len());
        interner.tidy();
        assert_eq!(interner.texts.len(), 1);
    }

    #[test]
    fn equal_labels_are_the_same_ones_and_forgotten_with_the_last_object() {
        let mut interner = Interner::default();
        let given = BTreeMap::from([("app".to_owned(), "web".to_owned())]);
        let (one, other) = (interner.labels(&given), interner.labels(&given));
        assert_eq!((one.owners(), one == other), (3, true), "the interner has them too");
        drop((one, other));
        interner.tidy();
        assert_eq!((interner.labels.len(), interner.texts.len()), (0, 0));
    }
}
