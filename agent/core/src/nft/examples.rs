//! Rules in which every expression occurs, for tests of what others make of them: nft and the kernel.

use super::{
    Bits, Direction, End, Expr, Field, Is, Link, Mark, Rule, SetType, Transport, Type, Value, Verdict,
};

/// The sets and maps that the rules refer to, with their names. Besides, they refer to chain `x` and counter `seen`.
pub fn sets() -> Vec<(&'static str, SetType)> {
    vec![
        ("s4", SetType::set([Type::Ipv4Addr])),
        ("s6", SetType::set([Type::Ipv6Addr])),
        ("blocks", SetType::intervals(Type::Ipv4Addr)),
        ("ports", SetType::set([Type::InetProto, Type::InetService])),
        ("sources", SetType::set([Type::Ifname, Type::Ipv4Addr])),
        ("sources6", SetType::set([Type::Ifname, Type::Ipv6Addr])),
        ("named", SetType::set([Type::Ifname, Type::InetProto, Type::InetService])),
        ("hairpin", SetType::set([Type::Ifname, Type::Ifname])),
        ("by-mark", SetType::verdicts([Type::Mark])),
        ("by-link", SetType::verdicts([Type::Ifname])),
        ("marks", SetType::map([Type::Ifname], Type::Mark)),
    ]
}

/// The rules.
pub fn rules() -> Vec<Rule> {
    let is = |fields: &[Field], set: &str| Expr::Lookup {
        fields: fields.to_vec(),
        is: Is::Equal,
        set: set.into(),
    };
    let is_not = |fields: &[Field], set: &str| Expr::Lookup {
        fields: fields.to_vec(),
        is: Is::NotEqual,
        set: set.into(),
    };
    let vmap = |field, mask, map: &str| Expr::VerdictMap { fields: vec![field], mask, map: map.into() };
    let bits = |of, mask, is, value| Expr::Bits { of, mask, is, value };
    let compare = |field, is, value| Expr::Compare { field, is, value };
    let goto = || Expr::Verdict(Verdict::Goto("x".into()));
    let set_mark = |mark, keep, set| Expr::SetMark { mark, keep, set };
    let port = |transport| Field::Port(transport, End::Destination);
    let (accept, drop, back) = (
        || Expr::Verdict(Verdict::Accept),
        || Expr::Verdict(Verdict::Drop),
        || Expr::Verdict(Verdict::Return),
    );
    let (link_in, link_out) = (Field::Ifname(Link::In), Field::Ifname(Link::Out));
    let service = |port| Value::InetService(port);
    let (ip_source, ip6_source) = (Field::Ip(End::Source), Field::Ip6(End::Source));
    vec![
        Rule::from([
            bits(Bits::Mark(Mark::Packet), 0xfff0_0000, Is::NotEqual, 0),
            set_mark(Mark::Packet, 0x000f_ffff, 0),
        ]),
        Rule::from([set_mark(Mark::Packet, 0x000f_ffff, 0x0010_0000)]),
        Rule::from([set_mark(Mark::Connection, 0x000f_ffff, 0x0010_0000)]),
        Rule::from([bits(Bits::Mark(Mark::Connection), 0x8_0000, Is::Equal, 0x8_0000), drop()]),
        Rule::from([Expr::Direction(Direction::Reply), back()]),
        Rule::from([
            bits(Bits::TcpFlags, 0x17, Is::Equal, 0x02),
            bits(Bits::CtStatus, 0x4, Is::NotEqual, 0),
            back(),
        ]),
        Rule::from([
            compare(Field::L4Proto, Is::Equal, Value::InetProto(17)),
            bits(Bits::CtStatus, 0x4, Is::Equal, 0),
            back(),
        ]),
        Rule::from([
            bits(Bits::CtState, 0x6, Is::NotEqual, 0),
            vmap(Field::Mark(Mark::Connection), Some(0xfff0_0000), "by-mark"),
        ]),
        Rule::from([
            Expr::Direction(Direction::Original),
            bits(Bits::CtState, 0xa, Is::NotEqual, 0),
            vmap(link_out, None, "by-link"),
        ]),
        Rule::from([vmap(Field::Mark(Mark::Packet), None, "by-mark")]),
        Rule::from([is(&[Field::Ip(End::Destination)], "s4"), goto()]),
        Rule::from([is(&[Field::Ip6(End::Destination)], "s6"), goto()]),
        Rule::from([is(&[ip_source], "s4"), is(&[Field::Ip(End::Destination)], "s4"), goto()]),
        Rule::from([
            is(&[ip_source], "s4"),
            is(&[Field::L4Proto, port(Transport::Any)], "ports"),
            Expr::NamedCounter("seen".into()),
            accept(),
        ]),
        Rule::from([is(&[ip_source], "blocks"), Expr::Counter, accept()]),
        Rule::from([
            is(&[link_out, Field::L4Proto, port(Transport::Any)], "named"),
            is(&[ip_source], "s4"),
            accept(),
        ]),
        Rule::from([
            Expr::Within { field: port(Transport::Tcp), from: service(32_000), to: service(32_768) },
            is(&[ip_source], "s4"),
            accept(),
        ]),
        Rule::from([compare(Field::Port(Transport::Udp, End::Source), Is::NotEqual, service(53)), accept()]),
        Rule::from([compare(port(Transport::Any), Is::Equal, service(53)), accept()]),
        Rule::from([Expr::IfnamePrefix(Link::In, "flock".into()), Expr::Counter, drop()]),
        Rule::from([Expr::IfnamePrefix(Link::Out, "flock".into()), drop()]),
        Rule::from([is_not(&[link_in, ip_source], "sources"), drop()]),
        Rule::from([is_not(&[link_in, ip6_source], "sources6"), drop()]),
        Rule::from([is(&[link_in, link_out], "hairpin"), accept()]),
        Rule::from([
            Expr::Limit { per_second: 10 },
            Expr::Log { group: 64, prefix: "flk|i|".into() },
            Expr::Verdict(Verdict::Jump("x".into())),
        ]),
        Rule::from([Expr::Icmpv6Type(135), accept()]),
        Rule::from([Expr::SetMarkFrom { mark: Mark::Packet, fields: vec![link_in], map: "marks".into() }]),
        Rule::from([bits(Bits::Mark(Mark::Packet), 0xff, Is::Equal, 0x1)]),
        Rule::from([bits(Bits::CtState, 0x3, Is::Equal, 0x1), bits(Bits::CtState, 0x8, Is::NotEqual, 0x0)]),
        Rule::from([bits(Bits::CtStatus, 0xa, Is::Equal, 0x2), bits(Bits::CtStatus, 0x1, Is::NotEqual, 0)]),
        Rule::from([
            bits(Bits::TcpFlags, 0x28, Is::Equal, 0x20),
            bits(Bits::TcpFlags, 0x05, Is::NotEqual, 0x4),
        ]),
        Rule::from([bits(Bits::CtState, 0x42, Is::NotEqual, 0)]),
    ]
}
