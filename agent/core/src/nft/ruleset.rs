//! All tables, changed operation by operation.
//!
//! It refuses what the kernel would refuse, and the superfluous as well: who keeps it knows what is there. So a batch
//! that it takes is one that the kernel takes, and one that it does not is told before the kernel sees it.

use std::collections::BTreeMap;

use super::batch::{Batch, Op};
use super::rule::{Expr, Field, Reference, Rule};
use super::table::{Chain, Data, DataType, Set, SetFlag, SetType, Table, TableId};
use super::value::{Key, Name, Type, Value};

/// The tables that are ours.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ruleset {
    /// By family and name.
    pub tables: BTreeMap<TableId, Table>,
}

/// Why an operation is impossible; what the kernel would say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// EEXIST.
    #[error("it is there already")]
    Exists,
    /// ENOENT.
    #[error("it, or what it refers to, is not there")]
    Missing,
    /// EBUSY.
    #[error("it is in use, or not empty")]
    Busy,
    /// EINVAL.
    #[error("its type is another, or it overlaps with another")]
    Invalid,
    /// EOPNOTSUPP: only packets that enter the hook come to a base chain.
    #[error("nothing can lead to a base chain")]
    BaseChain,
}

impl Ruleset {
    /// Carries out a whole batch, or nothing of it.
    ///
    /// # Errors
    /// The place of the first operation that is impossible, and why.
    pub fn commit(&mut self, batch: &Batch) -> Result<(), (usize, Refusal)> {
        let mut next = self.clone();
        for (place, (table, op)) in batch.ops.iter().enumerate() {
            next.apply(table, op).map_err(|refusal| (place, refusal))?;
        }
        *self = next;
        Ok(())
    }

    /// Carries out one operation.
    ///
    /// # Errors
    /// It is impossible.
    pub fn apply(&mut self, id: &TableId, op: &Op) -> Result<(), Refusal> {
        match op {
            Op::AddTable if self.tables.contains_key(id) => Err(Refusal::Exists),
            Op::AddTable => {
                self.tables.insert(id.clone(), Table::default());
                Ok(())
            }
            Op::DeleteTable => self.tables.remove(id).map(drop).ok_or(Refusal::Missing),
            op => self.tables.get_mut(id).ok_or(Refusal::Missing)?.apply(op),
        }
    }
}

impl Table {
    fn apply(&mut self, op: &Op) -> Result<(), Refusal> {
        match op {
            Op::AddTable | Op::DeleteTable => Ok(()),
            Op::AddCounter(name) => self.counters.insert(name.clone()).then_some(()).ok_or(Refusal::Exists),
            Op::DeleteCounter(name) => {
                self.unused(Reference::Counter(name))?;
                self.counters.remove(name).then_some(()).ok_or(Refusal::Missing)
            }
            Op::AddSet(name, kind) => self.add_set(name, kind),
            Op::DeleteSet(name) => self.delete_set(name),
            Op::AddChain(name, _) if self.chains.contains_key(name) => Err(Refusal::Exists),
            Op::AddChain(name, hook) => {
                self.chains.insert(name.clone(), Chain { hook: *hook, rules: Vec::new() });
                Ok(())
            }
            Op::DeleteChain(name) => self.delete_chain(name),
            Op::AddRule(name, rule) => self.add_rule(name, rule),
            Op::FlushChain(name) => {
                self.chains.get_mut(name).ok_or(Refusal::Missing)?.rules.clear();
                Ok(())
            }
            Op::AddElement(name, key, data) => self.add_element(name, key, data.as_ref()),
            Op::DeleteElement(name, key) => {
                let set = self.sets.get_mut(name).ok_or(Refusal::Missing)?;
                set.elements.remove(key).map(drop).ok_or(Refusal::Missing)
            }
        }
    }

    fn add_set(&mut self, name: &Name, kind: &SetType) -> Result<(), Refusal> {
        if self.sets.contains_key(name) {
            return Err(Refusal::Exists);
        }
        self.sets.insert(name.clone(), Set { kind: kind.clone(), elements: BTreeMap::new() });
        Ok(())
    }

    fn delete_set(&mut self, name: &Name) -> Result<(), Refusal> {
        self.unused(Reference::Set(name))?;
        let set = self.sets.get(name).ok_or(Refusal::Missing)?;
        if set.kind.data == Some(DataType::Verdict) && !set.elements.is_empty() {
            return Err(Refusal::Busy);
        }
        self.sets.remove(name);
        Ok(())
    }

