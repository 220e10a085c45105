//! The nftables table, as text for `nft`.
//!
//! ```text
//! a packet that comes in               one of the node itself
//!  prerouting -99  steer                output -99  steer-own     the mark of the pod its connection is with;
//!                                                                or, from an anycast address, of the pod it is from
//!  ~~~~~~~~ routing ~~~~~~~~~           ~ routing, once more ~
//!  forward or input -300  forget        output -10  forget        the mark has done its work
//!  postrouting -150  remember           postrouting  remember     the pod that the packet goes to
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

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::IpAddr;

use super::{FlowSlot, Routing, Shape, Steering};
use crate::attachment::IfName;
use crate::fnv::fnv1a_64;

/// The table's family and name, as `nft` writes them. Nothing else of the node's nftables is ours.
pub const TABLE: &str = "inet flock-anycast";

/// What `nft -f` reads to remove the table, whether or not it is there: to delete what is not there is an error.
pub const REMOVAL: &str = "table inet flock-anycast\ndelete table inet flock-anycast\n";

/// The whole table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruleset {
    /// What `nft -f` reads to put it in the place of any previous one, at once: connections are tracked all the time.
    pub text: String,
    /// What a listing of it is like.
    pub shape: Shape,
}

impl Ruleset {
    /// None if there is nothing to steer: no table without rules that obey its marks.
    pub fn of(steering: &Steering) -> Option<Self> {
        let pods = nameable(steering);
        if pods.is_empty() || Routing::of(steering).rules.is_empty() {
            return None;
        }
        let (sets, mut chains) = (sets(steering), chains(&pods));
        let revision = fnv1a_64(content(&sets, &chains).as_bytes());
        // A chain that nothing goes to: packets do not meet it, and any nft and kernel can keep it.
        chains.push(Chain::new(format!("revision-{revision:016x}")));
        let shape = Shape {
            elements: sets.iter().map(|set| (set.name.to_owned(), set.elements.len())).collect(),
            rules: chains.iter().map(|chain| (chain.name.clone(), chain.rules.len())).collect(),
        };
        Some(Self { text: format!("{REMOVAL}table {TABLE} {{{}\n}}\n", content(&sets, &chains)), shape })
    }
}

/// The pods whose link can be named: within quotes nft knows no escape for a quote, and a `*` stands for many links.
/// The names that flock gives are all like that.
fn nameable(steering: &Steering) -> Vec<(FlowSlot, &IfName)> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.@".contains(c);
    // Nor may a map name one twice: that would cost all the others their table.
    let mut named = BTreeSet::new();
    let pods = steering.pods.iter().map(|(slot, pod)| (*slot, &pod.link));
    pods.filter(|(_, link)| link.as_str().chars().all(plain) && named.insert(*link)).collect()
}

struct Set {
    name: &'static str,
    kind: &'static str,
    elements: Vec<String>,
}

struct Chain {
    name: String,
    hook: Option<&'static str>,
    rules: Vec<String>,
}

impl Chain {
    fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), hook: None, rules: Vec::new() }
    }

    fn hook(self, hook: &'static str) -> Self {
        Self { hook: Some(hook), ..self }
    }

    fn rule(mut self, rule: impl Into<String>) -> Self {
        self.rules.push(rule.into());
        self
    }

    /// Sends packets to one of the addresses to `chain`.
    fn packets_to_anycast(self, chain: &str) -> Self {
        self.rule(format!("ip daddr @addresses4 goto {chain}"))
            .rule(format!("ip6 daddr @addresses6 goto {chain}"))
    }

    /// Sends packets from one of the addresses to `chain`.
    fn packets_from_anycast(self, chain: &str) -> Self {
        self.rule(format!("ip saddr @addresses4 goto {chain}"))
            .rule(format!("ip6 saddr @addresses6 goto {chain}"))
    }
}

fn sets(steering: &Steering) -> [Set; 2] {
    let elements = |family: fn(&IpAddr) -> bool| {
        steering.addresses().iter().filter(|address| family(address)).map(IpAddr::to_string).collect()
    };
    [
        Set { name: "addresses4", kind: "ipv4_addr", elements: elements(IpAddr::is_ipv4) },
        Set { name: "addresses6", kind: "ipv6_addr", elements: elements(IpAddr::is_ipv6) },
    ]
}

/// Those that are gone to before those that go there: nft 1.0.6 reads a table in one pass.
fn chains(pods: &[(FlowSlot, &IfName)]) -> Vec<Chain> {
    let mut chains: Vec<Chain> = pods.iter().flat_map(|(slot, _)| of_pod(*slot)).collect();
    chains.extend([follow(pods), vouch(pods), note(pods), forget()]);
    chains.extend(hooked());
    chains
}

/// What is done for one pod. nft 1.0.6 cannot join a mark with a value from a map, so each pod has its constants.
fn of_pod(slot: FlowSlot) -> [Chain; 2] {
    let set =
        |what| format!("{what} mark set {what} mark & {:#010x} | {:#010x}", !FlowSlot::MASK, slot.mark());
    [Chain::new(steer_to(slot)).rule(set("meta")), Chain::new(remember(slot)).rule(set("ct"))]
}

