//! Operations to messages.

use flock_core::nft::{
    ChainType, Data, DataType, Family, Hook, HookPoint, Key, Name, Op, Policy, SetFlag, SetType, TableId,
    Type, Value,
};
use netlink_packet_core::{NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL};

use super::instruction::{
    COUNTER_OBJECT, IPV4, IPV6, data, expressions, instructions, value_bytes, verdict_data,
};
use super::message::{Attributes, NetfilterMessage, kind};

/// `NFPROTO_INET`.
const INET: u8 = 1;

/// The length of an attribute has 16 bits, and all elements of a message are in one.
const MOST_BYTES: usize = 60_000;

/// Elements in one message.
const MOST_ELEMENTS: usize = 1000;

/// A message of a transaction, and the operations that it carries out: one, or several on elements of one set.
#[derive(Debug)]
pub(super) struct Encoded {
    pub(super) message: NetfilterMessage,
    /// `NLM_F_*` besides REQUEST.
    pub(super) flags: u16,
    /// The place of the first operation.
    pub(super) first: usize,
    pub(super) count: usize,
}

/// What a table is told to be besides its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct TableFlags(pub(super) u32);

impl TableFlags {
    /// `NFT_TABLE_F_OWNER` and `NFT_TABLE_F_PERSIST`.
    pub(super) const OWNED: TableFlags = TableFlags(0x2 | 0x4);
    /// `NFT_TABLE_F_PERSIST` alone: its owner is gone.
    pub(super) const ORPHAN: TableFlags = TableFlags(0x4);
    /// `NFT_TABLE_F_OWNER`.
    const OWNER: u32 = 0x2;

    pub(super) fn has_owner(self) -> bool {
        self.0 & Self::OWNER != 0
    }
}

/// The messages of operations, in order. New tables get the flags.
pub(super) fn encode(ops: &[(TableId, Op)], flags: TableFlags) -> Vec<Encoded> {
    let mut encoded: Vec<Encoded> = Vec::new();
    let mut elements: Option<Elements<'_>> = None;
    for (place, (table, op)) in ops.iter().enumerate() {
        let (kind, set, bytes) = match op {
            Op::AddElement(set, key, data) => (kind::NEW_ELEMENT, set, added(key, data.as_ref())),
            Op::DeleteElement(set, key) => (kind::DEL_ELEMENT, set, removed(key)),
            other => {
                encoded.extend(elements.take().map(Elements::encoded));
                let (message, flags) = single(table, other, flags);
                encoded.push(Encoded { message, flags, first: place, count: 1 });
                continue;
            }
        };
        if let Some(full) = elements.take_if(|elements| !elements.take(kind, table, set, bytes.0.len())) {
            encoded.push(full.encoded());
        }
        let elements = elements.get_or_insert_with(|| Elements::new(kind, table, set, place));
        elements.bytes.0.extend(&bytes.0);
        elements.count += 1;
    }
    encoded.extend(elements.map(Elements::encoded));
    encoded
}

/// Elements of one set that go into one message.
struct Elements<'a> {
    kind: u16,
    table: &'a TableId,
    set: &'a Name,
    bytes: Attributes,
    first: usize,
    count: usize,
}

impl<'a> Elements<'a> {
    fn new(kind: u16, table: &'a TableId, set: &'a Name, first: usize) -> Self {
        Self { kind, table, set, bytes: Attributes::default(), first, count: 0 }
    }

    fn one(table: &'a TableId, set: &'a Name, bytes: Attributes, kind: u16) -> (NetfilterMessage, u16) {
        let Encoded { message, flags, .. } = Self { bytes, ..Self::new(kind, table, set, 0) }.encoded();
        (message, flags)
    }

    /// Whether one more of `bytes` bytes may come along.
    fn take(&self, kind: u16, table: &TableId, set: &Name, bytes: usize) -> bool {
        (self.kind, self.table, self.set) == (kind, table, set)
            && self.count < MOST_ELEMENTS
            && self.bytes.0.len() + bytes <= MOST_BYTES
    }

    fn encoded(self) -> Encoded {
        let of_set = named(self.table).text(2, self.set.as_str()).nested(3, &self.bytes);
        let message = NetfilterMessage::new(self.kind, number(self.table.family), of_set);
        let flags = if self.kind == kind::NEW_ELEMENT { NLM_F_CREATE } else { 0 };
        Encoded { message, flags, first: self.first, count: self.count }
    }
}

/// `NFTA_*_TABLE`, and `NFTA_TABLE_NAME`.
fn named(table: &TableId) -> Attributes {
    Attributes::default().text(1, table.name.as_str())
}

