//! What a rule is for the kernel: instructions for a machine with 16 registers of four bytes.
//!
//! nft writes the same rules with the same instructions, in the same order of attributes: what it shows
//! (`nft --debug=netlink`, `--debug=mnl`) is what ours are tested against.

use flock_core::nft::{
    Bits, Direction, End, Expr, Family, Field, Is, Link, Mark, Name, Rule, Transport, Verdict,
};

use super::message::Attributes;

/// One instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Instruction {
    LoadMeta {
        key: Meta,
        to: u32,
    },
    SetMeta {
        key: Meta,
    },
    LoadCt {
        key: Ct,
        to: u32,
    },
    SetCt {
        key: Ct,
    },
    Payload {
        base: Base,
        offset: u32,
        length: u32,
        to: u32,
    },
    /// `length` bytes, of which there are as many in the mask and in what they are xor-ed with.
    Bitwise {
        mask: [u8; 4],
        xor: [u8; 4],
        length: u32,
    },
    Compare {
        op: Op,
        data: Vec<u8>,
    },
    Lookup {
        set: Name,
        inverted: bool,
        to: Option<u32>,
    },
    Verdict(Verdict),
    Counter,
    Object(Name),
    Limit {
        per_second: u32,
    },
    Log {
        group: u16,
        prefix: Name,
    },
}

/// `NFT_META_*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meta {
    Mark = 3,
    Iifname = 6,
    Oifname = 7,
    Nfproto = 15,
    L4proto = 16,
}

/// `NFT_CT_*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ct {
    State = 0,
    Direction = 1,
    Status = 2,
    Mark = 3,
}

/// `NFT_PAYLOAD_*_HEADER`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Base {
    Network = 1,
    Transport = 2,
}

/// `NFT_CMP_*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Equal = 0,
    NotEqual = 1,
    AtMost = 3,
    AtLeast = 5,
}

/// The first of the registers for data: `NFT_REG_1`.
const FIRST: u32 = 1;
/// `NFT_REG_VERDICT`.
const VERDICT: u32 = 0;
/// `NFT_REG32_00`: each of the four registers of 16 bytes is four of these.
const WORDS: u32 = 8;

/// `NFPROTO_IPV4`.
pub(super) const IPV4: u8 = 2;
/// `NFPROTO_IPV6`.
pub(super) const IPV6: u8 = 10;

const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;

/// The instructions of a rule in a table of the family.
pub(super) fn instructions(family: Family, rule: &Rule) -> Vec<Instruction> {
    let mut machine = Machine { family, code: Vec::new(), network: None, transport: None };
    rule.0.iter().for_each(|expr| machine.expression(expr));
    machine.code
}

struct Machine {
    family: Family,
    code: Vec<Instruction>,
    /// What the rule has made sure of already.
    network: Option<u8>,
    transport: Option<u8>,
}

impl Machine {
    fn expression(&mut self, expr: &Expr) {
        match expr {
            Expr::Compare { field, is, value } => {
                self.load(&[*field]);
                self.compare(op(*is), value_bytes(value));
            }
            Expr::Within { field, from, to } => {
                self.load(&[*field]);
                self.compare(Op::AtLeast, value_bytes(from));
                self.compare(Op::AtMost, value_bytes(to));
            }
            Expr::Bits { of, mask, is, value } => self.bits(*of, *mask, *is, *value),
            Expr::Direction(direction) => {
                self.code.push(Instruction::LoadCt { key: Ct::Direction, to: FIRST });
                self.compare(Op::Equal, vec![u8::from(*direction == Direction::Reply)]);
            }
            Expr::IfnamePrefix(link, prefix) => {
                self.load(&[Field::Ifname(*link)]);
                self.compare(Op::Equal, prefix.as_str().as_bytes().to_vec());
            }
            Expr::Icmpv6Type(number) => {
                self.only_network(IPV6);
                self.only_transport(ICMPV6);
                self.payload(Base::Transport, 0, 1, FIRST);
                self.compare(Op::Equal, vec![*number]);
            }
            Expr::Lookup { fields, is, set } => {
                self.load(fields);
                self.lookup(set, *is == Is::NotEqual, None);
            }
            Expr::VerdictMap { fields, mask, map } => {
                self.load(fields);
                self.code.extend(mask.map(|mask| bitwise(mask, 0)));
                self.lookup(map, false, Some(VERDICT));
            }
            Expr::SetMark { mark, keep, set } => {
                self.load(&[Field::Mark(*mark)]);
                self.code.push(bitwise(*keep, *set));
                self.set_mark(*mark);
            }
            Expr::SetMarkFrom { mark, fields, map } => {
                self.load(fields);
                self.lookup(map, false, Some(FIRST));
                self.set_mark(*mark);
            }
            Expr::Counter => self.code.push(Instruction::Counter),
            Expr::NamedCounter(name) => self.code.push(Instruction::Object(name.clone())),
            Expr::Limit { per_second } => self.code.push(Instruction::Limit { per_second: *per_second }),
            Expr::Log { group, prefix } => {
                self.code.push(Instruction::Log { group: *group, prefix: prefix.clone() });
            }
            Expr::Verdict(verdict) => self.code.push(Instruction::Verdict(verdict.clone())),
        }
    }

