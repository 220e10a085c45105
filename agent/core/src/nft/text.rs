//! Operations as `nft -f` reads them, one a line: for people who debug, and for tests, where nft is the judge.

use std::fmt;

use super::batch::{Batch, Op};
use super::rule::{Bits, Direction, End, Expr, Field, Is, Link, Mark, Rule, Transport, Verdict};
use super::table::{ChainType, Data, DataType, Family, Hook, HookPoint, Policy, SetFlag, SetType, TableId};

impl fmt::Display for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ops.iter().try_for_each(|(table, op)| writeln!(f, "{}", op.text(table)))
    }
}

impl Op {
    /// The line that `nft -f` reads, without its end.
    pub fn text(&self, table: &TableId) -> String {
        match self {
            Op::AddTable => format!("add table {table}"),
            Op::DeleteTable => format!("delete table {table}"),
            Op::AddCounter(name) => format!("add counter {table} {name}"),
            Op::DeleteCounter(name) => format!("delete counter {table} {name}"),
            Op::AddSet(name, kind) => {
                let word = if kind.data.is_some() { "map" } else { "set" };
                format!("add {word} {table} {name} {{ {kind} }}")
            }
            // nft deletes maps by this word too.
            Op::DeleteSet(name) => format!("delete set {table} {name}"),
            Op::AddChain(name, None) => format!("add chain {table} {name}"),
            Op::AddChain(name, Some(hook)) => format!("add chain {table} {name} {{ {hook} }}"),
            Op::DeleteChain(name) => format!("delete chain {table} {name}"),
            Op::AddRule(chain, rule) => format!("add rule {table} {chain} {rule}"),
            Op::FlushChain(name) => format!("flush chain {table} {name}"),
            Op::AddElement(set, key, None) => format!("add element {table} {set} {{ {key} }}"),
            Op::AddElement(map, key, Some(data)) => format!("add element {table} {map} {{ {key} : {data} }}"),
            Op::DeleteElement(set, key) => format!("delete element {table} {set} {{ {key} }}"),
        }
    }
}

impl fmt::Display for TableId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.family, self.name)
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Family::Ip => "ip",
            Family::Ip6 => "ip6",
            Family::Inet => "inet",
        })
    }
}

impl fmt::Display for SetType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "type {}", joined(&self.key, " . "))?;
        match self.data {
            None => {}
            Some(DataType::Verdict) => f.write_str(" : verdict")?,
            Some(DataType::Value(kind)) => write!(f, " : {kind}")?,
        }
        f.write_str(";")?;
        if self.flags.is_empty() { Ok(()) } else { write!(f, " flags {};", joined(&self.flags, ",")) }
    }
}

impl fmt::Display for SetFlag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SetFlag::Constant => "constant",
            SetFlag::Interval => "interval",
            SetFlag::Timeout => "timeout",
        })
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, point, priority, policy } = self;
        write!(f, "type {kind} hook {point} priority {priority}; policy {policy};")
    }
}

impl fmt::Display for ChainType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ChainType::Filter => "filter",
            ChainType::Route => "route",
            ChainType::Nat => "nat",
        })
    }
}

impl fmt::Display for HookPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HookPoint::Prerouting => "prerouting",
            HookPoint::Input => "input",
            HookPoint::Forward => "forward",
            HookPoint::Output => "output",
            HookPoint::Postrouting => "postrouting",
        })
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Policy::Accept => "accept",
            Policy::Drop => "drop",
        })
    }
}

