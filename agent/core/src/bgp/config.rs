//! A BIRD configuration, decided to the last value; [`super::render`] only writes it down.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::num::{NonZeroU16, NonZeroU32};
use std::str::FromStr;

use ipnet::IpNet;

use super::plan::{AnycastWeight, Asn, Peer, PeerAddress, PrefixRange, RouterId};
use crate::attachment::IfName;
use crate::prefix::Family;

/// The name of the constant that tells which configuration BIRD runs, but for its anycast routes.
pub const REVISION: &str = "flock_revision";

/// The name of the constant that tells which anycast routes it has.
pub const ANYCAST: &str = "flock_anycast";

/// What BIRD is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BirdConfig {
    /// The node's autonomous system.
    pub asn: Asn,
    /// The BGP identifier.
    pub router_id: RouterId,
    /// Where the BGP identifier comes from.
    pub router_id_from: Origin,
    /// The TCP port that BIRD listens on.
    pub listen_port: NonZeroU16,
    /// What the node originates: static routes, never given to the kernel.
    pub originate: BTreeSet<IpNet>,
    /// Anycast addresses: static routes, as `originate`, which come and go without a trial.
    pub anycast: BTreeMap<IpAddr, NonZeroU32>,
    /// How `anycast`'s numbers of pods are told.
    pub anycast_weight: AnycastWeight,
    /// What may be exported to peers: the second wall behind `originate` and `anycast`.
    pub exportable: BTreeSet<PrefixRange>,
    /// What may be learned.
    pub import: BTreeSet<PrefixRange>,
    /// What is never learned, nor anything in it: connected subnets and the node's own prefixes.
    pub protected: BTreeSet<IpNet>,
    /// One for each peer that can be started, in the order of `spec.bgp.peers`.
    pub sessions: Vec<Session>,
}

/// Where a value comes from, for the comment beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A field of the NodeConfig, as `spec.bgp.peers[0].sourceAddress`.
    Field(String),
    /// An address of this interface.
    Interface(IfName),
    /// A hash of the node's name.
    NodeName,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Field(path) => f.write_str(path),
            // An interface name may hold anything but white space; a comment ends at the end of its line only.
            Origin::Interface(ifname) => write!(f, "address of {}", ifname.as_str().escape_debug()),
            Origin::NodeName => f.write_str("hash of the node's name"),
        }
    }
}

/// One BGP session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The protocol's name in BIRD: follows from the peer's address and port alone, so that a session survives a
    /// change of the list around it.
    pub name: BirdIdent,
    /// Its index in `spec.bgp.peers`.
    pub index: usize,
    /// The peer as configured.
    pub peer: Peer,
    /// The node's end of the TCP connection; none for a link-local peer, where BIRD takes the interface's own.
    pub local: Option<Sourced>,
    /// The content of the peer's password file.
    pub password: Option<Password>,
    /// At least one.
    pub channels: Vec<Channel>,
}

/// An address and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sourced {
    /// The address.
    pub address: IpAddr,
    /// Where it comes from.
    pub from: Origin,
}

/// One family of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    /// The family of its routes.
    pub family: Family,
    /// The next hop that the node's routes are advertised with. Of another family than the routes only for IPv4
    /// (RFC 8950). None: the session's own end, which is link-local then.
    pub next_hop: Option<Sourced>,
    /// IPv4 routes may have IPv6 next hops (RFC 8950).
    pub extended_next_hop: bool,
}

/// A name in bird.conf: a letter or `_`, then letters, digits and `_`, at most 60 of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BirdIdent(String);

impl BirdIdent {
    /// The longest; BIRD 2.0 ends at 63, and filters add to the name.
    pub const LONGEST: usize = 50;

