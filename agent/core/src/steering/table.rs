//! The nftables table that marks packets.
//!
//! ```text
//! a packet that comes in               one of the node itself
//!  prerouting -99  prerouting           output -99  output        the mark of the pod its connection is with;
//!                                                                or, from an anycast address, of the pod it is from
//!  ~~~~~~~~ routing ~~~~~~~~~           ~ routing, once more ~
//!  forward or input -300  clear-mark    output -10  clear-mark    the mark has done its work
//!  postrouting -150  postrouting        postrouting               the connection gets the mark of the pod that the
//!                                                                packet goes to
//! ```
//!
//! Why those from a pod: with reverse path filtering the kernel drops a packet whose sender it would not answer over the
//! link that the packet has come by, and a pod that takes no new connections is not in the route to its address any
//! more. `rp_filter` 2, "loose", is strict too on a link without an IPv4 address (`no_addr` in `fib_frontend.c`), as
//! host veths are. In the pod's own table the sender is found; with `src_valid_mark` the kernel looks there, as
//! firewalld does for IPv6.
//!
//! Packets are marked behind conntrack (-200), which must know their connection, and behind DNAT (-100), which may have
//! made an anycast address of a Service's. The mark is gone before the filters of anybody else (0). Of the node's own
//! packets it goes late: whoever changes a mark in an output chain between the two has the packet routed anew.
//!
//! A pod has two chains and an element in each of three maps: its coming and going is those, and no other rule changes.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::{FlowSlot, Routing, Steering};
use crate::attachment::IfName;
use crate::nft::{
    Bits, Chain, ChainType, Data, Direction, End, Expr, Family, Field, Hook, HookPoint, Is, Key, Link, Mark,
    Name, Policy, Rule, Set, SetType, Table, TableId, Type, Value, Verdict,
};

/// The table's family and name, as `nft` writes them. Nothing else of the node's nftables is ours.
pub const TABLE: &str = "inet flock-anycast";

/// Sets of all anycast addresses of the node's pods.
const ADDRESSES4: &str = "addresses4";
const ADDRESSES6: &str = "addresses6";

/// Maps to the chains of pods: by the mark of a connection, by the link that a packet has come by or leaves by.
const POD_BY_MARK: &str = "pod-by-mark";
const POD_BY_IIFNAME: &str = "pod-by-iifname";
const POD_BY_OIFNAME: &str = "pod-by-oifname";

const RESTORE_MARK: &str = "restore-mark";
const MARK_SOURCE: &str = "mark-source";
const SAVE_MARK: &str = "save-mark";
const CLEAR_MARK: &str = "clear-mark";

/// `NF_CT_STATE_BIT`: of a connection that both ends have been heard of; of another one's error; of a new one.
const ESTABLISHED: u32 = 0x2;
const RELATED: u32 = 0x4;
const NEW: u32 = 0x8;

/// `IPS_ASSURED`.
const ASSURED: u32 = 0x4;

/// RFC 9293: FIN, SYN, RST and ACK.
const TCP_FIRST: u32 = 0x17;
const TCP_SYN: u32 = 0x02;

/// The protocol number of UDP.
const UDP: u8 = 17;

/// What [`TABLE`] names.
pub fn table_id() -> TableId {
    TableId { family: Family::Inet, name: "flock-anycast".into() }
}

/// What the table is to hold. None if there is nothing to steer: no table without rules that obey its marks.
pub fn table(steering: &Steering) -> Option<Table> {
    let pods = steered(steering);
    if pods.is_empty() || Routing::of(steering).rules.is_empty() {
        return None;
    }
    let chains = pods.keys().flat_map(|slot| of_pod(*slot)).chain(common()).chain(hooked());
    Some(Table { chains: chains.collect(), sets: sets(steering, &pods), ..Table::default() })
}

/// The pods by slot. A link has one: the first.
fn steered(steering: &Steering) -> BTreeMap<FlowSlot, &IfName> {
    let mut named = BTreeSet::new();
    let pods = steering.pods.iter().map(|(slot, pod)| (*slot, &pod.link));
    pods.filter(|(_, link)| named.insert(*link)).collect()
}

