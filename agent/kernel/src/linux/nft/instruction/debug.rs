//! Instructions as `nft --debug=netlink` shows them, and as bytes: for tests.

use std::fmt;

use flock_core::nft::{Family, Rule, Verdict};

use super::{Base, Ct, Instruction, Meta, Op, expressions, instructions};

/// What `nft --debug=netlink` shows of a rule, line by line.
pub fn listing(family: Family, rule: &Rule) -> Vec<String> {
    instructions(family, rule).iter().map(Instruction::to_string).collect()
}

/// What a rule's expressions are in a message (`NFTA_RULE_EXPRESSIONS`).
pub fn bytes(family: Family, rule: &Rule) -> Vec<u8> {
    expressions(&instructions(family, rule)).0
}

impl fmt::Display for Instruction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LoadMeta { key, to } => write!(f, "[ meta load {key} => reg {to} ]"),
            Self::SetMeta { key } => write!(f, "[ meta set {key} with reg 1 ]"),
            Self::LoadCt { key, to } => write!(f, "[ ct load {key} => reg {to} ]"),
            Self::SetCt { key } => write!(f, "[ ct set {key} with reg 1 ]"),
            Self::Payload { base, offset, length, to } => {
                write!(f, "[ payload load {length}b @ {base} header + {offset} => reg {to} ]")
            }
            Self::Bitwise { mask, xor, length } => {
                let [mask, xor] = [mask, xor].map(|bytes| words(&bytes[..*length as usize]));
                write!(f, "[ bitwise reg 1 = ( reg 1 & {mask} ) ^ {xor} ]")
            }
            Self::Compare { op, data } => write!(f, "[ cmp {op} reg 1 {} ]", words(data)),
            Self::Lookup { set, inverted, to } => {
                write!(f, "[ lookup reg 1 set {set}")?;
                to.map_or(Ok(()), |to| write!(f, " dreg {to}"))?;
                f.write_str(if *inverted { " 0x1 ]" } else { " ]" })
            }
            Self::Verdict(verdict) => match verdict {
                Verdict::Jump(chain) => write!(f, "[ immediate reg 0 jump -> {chain} ]"),
                Verdict::Goto(chain) => write!(f, "[ immediate reg 0 goto -> {chain} ]"),
                other => write!(f, "[ immediate reg 0 {other} ]"),
            },
            Self::Counter => f.write_str("[ counter pkts 0 bytes 0 ]"),
            Self::Object(name) => write!(f, "[ objref type 1 name {name} ]"),
            Self::Limit { per_second } => {
                write!(f, "[ limit rate {per_second}/second burst 5 type packets flags 0x0 ]")
            }
            Self::Log { group, prefix } => {
                write!(f, "[ log prefix {prefix} group {group} snaplen 0 qthreshold 0 ]")
            }
        }
    }
}

/// Words of four bytes in the machine's order.
fn words(bytes: &[u8]) -> String {
    let word = |chunk: &[u8]| {
        let mut word = [0; 4];
        word[..chunk.len()].copy_from_slice(chunk);
        format!("{:#010x}", u32::from_ne_bytes(word))
    };
    bytes.chunks(4).map(word).collect::<Vec<_>>().join(" ")
}

impl fmt::Display for Meta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Meta::Mark => "mark",
            Meta::Iifname => "iifname",
            Meta::Oifname => "oifname",
            Meta::Nfproto => "nfproto",
            Meta::L4proto => "l4proto",
        })
    }
}

impl fmt::Display for Ct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Ct::State => "state",
            Ct::Direction => "direction",
            Ct::Status => "status",
            Ct::Mark => "mark",
        })
    }
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Base::Network => "network",
            Base::Transport => "transport",
        })
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Op::Equal => "eq",
            Op::NotEqual => "neq",
            Op::AtMost => "lte",
            Op::AtLeast => "gte",
        })
    }
}
