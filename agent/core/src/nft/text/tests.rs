use super::super::samples::{id, ipv4, name};
use super::super::{Key, Name, Type, Value};
use super::*;

#[test]
fn operations_are_lines_that_nft_reads() {
    let hook = |kind, point, priority, policy| Some(Hook { kind, point, priority, policy });
    let intervals =
        SetType { flags: [SetFlag::Constant, SetFlag::Interval].into(), ..SetType::set([Type::Ipv6Addr]) };
    let timeout = SetType {
        flags: [SetFlag::Timeout].into(),
        ..SetType::set([Type::Ifname, Type::InetProto, Type::InetService])
    };
    let (first, last) =
        (Value::Ipv6Addr("2001:db8::".parse().unwrap()), Value::Ipv6Addr("2001:db8::f".parse().unwrap()));
    let other = Value::Ipv6Addr("2001:db8::20".parse().unwrap());
    let three = Key::Fields(vec![
        Value::Ifname("eth0".parse().unwrap()),
        Value::InetProto(6),
        Value::InetService(53),
    ]);
    let ops = [
        Op::AddTable,
        Op::AddCounter(name("x")),
        Op::AddSet(name("i"), intervals),
        Op::AddSet(name("t"), timeout),
        Op::AddSet(name("d"), SetType::map([Type::Ipv4Addr], Type::Mark)),
        Op::AddChain(name("a"), hook(ChainType::Filter, HookPoint::Prerouting, -300, Policy::Accept)),
        Op::AddChain(name("b"), hook(ChainType::Route, HookPoint::Output, -10, Policy::Accept)),
        Op::AddChain(name("c"), hook(ChainType::Nat, HookPoint::Postrouting, 100, Policy::Accept)),
        Op::AddChain(name("d"), hook(ChainType::Filter, HookPoint::Input, 0, Policy::Drop)),
        Op::AddChain(name("e"), None),
        Op::AddRule(name("e"), Rule::from([Expr::Verdict(Verdict::Drop)])),
        Op::AddElement(name("i"), Key::Interval(first, last), None),
        Op::AddElement(name("i"), Key::Interval(other.clone(), other), None),
        Op::AddElement(name("t"), three.clone(), None),
        Op::AddElement(name("d"), ipv4("192.0.2.1").into(), Some(Data::Value(Value::Mark(0x10)))),
        Op::DeleteElement(name("t"), three),
        Op::FlushChain(name("e")),
        Op::DeleteChain(name("e")),
        Op::DeleteSet(name("t")),
        Op::DeleteCounter(name("x")),
        Op::DeleteTable,
    ];
    let batch = Batch { ops: ops.into_iter().map(|op| (id(), op)).collect() };
    let golden = include_str!("ops.nft");
    assert!(
        batch.to_string() == golden,
        "agent/core/src/nft/text/ops.nft is stale; now it would be:\n{batch}"
    );
}

/// The kernel trials let nft read the same rules, and compare what it makes of them with what we send.
#[test]
fn expressions_are_written_as_nft_reads_them() {
    let rules: String = crate::nft::examples::rules().iter().map(|rule| format!("{rule}\n")).collect();
    let golden = include_str!("rules.nft");
    assert!(rules == golden, "agent/core/src/nft/text/rules.nft is stale; now it would be:\n{rules}");
}

#[test]
fn families_and_types_have_nfts_names() {
    let named = |family| TableId { family, name: name("flock") }.to_string();
    assert_eq!([Family::Ip, Family::Ip6, Family::Inet].map(named), ["ip flock", "ip6 flock", "inet flock"]);
    let types = ["ipv4_addr", "ipv6_addr", "ifname", "mark", "inet_proto", "inet_service"];
    assert_eq!(Type::ALL.map(|kind| kind.to_string()), types);
}

#[test]
fn rules_have_fingerprints() {
    let rule = Rule::from([Expr::Counter]);
    assert_eq!(rule.fingerprint(), crate::fnv::fnv1a_64(b"counter"));
    assert_ne!(rule.fingerprint(), Rule::from([Expr::Counter, Expr::Counter]).fingerprint());
}

#[test]
fn bits_without_names_are_numbers() {
    let names = |of: Bits, bits| of.names(bits);
    for (of, bits, text) in [
        (Bits::CtState, 0x0, "0"),
        (Bits::CtState, 0x2, "established"),
        (Bits::CtState, 0x6, "(established | related)"),
        // One and two bits with names, beside one without.
        (Bits::CtState, 0x42, "0x00000042"),
        (Bits::CtState, 0x46, "0x00000046"),
        (Bits::CtState, 0x40, "0x00000040"),
        (Bits::Mark(Mark::Packet), 0x2, "0x00000002"),
    ] {
        assert_eq!(names(of, bits), text, "{bits:#x}");
    }
}

#[test]
fn names_are_what_they_are_called() {
    let name = Name::from("pod-by-mark");
    assert_eq!((name.as_str(), std::borrow::Borrow::<str>::borrow(&name)), ("pod-by-mark", "pod-by-mark"));
    assert_eq!(Name::from("pod-by-mark".to_owned()), name);
}