fn sets(steering: &Steering, pods: &BTreeMap<FlowSlot, &IfName>) -> BTreeMap<Name, Set> {
    let addresses = steering.addresses();
    let v4 = addresses.iter().filter_map(|address| match address {
        IpAddr::V4(address) => Some((Value::Ipv4Addr(*address).into(), None)),
        IpAddr::V6(_) => None,
    });
    let v6 = addresses.iter().filter_map(|address| match address {
        IpAddr::V6(address) => Some((Value::Ipv6Addr(*address).into(), None)),
        IpAddr::V4(_) => None,
    });
    let set = |kind, elements: BTreeMap<Key, Option<Data>>| Set { kind, elements };
    let goto = |chain| Some(Data::Verdict(Verdict::Goto(chain)));
    let by_mark = pods.keys().map(|slot| (Value::Mark(slot.mark()).into(), goto(set_mark(*slot))));
    let by_link = |chain: fn(FlowSlot) -> Name| {
        pods.iter()
            .map(move |(slot, link)| (Value::Ifname((*link).clone()).into(), goto(chain(*slot))))
            .collect()
    };
    [
        (ADDRESSES4, set(SetType::set([Type::Ipv4Addr]), v4.collect())),
        (ADDRESSES6, set(SetType::set([Type::Ipv6Addr]), v6.collect())),
        (POD_BY_MARK, set(SetType::verdicts([Type::Mark]), by_mark.collect())),
        (POD_BY_IIFNAME, set(SetType::verdicts([Type::Ifname]), by_link(set_mark))),
        (POD_BY_OIFNAME, set(SetType::verdicts([Type::Ifname]), by_link(save_mark))),
    ]
    .map(|(name, set)| (name.into(), set))
    .into()
}

type Named = (Name, Chain);

fn chain(name: impl Into<Name>, rules: impl Into<Vec<Rule>>) -> Named {
    (name.into(), Chain { hook: None, rules: rules.into() })
}

/// What is done for one pod. Joining a mark with a value from a map needs a kernel whose bitwise operations take two
/// registers (6.13), so each pod has its constants.
fn of_pod(slot: FlowSlot) -> [Named; 2] {
    let set = |mark| Rule::from([Expr::SetMark { mark, keep: !FlowSlot::MASK, set: slot.mark() }]);
    [chain(set_mark(slot), [set(Mark::Packet)]), chain(save_mark(slot), [set(Mark::Connection)])]
}

/// The chain in which a packet gets a pod's mark.
fn set_mark(slot: FlowSlot) -> Name {
    format!("set-mark-{slot}").into()
}

/// The chain in which a connection gets a pod's mark.
fn save_mark(slot: FlowSlot) -> Name {
    format!("{SAVE_MARK}-{slot}").into()
}

fn common() -> [Named; 4] {
    [restore_mark(), mark_source(), chain(SAVE_MARK, [connection_to_pod()]), clear_mark()]
}

fn unmark() -> Expr {
    Expr::SetMark { mark: Mark::Packet, keep: !FlowSlot::MASK, set: 0 }
}

fn is_marked() -> Expr {
    bits(Bits::Mark(Mark::Packet), FlowSlot::MASK, Is::NotEqual, 0)
}

fn bits(of: Bits, mask: u32, is: Is, value: u32) -> Expr {
    Expr::Bits { of, mask, is, value }
}

/// One of the bits.
fn any(of: Bits, mask: u32) -> Expr {
    bits(of, mask, Is::NotEqual, 0)
}

fn back() -> Expr {
    Expr::Verdict(Verdict::Return)
}

fn goto(chain: &str) -> Expr {
    Expr::Verdict(Verdict::Goto(chain.into()))
}