impl fmt::Display for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Data::Verdict(verdict) => verdict.fmt(f),
            Data::Value(value) => value.fmt(f),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Accept => f.write_str("accept"),
            Verdict::Drop => f.write_str("drop"),
            Verdict::Return => f.write_str("return"),
            Verdict::Jump(chain) => write!(f, "jump {chain}"),
            Verdict::Goto(chain) => write!(f, "goto {chain}"),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&joined(&self.0, " "))
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expr::Compare { field, is, value } => write!(f, "{field} {}{value}", is.prefix()),
            Expr::Within { field, from, to } => write!(f, "{field} {from}-{to}"),
            Expr::Bits { of, mask, is, value } => {
                write!(f, "{of} & {} {is} {}", of.names(*mask), of.names(*value))
            }
            Expr::Direction(Direction::Original) => f.write_str("ct direction original"),
            Expr::Direction(Direction::Reply) => f.write_str("ct direction reply"),
            Expr::IfnamePrefix(link, prefix) => write!(f, "{} \"{prefix}*\"", Field::Ifname(*link)),
            Expr::Icmpv6Type(number) => write!(f, "icmpv6 type {number}"),
            Expr::Lookup { fields, is, set } => write!(f, "{} {}@{set}", joined(fields, " . "), is.prefix()),
            Expr::VerdictMap { fields, mask: None, map } => {
                write!(f, "{} vmap @{map}", joined(fields, " . "))
            }
            Expr::VerdictMap { fields, mask: Some(mask), map } => {
                write!(f, "{} & {mask:#010x} vmap @{map}", joined(fields, " . "))
            }
            Expr::SetMark { mark, keep, set: 0 } => write!(f, "{mark} set {mark} & {keep:#010x}"),
            Expr::SetMark { mark, keep, set } => {
                write!(f, "{mark} set {mark} & {keep:#010x} | {set:#010x}")
            }
            Expr::SetMarkFrom { mark, fields, map } => {
                write!(f, "{mark} set {} map @{map}", joined(fields, " . "))
            }
            Expr::Counter => f.write_str("counter"),
            Expr::NamedCounter(name) => write!(f, "counter name {name}"),
            Expr::Limit { per_second } => write!(f, "limit rate {per_second}/second"),
            Expr::Log { group, prefix } => write!(f, "log prefix \"{prefix}\" group {group}"),
            Expr::Verdict(verdict) => verdict.fmt(f),
        }
    }
}

impl fmt::Display for Is {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Is::Equal => "==",
            Is::NotEqual => "!=",
        })
    }
}

impl Is {
    /// What stands before a value: nothing, if it is to be equal.
    fn prefix(self) -> &'static str {
        match self {
            Is::Equal => "",
            Is::NotEqual => "!= ",
        }
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Mark::Packet => "meta mark",
            Mark::Connection => "ct mark",
        })
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Field::Mark(mark) => mark.fmt(f),
            Field::Ifname(Link::In) => f.write_str("iifname"),
            Field::Ifname(Link::Out) => f.write_str("oifname"),
            Field::L4Proto => f.write_str("meta l4proto"),
            Field::Ip(end) => write!(f, "ip {}addr", end.letter()),
            Field::Ip6(end) => write!(f, "ip6 {}addr", end.letter()),
            Field::Port(Transport::Any, end) => write!(f, "th {}port", end.letter()),
            Field::Port(Transport::Tcp, end) => write!(f, "tcp {}port", end.letter()),
            Field::Port(Transport::Udp, end) => write!(f, "udp {}port", end.letter()),
        }
    }
}

impl End {
    fn letter(self) -> char {
        match self {
            End::Source => 's',
            End::Destination => 'd',
        }
    }
}

impl fmt::Display for Bits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bits::Mark(mark) => mark.fmt(f),
            Bits::CtState => f.write_str("ct state"),
            Bits::CtStatus => f.write_str("ct status"),
            Bits::TcpFlags => f.write_str("tcp flags"),
        }
    }
}

impl Bits {
    /// nft's names of bits, lowest first.
    fn vocabulary(self) -> &'static [(u32, &'static str)] {
        match self {
            Bits::Mark(_) => &[],
            Bits::CtState => &[(0x1, "invalid"), (0x2, "established"), (0x4, "related"), (0x8, "new")],
            Bits::CtStatus => &[(0x1, "expected"), (0x2, "seen-reply"), (0x4, "assured"), (0x8, "confirmed")],
            Bits::TcpFlags => {
                &[(0x01, "fin"), (0x02, "syn"), (0x04, "rst"), (0x08, "psh"), (0x10, "ack"), (0x20, "urg")]
            }
        }
    }

    /// The bits by their names, if all of them have one; otherwise the number.
    fn names(self, bits: u32) -> String {
        if bits == 0 {
            return "0".to_owned();
        }
        let named = self.vocabulary().iter().filter(|(bit, _)| bits & bit != 0);
        let (known, names) = named.fold((0, Vec::new()), |(known, mut names), (bit, name)| {
            names.push(*name);
            (known + bit, names)
        });
        match names.as_slice() {
            [name] if known == bits => (*name).to_owned(),
            [_, _, ..] if known == bits => format!("({})", names.join(" | ")),
            _ => format!("{bits:#010x}"),
        }
    }
}

fn joined<T: ToString>(items: impl IntoIterator<Item = T>, between: &str) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(between)
}

#[cfg(test)]
mod tests;