    /// Puts the fields behind each other, each at a word of its own; first what they take for granted.
    fn load(&mut self, fields: &[Field]) {
        fields.iter().for_each(|field| self.require(*field));
        let mut word = 0;
        for field in fields {
            self.load_to(*field, register(word));
            word += length(*field).div_ceil(4);
        }
    }

    fn require(&mut self, field: Field) {
        match field {
            Field::Ip(_) => self.only_network(IPV4),
            Field::Ip6(_) => self.only_network(IPV6),
            Field::Port(Transport::Tcp, _) => self.only_transport(TCP),
            Field::Port(Transport::Udp, _) => self.only_transport(UDP),
            Field::Mark(_) | Field::Ifname(_) | Field::L4Proto | Field::Port(Transport::Any, _) => {}
        }
    }

    fn load_to(&mut self, field: Field, to: u32) {
        let meta = |key| Instruction::LoadMeta { key, to };
        let end = |end: End, source, destination| if end == End::Source { source } else { destination };
        match field {
            Field::Mark(Mark::Packet) => self.code.push(meta(Meta::Mark)),
            Field::Mark(Mark::Connection) => self.code.push(Instruction::LoadCt { key: Ct::Mark, to }),
            Field::Ifname(Link::In) => self.code.push(meta(Meta::Iifname)),
            Field::Ifname(Link::Out) => self.code.push(meta(Meta::Oifname)),
            Field::L4Proto => self.code.push(meta(Meta::L4proto)),
            // RFC 791 and RFC 8200: where the addresses are in a header.
            Field::Ip(which) => self.payload(Base::Network, end(which, 12, 16), 4, to),
            Field::Ip6(which) => self.payload(Base::Network, end(which, 8, 24), 16, to),
            Field::Port(_, which) => self.payload(Base::Transport, end(which, 0, 2), 2, to),
        }
    }

    fn payload(&mut self, base: Base, offset: u32, length: u32, to: u32) {
        self.code.push(Instruction::Payload { base, offset, length, to });
    }

    /// In a table for both, packets of one.
    fn only_network(&mut self, protocol: u8) {
        if self.family == Family::Inet && self.network != Some(protocol) {
            self.network = Some(protocol);
            self.code.push(Instruction::LoadMeta { key: Meta::Nfproto, to: FIRST });
            self.compare(Op::Equal, vec![protocol]);
        }
    }

    fn only_transport(&mut self, protocol: u8) {
        if self.transport != Some(protocol) {
            self.transport = Some(protocol);
            self.code.push(Instruction::LoadMeta { key: Meta::L4proto, to: FIRST });
            self.compare(Op::Equal, vec![protocol]);
        }
    }

    fn bits(&mut self, of: Bits, mask: u32, is: Is, value: u32) {
        match of {
            Bits::Mark(mark) => self.load(&[Field::Mark(mark)]),
            Bits::CtState => self.code.push(Instruction::LoadCt { key: Ct::State, to: FIRST }),
            Bits::CtStatus => self.code.push(Instruction::LoadCt { key: Ct::Status, to: FIRST }),
            Bits::TcpFlags => {
                self.only_transport(TCP);
                self.payload(Base::Transport, 13, 1, FIRST);
                // One byte: it has no order.
                let (mask, value) = (mask.to_le_bytes(), value.to_le_bytes());
                self.code.push(Instruction::Bitwise { mask, xor: [0; 4], length: 1 });
                return self.compare(op(is), vec![value[0]]);
            }
        }
        self.code.push(bitwise(mask, 0));
        self.compare(op(is), value.to_ne_bytes().to_vec());
    }

    fn compare(&mut self, op: Op, data: Vec<u8>) {
        self.code.push(Instruction::Compare { op, data });
    }