/// A packet to one of the addresses gets the mark of the pod that its connection is with, and no other.
fn restore_mark() -> Named {
    let by_mark = Expr::VerdictMap {
        fields: vec![Field::Mark(Mark::Connection)],
        mask: Some(FlowSlot::MASK),
        map: POD_BY_MARK.into(),
    };
    let is_udp = Expr::Compare { field: Field::L4Proto, is: Is::Equal, value: Value::InetProto(UDP) };
    let rules = [
        Rule::from([is_marked(), unmark()]),
        // A reply to what a pod has sent from an anycast address; the mark, if any, is of the pod it was sent to.
        Rule::from([Expr::Direction(Direction::Reply), back()]),
        // A new connection where conntrack knows an old one: the client may have forgotten that. But not where the old
        // one has only been answered yet ("assured" comes with the third packet): then this is the first packet once
        // more, and another pod would answer with another sequence number.
        Rule::from([
            bits(Bits::TcpFlags, TCP_FIRST, Is::Equal, TCP_SYN),
            any(Bits::CtStatus, ASSURED),
            back(),
        ]),
        // A question and its answer are no connection: whoever asks again from the same port, as DNS clients do, is to be
        // answered by a pod that is ready. "Assured" is what goes both ways for more than two seconds.
        Rule::from([is_udp, bits(Bits::CtStatus, ASSURED, Is::Equal, 0), back()]),
        // Related: an ICMP error about a packet of the pod's, "packet too big" above all.
        Rule::from([any(Bits::CtState, ESTABLISHED | RELATED), by_mark]),
    ];
    chain(RESTORE_MARK, rules)
}

/// A packet from one of the addresses gets the mark of the pod that it comes from.
fn mark_source() -> Named {
    let fields = vec![Field::Ifname(Link::In)];
    chain(MARK_SOURCE, [Rule::from([Expr::VerdictMap { fields, mask: None, map: POD_BY_IIFNAME.into() }])])
}

/// The connection of a packet to one of the addresses gets the mark of the pod that the packet goes to.
fn connection_to_pod() -> Rule {
    let fields = vec![Field::Ifname(Link::Out)];
    Rule::from([
        Expr::Direction(Direction::Original),
        // Not related: an ICMP error without a mark is no sign of where its connection goes.
        any(Bits::CtState, ESTABLISHED | NEW),
        Expr::VerdictMap { fields, mask: None, map: POD_BY_OIFNAME.into() },
    ])
}

fn clear_mark() -> Named {
    let rules: Vec<Rule> =
        [End::Destination, End::Source].into_iter().flat_map(|end| at_anycast(end, unmark())).collect();
    chain(CLEAR_MARK, rules)
}

/// What is done with packets with one of the addresses at that end.
fn at_anycast(end: End, expr: Expr) -> [Rule; 2] {
    [(Field::Ip(end), ADDRESSES4), (Field::Ip6(end), ADDRESSES6)].map(|(field, set)| {
        let lookup = Expr::Lookup { fields: vec![field], is: Is::Equal, set: set.into() };
        Rule::from([lookup, expr.clone()])
    })
}

fn hooked() -> [Named; 6] {
    let to = |chain| at_anycast(End::Destination, goto(chain)).to_vec();
    let from = |chain| at_anycast(End::Source, goto(chain)).to_vec();
    let clear = || vec![Rule::from([is_marked(), goto(CLEAR_MARK)])];
    let base = |name: &str, kind, point, priority, rules| {
        let hook = Hook { kind, point, priority, policy: Policy::Accept };
        (Name::from(name), Chain { hook: Some(hook), rules })
    };
    let (filter, route) = (ChainType::Filter, ChainType::Route);
    [
        base(
            "prerouting",
            filter,
            HookPoint::Prerouting,
            -99,
            [to(RESTORE_MARK), from(MARK_SOURCE)].concat(),
        ),
        base("output", route, HookPoint::Output, -99, to(RESTORE_MARK)),
        base("clear-forward", filter, HookPoint::Forward, -300, clear()),
        base("clear-input", filter, HookPoint::Input, -300, clear()),
        base("clear-output", filter, HookPoint::Output, -10, clear()),
        base("postrouting", filter, HookPoint::Postrouting, -150, to(SAVE_MARK)),
    ]
}
