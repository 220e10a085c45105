use super::super::samples::{after, goto, hook, id, ipv4, lookup, mark, name, set_from, table, vmap};
use super::super::{Bits, End, Is, Link, Mark, Transport, Verdict};
use super::*;

/// The sample with one more operation.
fn apply(op: Op) -> Result<Table, Refusal> {
    let mut ruleset = Ruleset { tables: [(id(), table())].into() };
    ruleset.apply(&id(), &op)?;
    Ok(ruleset.tables.remove(&id()).unwrap())
}

fn refused(op: Op) -> Refusal {
    apply(op).unwrap_err()
}

fn add_rule(expr: Expr) -> Op {
    Op::AddRule(name("last"), Rule::from([expr]))
}

#[test]
fn a_table_is_made_once_and_goes_once() {
    let mut ruleset = Ruleset::default();
    assert_eq!(ruleset.apply(&id(), &Op::DeleteTable), Err(Refusal::Missing));
    assert_eq!(ruleset.apply(&id(), &Op::AddChain(name("a"), None)), Err(Refusal::Missing));
    assert_eq!(ruleset.apply(&id(), &Op::AddTable), Ok(()));
    assert_eq!(ruleset.apply(&id(), &Op::AddTable), Err(Refusal::Exists));
    assert_eq!(ruleset.tables.get(&id()), Some(&Table::default()));
    assert_eq!(ruleset.apply(&id(), &Op::DeleteTable), Ok(()));
    assert_eq!(ruleset, Ruleset::default());
}

#[test]
fn a_batch_is_carried_out_whole_or_not_at_all() {
    let add = |chain| (id(), Op::AddChain(name(chain), None));
    let before = Ruleset { tables: [(id(), Table::default())].into() };
    let mut ruleset = before.clone();
    let batch = Batch { ops: vec![add("a"), add("b"), add("a")] };
    assert_eq!(ruleset.commit(&batch), Err((2, Refusal::Exists)));
    assert_eq!(ruleset, before);
    assert_eq!(ruleset.commit(&Batch { ops: vec![add("a"), add("b")] }), Ok(()));
    assert_eq!(ruleset.tables[&id()].chains.len(), 2);
}

#[test]
fn what_is_there_is_not_made_again() {
    for op in [
        Op::AddCounter(name("allowed")),
        Op::AddSet(name("peers"), SetType::set([Type::Ipv4Addr])),
        Op::AddChain(name("pod"), None),
        Op::AddElement(name("peers"), ipv4("192.0.2.1").into(), None),
        Op::AddElement(name("dispatch"), mark(1), Some(Data::Verdict(Verdict::Drop))),
    ] {
        assert_eq!(refused(op.clone()), Refusal::Exists, "{op:?}");
    }
}

#[test]
fn what_is_not_there_cannot_be_changed_removed_or_referred_to() {
    for op in [
        Op::DeleteCounter(name("x")),
        Op::DeleteSet(name("x")),
        Op::DeleteChain(name("x")),
        Op::FlushChain(name("x")),
        Op::AddRule(name("x"), Rule::default()),
        Op::AddElement(name("x"), mark(1), None),
        Op::DeleteElement(name("x"), mark(1)),
        Op::DeleteElement(name("dispatch"), mark(3)),
        Op::AddElement(name("dispatch"), mark(3), Some(Data::Verdict(goto("x")))),
        add_rule(lookup("x")),
        add_rule(vmap("x")),
        add_rule(set_from("x")),
        add_rule(Expr::NamedCounter(name("x"))),
        add_rule(Expr::Verdict(goto("x"))),
        add_rule(Expr::Verdict(Verdict::Jump(name("x")))),
        // A counter is no set, and a set no chain.
        add_rule(lookup("allowed")),
        add_rule(Expr::NamedCounter(name("peers"))),
        add_rule(Expr::Verdict(goto("peers"))),
    ] {
        assert_eq!(refused(op.clone()), Refusal::Missing, "{op:?}");
    }
}

#[test]
fn what_is_in_use_stays() {
    for op in [
        Op::DeleteCounter(name("allowed")),
        Op::DeleteSet(name("peers")),
        Op::DeleteSet(name("dispatch")),
        Op::DeleteSet(name("marks")),
        // An element leads there.
        Op::DeleteChain(name("pod")),
        // A rule does.
        Op::DeleteChain(name("last")),
        // It has rules.
        Op::DeleteChain(name("forward")),
    ] {
        assert_eq!(refused(op.clone()), Refusal::Busy, "{op:?}");
    }
    let verdicts = |name: &str| Op::AddSet(name.into(), SetType::verdicts([Type::Mark]));
    let filled = Op::AddElement(name("m"), mark(1), Some(Data::Verdict(Verdict::Accept)));
    assert!(after(&[verdicts("m"), filled, Op::DeleteSet(name("m"))]).sets.contains_key("m"));
    assert_eq!(after(&[verdicts("m"), Op::DeleteSet(name("m"))]), Table::default());
}

