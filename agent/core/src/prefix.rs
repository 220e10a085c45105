//! The node's prefixes: typed, masked, and of a length that the allocator supports.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

use crate::iid;

/// An address family. The order is the order of a list that names both: IPv6 first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Family {
    /// IPv6.
    IPv6,
    /// IPv4.
    IPv4,
}

impl Family {
    /// The family of an address.
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V6(_) => Family::IPv6,
            IpAddr::V4(_) => Family::IPv4,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Family::IPv6 => "IPv6",
            Family::IPv4 => "IPv4",
        })
    }
}

/// The addresses of one attachment: at least one of the two is there once IPAM has answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct PodAddresses {
    /// IPv6, configured as /128.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub v6: Option<Ipv6Addr>,
    /// IPv4, configured as /32.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub v4: Option<Ipv4Addr>,
}

impl fmt::Display for PodAddresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<String> = self.iter().map(|address| address.to_string()).collect();
        f.write_str(&texts.join(", "))
    }
}

impl PodAddresses {
    /// Both addresses as they are there, IPv6 first.
    pub fn iter(&self) -> impl Iterator<Item = IpAddr> + use<> {
        self.v6.map(IpAddr::V6).into_iter().chain(self.v4.map(IpAddr::V4))
    }
}

/// Why a prefix cannot be a node's (or a narrowed) prefix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PrefixError {
    /// Length out of range.
    #[error("{prefix}: the prefix length must be from /{shortest} to /{longest}")]
    Length {
        /// The prefix as given.
        prefix: IpNet,
        /// The shortest length that is supported.
        shortest: u8,
        /// The longest length that is supported.
        longest: u8,
    },
    /// Not a range that pods can have addresses of.
    #[error("{prefix}: {reason}")]
    Unusable {
        /// The prefix as given.
        prefix: IpNet,
        /// What it is instead.
        reason: &'static str,
    },
}

/// A prefix that pods get IPv6 addresses from: /48 to /120, host bits zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr6(Ipv6Net);

/// A prefix that pods get IPv4 addresses from: /8 to /30, host bits zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr4(Ipv4Net);

/// What no pod can have an address of, and what it is instead.
const UNUSABLE6: [(Ipv6Net, &str); 3] = [
    (
        Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 8),
        "overlaps ::/8, which is reserved: unspecified, loopback and embedded IPv4 addresses (RFC 4291)",
    ),
    (
        Ipv6Net::new_assert(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10),
        "overlaps fe80::/10, link-local addresses (RFC 4291)",
    ),
    (
        Ipv6Net::new_assert(Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8),
        "overlaps ff00::/8, multicast addresses (RFC 4291)",
    ),
];

/// The same for IPv4.
const UNUSABLE4: [(Ipv4Net, &str); 4] = [
    (
        Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 8),
        "overlaps 0.0.0.0/8, which means this network (RFC 1122)",
    ),
    (
        Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8),
        "overlaps 127.0.0.0/8, loopback addresses (RFC 1122)",
    ),
    (
        Ipv4Net::new_assert(Ipv4Addr::new(169, 254, 0, 0), 16),
        "overlaps 169.254.0.0/16, link-local addresses (RFC 3927)",
    ),
    (
        Ipv4Net::new_assert(Ipv4Addr::new(224, 0, 0, 0), 4),
        "overlaps 224.0.0.0/4, multicast addresses (RFC 5771)",
    ),
];

impl Cidr6 {
    /// The shortest prefix length.
    pub const SHORTEST: u8 = 48;
    /// The longest prefix length: 256 addresses, one of which is the subnet-router anycast address.
    pub const LONGEST: u8 = 120;

    /// The prefix itself.
    pub fn net(&self) -> Ipv6Net {
        self.0
    }

    /// How many bits an address has beside the prefix: 8 to 80.
    pub fn host_bits(&self) -> u8 {
        128 - self.0.prefix_len()
    }

    /// The address with these host bits; bits beyond the host part are ignored.
    pub fn address(&self, host: u128) -> Ipv6Addr {
        let mask = u128::MAX >> self.0.prefix_len();
        Ipv6Addr::from_bits(self.0.network().to_bits() | (host & mask))
    }

    /// Whether the address is in the prefix.
    pub fn contains(&self, address: Ipv6Addr) -> bool {
        self.0.contains(&address)
    }
}

impl Cidr4 {
    /// The shortest prefix length.
    pub const SHORTEST: u8 = 8;
    /// The longest prefix length: network, gateway, one pod, broadcast.
    pub const LONGEST: u8 = 30;

    /// The prefix itself.
    pub fn net(&self) -> Ipv4Net {
        self.0
    }

    /// Whether a pod may have this address: it is in the prefix, and is not its network, gateway (the first host) or
    /// broadcast address. A narrowed prefix need not ask the one around it: if it holds that one's network, gateway
    /// or broadcast address, then as its own.
    pub fn grants(&self, address: Ipv4Addr) -> bool {
        let network = self.0.network();
        let gateway = Ipv4Addr::from_bits(network.to_bits() | 1);
        self.contains(address) && ![network, gateway, self.0.broadcast()].contains(&address)
    }

    /// How many addresses pods may have: at least one.
    pub fn usable(&self) -> u64 {
        (1 << (32 - self.0.prefix_len())) - 3
    }

    /// Whether the address is in the prefix.
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        self.0.contains(&address)
    }
}

impl TryFrom<Ipv6Net> for Cidr6 {
    type Error = PrefixError;

    fn try_from(given: Ipv6Net) -> Result<Self, PrefixError> {
        let (prefix, net) = (IpNet::V6(given), given.trunc());
        check_length(prefix, Self::SHORTEST, Self::LONGEST)?;
        let overlapping = UNUSABLE6.iter().find(|(range, _)| range.contains(&net) || net.contains(range));
        if let Some((_, reason)) = overlapping {
            return Err(PrefixError::Unusable { prefix, reason });
        }
        if iid::usable(net) == 0 {
            let reason = "all of its interface identifiers are reserved (RFC 5453, RFC 5214)";
            return Err(PrefixError::Unusable { prefix, reason });
        }
        Ok(Self(net))
    }
}

impl TryFrom<Ipv4Net> for Cidr4 {
    type Error = PrefixError;

    fn try_from(given: Ipv4Net) -> Result<Self, PrefixError> {
        let (prefix, net) = (IpNet::V4(given), given.trunc());
        check_length(prefix, Self::SHORTEST, Self::LONGEST)?;
        match UNUSABLE4.iter().find(|(range, _)| range.contains(&net) || net.contains(range)) {
            Some((_, reason)) => Err(PrefixError::Unusable { prefix, reason }),
            None => Ok(Self(net)),
        }
    }
}

fn check_length(prefix: IpNet, shortest: u8, longest: u8) -> Result<(), PrefixError> {
    if (shortest..=longest).contains(&prefix.prefix_len()) {
        Ok(())
    } else {
        Err(PrefixError::Length { prefix, shortest, longest })
    }
}

impl fmt::Display for Cidr6 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Cidr4 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whether two prefixes have an address in common: prefixes overlap only if one lies in the other.
pub fn overlap(a: &IpNet, b: &IpNet) -> bool {
    a.contains(b) || b.contains(a)
}

#[cfg(test)]
mod tests;
