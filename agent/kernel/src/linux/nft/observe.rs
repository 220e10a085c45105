//! What there is of a table.

use std::collections::BTreeMap;

use flock_core::nft::{Data, Key, Name, Observed, ObservedChain, Set, SetType, TableId};
use rustix::io::Errno;

use super::decode;
use super::encode::{TableFlags, number};
use super::message::{Attributes, Netfilter, NetfilterMessage, kind};
use crate::linux::errno::Failure;
use crate::linux::socket::{DUMP_TRIES, Socket};

/// A table as the kernel has it.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) flags: TableFlags,
    /// The socket that owns it (`NFTA_TABLE_OWNER`).
    pub(super) owner: Option<u32>,
    /// What it holds; none if flock would not have made some of it.
    pub(super) content: Option<Observed>,
}

/// None if there is no such table.
pub(super) fn observe(socket: &mut Socket<Netfilter>, table: &TableId) -> Result<Option<Found>, Failure> {
    let Some(message) = socket.find(request(kind::GET_TABLE, table, named(table)))? else { return Ok(None) };
    let flags = TableFlags(message.attributes.get_be32(2).unwrap_or(0));
    let content = content(socket, table)?;
    Ok(Some(Found { flags, owner: message.attributes.get_be32(7), content }))
}

fn named(table: &TableId) -> Attributes {
    Attributes::default().text(1, table.name.as_str())
}

fn request(kind: u16, table: &TableId, attributes: Attributes) -> NetfilterMessage {
    NetfilterMessage::new(kind, number(table.family), attributes)
}

/// All of a kind that the table has. Older kernels list those of other tables too.
fn list(
    socket: &mut Socket<Netfilter>,
    kind: u16,
    table: &TableId,
    filter: Attributes,
) -> Result<Vec<Attributes>, Failure> {
    let all = socket.dump(request(kind, table, filter))?;
    let of_table = |message: &NetfilterMessage| {
        message.family == number(table.family)
            && message.attributes.get_text(1).as_deref() == Some(table.name.as_str())
    };
    Ok(all.into_iter().filter(of_table).map(|message| message.attributes).collect())
}

fn content(socket: &mut Socket<Netfilter>, table: &TableId) -> Result<Option<Observed>, Failure> {
    let all_sets = list(socket, kind::GET_SET, table, named(table))?;
    let rules = list(socket, kind::GET_RULE, table, named(table))?;
    let chains = list(socket, kind::GET_CHAIN, table, Attributes::default())?;
    let counters = list(socket, kind::GET_OBJECT, table, named(table))?;
    let mut sets = BTreeMap::new();
    for set in all_sets.iter().filter(|set| !decode::is_anonymous(set)) {
        let Some((name, kind)) = decode::set(set) else { return Ok(None) };
        let Some(elements) = elements(socket, table, &name, &kind)? else { return Ok(None) };
        sets.insert(name, Set { kind, elements });
    }
    let chains: Option<BTreeMap<_, _>> = chains.iter().map(|chain| observed_chain(chain, &rules)).collect();
    let counters = counters.iter().map(decode::counter).collect();
    Ok(chains.zip(counters).map(|(chains, counters)| Observed { chains, sets, counters }))
}

type Elements = BTreeMap<Key, Option<Data>>;

/// After a large commit the kernel resizes a set's hash table in the background, and it goes on with a dump by counting
/// (`nft_rhash_walk`): one of several messages then misses elements without saying so. It counts when the next one
/// agrees with it.
fn elements(
    socket: &mut Socket<Netfilter>,
    table: &TableId,
    set: &Name,
    kind: &SetType,
) -> Result<Option<Elements>, Failure> {
    let mut before = None;
    for _ in 0..DUMP_TRIES {
        let messages = list(socket, kind::GET_ELEMENT, table, named(table).text(2, set.as_str()))?;
        let elements = decode::elements(kind, &messages);
        if messages.len() <= 1 || elements.is_none() || before.as_ref() == Some(&elements) {
            return Ok(elements);
        }
        before = Some(elements);
    }
    Err(Failure { errno: Errno::INTR, text: Some(format!("set {set} kept changing while it was read")) })
}

fn observed_chain(chain: &Attributes, rules: &[Attributes]) -> Option<(Name, ObservedChain)> {
    let (name, hook) = decode::chain(chain)?;
    let rules = rules.iter().filter(|rule| rule.get_text(2).as_deref() == Some(name.as_str()));
    let rules = rules.map(decode::fingerprint).collect();
    Some((name, ObservedChain { hook, rules }))
}

/// The number of the last commit in the namespace, whoever's it was.
pub(super) fn generation(socket: &mut Socket<Netfilter>) -> Result<u32, Failure> {
    let answer = socket.find(NetfilterMessage::new(kind::GET_GENERATION, 0, Attributes::default()))?;
    answer.and_then(|message| message.attributes.get_be32(1)).ok_or_else(|| Errno::PROTO.into())
}
