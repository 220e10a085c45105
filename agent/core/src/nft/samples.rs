//! Tables for tests: some by hand, and random ones that the kernel would take.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::select;

use super::*;

pub(crate) fn id() -> TableId {
    TableId { family: Family::Inet, name: "t".into() }
}

pub(crate) fn name(text: &str) -> Name {
    text.into()
}

pub(crate) fn mark(number: u32) -> Key {
    Value::Mark(number).into()
}

pub(crate) fn ipv4(text: &str) -> Value {
    Value::Ipv4Addr(text.parse().unwrap())
}

pub(crate) fn goto(chain: &str) -> Verdict {
    Verdict::Goto(chain.into())
}

pub(crate) fn lookup(set: &str) -> Expr {
    Expr::Lookup { fields: vec![Field::Ip(End::Source)], is: Is::Equal, set: set.into() }
}

pub(crate) fn vmap(map: &str) -> Expr {
    Expr::VerdictMap { fields: vec![Field::Mark(Mark::Packet)], mask: None, map: map.into() }
}

pub(crate) fn set_from(map: &str) -> Expr {
    Expr::SetMarkFrom { mark: Mark::Connection, fields: vec![Field::L4Proto], map: map.into() }
}

pub(crate) fn hook(priority: i32) -> Hook {
    Hook { kind: ChainType::Filter, point: HookPoint::Forward, priority, policy: Policy::Accept }
}

/// A table with one of everything that refers, and of everything that is referred to.
pub(crate) fn table() -> Table {
    let base = Rule::from([vmap("dispatch")]);
    let pod = [
        Rule::from([lookup("peers"), Expr::NamedCounter(name("allowed")), Expr::Verdict(Verdict::Accept)]),
        Rule::from([Expr::Verdict(Verdict::Jump(name("last")))]),
    ];
    let last = Rule::from([set_from("marks"), Expr::Verdict(Verdict::Drop)]);
    let chain = |hook, rules: &[Rule]| Chain { hook, rules: rules.to_vec() };
    let target = |chain| Some(Data::Verdict(goto(chain)));
    let set =
        |kind, elements: Vec<(Key, Option<Data>)>| Set { kind, elements: elements.into_iter().collect() };
    Table {
        chains: [
            (name("forward"), chain(Some(hook(0)), &[base])),
            (name("pod"), chain(None, &pod)),
            (name("last"), chain(None, &[last])),
        ]
        .into(),
        sets: [
            (name("peers"), set(SetType::set([Type::Ipv4Addr]), vec![(ipv4("192.0.2.1").into(), None)])),
            (
                name("dispatch"),
                set(
                    SetType::verdicts([Type::Mark]),
                    vec![(mark(1), target("pod")), (mark(2), target("last"))],
                ),
            ),
            (
                name("marks"),
                set(
                    SetType::map([Type::InetProto], Type::Mark),
                    vec![(Value::InetProto(6).into(), Some(Data::Value(Value::Mark(1))))],
                ),
            ),
        ]
        .into(),
        counters: [name("allowed")].into(),
    }
}

fn chain_name() -> impl Strategy<Value = Name> {
    select(vec!["base", "a", "b", "c"]).prop_map(name)
}

/// Maps to verdicts begin with `m`, to marks with `d`; `i` is a set of intervals.
fn set_name() -> impl Strategy<Value = Name> {
    select(vec!["s", "r", "i", "m", "n", "d"]).prop_map(name)
}

fn set_type() -> impl Strategy<Value = SetType> {
    let flagged = SetType { flags: [SetFlag::Timeout].into(), ..SetType::set([Type::Ipv4Addr]) };
    select(vec![
        SetType::set([Type::Ipv4Addr]),
        flagged,
        SetType::intervals(Type::Ipv4Addr),
        SetType::verdicts([Type::Mark]),
        SetType::map([Type::InetProto], Type::Mark),
    ])
}

fn verdict() -> impl Strategy<Value = Verdict> {
    prop_oneof![
        select(vec![Verdict::Accept, Verdict::Drop, Verdict::Return]),
        chain_name().prop_map(Verdict::Goto),
        chain_name().prop_map(Verdict::Jump),
    ]
}

fn expr() -> impl Strategy<Value = Expr> {
    prop_oneof![
        set_name().prop_map(|set| lookup(set.as_str())),
        set_name().prop_map(|map| vmap(map.as_str())),
        set_name().prop_map(|map| set_from(map.as_str())),
        select(vec!["x", "y"]).prop_map(|counter| Expr::NamedCounter(name(counter))),
        verdict().prop_map(Expr::Verdict),
        Just(Expr::Counter),
    ]
}

fn element() -> impl Strategy<Value = (Key, Option<Data>)> {
    let address = |last: u8| Value::Ipv4Addr([192, 0, 2, last].into());
    prop_oneof![
        (0..4_u8).prop_map(move |last| (address(last).into(), None)),
        (0..8_u8, 0..3_u8)
            .prop_map(move |(first, more)| { (Key::Interval(address(first), address(first + more)), None) }),
        (0..3_u32, verdict()).prop_map(|(number, verdict)| (mark(number), Some(Data::Verdict(verdict)))),
        (0..3_u8, 0..2_u32).prop_map(|(number, mark)| {
            (Value::InetProto(number).into(), Some(Data::Value(Value::Mark(mark))))
        }),
    ]
}

pub(crate) fn op() -> impl Strategy<Value = Op> {
    let counter = || select(vec!["x", "y"]).prop_map(name);
    let hooks = prop_oneof![3 => Just(None), 1 => Just(Some(hook(0))), 1 => Just(Some(hook(1)))];
    prop_oneof![
        2 => counter().prop_map(Op::AddCounter),
        1 => counter().prop_map(Op::DeleteCounter),
        4 => (set_name(), set_type()).prop_map(|(name, kind)| Op::AddSet(name, kind)),
        1 => set_name().prop_map(Op::DeleteSet),
        4 => (chain_name(), hooks).prop_map(|(name, hook)| Op::AddChain(name, hook)),
        1 => chain_name().prop_map(Op::DeleteChain),
        8 => (chain_name(), prop::collection::vec(expr(), 0..3))
            .prop_map(|(name, exprs)| Op::AddRule(name, Rule(exprs))),
        1 => chain_name().prop_map(Op::FlushChain),
        12 => (set_name(), element()).prop_map(|(set, (key, data))| Op::AddElement(set, key, data)),
        2 => (set_name(), element()).prop_map(|(set, (key, _))| Op::DeleteElement(set, key)),
    ]
}

/// What a table holds after operations of which the impossible ones are left out.
pub(crate) fn after(ops: &[Op]) -> Table {
    let mut ruleset = Ruleset::default();
    ruleset.apply(&id(), &Op::AddTable).unwrap();
    for op in ops {
        let _ = ruleset.apply(&id(), op);
    }
    ruleset.tables.remove(&id()).unwrap()
}

/// Two tables: one has become the other by a few operations, or they have nothing to do with each other.
pub(crate) fn two_tables() -> impl Strategy<Value = (Table, Table)> {
    let ops = |most| prop::collection::vec(op(), 0..most);
    prop_oneof![
        (ops(120), ops(12)).prop_map(|(ops, more)| (after(&ops), after(&[ops, more].concat()))),
        (ops(120), ops(120)).prop_map(|(one, other)| (after(&one), after(&other))),
    ]
}

/// The names that an operation adds or removes.
pub(crate) fn touched(batch: &Batch) -> BTreeSet<String> {
    batch.ops.iter().map(|(table, op)| op.text(table)).collect()
}