    fn delete_chain(&mut self, name: &Name) -> Result<(), Refusal> {
        self.unused(Reference::Chain(name))?;
        let chain = self.chains.get(name).ok_or(Refusal::Missing)?;
        if !chain.rules.is_empty() {
            return Err(Refusal::Busy);
        }
        self.chains.remove(name);
        Ok(())
    }

    fn add_rule(&mut self, name: &Name, rule: &Rule) -> Result<(), Refusal> {
        rule.references().try_for_each(|reference| self.can_refer(reference))?;
        if !rule.0.iter().all(|expr| self.fits(expr)) {
            return Err(Refusal::Invalid);
        }
        self.chains.get_mut(name).ok_or(Refusal::Missing)?.rules.push(rule.clone());
        Ok(())
    }

    fn add_element(&mut self, name: &Name, key: &Key, data: Option<&Data>) -> Result<(), Refusal> {
        data.and_then(Data::reference).map_or(Ok(()), |reference| self.can_refer(reference))?;
        let set = self.sets.get_mut(name).ok_or(Refusal::Missing)?;
        if set.elements.contains_key(key) {
            return Err(Refusal::Exists);
        }
        if !set.takes(key) || set.kind.data != data.map(Data::kind) {
            return Err(Refusal::Invalid);
        }
        set.elements.insert(key.clone(), data.cloned());
        Ok(())
    }

    fn can_refer(&self, reference: Reference<'_>) -> Result<(), Refusal> {
        match reference {
            Reference::Set(name) if self.sets.contains_key(name) => Ok(()),
            Reference::Counter(name) if self.counters.contains(name) => Ok(()),
            Reference::Chain(name) => match self.chains.get(name) {
                Some(Chain { hook: None, .. }) => Ok(()),
                Some(_) => Err(Refusal::BaseChain),
                None => Err(Refusal::Missing),
            },
            Reference::Set(_) | Reference::Counter(_) => Err(Refusal::Missing),
        }
    }

    /// Whether no rule and no element refers to it.
    fn unused(&self, reference: Reference<'_>) -> Result<(), Refusal> {
        let rules = self.chains.values().flat_map(|chain| &chain.rules).flat_map(Rule::references);
        let maps = self.sets.values().filter(|set| set.kind.data == Some(DataType::Verdict));
        let elements = maps.flat_map(|set| set.elements.values().flatten()).filter_map(Data::reference);
        if rules.chain(elements).any(|other| other == reference) { Err(Refusal::Busy) } else { Ok(()) }
    }

    /// Whether the types of an expression agree with those of what it refers to, which is there.
    fn fits(&self, expr: &Expr) -> bool {
        let of = |name: &Name| self.sets.get(name).map(|set| &set.kind);
        let key = |fields: &[Field]| fields.iter().map(|field| field.kind()).collect::<Vec<_>>();
        let is = |name, fields: &[Field], data| {
            of(name).is_some_and(|kind| kind.key == key(fields) && kind.data == data)
        };
        match expr {
            Expr::Compare { field, value, .. } => field.kind() == value.kind(),
            Expr::Within { field, from, to } => {
                field.kind() == from.kind() && field.kind() == to.kind() && from <= to
            }
            Expr::Lookup { fields, set, .. } => is(set, fields, None),
            Expr::VerdictMap { fields, mask, map } => {
                is(map, fields, Some(DataType::Verdict)) && (mask.is_none() || key(fields) == [Type::Mark])
            }
            Expr::SetMarkFrom { fields, map, .. } => is(map, fields, Some(DataType::Value(Type::Mark))),
            _ => true,
        }
    }
}

impl Set {
    /// Whether the key is of the set's type, and overlaps with no other.
    fn takes(&self, key: &Key) -> bool {
        let has_intervals = self.kind.flags.contains(&SetFlag::Interval);
        let fits = match key {
            Key::Fields(_) => !has_intervals,
            Key::Interval(first, last) => {
                has_intervals && first.kind() == last.kind() && first <= last && self.is_free(first, last)
            }
        };
        fits && key.kinds() == self.kind.key
    }

    /// Those that are there do not overlap with each other: only the nearest on both sides can be in the way.
    fn is_free(&self, first: &Value, last: &Value) -> bool {
        let key = Key::Interval(first.clone(), last.clone());
        let before = self.elements.range(..&key).next_back();
        let behind = self.elements.range(&key..).next();
        let ends_before = |other: &Key| matches!(other, Key::Interval(_, other) if other < first);
        let begins_behind = |other: &Key| matches!(other, Key::Interval(other, _) if other > last);
        before.is_none_or(|(other, _)| ends_before(other))
            && behind.is_none_or(|(other, _)| begins_behind(other))
    }
}

#[cfg(test)]
mod tests;
