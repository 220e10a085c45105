use flock_core::nft::{Family, Op, Set, TableId};

use super::super::encode::{TableFlags, encode};
use super::super::message::NetfilterMessage;
use super::*;

fn messages(ops: Vec<Op>) -> Vec<NetfilterMessage> {
    let table = TableId { family: Family::Inet, name: "t".into() };
    let ops: Vec<_> = ops.into_iter().map(|op| (table.clone(), op)).collect();
    encode(&ops, TableFlags::default()).into_iter().map(|part| part.message).collect()
}

/// What is read of a set's type and elements is what was written.
fn same(kind: SetType, elements: Vec<(Key, Option<Data>)>) {
    let set = Set { kind, elements: elements.into_iter().collect() };
    let made = messages(vec![Op::AddSet("s".into(), set.kind.clone())]);
    assert_eq!(super::set(&made[0].attributes), Some(("s".into(), set.kind.clone())));
    let add = set.elements.iter().map(|(key, data)| Op::AddElement("s".into(), key.clone(), data.clone()));
    let added: Vec<Attributes> =
        messages(add.collect()).into_iter().map(|message| message.attributes).collect();
    assert_eq!(super::elements(&set.kind, &added), Some(set.elements));
}

fn v4(text: &str) -> Value {
    Value::Ipv4Addr(text.parse().unwrap())
}

#[test]
fn sets_are_read_as_they_were_written() {
    let fields = |values: &[Value]| (Key::Fields(values.to_vec()), None);
    let link = Value::Ifname("flock0a".parse().unwrap());
    let v6 = Value::Ipv6Addr("2001:db8::1".parse().unwrap());
    same(SetType::set([Type::Ipv4Addr]), vec![(v4("192.0.2.1").into(), None)]);
    let three = [Type::Ifname, Type::InetProto, Type::InetService];
    same(SetType::set(three), vec![fields(&[link.clone(), Value::InetProto(6), Value::InetService(53)])]);
    same(SetType::set([Type::Ifname, Type::Ipv6Addr]), vec![fields(&[link.clone(), v6])]);
    let verdicts = [
        Verdict::Accept,
        Verdict::Drop,
        Verdict::Return,
        Verdict::Jump("x".into()),
        Verdict::Goto("y".into()),
    ];
    let verdicts =
        (1..).zip(verdicts).map(|(mark, verdict)| (Value::Mark(mark).into(), Some(Data::Verdict(verdict))));
    same(SetType::verdicts([Type::Mark]), verdicts.collect());
    same(SetType::map([Type::Ifname], Type::Mark), vec![(link.into(), Some(Data::Value(Value::Mark(7))))]);
}

#[test]
fn intervals_are_read_as_they_were_written() {
    let interval = |first: &str, last: &str| (Key::Interval(v4(first), v4(last)), None);
    same(
        SetType::intervals(Type::Ipv4Addr),
        vec![
            interval("0.0.0.0", "0.255.255.255"),
            interval("10.0.0.0", "10.0.0.0"),
            interval("10.0.0.1", "10.0.0.7"),
            interval("192.0.2.0", "192.0.2.255"),
            interval("255.255.255.0", "255.255.255.255"),
        ],
    );
}

/// nft begins a set of intervals with the end of nothing.
#[test]
fn an_end_without_a_beginning_is_nothing() {
    let key = Attributes::default().nested(1, &Attributes::default().bytes(1, &[0; 4]));
    let item = Attributes::default().nested(1, &key.be32(3, END));
    let message = Attributes::default().nested(3, &item);
    assert_eq!(super::elements(&SetType::intervals(Type::Ipv4Addr), &[message]), Some(BTreeMap::new()));
}

#[test]
fn what_flock_would_not_make_is_nothing() {
    let set = |flags, kind| Attributes::default().text(2, "s").be32(3, flags).be32(4, kind);
    assert!(super::set(&set(0, 7)).is_some());
    // An unknown type; objects; a map without data; concatenated intervals.
    for (flags, kind) in [(0, 63), (0x40, 7), (MAP, 7), (0x80, 7)] {
        assert_eq!(super::set(&set(flags, kind)), None, "{flags:#x} {kind}");
    }
    assert!(is_anonymous(&set(ANONYMOUS, 7)) && !is_anonymous(&set(MAP, 7)));
    let rule = |userdata: &[u8]| Attributes::default().bytes(7, userdata);
    for userdata in [&b""[..], b"\0\x05hand\0", b"\0\x11ffffffffffffffzz\0", b"\x01\x110123456789abcdef\0"] {
        assert_eq!(fingerprint(&rule(userdata)), None, "{userdata:?}");
    }
    assert_eq!(counter(&Attributes::default().text(2, "x").be32(3, 2)), None);
}

#[test]
fn numbers_before_others_borrow() {
    for (bytes, before) in [
        ([10, 0, 1, 0], [10, 0, 0, 255]),
        ([1, 0, 0, 0], [0, 255, 255, 255]),
        ([0, 0, 0, 0], [255, 255, 255, 255]),
        ([0, 0, 0, 1], [0, 0, 0, 0]),
    ] {
        assert_eq!(predecessor(bytes.to_vec()), before);
    }
}