    /// The name of the protocol for a peer: `peer_2001_db8__1`, `peer_192_0_2_1_port_1179`. A name that is too long ends
    /// in a hash of the whole instead.
    pub fn of_peer(address: &PeerAddress, port: NonZeroU16) -> Self {
        let port = if port == super::plan::BGP_PORT { String::new() } else { format!("_port_{port}") };
        let text = format!("peer_{address}{port}");
        let name: String = text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        // Interface names may differ in a character that is replaced here.
        let ambiguous = matches!(address, PeerAddress::LinkLocal { interface, .. }
            if !interface.as_str().chars().all(|c| c.is_ascii_alphanumeric()));
        if !ambiguous && name.len() <= Self::LONGEST {
            return Self(name);
        }
        let hash = crate::fnv::fnv1a_32(text.as_bytes());
        let kept: String = name.chars().take(Self::LONGEST - 9).collect();
        Self(format!("{kept}_{hash:08x}"))
    }

    /// The name as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BirdIdent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A TCP MD5 password: 1 to 80 printable ASCII characters (the kernel's limit is 80 bytes) without `"`, since BIRD
/// knows no way to write one. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

/// Why a password is refused. Never says what it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// It is not UTF-8.
    #[error("the password is not text")]
    NotText,
    /// Nothing in it.
    #[error("the password is empty")]
    Empty,
    /// Too long.
    #[error("the password has {0} bytes; TCP MD5 takes at most 80")]
    Long(usize),
    /// A character that cannot be.
    #[error("the password has a character that BIRD cannot be told: printable ASCII without \" only")]
    Character,
}

impl Password {
    /// The password in a file or a Secret.
    ///
    /// # Errors
    /// When it is not text, or cannot be a password. The error never says what is in there.
    pub fn of_bytes(content: Vec<u8>) -> Result<Self, PasswordError> {
        String::from_utf8(content).map_err(|_| PasswordError::NotText)?.parse()
    }

    /// The password itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl FromStr for Password {
    type Err = PasswordError;

    /// One line break at the end is the editor's, not the password's.
    fn from_str(text: &str) -> Result<Self, PasswordError> {
        let text = text.strip_suffix('\n').unwrap_or(text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        match text.len() {
            0 => Err(PasswordError::Empty),
            81.. => Err(PasswordError::Long(text.len())),
            _ if text.bytes().all(|b| matches!(b, b' '..=b'~') && b != b'"') => Ok(Self(text.to_owned())),
            _ => Err(PasswordError::Character),
        }
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::BGP_PORT;
    use super::*;

    fn name(address: &str, port: u16) -> String {
        let port = NonZeroU16::new(port).unwrap_or(BGP_PORT);
        BirdIdent::of_peer(&address.parse().unwrap(), port).to_string()
    }

    #[test]
    fn a_session_is_named_after_its_peer() {
        assert_eq!(name("2001:db8::1", 179), "peer_2001_db8__1");
        assert_eq!(name("192.0.2.1", 1179), "peer_192_0_2_1_port_1179");
        assert_eq!(name("fe80::1%eth0", 179), "peer_fe80__1_eth0");
        assert_ne!(name("fe80::1%eth0.1", 179), name("fe80::1%eth0-1", 179));
        let long = name("2001:1db8:1111:2222:3333:4444:5555:6666", 65535);
        assert!(long.len() <= BirdIdent::LONGEST, "{long}");
        assert_ne!(long, name("2001:1db8:1111:2222:3333:4444:5555:6666", 65534));
    }

    #[test]
    fn a_password_is_one_line_that_bird_can_be_told() {
        assert_eq!("secret\n".parse::<Password>().unwrap().reveal(), "secret");
        assert_eq!("".parse::<Password>(), Err(PasswordError::Empty));
        assert_eq!("\r\n".parse::<Password>(), Err(PasswordError::Empty));
        assert_eq!("x".repeat(81).parse::<Password>(), Err(PasswordError::Long(81)));
        for text in ["a\"b", "a\nb", "ä", "a\0"] {
            assert_eq!(text.parse::<Password>(), Err(PasswordError::Character), "{text:?}");
        }
        assert!(!format!("{:?}", "secret".parse::<Password>()).contains("secret"));
    }
}
