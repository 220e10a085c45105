//! From what a table holds to what it is to hold.
//!
//! The order is one in which nothing can fail: first everything goes that is in the way of something, what refers
//! before what it refers to; then everything comes, what is referred to first.
//!
//! ```text
//! elements go, rules go, chains go, sets and counters go; counters, sets and chains come, rules come, elements come
//! ```
//!
//! An element is one operation. The rules of a chain are replaced as a whole, if any of them differs. What cannot be
//! changed (a chain's hook, a set's type) is made anew, with all that refers to it.

use std::collections::BTreeSet;

use super::batch::{Batch, Op};
use super::rule::{Reference, Rule};
use super::table::{Data, DataType, Set, Table, TableId};
use super::value::{Key, Name};

/// What makes the table hold `desired` if it holds `committed`; none is no table.
pub fn delta(id: &TableId, committed: Option<&Table>, desired: Option<&Table>) -> Batch {
    let ops = match (committed, desired) {
        (None, None) => Vec::new(),
        (Some(_), None) => vec![Op::DeleteTable],
        (None, Some(desired)) => std::iter::once(Op::AddTable).chain(all(desired)).collect(),
        (Some(committed), Some(desired)) => Change::between(committed, desired).ops(),
    };
    Batch { ops: ops.into_iter().map(|op| (id.clone(), op)).collect() }
}

fn all(desired: &Table) -> Vec<Op> {
    Change::between(&Table::default(), desired).ops()
}

struct Change<'a> {
    old: &'a Table,
    new: &'a Table,
    /// What of the old table does not stay, by name: removed, or to be made anew.
    gone: Gone<'a>,
}

#[derive(Default)]
struct Gone<'a> {
    chains: BTreeSet<&'a Name>,
    sets: BTreeSet<&'a Name>,
    counters: BTreeSet<&'a Name>,
}

impl<'a> Gone<'a> {
    fn between(old: &'a Table, new: &'a Table) -> Self {
        let hook = |table: &'a Table, name| table.chains.get(name).map(|chain| &chain.hook);
        let kind = |table: &'a Table, name| table.sets.get(name).map(|set| &set.kind);
        Self {
            chains: old.chains.keys().filter(|name| hook(old, *name) != hook(new, *name)).collect(),
            sets: old.sets.keys().filter(|name| kind(old, *name) != kind(new, *name)).collect(),
            counters: old.counters.difference(&new.counters).collect(),
        }
    }

    fn has(&self, reference: Reference<'_>) -> bool {
        match reference {
            Reference::Chain(name) => self.chains.contains(name),
            Reference::Set(name) => self.sets.contains(name),
            Reference::Counter(name) => self.counters.contains(name),
        }
    }
}

impl<'a> Change<'a> {
    fn between(old: &'a Table, new: &'a Table) -> Self {
        Self { old, new, gone: Gone::between(old, new) }
    }

    fn ops(&self) -> Vec<Op> {
        let mut ops = self.elements_that_go();
        ops.extend(self.rules_that_go());
        let Gone { chains, sets, counters } = &self.gone;
        ops.extend(chains.iter().map(|name| Op::DeleteChain((*name).clone())));
        ops.extend(sets.iter().map(|name| Op::DeleteSet((*name).clone())));
        ops.extend(counters.iter().map(|name| Op::DeleteCounter((*name).clone())));

        ops.extend(self.new.counters.difference(&self.old.counters).cloned().map(Op::AddCounter));
        let sets = self.new.sets.iter().filter(|(name, _)| self.kept(self.old, name).is_none());
        ops.extend(sets.map(|(name, set)| Op::AddSet(name.clone(), set.kind.clone())));
        let chains = self.new.chains.iter().filter(|(name, _)| !self.stays(name));
        ops.extend(chains.map(|(name, chain)| Op::AddChain(name.clone(), chain.hook)));
        ops.extend(self.rules_that_come());
        ops.extend(self.elements_that_come());
        ops
    }

    /// Of maps to verdicts, whatever becomes of the map: older kernels count what an element refers to until it is
    /// deleted itself. Of other sets, only if the set stays.
    fn elements_that_go(&self) -> Vec<Op> {
        let mut ops = Vec::new();
        for (name, set) in &self.old.sets {
            let kept = self.kept(self.new, name);
            if kept.is_none() && set.kind.data != Some(DataType::Verdict) {
                continue;
            }
            let goes = |(key, data): &(&Key, &Option<Data>)| {
                !kept.is_some_and(|kept| self.element_stays(kept, key, data))
            };
            let keys = set.elements.iter().filter(goes).map(|(key, _)| key.clone());
            ops.extend(keys.map(|key| Op::DeleteElement(name.clone(), key)));
        }
        ops
    }

    fn elements_that_come(&self) -> Vec<Op> {
        let mut ops = Vec::new();
        for (name, set) in &self.new.sets {
            let kept = self.kept(self.old, name);
            let comes = |(key, data): &(&Key, &Option<Data>)| {
                !kept.is_some_and(|kept| self.element_stays(kept, key, data))
            };
            let elements = set.elements.iter().filter(comes);
            ops.extend(elements.map(|(key, data)| Op::AddElement(name.clone(), key.clone(), data.clone())));
        }
        ops
    }

    /// Whether an element is in the other state of its set too, and what it refers to stays.
    fn element_stays(&self, other: &Set, key: &Key, data: &Option<Data>) -> bool {
        let reference = data.as_ref().and_then(Data::reference);
        other.elements.get(key) == Some(data) && !reference.is_some_and(|reference| self.gone.has(reference))
    }

    fn rules_that_go(&self) -> impl Iterator<Item = Op> {
        let chains = self.old.chains.iter().filter(|(_, chain)| !chain.rules.is_empty());
        chains.filter(|(name, _)| !self.rules_stay(name)).map(|(name, _)| Op::FlushChain(name.clone()))
    }

    fn rules_that_come(&self) -> impl Iterator<Item = Op> {
        let chains = self.new.chains.iter().filter(|(name, _)| !self.rules_stay(name));
        chains
            .flat_map(|(name, chain)| chain.rules.iter().map(|rule| Op::AddRule(name.clone(), rule.clone())))
    }

    /// Whether the chain stays with all of its rules, and what they refer to.
    fn rules_stay(&self, name: &Name) -> bool {
        let rules = |table: &'a Table| table.chains.get(name).map(|chain| chain.rules.as_slice());
        let (old, new) = (rules(self.old), rules(self.new));
        let refers = |rule: &Rule| rule.references().any(|reference| self.gone.has(reference));
        self.stays(name) && old == new && !old.is_some_and(|rules| rules.iter().any(refers))
    }

    /// Whether the chain is there already, and need not be made anew.
    fn stays(&self, chain: &Name) -> bool {
        self.old.chains.contains_key(chain) && !self.gone.chains.contains(chain)
    }

    /// The table's set of that name, if it is in both and not made anew.
    fn kept(&self, table: &'a Table, name: &Name) -> Option<&'a Set> {
        table.sets.get(name).filter(|_| !self.gone.sets.contains(name))
    }
}

#[cfg(test)]
mod tests;