#[test]
fn a_chain_that_only_an_element_or_only_a_rule_leads_to_stays() {
    let chain = |text| Op::AddChain(name(text), None);
    let map = Op::AddSet(name("m"), SetType::verdicts([Type::Mark]));
    let element = Op::AddElement(name("m"), mark(1), Some(Data::Verdict(goto("a"))));
    let rule = Op::AddRule(name("b"), Rule::from([Expr::Verdict(goto("a"))]));
    let delete = || Op::DeleteChain(name("a"));
    assert!(after(&[chain("a"), map, element, delete()]).chains.contains_key("a"));
    assert!(after(&[chain("a"), chain("b"), rule, delete()]).chains.contains_key("a"));
    assert_eq!(after(&[chain("a"), delete()]), Table::default());
}

#[test]
fn a_set_that_nothing_uses_goes_with_its_elements() {
    let add = Op::AddSet(name("s"), SetType::set([Type::Ipv4Addr]));
    let element = Op::AddElement(name("s"), ipv4("192.0.2.1").into(), None);
    assert_eq!(after(&[add, element, Op::DeleteSet(name("s"))]), Table::default());
    let counter = [Op::AddCounter(name("x")), Op::DeleteCounter(name("x"))];
    assert_eq!(after(&counter), Table::default());
    let flushed = apply(Op::FlushChain(name("pod"))).unwrap();
    assert_eq!(flushed.chains["pod"].rules, []);
    let removed = apply(Op::DeleteElement(name("dispatch"), mark(1))).unwrap();
    assert_eq!(removed.sets["dispatch"].elements.keys().collect::<Vec<_>>(), [&mark(2)]);
}

#[test]
fn nothing_leads_to_a_base_chain() {
    assert_eq!(refused(add_rule(Expr::Verdict(goto("forward")))), Refusal::BaseChain);
    let element = Op::AddElement(name("dispatch"), mark(3), Some(Data::Verdict(goto("forward"))));
    assert_eq!(refused(element), Refusal::BaseChain);
    let base = apply(Op::AddChain(name("x"), Some(hook(7)))).unwrap();
    assert_eq!(base.chains["x"].hook, Some(hook(7)));
}

fn compare(field: Field, value: Value) -> Expr {
    Expr::Compare { field, is: Is::Equal, value }
}

fn within(field: Field, from: u16, to: u16) -> Expr {
    Expr::Within { field, from: Value::InetService(from), to: Value::InetService(to) }
}

const PORT: Field = Field::Port(Transport::Tcp, End::Destination);

#[test]
fn expressions_are_of_the_type_of_what_they_refer_to() {
    let ip = Field::Ip(End::Source);
    let packet = || vec![Field::Mark(Mark::Packet)];
    let masked = |fields, map: &str| Expr::VerdictMap { fields, mask: Some(1), map: map.into() };
    let is = |fields, set: &str| Expr::Lookup { fields, is: Is::NotEqual, set: set.into() };
    let from = |fields, map: &str| Expr::SetMarkFrom { mark: Mark::Packet, fields, map: map.into() };
    for expr in [
        compare(Field::L4Proto, Value::InetProto(6)),
        within(PORT, 7, 7),
        within(PORT, 7, 9),
        masked(packet(), "dispatch"),
        is(vec![ip], "peers"),
        from(vec![Field::L4Proto], "marks"),
        Expr::Bits { of: Bits::CtState, mask: 2, is: Is::Equal, value: 2 },
    ] {
        let last = apply(add_rule(expr.clone())).unwrap().chains.remove("last").unwrap();
        assert_eq!(last.rules.last(), Some(&Rule::from([expr])));
    }
    for expr in [
        compare(Field::L4Proto, Value::InetService(6)),
        compare(ip, Value::Mark(6)),
        within(PORT, 9, 7),
        within(Field::L4Proto, 7, 9),
        Expr::Within { field: PORT, from: Value::Mark(1), to: Value::InetService(2) },
        Expr::Within { field: PORT, from: Value::InetService(1), to: Value::Mark(2) },
        Expr::Within { field: PORT, from: Value::InetProto(1), to: Value::InetService(2) },
        is(vec![Field::Ip6(End::Source)], "peers"),
        is(vec![ip, PORT], "peers"),
        is(packet(), "dispatch"),
        vmap("peers"),
        Expr::VerdictMap { fields: vec![ip], mask: None, map: name("dispatch") },
        from(packet(), "dispatch"),
        from(vec![ip], "marks"),
    ] {
        assert_eq!(refused(add_rule(expr.clone())), Refusal::Invalid, "{expr:?}");
    }
}

#[test]
fn only_a_mark_has_a_mask() {
    let kind = SetType::verdicts([Type::Ifname]);
    let links = |mask| Expr::VerdictMap { fields: vec![Field::Ifname(Link::In)], mask, map: name("m") };
    let rule = |mask| Op::AddRule(name("a"), Rule::from([links(mask)]));
    let made = [Op::AddSet(name("m"), kind), Op::AddChain(name("a"), None)];
    for (mask, rules) in [(None, 1), (Some(1), 0)] {
        let table = after(&[&made[..], &[rule(mask)]].concat());
        assert_eq!(table.chains["a"].rules.len(), rules, "{mask:?}");
    }
}

