//! Text with a syntax of its own: schemas for fields that the types keep as written.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::crd::rules::{self, Rule};

/// `::ffff:255.255.255.255` in its longest form, which is the longest that an IPv6 address can be.
const ADDRESS: u32 = 45;

/// An address, `/` and three digits.
pub(super) const CIDR: u32 = ADDRESS + 4;

/// IFNAMSIZ without the NUL.
const INTERFACE: u32 = 15;

pub(super) fn text(longest: u32, rules: impl IntoIterator<Item = Rule>) -> Schema {
    json_schema!({
        "type": "string",
        "maxLength": longest,
        "x-kubernetes-validations": rules::list(rules),
    })
}

/// A schema without a type of its own: `#[schemars(with = "...")]` names it.
macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident: $longest:expr, $rules:expr;)+) => {$(
        $(#[$doc])*
        pub(crate) struct $name;

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                text($longest, $rules)
            }
        }
    )+};
}

texts! {
    /// A prefix of either family.
    Cidr: CIDR, [Rule::new("isCIDR(self)", "must be a prefix, as 2001:db8:53::/64 or 198.51.100.53/32")];
    /// A network interface's name.
    InterfaceName: INTERFACE, [interface_name()];
    /// A peer's address.
    PeerAddress: ADDRESS + 1 + INTERFACE, peer_address();
    /// The node's end of a session.
    SourceAddress: ADDRESS, source_address();
    /// A BGP identifier.
    RouterId: INTERFACE, [Rule::new(
        "isIP(self) && ip(self).family() == 4 && !ip(self).isUnspecified()",
        "must be a BGP identifier, written as an IPv4 address, 192.0.2.1, but not 0.0.0.0",
    )];
    /// RFC 1997.
    StandardCommunity: 32, [standard_community()];
    /// RFC 8092.
    LargeCommunity: 32, [large_community()];
    /// RFC 4360.
    ExtendedCommunity: 32, [extended_community()];
    /// A label's value.
    LabelValue: 63, [Rule::new("!format.labelValue().validate(self).hasValue()", "must be a label's value")];
}

/// The kernel counts bytes, not characters.
fn interface_name() -> Rule {
    Rule::new(
        r"!self.matches('[/:\\s\\pZ\\x00]') && !(self in ['.', '..']) && self.size() > 0 && bytes(self).size() <= 15",
        "must be an interface's name: up to 15 bytes without '/', ':' and white space",
    )
}

fn peer_address() -> Vec<Rule> {
    let bare = "self.split('%')[0]";
    let link_local = format!("(ip({bare}).family() == 6 && ip({bare}).isLinkLocalUnicast())");
    vec![
        Rule::new(format!("isIP({bare})"), "must be an address: 192.0.2.1, 2001:db8::1 or fe80::1%eth0"),
        Rule::new(
            format!("!isIP({bare}) || !{link_local} || self.contains('%')"),
            "is link-local: say on which interface, as fe80::1%eth0",
        ),
        Rule::new(
            format!("!isIP({bare}) || {link_local} || !self.contains('%')"),
            "is not link-local: leave out the interface",
        ),
        // BIRD takes no others.
        Rule::new(
            "!self.contains('%') || (self.matches('^[^%]*%[!#-$&-.0-9;-~]{1,15}$') && !self.matches('%[.]{1,2}$'))",
            "after % must be an interface's name: up to 15 printable ASCII characters without quotes, '/' and ':'",
        ),
        Rule::new(
            format!("!isIP({bare}) || {}", is_unicast(&format!("ip({bare})"))),
            "is not the address of a router: unspecified, loopback, multicast or broadcast",
        ),
    ]
}

fn source_address() -> Vec<Rule> {
    vec![
        Rule::new("isIP(self)", "must be an address: 192.0.2.2 or 2001:db8::2"),
        Rule::new(
            format!(
                "!isIP(self) || ({} && !(ip(self).family() == 6 && ip(self).isLinkLocalUnicast()))",
                is_unicast("ip(self)")
            ),
            "is not one that a node can have towards a router: unspecified, loopback, link-local, multicast or broadcast",
        ),
    ]
}

fn is_unicast(address: &str) -> String {
    format!("({address}.isGlobalUnicast() || {address}.isLinkLocalUnicast())")
}

/// IANA, "BGP Well-known Communities": those that BIRD has names for.
const WELL_KNOWN: &str = "['graceful-shutdown', 'accept-own', 'blackhole', 'no-export', 'no-advertise', 'no-export-subconfed', 'no-peer']";

fn standard_community() -> Rule {
    let numbers = "self.matches('^[0-9]{1,5}:[0-9]{1,5}$') && self.split(':').all(n, int(n) <= 65535)";
    Rule::new(
        format!("self in {WELL_KNOWN} || ({numbers})"),
        "must be two numbers up to 65535, as 65001:100, or one of no-export, no-advertise, no-export-subconfed, no-peer, blackhole, graceful-shutdown, accept-own",
    )
}

fn large_community() -> Rule {
    Rule::new(
        "self.matches('^[0-9]{1,10}:[0-9]{1,10}:[0-9]{1,10}$') && self.split(':').all(n, int(n) <= 4294967295)",
        "must be three numbers up to 4294967295, as 65001:1:2",
    )
}

fn extended_community() -> Rule {
    let part = |index: u8| format!("int(self.split(':')[{index}])");
    let (first, second) = (part(1), part(2));
    // Two octets for one number and four for the other (RFC 4360, section 3.1; RFC 5668).
    let fit =
        format!("{first} <= 4294967295 && {second} <= 4294967295 && ({first} <= 65535 || {second} <= 65535)");
    let number = "(0x[0-9a-fA-F]{1,8}|[0-9]{1,9})";
    Rule::new(
        format!(
            "(self.matches('^(rt|soo):[0-9]{{1,10}}:[0-9]{{1,10}}$') && {fit}) || self.matches('^generic:{number}:{number}$')"
        ),
        "must be rt:65001:100 or soo:65001:100 (one of the numbers up to 65535) or generic:0x43000000:0x1",
    )
}