    fn lookup(&mut self, set: &Name, inverted: bool, to: Option<u32>) {
        self.code.push(Instruction::Lookup { set: set.clone(), inverted, to });
    }

    fn set_mark(&mut self, mark: Mark) {
        self.code.push(match mark {
            Mark::Packet => Instruction::SetMeta { key: Meta::Mark },
            Mark::Connection => Instruction::SetCt { key: Ct::Mark },
        });
    }
}

fn bitwise(mask: u32, xor: u32) -> Instruction {
    Instruction::Bitwise { mask: mask.to_ne_bytes(), xor: xor.to_ne_bytes(), length: 4 }
}

fn op(is: Is) -> Op {
    match is {
        Is::Equal => Op::Equal,
        Is::NotEqual => Op::NotEqual,
    }
}

/// The register that begins with that word.
fn register(word: u32) -> u32 {
    if word.is_multiple_of(4) { FIRST + word / 4 } else { WORDS + word }
}

/// Bytes.
fn length(field: Field) -> u32 {
    super::encode::length(field.kind())
}

/// `NFTA_LIST_ELEM`.
const ITEM: u16 = 1;

/// The expressions of a rule (`NFTA_RULE_EXPRESSIONS`).
pub(super) fn expressions(instructions: &[Instruction]) -> Attributes {
    let item = |all: Attributes, instruction: &Instruction| {
        let (name, data) = instruction.attributes();
        all.nested(ITEM, &Attributes::default().text(1, name).nested(2, &data))
    };
    instructions.iter().fold(Attributes::default(), item)
}

impl Instruction {
    /// `NFTA_EXPR_NAME` and `NFTA_EXPR_DATA`.
    fn attributes(&self) -> (&'static str, Attributes) {
        let new = Attributes::default;
        match self {
            Self::LoadMeta { key, to } => ("meta", new().be32(2, *key as u32).be32(1, *to)),
            Self::SetMeta { key } => ("meta", new().be32(2, *key as u32).be32(3, FIRST)),
            Self::LoadCt { key, to } => ("ct", new().be32(2, *key as u32).be32(1, *to)),
            Self::SetCt { key } => ("ct", new().be32(2, *key as u32).be32(4, FIRST)),
            Self::Payload { base, offset, length, to } => {
                ("payload", new().be32(1, *to).be32(2, *base as u32).be32(3, *offset).be32(4, *length))
            }
            Self::Bitwise { mask, xor, length } => {
                let bytes = |bytes: &[u8; 4]| data(bytes.get(..*length as usize).unwrap_or(bytes));
                // `NFT_BITWISE_BOOL`, mask and xor: the one thing that older kernels know.
                let kind = new().be32(1, FIRST).be32(2, FIRST).be32(6, 0).be32(3, *length);
                ("bitwise", kind.nested(4, &bytes(mask)).nested(5, &bytes(xor)))
            }
            Self::Compare { op, data: value } => {
                ("cmp", new().be32(1, FIRST).be32(2, *op as u32).nested(3, &data(value)))
            }
            Self::Lookup { set, inverted, to } => {
                let mut attributes = new().be32(2, FIRST);
                if let Some(to) = to {
                    attributes = attributes.be32(3, *to);
                }
                attributes = attributes.text(1, set.as_str());
                ("lookup", if *inverted { attributes.be32(5, 1) } else { attributes })
            }
            Self::Verdict(verdict) => ("immediate", new().be32(1, VERDICT).nested(2, &verdict_data(verdict))),
            Self::Counter => ("counter", new()),
            Self::Object(name) => {
                ("objref", new().be32(1, COUNTER_OBJECT).bytes(2, name.as_str().as_bytes()))
            }
            Self::Limit { per_second } => {
                let be64 = |number: u64| number.to_be_bytes();
                let rate = new().bytes(1, &be64(u64::from(*per_second))).bytes(2, &be64(1));
                ("limit", rate.be32(3, BURST).be32(4, 0).be32(5, 0))
            }
            Self::Log { group, prefix } => {
                ("log", new().text(2, prefix.as_str()).bytes(1, &group.to_be_bytes()))
            }
        }
    }
}

/// What nft lets through at once, before the limit counts.
const BURST: u32 = 5;

/// `NFT_OBJECT_COUNTER`.
pub(super) const COUNTER_OBJECT: u32 = 1;

mod value;
pub(super) use value::{data, value_bytes, verdict_data};

#[cfg(any(test, feature = "fake"))]
mod debug;
#[cfg(any(test, feature = "fake"))]
pub use debug::{bytes, listing};

#[cfg(test)]
mod tests;
