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
    [marking(), matching(), other()].concat()
}

/// Rules that read and set marks.
fn marking() -> Vec<Rule> {
    vec![
        Rule::from([
            bits(Bits::Mark(Mark::Packet), 0xfff0_0000, Is::NotEqual, 0),
            set_mark(Mark::Packet, 0x000f_ffff, 0),
        ]),
        Rule::from([set_mark(Mark::Packet, 0x000f_ffff, 0x0010_0000)]),
        Rule::from([set_mark(Mark::Connection, 0x000f_ffff, 0x0010_0000)]),
        Rule::from([
            bits(Bits::Mark(Mark::Connection), 0x8_0000, Is::Equal, 0x8_0000),
            verdict(Verdict::Drop),
        ]),
        Rule::from([Expr::Direction(Direction::Reply), verdict(Verdict::Return)]),
        Rule::from([
            bits(Bits::TcpFlags, 0x17, Is::Equal, 0x02),
            bits(Bits::CtStatus, 0x4, Is::NotEqual, 0),
            verdict(Verdict::Return),
        ]),
        Rule::from([
            compare(Field::L4Proto, Is::Equal, Value::InetProto(17)),
            bits(Bits::CtStatus, 0x4, Is::Equal, 0),
            verdict(Verdict::Return),
        ]),
        Rule::from([
            bits(Bits::CtState, 0x6, Is::NotEqual, 0),
            vmap(Field::Mark(Mark::Connection), Some(0xfff0_0000), "by-mark"),
        ]),
        Rule::from([
            Expr::Direction(Direction::Original),
            bits(Bits::CtState, 0xa, Is::NotEqual, 0),
            vmap(LINK_OUT, None, "by-link"),
        ]),
        Rule::from([vmap(Field::Mark(Mark::Packet), None, "by-mark")]),
    ]
}

/// Rules that match addresses, ports and interfaces.
fn matching() -> Vec<Rule> {
    vec![
        Rule::from([is(&[Field::Ip(End::Destination)], "s4"), verdict(Verdict::Goto("x".into()))]),
        Rule::from([is(&[Field::Ip6(End::Destination)], "s6"), verdict(Verdict::Goto("x".into()))]),
        Rule::from([
            is(&[IP_SOURCE], "s4"),
            is(&[Field::Ip(End::Destination)], "s4"),
            verdict(Verdict::Goto("x".into())),
        ]),
        Rule::from([
            is(&[IP_SOURCE], "s4"),
            is(&[Field::L4Proto, port(Transport::Any)], "ports"),
            Expr::NamedCounter("seen".into()),
            verdict(Verdict::Accept),
        ]),
        Rule::from([is(&[IP_SOURCE], "blocks"), Expr::Counter, verdict(Verdict::Accept)]),
        Rule::from([
            is(&[LINK_OUT, Field::L4Proto, port(Transport::Any)], "named"),
            is(&[IP_SOURCE], "s4"),
            verdict(Verdict::Accept),
        ]),
        Rule::from([
            Expr::Within { field: port(Transport::Tcp), from: service(32_000), to: service(32_768) },
            is(&[IP_SOURCE], "s4"),
            verdict(Verdict::Accept),
        ]),
        Rule::from([
            compare(Field::Port(Transport::Udp, End::Source), Is::NotEqual, service(53)),
            verdict(Verdict::Accept),
        ]),
        Rule::from([compare(port(Transport::Any), Is::Equal, service(53)), verdict(Verdict::Accept)]),
        Rule::from([Expr::IfnamePrefix(Link::In, "flock".into()), Expr::Counter, verdict(Verdict::Drop)]),
        Rule::from([Expr::IfnamePrefix(Link::Out, "flock".into()), verdict(Verdict::Drop)]),
        Rule::from([is_not(&[LINK_IN, IP_SOURCE], "sources"), verdict(Verdict::Drop)]),
        Rule::from([is_not(&[LINK_IN, IP6_SOURCE], "sources6"), verdict(Verdict::Drop)]),
        Rule::from([is(&[LINK_IN, LINK_OUT], "hairpin"), verdict(Verdict::Accept)]),
    ]
}

/// The rest.
fn other() -> Vec<Rule> {
    vec![
        Rule::from([
            Expr::Limit { per_second: 10 },
            Expr::Log { group: 64, prefix: "flk|i|".into() },
            Expr::Verdict(Verdict::Jump("x".into())),
        ]),
        Rule::from([Expr::Icmpv6Type(135), verdict(Verdict::Accept)]),
        Rule::from([Expr::SetMarkFrom { mark: Mark::Packet, fields: vec![LINK_IN], map: "marks".into() }]),
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

fn lookup(fields: &[Field], is: Is, set: &str) -> Expr {
    Expr::Lookup { fields: fields.to_vec(), is, set: set.into() }
}

fn is(fields: &[Field], set: &str) -> Expr {
    lookup(fields, Is::Equal, set)
}

fn is_not(fields: &[Field], set: &str) -> Expr {
    lookup(fields, Is::NotEqual, set)
}

fn vmap(field: Field, mask: Option<u32>, map: &str) -> Expr {
    Expr::VerdictMap { fields: vec![field], mask, map: map.into() }
}

fn bits(of: Bits, mask: u32, is: Is, value: u32) -> Expr {
    Expr::Bits { of, mask, is, value }
}

fn compare(field: Field, is: Is, value: Value) -> Expr {
    Expr::Compare { field, is, value }
}

fn set_mark(mark: Mark, keep: u32, set: u32) -> Expr {
    Expr::SetMark { mark, keep, set }
}

fn port(transport: Transport) -> Field {
    Field::Port(transport, End::Destination)
}

fn service(port: u16) -> Value {
    Value::InetService(port)
}

fn verdict(verdict: Verdict) -> Expr {
    Expr::Verdict(verdict)
}

const LINK_IN: Field = Field::Ifname(Link::In);
const LINK_OUT: Field = Field::Ifname(Link::Out);
const IP_SOURCE: Field = Field::Ip(End::Source);
const IP6_SOURCE: Field = Field::Ip6(End::Source);