/// The message that makes the table, or adopts one that its owner has left.
pub(super) fn table(table: &TableId, flags: TableFlags) -> NetfilterMessage {
    let attributes = named(table).be32(2, flags.0);
    NetfilterMessage::new(kind::NEW_TABLE, number(table.family), attributes)
}

fn single(table: &TableId, op: &Op, flags: TableFlags) -> (NetfilterMessage, u16) {
    let named = named(table);
    let (kind, attributes, flags) = match op {
        Op::AddTable => return (self::table(table, flags), NLM_F_CREATE),
        Op::DeleteTable => (kind::DEL_TABLE, named, 0),
        Op::AddCounter(name) => {
            let zero = Attributes::default().bytes(1, &[0; 8]).bytes(2, &[0; 8]);
            let counter = named.text(2, name.as_str()).be32(3, COUNTER_OBJECT).nested(4, &zero);
            (kind::NEW_OBJECT, counter, NLM_F_CREATE | NLM_F_EXCL)
        }
        Op::DeleteCounter(name) => {
            (kind::DEL_OBJECT, named.text(2, name.as_str()).be32(3, COUNTER_OBJECT), 0)
        }
        Op::AddSet(name, set) => {
            (kind::NEW_SET, new_set(named.text(2, name.as_str()), set), NLM_F_CREATE | NLM_F_EXCL)
        }
        Op::DeleteSet(name) => (kind::DEL_SET, named.text(2, name.as_str()), 0),
        Op::AddChain(name, hook) => {
            let chain = named.text(3, name.as_str());
            (
                kind::NEW_CHAIN,
                hook.map_or(chain.clone(), |hook| hooked(chain, hook)),
                NLM_F_CREATE | NLM_F_EXCL,
            )
        }
        Op::DeleteChain(name) => (kind::DEL_CHAIN, named.text(3, name.as_str()), 0),
        Op::AddRule(chain, rule) => {
            let code = expressions(&instructions(table.family, rule));
            let attributes =
                named.text(2, chain.as_str()).nested(4, &code).bytes(7, &comment(rule.fingerprint()));
            (kind::NEW_RULE, attributes, NLM_F_CREATE | NLM_F_APPEND)
        }
        // Without a handle: all of the chain.
        Op::FlushChain(name) => (kind::DEL_RULE, named.text(2, name.as_str()), 0),
        Op::AddElement(set, key, data) => {
            return Elements::one(table, set, added(key, data.as_ref()), kind::NEW_ELEMENT);
        }
        Op::DeleteElement(set, key) => return Elements::one(table, set, removed(key), kind::DEL_ELEMENT),
    };
    (NetfilterMessage::new(kind, number(table.family), attributes), flags)
}

/// `NFPROTO_*`.
pub(super) fn number(family: Family) -> u8 {
    match family {
        Family::Inet => INET,
        Family::Ip => IPV4,
        Family::Ip6 => IPV6,
    }
}

/// A comment for people, as nft keeps it (`NFTNL_UDATA_RULE_COMMENT`): type, length, text and its end.
pub(super) fn comment(fingerprint: u64) -> Vec<u8> {
    let text = format!("{fingerprint:016x}\0");
    [&[0, 17], text.as_bytes()].concat()
}

fn hooked(chain: Attributes, hook: Hook) -> Attributes {
    let Hook { kind, point, priority, policy } = hook;
    let place = Attributes::default().be32(1, hook_number(point)).be32(2, priority.cast_unsigned());
    chain.nested(4, &place).be32(5, u32::from(policy == Policy::Accept)).text(7, chain_type(kind))
}

/// `NF_INET_*`.
pub(super) fn hook_number(point: HookPoint) -> u32 {
    match point {
        HookPoint::Prerouting => 0,
        HookPoint::Input => 1,
        HookPoint::Forward => 2,
        HookPoint::Output => 3,
        HookPoint::Postrouting => 4,
    }
}

pub(super) fn chain_type(kind: ChainType) -> &'static str {
    match kind {
        ChainType::Filter => "filter",
        ChainType::Route => "route",
        ChainType::Nat => "nat",
    }
}

/// `NFT_SET_MAP`.
pub(super) const MAP: u32 = 0x8;
/// `NFT_SET_ANONYMOUS`.
pub(super) const ANONYMOUS: u32 = 0x1;
/// `NFT_DATA_VERDICT`.
pub(super) const VERDICT: u32 = 0xffff_ff00;

/// `NFT_SET_*`.
pub(super) fn flag(flag: SetFlag) -> u32 {
    match flag {
        SetFlag::Constant => 0x2,
        SetFlag::Interval => 0x4,
        SetFlag::Timeout => 0x10,
    }
}

