use flock_core::nft::{Chain, Expr, Rule, Verdict};

use super::*;

fn table() -> TableId {
    TableId { family: Family::Inet, name: "t".into() }
}

fn encoded(ops: Vec<Op>) -> Vec<Encoded> {
    let ops: Vec<_> = ops.into_iter().map(|op| (table(), op)).collect();
    encode(&ops, TableFlags::OWNED)
}

fn add(set: &str, mark: u32) -> Op {
    Op::AddElement(set.into(), Value::Mark(mark).into(), Some(Data::Verdict(Verdict::Accept)))
}

fn remove(set: &str, mark: u32) -> Op {
    Op::DeleteElement(set.into(), Value::Mark(mark).into())
}

/// What each message is about: its kind, the place of its first operation, and how many it has.
fn shape(ops: Vec<Op>) -> Vec<(u16, usize, usize)> {
    encoded(ops).iter().map(|part| (part.message.kind, part.first, part.count)).collect()
}

#[test]
fn elements_of_one_set_go_together() {
    let ops = vec![
        add("a", 1),
        add("a", 2),
        add("b", 1),
        remove("b", 2),
        remove("b", 3),
        Op::FlushChain("c".into()),
        remove("b", 4),
    ];
    let (new, del) = (kind::NEW_ELEMENT, kind::DEL_ELEMENT);
    assert_eq!(shape(ops), [(new, 0, 2), (new, 2, 1), (del, 3, 2), (kind::DEL_RULE, 5, 1), (del, 6, 1)]);
    assert_eq!(shape(Vec::new()), []);
}

#[test]
fn elements_of_another_table_go_apart() {
    let other = TableId { family: Family::Ip, name: "t".into() };
    let ops = [(table(), add("a", 1)), (other, add("a", 2))];
    assert_eq!(encode(&ops, TableFlags::default()).len(), 2);
}

#[test]
fn no_message_has_too_many_elements() {
    let many = shape((0..2500).map(|mark| add("a", mark)).collect());
    let new = kind::NEW_ELEMENT;
    assert_eq!(many, [(new, 0, 1000), (new, 1000, 1000), (new, 2000, 500)]);
}

#[test]
fn no_message_is_longer_than_an_attribute_can_say() {
    let chain: Name = "c".repeat(250).into();
    let verdict = Data::Verdict(Verdict::Goto(chain));
    let ops =
        (0..1000).map(|mark| Op::AddElement("a".into(), Value::Mark(mark).into(), Some(verdict.clone())));
    let all = encoded(ops.collect());
    assert!(all.len() > 1);
    assert_eq!(all.iter().map(|part| part.count).sum::<usize>(), 1000);
    let lengths: Vec<usize> = all.iter().map(|part| part.message.attributes.get(3).unwrap().len()).collect();
    let (last, full) = lengths.split_last().unwrap();
    assert!(
        *last <= MOST_BYTES && full.iter().all(|length| (MOST_BYTES - 1000..=MOST_BYTES).contains(length))
    );
}

#[test]
fn new_tables_get_their_flags() {
    let all = encoded(vec![Op::AddTable]);
    let attributes = &all[0].message.attributes;
    assert_eq!((attributes.get_text(1).as_deref(), attributes.get_be32(2)), (Some("t"), Some(6)));
    assert!(TableFlags::OWNED.has_owner() && !TableFlags::ORPHAN.has_owner());
}

#[test]
fn a_rule_carries_its_fingerprint_as_its_comment() {
    let rule = Rule::from([Expr::Counter]);
    let all = encoded(vec![Op::AddRule("c".into(), rule.clone())]);
    let userdata = all[0].message.attributes.get(7).unwrap();
    let text = format!("{:016x}\0", rule.fingerprint());
    assert_eq!((userdata[0], usize::from(userdata[1]), &userdata[2..]), (0, text.len(), text.as_bytes()));
    assert_eq!(all[0].flags, NLM_F_CREATE | NLM_F_APPEND);
    assert_eq!(super::super::decode::fingerprint(&all[0].message.attributes), Some(rule.fingerprint()));
}

#[test]
fn the_next_of_a_number_carries_over() {
    for (bytes, next) in [
        (vec![10, 0, 0, 255], Some(vec![10, 0, 1, 0])),
        (vec![0, 255, 255, 255], Some(vec![1, 0, 0, 0])),
        (vec![7], Some(vec![8])),
        (vec![255, 255], None),
    ] {
        assert_eq!(successor(bytes), next);
    }
}

#[test]
fn a_chain_without_a_hook_says_nothing_of_one() {
    let plain = encoded(vec![Op::AddChain("c".into(), Chain::default().hook)]);
    assert_eq!(plain[0].message.attributes.get(4), None);
}
