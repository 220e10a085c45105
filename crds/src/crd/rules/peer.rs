//! `spec.bgp` and its peers.

use serde_json::Value;

use super::durations::malformed;
use super::{Rule, list};

/// A peer's address without its interface.
const BARE: &str = "self.address.split('%')[0]";

/// What depends on whose autonomous system a peer is in. Nobody knows that of a template without `asn`.
pub(crate) fn bgp_spec() -> Value {
    let external = "has(p.localPref) && p.asn != self.asn";
    let internal = "has(p.prepend) && p.prepend > 0 && p.asn == self.asn";
    list([
        no_peer(
            external,
            "localPref",
            "a router of another autonomous system never sees it; leave it out, or use med, prepend or a community",
        ),
        no_peer(
            internal,
            "prepend",
            "a router of the own autonomous system takes the longer path for a loop; leave it out, or use localPref or med",
        ),
    ])
}

fn no_peer(which: &str, field: &str, why: &str) -> Rule {
    let culprits = format!("self.peers.map(p, {which}, p.address)[0]");
    Rule::new(
        format!("!has(self.asn) || !has(self.peers) || !self.peers.exists(p, {which})"),
        format!("{field}: {why}"),
    )
    .telling(format!("'{field} of ' + {culprits} + ': {why}'"))
    .field(".peers")
    .forbidden()
}

/// No two with the same address and port.
pub(crate) fn peers() -> Value {
    let bare = |peer: &str| format!("{peer}.address.split('%')[0]");
    let interface = |peer: &str| format!("{peer}.address.find('%.*')");
    let same_address = format!("ip({}) == ip({})", bare("p"), bare("q"));
    let same = format!("p.port == q.port && {} == {} && {same_address}", interface("p"), interface("q"));
    let alone = format!("self.exists_one(q, {same})");
    let culprit = format!("self.map(p, !({alone}), p.address)[0]");
    list([Rule::new(
        format!("self.exists(p, !isIP({})) || self.all(p, {alone})", bare("p")),
        "no two peers may have the same address and port: leave one out",
    )
    .telling(format!("{culprit} + ' is there twice with the same port: leave one out'"))])
}

pub(crate) fn peer() -> Value {
    let [there, family, own] = source();
    let multihop = Rule::new(
        "!has(self.multihop) || !self.address.contains('%')",
        "a link-local address is on the node's own link: leave it out",
    );
    let password = Rule::new(
        "!has(self.passwordFile) || !has(self.passwordSecret)",
        "there is passwordFile too: a session has one password, leave one out",
    );
    list([
        there,
        family,
        own,
        multihop.field(".multihop").forbidden(),
        password.field(".passwordSecret").forbidden(),
        keepalive(),
    ])
}

fn source() -> [Rule; 3] {
    let unknown = format!("!has(self.sourceAddress) || !isIP(self.sourceAddress) || !isIP({BARE})");
    let there = Rule::new(
        "!has(self.sourceAddress) || !self.address.contains('%')",
        "the node's end of a session with a link-local address is the interface's own: leave it out",
    );
    let family = Rule::new(
        format!("{unknown} || ip(self.sourceAddress).family() == ip({BARE}).family()"),
        "must be of the same family as address",
    );
    let own = Rule::new(
        // CEL has a price for == of addresses, but none for !=.
        format!("{unknown} || !(ip(self.sourceAddress) == ip({BARE}))"),
        "must be the node's address, not the peer's",
    );
    [there.forbidden(), family, own].map(|rule| rule.field(".sourceAddress"))
}

fn keepalive() -> Rule {
    let (hold, keepalive) = ("self.holdTime", "self.keepaliveTime");
    let unknown =
        format!("!has({hold}) || !has({keepalive}) || {} || {}", malformed(hold), malformed(keepalive));
    Rule::new(
        format!("{unknown} || duration({keepalive}) <= duration({hold})"),
        "must not be longer than holdTime: a third of it is usual",
    )
    .field(".keepaliveTime")
}

/// Only the agent reads it. Without control characters it can be shown in a log as it is.
pub(crate) fn password_path() -> Value {
    list([Rule::new(
        r"self.startsWith('/') && !self.matches('\\p{Cc}')",
        "must be an absolute path without control characters, as /etc/flock/tor.password",
    )])
}

pub(crate) fn secret_name() -> Value {
    list([Rule::new(
        "!format.dns1123Subdomain().validate(self).hasValue()",
        "must be a Secret's name: small letters, digits, '-' and '.'",
    )])
}

pub(crate) fn secret_key() -> Value {
    list([Rule::new(
        "self.matches('^[-._a-zA-Z0-9]+$') && !(self in ['.', '..'])",
        "must be a key of a Secret: letters, digits, '-', '_' and '.'",
    )])
}
