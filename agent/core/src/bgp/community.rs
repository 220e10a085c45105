//! BGP communities as operators write them.

use std::fmt;
use std::str::FromStr;

/// A standard community (RFC 1997), `65001:100` or a well-known name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Community(pub u16, pub u16);

/// A large community (RFC 8092), `65001:1:2`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LargeCommunity(pub u32, pub u32, pub u32);

/// An extended community (RFC 4360).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ExtendedCommunity {
    /// Route target, `rt:65001:100`: one of the two numbers fits 16 bits.
    RouteTarget(u32, u32),
    /// Route origin, `soo:65001:100`: one of the two numbers fits 16 bits.
    RouteOrigin(u32, u32),
    /// Any, as two 32-bit numbers: `generic:0x43000000:0x1`.
    Generic(u32, u32),
}

/// Names of well-known communities (IANA, "BGP Well-known Communities").
pub const WELL_KNOWN: [(&str, Community); 7] = [
    ("graceful-shutdown", Community(0xffff, 0)),
    ("accept-own", Community(0xffff, 1)),
    ("blackhole", Community(0xffff, 666)),
    ("no-export", Community(0xffff, 0xff01)),
    ("no-advertise", Community(0xffff, 0xff02)),
    ("no-export-subconfed", Community(0xffff, 0xff03)),
    ("no-peer", Community(0xffff, 0xff04)),
];

/// Why a community is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommunityError {
    /// Not `A:B`.
    #[error(
        "{0:?} is not a community: write 65001:100 (two numbers up to 65535) or one of no-export, no-advertise, no-export-subconfed, no-peer, blackhole, graceful-shutdown, accept-own"
    )]
    Standard(String),
    /// Not `A:B:C`.
    #[error("{0:?} is not a large community: write 65001:1:2 (three numbers up to 4294967295)")]
    Large(String),
    /// None of the three forms.
    #[error(
        "{0:?} is not an extended community: write rt:65001:100, soo:65001:100 (one of the numbers up to 65535) or generic:0x43000000:0x1"
    )]
    Extended(String),
}

fn shortened(text: &str) -> String {
    text.chars().take(64).collect()
}

/// Decimal digits only: `parse` would take a sign.
fn number<T: FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn number_or_hex(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(digits) if digits.bytes().all(|b| b.is_ascii_hexdigit()) => u32::from_str_radix(digits, 16).ok(),
        Some(_) => None,
        None => number(text),
    }
}

impl FromStr for Community {
    type Err = CommunityError;

    fn from_str(text: &str) -> Result<Self, CommunityError> {
        let known = WELL_KNOWN.iter().find(|(name, _)| *name == text).map(|(_, community)| *community);
        let pair = || text.split_once(':').and_then(|(a, b)| Some(Self(number(a)?, number(b)?)));
        known.or_else(pair).ok_or_else(|| CommunityError::Standard(shortened(text)))
    }
}

impl FromStr for LargeCommunity {
    type Err = CommunityError;

    fn from_str(text: &str) -> Result<Self, CommunityError> {
        let parts: Vec<&str> = text.splitn(4, ':').collect();
        match parts[..] {
            [a, b, c] => number(a).zip(number(b)).zip(number(c)).map(|((a, b), c)| Self(a, b, c)),
            _ => None,
        }
        .ok_or_else(|| CommunityError::Large(shortened(text)))
    }
}

impl FromStr for ExtendedCommunity {
    type Err = CommunityError;

    fn from_str(text: &str) -> Result<Self, CommunityError> {
        let parts: Vec<&str> = text.splitn(4, ':').collect();
        match parts[..] {
            ["rt", a, b] => two_parts(a, b).map(|(a, b)| Self::RouteTarget(a, b)),
            ["soo", a, b] => two_parts(a, b).map(|(a, b)| Self::RouteOrigin(a, b)),
            ["generic", a, b] => number_or_hex(a).zip(number_or_hex(b)).map(|(a, b)| Self::Generic(a, b)),
            _ => None,
        }
        .ok_or_else(|| CommunityError::Extended(shortened(text)))
    }
}

/// Two octets for one number and four for the other (RFC 4360, section 3.1; RFC 5668).
fn two_parts(a: &str, b: &str) -> Option<(u32, u32)> {
    let (a, b) = number::<u32>(a).zip(number::<u32>(b))?;
    (a.min(b) <= u32::from(u16::MAX)).then_some((a, b))
}

/// As BIRD writes it: `(65001,100)`.
impl fmt::Display for Community {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({},{})", self.0, self.1)
    }
}

/// As BIRD writes it: `(65001,1,2)`.
impl fmt::Display for LargeCommunity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({},{},{})", self.0, self.1, self.2)
    }
}

/// As BIRD writes it: `(rt,65001,100)`.
impl fmt::Display for ExtendedCommunity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RouteTarget(a, b) => write!(f, "(rt,{a},{b})"),
            Self::RouteOrigin(a, b) => write!(f, "(ro,{a},{b})"),
            Self::Generic(a, b) => write!(f, "(generic,0x{a:x},0x{b:x})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn communities_are_read_and_written_as_bird_does() {
        let standard = |text: &str| text.parse::<Community>().map(|c| c.to_string());
        assert_eq!(standard("65001:100").unwrap(), "(65001,100)");
        assert_eq!(standard("graceful-shutdown").unwrap(), "(65535,0)");
        let large = |text: &str| text.parse::<LargeCommunity>().map(|c| c.to_string());
        assert_eq!(large("4294967295:1:2").unwrap(), "(4294967295,1,2)");
        let extended = |text: &str| text.parse::<ExtendedCommunity>().map(|c| c.to_string());
        assert_eq!(extended("rt:65001:4294967295").unwrap(), "(rt,65001,4294967295)");
        assert_eq!(extended("soo:4200000000:7").unwrap(), "(ro,4200000000,7)");
        assert_eq!(extended("generic:0x43000000:1").unwrap(), "(generic,0x43000000,0x1)");
    }

    #[test]
    fn what_is_no_community_is_refused() {
        for text in ["", "65536:1", "1:65536", "1", "1:2:3", "+1:2", "1:2)", "no_export", "1: 2"] {
            assert!(text.parse::<Community>().is_err(), "{text}");
        }
        for text in ["", "1:2", "1:2:3:4", "4294967296:1:1", "a:1:2"] {
            assert!(text.parse::<LargeCommunity>().is_err(), "{text}");
        }
        for text in
            ["rt:65536:65536", "rt:1", "rt:1:2:3", "RT:1:2", "generic:0x1ffffffff:1", "generic:0x+1:1"]
        {
            assert!(text.parse::<ExtendedCommunity>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_long_value_is_not_repeated_in_the_error() {
        assert!("9".repeat(1 << 20).parse::<Community>().unwrap_err().to_string().len() < 400);
    }
}