#[test]
fn elements_are_of_the_type_of_their_set() {
    let address = || Key::from(ipv4("192.0.2.9"));
    let value = |number| Some(Data::Value(Value::Mark(number)));
    for (set, key, data) in [
        ("peers", mark(9), None),
        ("peers", Key::Fields(vec![ipv4("192.0.2.9"), Value::Mark(1)]), None),
        ("peers", Key::Fields(vec![]), None),
        ("peers", Key::Interval(ipv4("192.0.2.9"), ipv4("192.0.2.9")), None),
        ("peers", address(), value(1)),
        ("peers", address(), Some(Data::Verdict(Verdict::Drop))),
        ("dispatch", mark(9), None),
        ("dispatch", mark(9), value(1)),
        ("marks", Value::InetProto(9).into(), Some(Data::Value(Value::InetProto(1)))),
        ("marks", Value::InetProto(9).into(), Some(Data::Verdict(Verdict::Drop))),
    ] {
        let op = Op::AddElement(name(set), key, data);
        assert_eq!(refused(op.clone()), Refusal::Invalid, "{op:?}");
    }
    let op = Op::AddElement(name("marks"), Value::InetProto(9).into(), value(7));
    let marks = apply(op).unwrap().sets.remove("marks").unwrap();
    assert_eq!(marks.elements.get(&Value::InetProto(9).into()), Some(&value(7)));
    let both = SetType::set([Type::InetProto, Type::InetService]);
    let key = Key::Fields(vec![Value::InetProto(6), Value::InetService(53)]);
    let table = after(&[Op::AddSet(name("t"), both), Op::AddElement(name("t"), key.clone(), None)]);
    assert!(table.sets["t"].elements.contains_key(&key));
}

/// The numbers are the last bytes of addresses.
fn intervals(all: &[(u8, u8)]) -> usize {
    let address = |last: u8| Value::Ipv4Addr([192, 0, 2, last].into());
    let add = Op::AddSet(name("i"), SetType::intervals(Type::Ipv4Addr));
    let element = |(first, last): &(u8, u8)| {
        Op::AddElement(name("i"), Key::Interval(address(*first), address(*last)), None)
    };
    let ops: Vec<Op> = std::iter::once(add).chain(all.iter().map(element)).collect();
    after(&ops).sets["i"].elements.len()
}

#[test]
fn intervals_do_not_overlap() {
    for (all, taken) in [
        (&[(10, 20), (30, 40)][..], 2),
        (&[(30, 40), (10, 20)], 2),
        (&[(10, 20), (21, 21)], 2),
        (&[(10, 20), (9, 9)], 2),
        (&[(10, 20), (10, 30)], 1),
        (&[(10, 20), (5, 20)], 1),
        (&[(10, 20), (20, 25)], 1),
        (&[(10, 20), (5, 10)], 1),
        (&[(10, 20), (12, 15)], 1),
        (&[(10, 20), (5, 25)], 1),
        (&[(10, 20), (10, 12)], 1),
        (&[(10, 20), (30, 40), (15, 35)], 2),
        (&[(10, 20), (30, 40), (21, 29)], 3),
        (&[(20, 10)], 0),
    ] {
        assert_eq!(intervals(all), taken, "{all:?}");
    }
}

#[test]
fn a_set_of_intervals_has_nothing_else() {
    let add = Op::AddSet(name("i"), SetType::intervals(Type::Ipv4Addr));
    for key in [
        ipv4("192.0.2.1").into(),
        Key::Interval(ipv4("192.0.2.1"), Value::Mark(7)),
        Key::Interval(Value::Mark(1), Value::Mark(7)),
    ] {
        let table = after(&[add.clone(), Op::AddElement(name("i"), key.clone(), None)]);
        assert_eq!(table.sets["i"].elements.len(), 0, "{key}");
    }
}

/// What others test nft and the kernel with.
#[test]
fn the_examples_are_possible() {
    let sets = crate::nft::examples::sets().into_iter().map(|(set, kind)| Op::AddSet(name(set), kind));
    let rules = crate::nft::examples::rules();
    let add = rules.iter().map(|rule| Op::AddRule(name("c"), rule.clone()));
    let chains = [Op::AddChain(name("x"), None), Op::AddChain(name("c"), None), Op::AddCounter(name("seen"))];
    let ops: Vec<Op> = sets.chain(chains).chain(add).collect();
    let table = after(&ops);
    assert_eq!((table.sets.len(), &table.chains["c"].rules), (11, &rules));
}

#[test]
fn a_batch_is_empty_or_not() {
    assert!(Batch::default().is_empty());
    assert!(!Batch { ops: vec![(id(), Op::AddTable)] }.is_empty());
}
