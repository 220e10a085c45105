//! What the kernel says of a table's parts, in core's words. None for what flock would not make.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use flock_core::nft::{
    ChainType, Data, DataType, Hook, HookPoint, Key, Name, Policy, SetFlag, SetType, Type, Value, Verdict,
};

use super::encode::{
    ANONYMOUS, END, MAP, TYPE_BITS, VERDICT, chain_type, flag, hook_number, length, type_number,
};
use super::instruction::COUNTER_OBJECT;
use super::message::Attributes;

/// A chain's name, and where packets enter it.
pub(super) fn chain(attributes: &Attributes) -> Option<(Name, Option<Hook>)> {
    let name = attributes.get_text(3)?.into();
    let Some(place) = attributes.get_nested(4) else { return Some((name, None)) };
    let (number, kind) = (place.get_be32(1)?, attributes.get_text(7)?);
    let point = POINTS.into_iter().find(|point| hook_number(*point) == number)?;
    let kind = [ChainType::Filter, ChainType::Route, ChainType::Nat]
        .into_iter()
        .find(|known| chain_type(*known) == kind)?;
    let policy = if attributes.get_be32(5)? == 0 { Policy::Drop } else { Policy::Accept };
    Some((name, Some(Hook { kind, point, priority: place.get_be32(2)?.cast_signed(), policy })))
}

const POINTS: [HookPoint; 5] =
    [HookPoint::Prerouting, HookPoint::Input, HookPoint::Forward, HookPoint::Output, HookPoint::Postrouting];

/// The fingerprint that flock has given the rule.
pub(super) fn fingerprint(rule: &Attributes) -> Option<u64> {
    let text = rule.get(7)?.strip_prefix(&[0, 17])?;
    let text = std::str::from_utf8(text.get(..16)?).ok()?;
    u64::from_str_radix(text, 16).ok()
}

/// The name of a counter.
pub(super) fn counter(object: &Attributes) -> Option<Name> {
    let name = object.get_text(2)?.into();
    (object.get_be32(3)? == COUNTER_OBJECT).then_some(name)
}

/// Whether the set belongs to a rule, and comes and goes with it.
pub(super) fn is_anonymous(set: &Attributes) -> bool {
    set.get_be32(3).is_some_and(|flags| flags & ANONYMOUS != 0)
}

/// A set's name and type.
pub(super) fn set(attributes: &Attributes) -> Option<(Name, SetType)> {
    // Without any, the kernel says nothing of them.
    let flags = attributes.get_be32(3).unwrap_or(0);
    let known = [SetFlag::Constant, SetFlag::Interval, SetFlag::Timeout];
    let (all, map) = (known.iter().fold(MAP, |all, known| all | flag(*known)), flags & MAP != 0);
    let data = match attributes.get_be32(6) {
        Some(VERDICT) if map => Some(DataType::Verdict),
        Some(number) if map => Some(DataType::Value(type_of(number)?)),
        _ => None,
    };
    let set = SetType {
        key: key_types(attributes.get_be32(4)?)?,
        data,
        flags: known.into_iter().filter(|known| flags & flag(*known) != 0).collect(),
    };
    (flags & !all == 0 && map == set.data.is_some()).then_some((attributes.get_text(2)?.into(), set))
}

fn type_of(number: u32) -> Option<Type> {
    Type::ALL.into_iter().find(|kind| type_number(*kind) == number)
}

fn key_types(mut number: u32) -> Option<Vec<Type>> {
    let mut fields = Vec::new();
    while number != 0 {
        fields.push(type_of(number & ((1 << TYPE_BITS) - 1))?);
        number >>= TYPE_BITS;
    }
    fields.reverse();
    Some(fields)
}

