//! Where a peer is.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use crate::attachment::IfName;
use crate::prefix::Family;

/// A peer's address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PeerAddress {
    /// A unicast address that is not link-local.
    Global(IpAddr),
    /// A link-local address (RFC 4291, section 2.5.6), written `fe80::1%eth0`.
    LinkLocal {
        /// Out of fe80::/10.
        address: Ipv6Addr,
        /// The interface that it is on: printable ASCII without `"`.
        interface: IfName,
    },
}

/// Why a peer's address is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeerAddressError {
    /// Not an address.
    #[error("{0:?} is not an address: write 192.0.2.1, 2001:db8::1 or fe80::1%eth0")]
    Syntax(String),
    /// fe80::/10 without an interface.
    #[error("{0} is link-local: say on which interface, as {0}%eth0")]
    NoInterface(Ipv6Addr),
    /// An interface that a global address has no use for.
    #[error("{0} is not link-local: leave out %{1}")]
    Interface(IpAddr, String),
    /// An interface name that is none.
    #[error(
        "{0:?} is not an interface that BIRD can be told of: printable ASCII without quotes, up to 15 bytes"
    )]
    InterfaceName(String),
    /// Nothing that a router can have.
    #[error("{0} is {1}, not the address of a router")]
    NotUnicast(IpAddr, &'static str),
}

impl PeerAddress {
    /// The address itself.
    pub fn ip(&self) -> IpAddr {
        match self {
            PeerAddress::Global(address) => *address,
            PeerAddress::LinkLocal { address, .. } => IpAddr::V6(*address),
        }
    }

    /// The family of the session's TCP connection.
    pub fn family(&self) -> Family {
        Family::of(self.ip())
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PeerAddress::Global(address) => address.fmt(f),
            PeerAddress::LinkLocal { address, interface } => write!(f, "{address}%{interface}"),
        }
    }
}

impl FromStr for PeerAddress {
    type Err = PeerAddressError;

    fn from_str(text: &str) -> Result<Self, PeerAddressError> {
        let (address, interface) = match text.split_once('%') {
            Some((address, interface)) => (address, Some(interface)),
            None => (text, None),
        };
        let ip = address.parse::<IpAddr>().map_err(|_| PeerAddressError::Syntax(shortened(text)))?;
        match (ip, interface) {
            (IpAddr::V6(address), Some(name)) if address.is_unicast_link_local() => {
                Ok(PeerAddress::LinkLocal { address, interface: bird_interface(name)? })
            }
            (IpAddr::V6(address), None) if address.is_unicast_link_local() => {
                Err(PeerAddressError::NoInterface(address))
            }
            (ip, Some(name)) => Err(PeerAddressError::Interface(ip, shortened(name))),
            (ip, None) => match not_a_router(ip) {
                Some(what) => Err(PeerAddressError::NotUnicast(ip, what)),
                None => Ok(PeerAddress::Global(ip)),
            },
        }
    }
}

/// Why an address that is not link-local IPv6 cannot be a router's or the node's own end of a session.
pub fn not_a_router(ip: IpAddr) -> Option<&'static str> {
    let broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
    let mapped = matches!(ip, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some());
    match ip {
        _ if ip.is_unspecified() => Some("the unspecified address"),
        _ if ip.is_loopback() => Some("a loopback address"),
        _ if ip.is_multicast() => Some("a multicast address"),
        _ if broadcast => Some("the broadcast address"),
        _ if mapped => Some("an IPv4-mapped address: write the IPv4 address itself"),
        _ => None,
    }
}

fn bird_interface(name: &str) -> Result<IfName, PeerAddressError> {
    let wrong = || PeerAddressError::InterfaceName(shortened(name));
    let printable = name.chars().all(|c| c.is_ascii_graphic() && c != '"');
    if printable { name.parse().map_err(|_| wrong()) } else { Err(wrong()) }
}

/// Enough of a text to recognize it by in an error.
fn shortened(text: &str) -> String {
    text.chars().take(64).collect()
}