fn steer_to(slot: FlowSlot) -> String {
    format!("steer-{slot}")
}

fn remember(slot: FlowSlot) -> String {
    format!("remember-{slot}")
}

fn unmark() -> String {
    format!("meta mark set meta mark & {:#010x}", !FlowSlot::MASK)
}

fn is_marked() -> String {
    format!("meta mark & {:#010x} != 0", FlowSlot::MASK)
}

/// A packet to one of the addresses gets the mark of the pod that its connection is with, and no other.
fn follow(pods: &[(FlowSlot, &IfName)]) -> Chain {
    let entry = |(slot, _): &(FlowSlot, _)| format!("{:#010x} : goto {}", slot.mark(), steer_to(*slot));
    let map = elements(pods.iter().map(entry));
    Chain::new("follow")
        .rule(format!("{} {}", is_marked(), unmark()))
        // A reply to what a pod has sent from an anycast address; the mark, if any, is of the pod it was sent to.
        .rule("ct direction reply return")
        // A new connection where conntrack knows an old one: the client may have forgotten that. But not where the old
        // one has only been answered yet ("assured" comes with the third packet): then this is the first packet once
        // more, and another pod would answer with another sequence number.
        .rule("tcp flags & (fin | syn | rst | ack) == syn ct status assured return")
        // A question and its answer are no connection: whoever asks again from the same port, as DNS clients do, is to be
        // answered by a pod that is ready. "Assured" is what goes both ways for more than two seconds.
        .rule("meta l4proto udp ct status & assured == 0 return")
        // Related: an ICMP error about a packet of the pod's, "packet too big" above all.
        .rule(format!("ct state established,related ct mark & {:#010x} vmap {map}", FlowSlot::MASK))
}

/// A packet from one of the addresses gets the mark of the pod that it comes from.
fn vouch(pods: &[(FlowSlot, &IfName)]) -> Chain {
    Chain::new("vouch").rule(format!("iifname vmap {}", by_link(pods, steer_to)))
}

/// The connection of a packet to one of the addresses remembers the pod that the packet goes to.
fn note(pods: &[(FlowSlot, &IfName)]) -> Chain {
    let map = by_link(pods, remember);
    // Not related: an ICMP error without a mark is no sign of where its connection goes.
    Chain::new("note").rule(format!("ct direction original ct state new,established oifname vmap {map}"))
}

fn forget() -> Chain {
    let ends =
        ["ip daddr @addresses4", "ip6 daddr @addresses6", "ip saddr @addresses4", "ip6 saddr @addresses6"];
    ends.into_iter().fold(Chain::new("forget"), |chain, end| chain.rule(format!("{end} {}", unmark())))
}

fn hooked() -> [Chain; 6] {
    let forget = |name, hook| Chain::new(name).hook(hook).rule(format!("{} goto forget", is_marked()));
    [
        Chain::new("steer")
            .hook("type filter hook prerouting priority -99")
            .packets_to_anycast("follow")
            .packets_from_anycast("vouch"),
        Chain::new("steer-own").hook("type route hook output priority -99").packets_to_anycast("follow"),
        forget("forget-forwarded", "type filter hook forward priority -300"),
        forget("forget-received", "type filter hook input priority -300"),
        forget("forget-own", "type filter hook output priority -10"),
        Chain::new("remember").hook("type filter hook postrouting priority -150").packets_to_anycast("note"),
    ]
}

fn by_link(pods: &[(FlowSlot, &IfName)], chain: fn(FlowSlot) -> String) -> String {
    elements(pods.iter().map(|(slot, link)| format!("\"{link}\" : goto {}", chain(*slot))))
}

fn elements(entries: impl Iterator<Item = String>) -> String {
    format!("{{ {} }}", entries.collect::<Vec<_>>().join(", "))
}

/// What stands between the table's braces.
fn content(sets: &[Set], chains: &[Chain]) -> String {
    let mut text = String::new();
    for set in sets {
        block(&mut text, &format!("set {}", set.name), |lines| {
            lines.push(format!("type {}", set.kind));
            // An empty list is a syntax error.
            if !set.elements.is_empty() {
                lines.push(format!("elements = {}", elements(set.elements.iter().cloned())));
            }
        });
    }
    for chain in chains {
        block(&mut text, &format!("chain {}", chain.name), |lines| {
            lines.extend(chain.hook.map(|hook| format!("{hook}; policy accept;")));
            lines.extend(chain.rules.iter().cloned());
        });
    }
    text
}

fn block(text: &mut String, head: &str, fill: impl FnOnce(&mut Vec<String>)) {
    let mut lines = Vec::new();
    fill(&mut lines);
    let lines: String = lines.iter().map(|line| format!("\t\t{line}\n")).collect();
    // Writing to a `String` cannot fail.
    let _ = write!(text, "\n\t{head} {{\n{lines}\t}}");
}
