use proptest::prelude::*;

use super::super::samples::{goto, hook, id, lookup, mark, name, set_from, table, touched, two_tables, vmap};
use super::super::{Chain, Expr, Rule, Ruleset, Set, SetType, Type, Value, Verdict};
use super::*;

fn between(old: Option<&Table>, new: Option<&Table>) -> Vec<String> {
    delta(&id(), old, new).to_string().lines().map(|line| line.replace("inet t ", "")).collect()
}

/// What makes of the sample what `change` makes of it.
fn changed(change: impl FnOnce(&mut Table)) -> Vec<String> {
    let mut new = table();
    change(&mut new);
    let mut ruleset = holding(Some(&table()));
    ruleset.commit(&delta(&id(), Some(&table()), Some(&new))).unwrap();
    assert_eq!(ruleset, holding(Some(&new)));
    between(Some(&table()), Some(&new))
}

fn holding(table: Option<&Table>) -> Ruleset {
    Ruleset { tables: table.map(|table| (id(), table.clone())).into_iter().collect() }
}

#[test]
fn a_table_is_made_from_nothing_and_goes_as_a_whole() {
    assert_eq!(
        between(None, Some(&table())),
        [
            "add table inet t",
            "add counter allowed",
            "add map dispatch { type mark : verdict; }",
            "add map marks { type inet_proto : mark; }",
            "add set peers { type ipv4_addr; }",
            "add chain forward { type filter hook forward priority 0; policy accept; }",
            "add chain last",
            "add chain pod",
            "add rule forward meta mark vmap @dispatch",
            "add rule last ct mark set meta l4proto map @marks drop",
            "add rule pod ip saddr @peers counter name allowed accept",
            "add rule pod jump last",
            "add element dispatch { 0x00000001 : goto pod }",
            "add element dispatch { 0x00000002 : goto last }",
            "add element marks { 6 : 0x00000001 }",
            "add element peers { 192.0.2.1 }",
        ]
    );
    assert_eq!(between(Some(&table()), None), ["delete table inet t"]);
    assert_eq!(between(None, None), [""; 0]);
    assert_eq!(between(Some(&table()), Some(&table())), [""; 0]);
}

#[test]
fn one_element_is_one_operation() {
    let other = Key::from(Value::Ipv4Addr([192, 0, 2, 2].into()));
    let added = changed(|new| {
        new.sets.get_mut("peers").unwrap().elements.insert(other, None);
    });
    assert_eq!(added, ["add element peers { 192.0.2.2 }"]);
    let removed = changed(|new| new.sets.get_mut("peers").unwrap().elements.clear());
    assert_eq!(removed, ["delete element peers { 192.0.2.1 }"]);
    let removed = changed(|new| new.sets.get_mut("marks").unwrap().elements.clear());
    assert_eq!(removed, ["delete element marks { 6 }"]);
    let moved = changed(|new| {
        new.sets.get_mut("dispatch").unwrap().elements.insert(mark(1), Some(Data::Verdict(goto("last"))));
    });
    assert_eq!(
        moved,
        ["delete element dispatch { 0x00000001 }", "add element dispatch { 0x00000001 : goto last }"]
    );
}

#[test]
fn the_rules_of_a_chain_are_replaced_if_one_differs() {
    let shorter = changed(|new| {
        new.chains.get_mut("pod").unwrap().rules.pop();
    });
    assert_eq!(shorter, ["flush chain pod", "add rule pod ip saddr @peers counter name allowed accept"]);
    let first = changed(|new| {
        let last = new.chains.get_mut("last").unwrap();
        last.rules.insert(0, Rule::from([Expr::Counter]));
    });
    let set = "add rule last ct mark set meta l4proto map @marks drop";
    assert_eq!(first, ["flush chain last", "add rule last counter", set]);
    assert_eq!(changed(|new| new.chains.get_mut("pod").unwrap().rules.clear()), ["flush chain pod"]);
}

#[test]
fn what_comes_is_there_before_what_refers_to_it() {
    let added = changed(|new| {
        new.counters.insert(name("denied"));
        let kind = SetType::set([Type::Ipv4Addr]);
        new.sets.insert(name("others"), Set { kind, elements: [].into() });
        let rule = Rule::from([lookup("others"), Expr::NamedCounter(name("denied"))]);
        new.chains.insert(name("another"), Chain { hook: None, rules: vec![rule] });
        new.chains.insert(name("empty"), Chain::default());
        new.sets.get_mut("dispatch").unwrap().elements.insert(mark(3), Some(Data::Verdict(goto("another"))));
    });
    assert_eq!(
        added,
        [
            "add counter denied",
            "add set others { type ipv4_addr; }",
            "add chain another",
            "add chain empty",
            "add rule another ip saddr @others counter name denied",
            "add element dispatch { 0x00000003 : goto another }",
        ]
    );
}

#[test]
fn what_refers_goes_before_what_it_refers_to() {
    let gone = changed(|new| {
        new.chains.remove("pod");
        new.sets.get_mut("dispatch").unwrap().elements.remove(&mark(1));
        new.sets.remove("peers");
        new.counters.clear();
    });
    assert_eq!(
        gone,
        [
            "delete element dispatch { 0x00000001 }",
            "flush chain pod",
            "delete chain pod",
            "delete set peers",
            "delete counter allowed",
        ]
    );
}

