//! Operations, in the order in which the kernel carries them out.

use super::rule::Rule;
use super::table::{Data, Hook, SetType, TableId};
use super::value::{Key, Name};

/// One transaction: all of it, or nothing. It may be about several tables.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Batch {
    /// In order.
    pub ops: Vec<(TableId, Op)>,
}

impl Batch {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }
}

/// One operation on a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Makes the table.
    AddTable,
    /// Removes the table and everything in it.
    DeleteTable,
    /// Makes a counter.
    AddCounter(Name),
    /// Removes a counter that nothing uses.
    DeleteCounter(Name),
    /// Makes a set or map without elements.
    AddSet(Name, SetType),
    /// Removes a set, with its elements, that no rule uses. A map to verdicts is empty by then.
    DeleteSet(Name),
    /// Makes a chain without rules.
    AddChain(Name, Option<Hook>),
    /// Removes a chain without rules that nothing leads to.
    DeleteChain(Name),
    /// Adds a rule behind those that the chain has.
    AddRule(Name, Rule),
    /// Removes all rules of the chain.
    FlushChain(Name),
    /// Adds an element to the set.
    AddElement(Name, Key, Option<Data>),
    /// Removes an element of the set.
    DeleteElement(Name, Key),
}
