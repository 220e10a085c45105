//! What keys and elements are made of.

use std::borrow::Borrow;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use crate::attachment::IfName;

/// The name of a table, chain, set or counter. The kernel takes up to 255 bytes (`NFT_NAME_MAXLEN`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

impl Name {
    /// The name as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Name {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl From<String> for Name {
    fn from(name: String) -> Self {
        Self(name.into())
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The type of one field of a key (`nft describe`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Type {
    /// `ipv4_addr`.
    Ipv4Addr,
    /// `ipv6_addr`.
    Ipv6Addr,
    /// `ifname`.
    Ifname,
    /// `mark`.
    Mark,
    /// `inet_proto`: the number of a transport protocol.
    InetProto,
    /// `inet_service`: a port.
    InetService,
}

impl Type {
    /// Every type.
    pub const ALL: [Type; 6] =
        [Type::Ipv4Addr, Type::Ipv6Addr, Type::Ifname, Type::Mark, Type::InetProto, Type::InetService];
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Type::Ipv4Addr => "ipv4_addr",
            Type::Ipv6Addr => "ipv6_addr",
            Type::Ifname => "ifname",
            Type::Mark => "mark",
            Type::InetProto => "inet_proto",
            Type::InetService => "inet_service",
        })
    }
}

/// A value of one of the types.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Value {
    /// An IPv4 address.
    Ipv4Addr(Ipv4Addr),
    /// An IPv6 address.
    Ipv6Addr(Ipv6Addr),
    /// A link's name.
    Ifname(IfName),
    /// A mark.
    Mark(u32),
    /// The number of a transport protocol.
    InetProto(u8),
    /// A port.
    InetService(u16),
}

impl Value {
    /// Its type.
    pub fn kind(&self) -> Type {
        match self {
            Value::Ipv4Addr(_) => Type::Ipv4Addr,
            Value::Ipv6Addr(_) => Type::Ipv6Addr,
            Value::Ifname(_) => Type::Ifname,
            Value::Mark(_) => Type::Mark,
            Value::InetProto(_) => Type::InetProto,
            Value::InetService(_) => Type::InetService,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Ipv4Addr(address) => address.fmt(f),
            Value::Ipv6Addr(address) => address.fmt(f),
            Value::Ifname(name) => write!(f, "\"{name}\""),
            Value::Mark(mark) => write!(f, "{mark:#010x}"),
            Value::InetProto(number) => number.fmt(f),
            Value::InetService(port) => port.fmt(f),
        }
    }
}

/// The key of an element.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// One value for each field of the set's key.
    Fields(Vec<Value>),
    /// All values from the first to the last, both included: in sets of intervals, whose key has one field. The kernel
    /// merges nothing: intervals of one set do not overlap, and those that touch are two where one would do.
    Interval(Value, Value),
}

impl Key {
    /// The types of its fields.
    pub fn kinds(&self) -> Vec<Type> {
        match self {
            Key::Fields(values) => values.iter().map(Value::kind).collect(),
            Key::Interval(first, _) => vec![first.kind()],
        }
    }
}

impl From<Value> for Key {
    fn from(value: Value) -> Self {
        Self::Fields(vec![value])
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Key::Fields(values) => {
                let values: Vec<String> = values.iter().map(Value::to_string).collect();
                f.write_str(&values.join(" . "))
            }
            // nft refuses a range from a value to itself.
            Key::Interval(first, last) if first == last => first.fmt(f),
            Key::Interval(first, last) => write!(f, "{first}-{last}"),
        }
    }
}