/// The elements of a set, from all messages about them.
pub(super) fn elements(kind: &SetType, messages: &[Attributes]) -> Option<BTreeMap<Key, Option<Data>>> {
    let lists = messages.iter().filter_map(|message| message.get_nested(3));
    let all: Vec<Attributes> = lists
        .flat_map(|list| list.all(1).map(|item| Attributes(item.to_vec())).collect::<Vec<_>>())
        .collect();
    if kind.flags.contains(&SetFlag::Interval) {
        return intervals(kind, &all);
    }
    let element = |item: &Attributes| Some((Key::Fields(fields(&kind.key, &key(item)?)?), data(kind, item)?));
    all.iter().map(element).collect()
}

/// An interval begins with one element and has ended with the next that is an end. One without goes on to the highest
/// value; an end without a beginning is how nft begins a set.
fn intervals(kind: &SetType, all: &[Attributes]) -> Option<BTreeMap<Key, Option<Data>>> {
    let [field] = *kind.key.as_slice() else { return None };
    let is_end = |item: &&Attributes| item.get_be32(3).is_some_and(|flags| flags & END != 0);
    let mut ends: Vec<Vec<u8>> = all.iter().filter(is_end).map(key).collect::<Option<_>>()?;
    ends.sort();
    let begins = all.iter().filter(|item| !is_end(item));
    let interval = |item: &Attributes| {
        let first = key(item)?;
        let end = ends.iter().find(|end| **end > first).cloned();
        let last = predecessor(end.unwrap_or_else(|| vec![0; first.len()]));
        Some((Key::Interval(value(field, &first)?, value(field, &last)?), data(kind, item)?))
    };
    begins.map(interval).collect()
}

/// The number before, the first byte being the highest; before zero, the highest of all.
fn predecessor(mut bytes: Vec<u8>) -> Vec<u8> {
    let place = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0);
    bytes.iter_mut().skip(place).for_each(|byte| *byte = byte.wrapping_sub(1));
    bytes
}

fn key(item: &Attributes) -> Option<Vec<u8>> {
    Some(item.get_nested(1)?.get(1)?.to_vec())
}

fn data(kind: &SetType, item: &Attributes) -> Option<Option<Data>> {
    let data = item.get_nested(2);
    Some(match kind.data {
        None => None,
        Some(DataType::Verdict) => Some(Data::Verdict(verdict(&data?.get_nested(2)?)?)),
        Some(DataType::Value(kind)) => Some(Data::Value(value(kind, data?.get(1)?)?)),
    })
}

fn verdict(attributes: &Attributes) -> Option<Verdict> {
    let chain = || Some(Name::from(attributes.get_text(2)?));
    Some(match attributes.get_be32(1)?.cast_signed() {
        0 => Verdict::Drop,
        1 => Verdict::Accept,
        -3 => Verdict::Jump(chain()?),
        -4 => Verdict::Goto(chain()?),
        -5 => Verdict::Return,
        _ => return None,
    })
}

fn fields(kinds: &[Type], bytes: &[u8]) -> Option<Vec<Value>> {
    let mut rest = bytes;
    let mut field = |kind: &Type| {
        let all = rest.get(..length(*kind) as usize)?;
        rest = rest.get(length(*kind).next_multiple_of(4) as usize..).unwrap_or_default();
        value(*kind, all)
    };
    kinds.iter().map(&mut field).collect()
}

fn value(kind: Type, bytes: &[u8]) -> Option<Value> {
    Some(match kind {
        Type::Ipv4Addr => Value::Ipv4Addr(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?)),
        Type::Ipv6Addr => Value::Ipv6Addr(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?)),
        Type::Ifname => {
            let name = bytes.split(|byte| *byte == 0).next()?;
            Value::Ifname(std::str::from_utf8(name).ok()?.parse().ok()?)
        }
        Type::Mark => Value::Mark(u32::from_ne_bytes(bytes.try_into().ok()?)),
        Type::InetProto => Value::InetProto(*bytes.first()?),
        Type::InetService => Value::InetService(u16::from_be_bytes(bytes.try_into().ok()?)),
    })
}

#[cfg(test)]
mod tests;
