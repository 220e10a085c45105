//! Schemas of types that are written otherwise than they are kept.

use std::borrow::Cow;

use ipnet::{Ipv4Net, Ipv6Net};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::bgp::Scalar;
use crate::crd::rules::{DURATION_PATTERN, Rule};
use crate::crd::text::{CIDR, text};
use crate::duration::Duration;
use crate::node_config::{Prefix, Unserved};

/// As many hours as fit are fewer than CEL's durations can be.
const LONGEST_DURATION: u32 = 20;

macro_rules! wire {
    ($($type:ty as $name:literal: $schema:expr;)+) => {$(
        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    )+};
}

wire! {
    // In a folder of manifests "65001" is a number too; the API server takes numbers only.
    Scalar<i64> as "Number": json_schema!({"type": "integer"});
    Scalar<bool> as "Switch": json_schema!({"type": "boolean"});
    Duration as "Duration": json_schema!({
        "type": "string",
        "maxLength": LONGEST_DURATION,
        "pattern": DURATION_PATTERN,
    });
    Unserved as "Unserved": json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    Prefix<Ipv6Net> as "Cidr6": text(CIDR, cidr6());
    Prefix<Ipv4Net> as "Cidr4": text(CIDR, cidr4());
}

/// `cidr(self).prefixLength()` in CEL.
const LENGTH: &str = "cidr(self).prefixLength()";

fn cidr6() -> [Rule; 3] {
    let other = "!isCIDR(self) || cidr(self).ip().family() != 6";
    let unusable = "['::/8', 'fe80::/10', 'ff00::/8'].exists(range, cidr(range).containsCIDR(self))";
    [
        Rule::new(
            "isCIDR(self) && cidr(self).ip().family() == 6",
            "must be an IPv6 prefix, as 2001:db8:a:1::/64",
        ),
        Rule::new(
            format!("{other} || ({LENGTH} >= 48 && {LENGTH} <= 120)"),
            "the prefix length must be from /48 to /120",
        ),
        Rule::new(
            format!("{other} || !{unusable}"),
            "pods cannot have such addresses: ::/8 is reserved, fe80::/10 link-local, ff00::/8 multicast",
        ),
    ]
}

fn cidr4() -> [Rule; 3] {
    let other = "!isCIDR(self) || cidr(self).ip().family() != 4";
    let ranges = "['0.0.0.0/8', '127.0.0.0/8', '169.254.0.0/16', '224.0.0.0/4']";
    // A /8 may lie around 169.254.0.0/16.
    let overlap = "cidr(range).containsCIDR(self) || cidr(self).containsCIDR(range)";
    [
        Rule::new(
            "isCIDR(self) && cidr(self).ip().family() == 4",
            "must be an IPv4 prefix, as 203.0.113.0/26",
        ),
        Rule::new(
            format!("{other} || ({LENGTH} >= 8 && {LENGTH} <= 30)"),
            "the prefix length must be from /8 to /30",
        ),
        Rule::new(
            format!("{other} || !{ranges}.exists(range, {overlap})"),
            "pods cannot have such addresses: 0.0.0.0/8 is this network, 127.0.0.0/8 loopback, 169.254.0.0/16 link-local, 224.0.0.0/4 multicast",
        ),
    ]
}
