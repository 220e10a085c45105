//! What there is of a table, as far as it is read back.
//!
//! Rules are told by the fingerprints that flock gives them. One that somebody else has added or replaced has none.

use std::collections::{BTreeMap, BTreeSet};

use super::rule::Rule;
use super::table::{Chain, Hook, Set, Table};
use super::value::Name;

/// A table as it was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Observed {
    /// The chains.
    pub chains: BTreeMap<Name, ObservedChain>,
    /// The sets and maps.
    pub sets: BTreeMap<Name, Set>,
    /// The counters that have a name.
    pub counters: BTreeSet<Name>,
}

/// A chain as it was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ObservedChain {
    /// Where packets enter it.
    pub hook: Option<Hook>,
    /// The fingerprints of its rules, in order; none: not a rule of flock's.
    pub rules: Vec<Option<u64>>,
}

impl Observed {
    /// The table whose difference to `desired` makes it `desired`. Rules that are not the desired ones are unknown: an
    /// empty one stands for each.
    pub fn resolve(&self, desired: &Table) -> Table {
        let chains = self.chains.iter().map(|(name, found)| {
            let rules = desired.chains.get(name).map(|chain| chain.rules.as_slice()).unwrap_or_default();
            let known = rules.iter().map(|rule| Some(rule.fingerprint())).eq(found.rules.iter().copied());
            let rules = if known { rules.to_vec() } else { vec![Rule::default(); found.rules.len()] };
            (name.clone(), Chain { hook: found.hook, rules })
        });
        Table { chains: chains.collect(), sets: self.sets.clone(), counters: self.counters.clone() }
    }

    /// How a table looks when it is found as it was committed.
    pub fn of(table: &Table) -> Self {
        let chains = table.chains.iter().map(|(name, chain)| {
            let rules = chain.rules.iter().map(|rule| Some(rule.fingerprint())).collect();
            (name.clone(), ObservedChain { hook: chain.hook, rules })
        });
        Self { chains: chains.collect(), sets: table.sets.clone(), counters: table.counters.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{hook, id, name, table, two_tables};
    use super::super::{Expr, Ruleset, delta};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_table_that_is_as_it_should_be_needs_no_change() {
        assert_eq!(Observed::of(&table()).resolve(&table()), table());
    }

    #[test]
    fn a_chain_with_other_rules_is_unknown() {
        let mut found = Observed::of(&table());
        found.chains.get_mut("pod").unwrap().rules[1] = None;
        found.chains.insert(name("theirs"), ObservedChain { hook: Some(hook(9)), rules: vec![Some(7)] });
        let resolved = found.resolve(&table());
        let unknown = |count| vec![Rule::default(); count];
        assert_eq!(resolved.chains["pod"], Chain { hook: None, rules: unknown(2) });
        assert_eq!(resolved.chains["theirs"], Chain { hook: Some(hook(9)), rules: unknown(1) });
        assert_eq!(resolved.chains["last"], table().chains["last"]);
    }

    #[test]
    fn one_rule_more_or_in_another_order_is_unknown() {
        let mut found = Observed::of(&table());
        let rules = &mut found.chains.get_mut("pod").unwrap().rules;
        rules.reverse();
        assert_ne!(found.resolve(&table()).chains["pod"], table().chains["pod"]);
        let mut found = Observed::of(&table());
        let counter = Rule::from([Expr::Counter]).fingerprint();
        found.chains.get_mut("pod").unwrap().rules.push(Some(counter));
        assert_ne!(found.resolve(&table()).chains["pod"], table().chains["pod"]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]

        /// Whatever is found, and whatever of its rules is unknown, becomes what is desired.
        #[test]
        fn whatever_is_found_becomes_what_is_desired((old, new) in two_tables(), foreign in any::<prop::sample::Index>()) {
            let mut found = Observed::of(&old);
            let mut rules: Vec<_> = found.chains.values_mut().flat_map(|chain| &mut chain.rules).collect();
            if !rules.is_empty() {
                let place = foreign.index(rules.len());
                *rules[place] = None;
            }
            let resolved = found.resolve(&new);
            let mut ruleset = Ruleset { tables: [(id(), resolved.clone())].into() };
            let batch = delta(&id(), Some(&resolved), Some(&new));
            prop_assert_eq!(ruleset.commit(&batch), Ok(()), "{}", batch);
            prop_assert_eq!(ruleset, Ruleset { tables: [(id(), new)].into() });
        }
    }
}
