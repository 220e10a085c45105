//! Tables, chains, sets and maps.

use std::collections::{BTreeMap, BTreeSet};

use super::rule::{Reference, Rule, Verdict};
use super::value::{Key, Name, Type, Value};

/// The packets that a table is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    Ip,
    /// IPv6.
    Ip6,
    /// Both.
    Inet,
}

/// Which table. Who commits it owns it where the kernel can do that; that is no part of what it holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableId {
    /// Its family.
    pub family: Family,
    /// Its name.
    pub name: Name,
}

/// What a table holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Table {
    /// The chains.
    pub chains: BTreeMap<Name, Chain>,
    /// The sets and maps.
    pub sets: BTreeMap<Name, Set>,
    /// The counters that have a name.
    pub counters: BTreeSet<Name>,
}

/// A chain.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Chain {
    /// Where packets enter it; none: others lead to it.
    pub hook: Option<Hook>,
    /// In order.
    pub rules: Vec<Rule>,
}

/// Where packets enter a base chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hook {
    /// The type.
    pub kind: ChainType,
    /// The hook.
    pub point: HookPoint,
    /// Its place among all chains of the hook: lower ones come first.
    pub priority: i32,
    /// What happens to packets that no rule has decided about.
    pub policy: Policy,
}

/// The type of a base chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChainType {
    /// It decides.
    Filter,
    /// A packet whose mark it has changed is routed anew.
    Route,
    /// It translates addresses.
    Nat,
}

/// A hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HookPoint {
    /// Of packets that have come in, before they are routed.
    Prerouting,
    /// Of those for the node.
    Input,
    /// Of those for others.
    Forward,
    /// Of those that the node sends.
    Output,
    /// Of those that leave.
    Postrouting,
}

/// What happens to packets that no rule has decided about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Policy {
    /// They go on.
    Accept,
    /// They are gone.
    Drop,
}

/// A set or, with data, a map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    /// What it is for.
    pub kind: SetType,
    /// What it holds; data in maps only.
    pub elements: BTreeMap<Key, Option<Data>>,
}

/// What a set's elements are like. Stays as long as the set.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SetType {
    /// The fields of the key.
    pub key: Vec<Type>,
    /// What a map has for a key; none: it is a set.
    pub data: Option<DataType>,
    /// Flags.
    pub flags: BTreeSet<SetFlag>,
}

impl SetType {
    /// A set.
    pub fn set(key: impl Into<Vec<Type>>) -> Self {
        Self { key: key.into(), data: None, flags: BTreeSet::new() }
    }

    /// A set of intervals of one field.
    pub fn intervals(key: Type) -> Self {
        Self { flags: [SetFlag::Interval].into(), ..Self::set([key]) }
    }

    /// A map to verdicts.
    pub fn verdicts(key: impl Into<Vec<Type>>) -> Self {
        Self { data: Some(DataType::Verdict), ..Self::set(key) }
    }

    /// A map to values.
    pub fn map(key: impl Into<Vec<Type>>, data: Type) -> Self {
        Self { data: Some(DataType::Value(data)), ..Self::set(key) }
    }
}

/// What a map has for a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DataType {
    /// A verdict.
    Verdict,
    /// A value.
    Value(Type),
}

/// A flag of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SetFlag {
    /// It does not change once a rule uses it: the kernel may choose a faster form.
    Constant,
    /// Keys may be intervals.
    Interval,
    /// Elements may go by themselves. Those that are here do not.
    Timeout,
}

/// What a map has for one key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Data {
    /// A verdict.
    Verdict(Verdict),
    /// A value.
    Value(Value),
}

impl Data {
    /// Its type.
    pub fn kind(&self) -> DataType {
        match self {
            Data::Verdict(_) => DataType::Verdict,
            Data::Value(value) => DataType::Value(value.kind()),
        }
    }

    /// The chain that must be there before the element can be.
    pub fn reference(&self) -> Option<Reference<'_>> {
        match self {
            Data::Verdict(verdict) => verdict.target().map(Reference::Chain),
            Data::Value(_) => None,
        }
    }
}