#[test]
fn a_map_to_verdicts_is_emptied_before_it_goes_and_others_are_not() {
    let gone = changed(|new| {
        new.chains.get_mut("forward").unwrap().rules.clear();
        new.sets.remove("dispatch");
        new.chains.get_mut("last").unwrap().rules.clear();
        new.sets.remove("marks");
    });
    let first = ["delete element dispatch { 0x00000001 }", "delete element dispatch { 0x00000002 }"];
    let rest = ["flush chain forward", "flush chain last", "delete set dispatch", "delete set marks"];
    assert_eq!(gone, [&first[..], &rest].concat());
}

#[test]
fn what_cannot_be_changed_is_made_anew_with_all_that_refers_to_it() {
    let hooked = changed(|new| new.chains.get_mut("forward").unwrap().hook = Some(hook(5)));
    assert_eq!(
        hooked,
        [
            "flush chain forward",
            "delete chain forward",
            "add chain forward { type filter hook forward priority 5; policy accept; }",
            "add rule forward meta mark vmap @dispatch",
        ]
    );
    let retyped = changed(|new| {
        let flags = [super::super::SetFlag::Timeout].into();
        new.sets.get_mut("peers").unwrap().kind.flags = flags;
    });
    assert_eq!(
        retyped,
        [
            "flush chain pod",
            "delete set peers",
            "add set peers { type ipv4_addr; flags timeout; }",
            "add rule pod ip saddr @peers counter name allowed accept",
            "add rule pod jump last",
            "add element peers { 192.0.2.1 }",
        ]
    );
}

#[test]
fn a_chain_that_gets_a_hook_loses_what_leads_to_it() {
    let hooked = changed(|new| {
        new.chains.get_mut("last").unwrap().hook = Some(hook(5));
        new.chains.get_mut("pod").unwrap().rules.pop();
        new.sets.get_mut("dispatch").unwrap().elements.remove(&mark(2));
    });
    assert_eq!(
        hooked,
        [
            "delete element dispatch { 0x00000002 }",
            "flush chain last",
            "flush chain pod",
            "delete chain last",
            "add chain last { type filter hook forward priority 5; policy accept; }",
            "add rule last ct mark set meta l4proto map @marks drop",
            "add rule pod ip saddr @peers counter name allowed accept",
        ]
    );
    let mut old = table();
    old.chains.get_mut("last").unwrap().hook = Some(hook(5));
    old.chains.get_mut("pod").unwrap().rules.pop();
    old.sets.get_mut("dispatch").unwrap().elements.remove(&mark(2));
    let mut ruleset = holding(Some(&old));
    ruleset.commit(&delta(&id(), Some(&old), Some(&table()))).unwrap();
    assert_eq!(ruleset, holding(Some(&table())));
}

/// An element and a rule that are the same before and after, while the map or the chain behind them is another.
#[test]
fn the_same_words_about_something_else_are_said_again() {
    let both = |kind| Table {
        sets: [(name("m"), Set { kind, elements: [].into() })].into(),
        chains: [(
            name("c"),
            Chain { hook: None, rules: vec![Rule::from([lookup("m"), Expr::Verdict(Verdict::Accept)])] },
        )]
        .into(),
        ..Table::default()
    };
    let (old, new) = (both(SetType::set([Type::Ipv4Addr])), both(SetType::intervals(Type::Ipv4Addr)));
    assert_eq!(
        between(Some(&old), Some(&new)),
        [
            "flush chain c",
            "delete set m",
            "add set m { type ipv4_addr; flags interval; }",
            "add rule c ip saddr @m accept",
        ]
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Every operation is possible when its turn comes: nothing is there twice, missing, in use or of another type.
    #[test]
    fn it_makes_of_any_table_any_other((old, new) in two_tables()) {
        for (old, new) in [(Some(&old), Some(&new)), (None, Some(&new)), (Some(&old), None)] {
            let mut ruleset = holding(old);
            let batch = delta(&id(), old, new);
            let outcome = ruleset.commit(&batch);
            prop_assert_eq!(outcome, Ok(()), "{}", batch);
            prop_assert_eq!(&ruleset, &holding(new), "{}", batch);
        }
    }

    #[test]
    fn nothing_is_done_where_nothing_changes((table, _) in two_tables()) {
        prop_assert!(delta(&id(), Some(&table), Some(&table)).is_empty());
    }

    /// What is the same on both sides is touched only if something is made anew.
    #[test]
    fn what_is_the_same_is_not_touched((old, new) in two_tables()) {
        let batch = delta(&id(), Some(&old), Some(&new));
        let texts = touched(&batch);
        let same_chains = old.chains.iter().all(|(name, chain)| new.chains.get(name).is_none_or(|other| other.hook == chain.hook));
        let same_sets = old.sets.iter().all(|(name, set)| new.sets.get(name).is_none_or(|other| other.kind == set.kind));
        if same_chains && same_sets {
            for (name, set) in &old.sets {
                for (key, data) in &set.elements {
                    if new.sets.get(name).is_some_and(|other| other.elements.get(key) == Some(data)) {
                        let deleted = Op::DeleteElement(name.clone(), key.clone());
                        prop_assert!(!texts.contains(&deleted.text(&id())), "{}", batch);
                    }
                }
            }
            for (name, chain) in &old.chains {
                if new.chains.get(name) == Some(chain) {
                    prop_assert!(!texts.contains(&Op::FlushChain(name.clone()).text(&id())), "{}", batch);
                }
            }
        }
    }
}

#[test]
fn rules_that_look_up_maps_name_them() {
    for (expr, set) in [(vmap("m"), "m"), (set_from("d"), "d"), (lookup("s"), "s")] {
        let rule = Rule::from([expr]);
        assert_eq!(rule.references().collect::<Vec<_>>(), [Reference::Set(&name(set))]);
    }
}
