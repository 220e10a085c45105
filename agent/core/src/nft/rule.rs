//! Rules: expressions in order, each of which lets a packet go on, or does something to it.
//!
//! Only the expressions that flock uses. What nft writes implicitly (`ip daddr` in an `inet` table looks at the
//! protocol first) is implicit here too, and made explicit where a rule becomes a message.

use super::value::{Name, Type, Value};
use crate::fnv::fnv1a_64;

/// One rule of a chain.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Rule(pub Vec<Expr>);

impl Rule {
    /// Tells it from other rules. The kernel keeps it with the rule, whose expressions need not be read back then.
    pub fn fingerprint(&self) -> u64 {
        fnv1a_64(self.to_string().as_bytes())
    }

    /// What must be there before the rule can be.
    pub fn references(&self) -> impl Iterator<Item = Reference<'_>> {
        self.0.iter().filter_map(|expr| match expr {
            Expr::Lookup { set, .. } => Some(Reference::Set(set)),
            Expr::VerdictMap { map, .. } | Expr::SetMarkFrom { map, .. } => Some(Reference::Set(map)),
            Expr::NamedCounter(counter) => Some(Reference::Counter(counter)),
            Expr::Verdict(verdict) => verdict.target().map(Reference::Chain),
            _ => None,
        })
    }
}

impl<const N: usize> From<[Expr; N]> for Rule {
    fn from(exprs: [Expr; N]) -> Self {
        Self(exprs.into())
    }
}

/// Something of the same table that a rule or an element needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reference<'a> {
    /// A chain.
    Chain(&'a Name),
    /// A set or map.
    Set(&'a Name),
    /// A counter.
    Counter(&'a Name),
}

/// What is done with a packet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// It leaves the base chain, and meets the next one.
    Accept,
    /// It is gone.
    Drop,
    /// It goes on behind the jump that has led to this chain.
    Return,
    /// It goes through the chain, and comes back.
    Jump(Name),
    /// It goes through the chain, and does not come back.
    Goto(Name),
}

impl Verdict {
    /// The chain that it leads to.
    pub fn target(&self) -> Option<&Name> {
        match self {
            Verdict::Jump(chain) | Verdict::Goto(chain) => Some(chain),
            Verdict::Accept | Verdict::Drop | Verdict::Return => None,
        }
    }
}

/// An expression.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Expr {
    /// The field is, or is not, the value.
    Compare {
        /// What is looked at.
        field: Field,
        /// Whether it is to be equal.
        is: Is,
        /// The value, of the field's type.
        value: Value,
    },
    /// The field is between two values, both included.
    Within {
        /// What is looked at.
        field: Field,
        /// The lowest.
        from: Value,
        /// The highest.
        to: Value,
    },
    /// Some bits are, or are not, exactly so.
    Bits {
        /// What is looked at.
        of: Bits,
        /// The bits that count.
        mask: u32,
        /// Whether they are to be equal.
        is: Is,
        /// What they are to be.
        value: u32,
    },
    /// The packet goes in that direction of its connection.
    Direction(Direction),
    /// The link's name begins so.
    IfnamePrefix(Link, Name),
    /// The packet is of that type of ICMPv6.
    Icmpv6Type(u8),
    /// The fields are, or are not, an element of a set.
    Lookup {
        /// What makes the key.
        fields: Vec<Field>,
        /// Whether it is to be there.
        is: Is,
        /// The set.
        set: Name,
    },
    /// The verdict that a map has for the fields; none: the packet goes on.
    VerdictMap {
        /// What makes the key.
        fields: Vec<Field>,
        /// The bits that count, of a key that is a mark.
        mask: Option<u32>,
        /// The map.
        map: Name,
    },
    /// Sets a mark: what it was within `keep`, and `set` on top.
    SetMark {
        /// Which mark.
        mark: Mark,
        /// The bits that stay.
        keep: u32,
        /// The bits that are set; none of `keep`.
        set: u32,
    },
    /// Sets a mark to what a map has for the fields; none: the packet goes on in the next rule.
    SetMarkFrom {
        /// Which mark.
        mark: Mark,
        /// What makes the key.
        fields: Vec<Field>,
        /// The map.
        map: Name,
    },
    /// Counts, in the rule.
    Counter,
    /// Counts, in a counter of the table's, which outlives the rule.
    NamedCounter(Name),
    /// Lets so many packets a second through.
    Limit {
        /// Packets.
        per_second: u32,
    },
    /// Shows the packet to who listens to the group (NFLOG).
    Log {
        /// The group.
        group: u16,
        /// At most 127 bytes.
        prefix: Name,
    },
    /// The end of the rule.
    Verdict(Verdict),
}

/// Equal or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Is {
    /// It is.
    Equal,
    /// It is not.
    NotEqual,
}

/// What is looked at of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// A mark.
    Mark(Mark),
    /// The name of a link.
    Ifname(Link),
    /// The transport protocol, behind any extension headers.
    L4Proto,
    /// An address of an IPv4 packet. Others have none: the rule is not theirs.
    Ip(End),
    /// An address of an IPv6 packet. Others have none: the rule is not theirs.
    Ip6(End),
    /// A port. The rule is not for packets of another transport protocol.
    Port(Transport, End),
}

impl Field {
    /// Its type.
    pub fn kind(self) -> Type {
        match self {
            Field::Mark(_) => Type::Mark,
            Field::Ifname(_) => Type::Ifname,
            Field::L4Proto => Type::InetProto,
            Field::Ip(_) => Type::Ipv4Addr,
            Field::Ip6(_) => Type::Ipv6Addr,
            Field::Port(..) => Type::InetService,
        }
    }
}

/// What bits are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bits {
    /// A mark's.
    Mark(Mark),
    /// What the packet is to its connection: `enum ip_conntrack_info` as `NF_CT_STATE_BIT` has it.
    CtState,
    /// What is known of the connection: `enum ip_conntrack_status`.
    CtStatus,
    /// The flags of TCP (RFC 9293); other packets have none: the rule is not theirs.
    TcpFlags,
}

/// Which mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mark {
    /// The packet's.
    Packet,
    /// The connection's.
    Connection,
}

/// Which link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Link {
    /// The one that the packet has come by.
    In,
    /// The one that it leaves by.
    Out,
}

/// Which end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum End {
    /// The sender's.
    Source,
    /// The receiver's.
    Destination,
}

/// Which transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// Any one: the rule has looked at the protocol.
    Any,
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// A direction of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// That of its first packet.
    Original,
    /// The other.
    Reply,
}