fn new_set(named: Attributes, set: &SetType) -> Attributes {
    let map = if set.data.is_some() { MAP } else { 0 };
    let flags = set.flags.iter().fold(map, |flags, other| flags | flag(*other));
    let of_key = named.be32(3, flags).be32(4, key_type(&set.key)).be32(5, key_length(&set.key));
    let of_data = match set.data {
        None => of_key,
        Some(DataType::Verdict) => of_key.be32(6, VERDICT).be32(7, 0),
        Some(DataType::Value(value)) => of_key.be32(6, type_number(value)).be32(7, length(value)),
    };
    // The kernel wants an ID, by which rules of the same transaction could name the set. Ours name it by its name.
    of_data.be32(10, 1).bytes(13, &byte_orders(set))
}

/// In which order nft shows the bytes of keys and values (`NFTNL_UDATA_SET_KEYBYTEORDER`, `DATABYTEORDER`): without it,
/// it shows names as empty and marks the wrong way round. The kernel itself does not look at it.
fn byte_orders(set: &SetType) -> Vec<u8> {
    let order = |what: u8, kind: Type| {
        // `enum byteorder`.
        let order: u32 = match kind {
            Type::Ifname | Type::Mark => 1,
            Type::Ipv4Addr | Type::Ipv6Addr | Type::InetProto | Type::InetService => 2,
        };
        [&[what, 4][..], &order.to_ne_bytes()].concat()
    };
    let key = match set.key.as_slice() {
        [single] => order(0, *single),
        _ => Vec::new(),
    };
    match set.data {
        Some(DataType::Value(kind)) => [key, order(1, kind)].concat(),
        _ => key,
    }
}

/// nft's numbers of types (`enum datatypes`). The kernel keeps them for those who list.
pub(super) fn type_number(kind: Type) -> u32 {
    match kind {
        Type::Ipv4Addr => 7,
        Type::Ipv6Addr => 8,
        Type::InetProto => 12,
        Type::InetService => 13,
        Type::Mark => 19,
        Type::Ifname => 41,
    }
}

/// Bits of a type's number in that of a concatenation.
pub(super) const TYPE_BITS: u32 = 6;

fn key_type(key: &[Type]) -> u32 {
    key.iter().fold(0, |number, kind| (number << TYPE_BITS) | type_number(*kind))
}

/// Bytes, without padding.
pub(super) fn length(kind: Type) -> u32 {
    match kind {
        Type::Ipv4Addr | Type::Mark => 4,
        Type::Ipv6Addr | Type::Ifname => 16,
        Type::InetProto => 1,
        Type::InetService => 2,
    }
}

/// Bytes. In a concatenation each field takes whole words.
fn key_length(key: &[Type]) -> u32 {
    match key {
        [single] => length(*single),
        fields => fields.iter().map(|kind| length(*kind).next_multiple_of(4)).sum(),
    }
}

/// `NFT_SET_ELEM_INTERVAL_END`.
pub(super) const END: u32 = 1;

fn added(key: &Key, value: Option<&Data>) -> Attributes {
    let value = value.map(|value| match value {
        Data::Verdict(verdict) => verdict_data(verdict),
        Data::Value(value) => data(&value_bytes(value)),
    });
    element(key, value)
}

fn removed(key: &Key) -> Attributes {
    element(key, None)
}

/// `NFTA_LIST_ELEM`: an interval is two, where it begins and where it has ended.
fn element(key: &Key, value: Option<Attributes>) -> Attributes {
    let item = |element: &Attributes| Attributes::default().nested(1, element);
    let keyed = |bytes: &[u8]| Attributes::default().nested(1, &data(bytes));
    let with_value = |keyed: Attributes| match &value {
        Some(value) => keyed.nested(2, value),
        None => keyed,
    };
    match key {
        Key::Fields(fields) => item(&with_value(keyed(&key_bytes(fields)))),
        Key::Interval(first, last) => {
            let begin = item(&with_value(keyed(&value_bytes(first))));
            let end = successor(value_bytes(last)).map(|end| item(&keyed(&end).be32(3, END)));
            // Nothing is behind the highest value.
            end.map_or(begin.clone(), |end| Attributes([begin.0, end.0].concat()))
        }
    }
}

fn key_bytes(fields: &[Value]) -> Vec<u8> {
    match fields {
        [single] => value_bytes(single),
        fields => fields.iter().flat_map(|value| padded(value_bytes(value))).collect(),
    }
}

fn padded(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// The next number, the first byte being the highest; none behind the highest.
pub(super) fn successor(mut bytes: Vec<u8>) -> Option<Vec<u8>> {
    let place = bytes.iter().rposition(|byte| *byte != u8::MAX)?;
    bytes.iter_mut().skip(place).for_each(|byte| *byte = byte.wrapping_add(1));
    Some(bytes)
}

#[cfg(test)]
mod tests;
