//! NodeConfig `spec.bgp`, validated.

mod address;
mod range;
mod timers;

pub use address::{PeerAddress, PeerAddressError, not_a_router};
pub use range::{PrefixRange, PrefixRangeError};
pub use timers::{Timers, TimersError};

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::num::{NonZeroU8, NonZeroU16, NonZeroU32};
use std::path::PathBuf;
use std::time::Duration;

use super::community::{Community, ExtendedCommunity, LargeCommunity};
use crate::prefix::Family;

/// Everything that `spec.bgp` says, with defaults filled in where they do not depend on the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BgpPlan {
    /// The node's autonomous system.
    pub asn: Asn,
    /// The BGP identifier (RFC 4271, section 4.2); none: derived from the node.
    pub router_id: Option<RouterId>,
    /// The TCP port that BIRD listens on; 179 unless said.
    pub listen_port: NonZeroU16,
    /// The peers, in the order of `spec.bgp.peers`; no two have the same address and port.
    pub peers: Vec<Peer>,
    /// What may be learned beside the cluster's own pod prefixes.
    pub import: Vec<PrefixRange>,
    /// What is advertised for the node's pods.
    pub aggregation: Aggregation,
    /// How routers are told how many pods serve an anycast address here.
    pub anycast_weight: AnycastWeight,
    /// What a node that starts waits for before pods are scheduled to it; none: nothing.
    pub require_established: Option<RequireEstablished>,
}

impl BgpPlan {
    /// A node without peers.
    pub fn new(asn: Asn) -> Self {
        Self {
            asn,
            router_id: None,
            listen_port: BGP_PORT,
            peers: Vec::new(),
            import: Vec::new(),
            aggregation: Aggregation::default(),
            anycast_weight: AnycastWeight::default(),
            require_established: None,
        }
    }
}

/// `spec.bgp.requireEstablished`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequireEstablished {
    /// How many of the peers must have a session, in per cent.
    pub percent: Within<1, 100>,
    /// After so long the node is taken as it is.
    pub timeout: Duration,
}

/// The port of BGP (RFC 4271, section 8.2.1).
pub const BGP_PORT: NonZeroU16 = NonZeroU16::new(179).unwrap();

/// A whole number from `MIN` to `MAX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Within<const MIN: u16, const MAX: u16>(u16);

impl<const MIN: u16, const MAX: u16> Within<MIN, MAX> {
    /// None for a number out of range.
    pub const fn new(number: u16) -> Option<Self> {
        if MIN <= number && number <= MAX { Some(Self(number)) } else { None }
    }

    /// The number.
    pub const fn get(self) -> u16 {
        self.0
    }
}

/// An interval of BFD's packets in milliseconds.
pub type BfdInterval = Within<10, 60_000>;

/// How long a peer keeps the node's routes, in seconds: 12 bits in the capability (RFC 4724, section 3).
pub type RestartTime = Within<1, 4095>;

/// How many times more the node's autonomous system stands in the path.
pub type Prepend = Within<0, 16>;

/// An autonomous system number (RFC 6793): 1 to 4294967295.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Asn(pub NonZeroU32);

impl fmt::Display for Asn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A BGP identifier (RFC 6286): any 32 bits but zero, written as an IPv4 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouterId(Ipv4Addr);

impl RouterId {
    /// 0.0.0.1.
    pub const LOWEST: RouterId = RouterId(Ipv4Addr::new(0, 0, 0, 1));

    /// None for 0.0.0.0.
    pub fn new(id: Ipv4Addr) -> Option<Self> {
        (!id.is_unspecified()).then_some(Self(id))
    }
}

impl fmt::Display for RouterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How routers are told how many pods serve an anycast address on this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AnycastWeight {
    /// Not at all: every node gets the same share.
    #[default]
    None,
    /// By the link bandwidth extended community (draft-ietf-idr-link-bandwidth), 1 Gbit/s for each pod: routers share
    /// flows out in proportion.
    LinkBandwidth,
    /// By MED (RFC 4271, section 5.1.4): routers prefer the nodes with the most pods.
    Med,
}

/// What is advertised for the node's pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Aggregation {
    /// The node's prefixes.
    #[default]
    NodePrefix,
    /// Each pod's /128 and /32.
    Pods,
    /// Both.
    Both,
}

/// One router that the node speaks BGP with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Where it is.
    pub address: PeerAddress,
    /// Its TCP port; 179 unless said.
    pub port: NonZeroU16,
    /// Its autonomous system; the node's own makes the session iBGP.
    pub asn: Asn,
    /// The node's end of the session; none: the node's address on the peer's subnet. Always of the family of
    /// `address`, and never there for a link-local peer.
    pub source: Option<IpAddr>,
    /// Where the TCP MD5 password (RFC 2385) is; none: the session has none.
    pub password: Option<PasswordSource>,
    /// Session timers.
    pub timers: Timers,
    /// How far away it is.
    pub reach: Reach,
    /// Generalized TTL security (RFC 5082): both ends send with TTL 255 and take nothing that came further.
    pub ttl_security: bool,
    /// Bidirectional forwarding detection (RFC 5880); none: off.
    pub bfd: Option<Bfd>,
    /// Graceful restart (RFC 4724).
    pub graceful_restart: GracefulRestart,
    /// The address families whose routes are exchanged.
    pub families: Families,
    /// What routes are advertised with.
    pub attributes: Attributes,
    /// At most so many routes of a family are taken; more are ignored.
    pub import_limit: Option<NonZeroU32>,
    /// At most so many routes of a family are advertised; more are not.
    pub export_limit: Option<NonZeroU32>,
    /// The node never opens the connection, the router does.
    pub passive: bool,
}

impl Peer {
    /// A peer of which nothing else is said: on a subnet of the node, routes of its address's family.
    pub fn new(address: PeerAddress, asn: Asn) -> Self {
        Self {
            families: Families::only(address.family()),
            address,
            port: BGP_PORT,
            asn,
            source: None,
            password: None,
            timers: Timers::DEFAULT,
            reach: Reach::Direct,
            ttl_security: false,
            bfd: None,
            graceful_restart: GracefulRestart::On(Within(120)),
            attributes: Attributes::default(),
            import_limit: None,
            export_limit: None,
            passive: false,
        }
    }
}

/// Where a password is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum PasswordSource {
    /// In a file of the node.
    File(PathBuf),
    /// In a Secret of the agent's namespace.
    Secret {
        /// The Secret's name.
        name: String,
        /// The key in its `data`.
        key: String,
    },
}

impl PasswordSource {
    /// The field of a peer that names it.
    pub fn field(&self) -> &'static str {
        match self {
            PasswordSource::File(_) => "passwordFile",
            PasswordSource::Secret { .. } => "passwordSecret",
        }
    }
}

impl fmt::Display for PasswordSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PasswordSource::File(path) => path.display().fmt(f),
            PasswordSource::Secret { name, key } => write!(f, "Secret {name}, key {key}"),
        }
    }
}

/// How far away a peer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// On a subnet of the node.
    Direct,
    /// At most so many hops away.
    Multihop(NonZeroU8),
}

/// Bidirectional forwarding detection (RFC 5880).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bfd {
    /// Required minimum RX interval.
    pub min_rx: BfdInterval,
    /// Desired minimum TX interval.
    pub min_tx: BfdInterval,
    /// Detection multiplier.
    pub multiplier: NonZeroU8,
}

/// Graceful restart (RFC 4724).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GracefulRestart {
    /// The peer drops the node's routes with the session.
    Off,
    /// The peer keeps the node's routes for this time.
    On(RestartTime),
}

/// Address families of a session: at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Families {
    v6: bool,
    v4: bool,
}

impl Families {
    /// None for an empty set.
    pub fn new(families: &BTreeSet<Family>) -> Option<Self> {
        let [v6, v4] = [Family::IPv6, Family::IPv4].map(|family| families.contains(&family));
        (v6 || v4).then_some(Self { v6, v4 })
    }

    /// Just one.
    pub fn only(family: Family) -> Self {
        Self { v6: family == Family::IPv6, v4: family == Family::IPv4 }
    }

    /// IPv6 first.
    pub fn iter(&self) -> impl Iterator<Item = Family> + use<> {
        self.v6.then_some(Family::IPv6).into_iter().chain(self.v4.then_some(Family::IPv4))
    }
}

/// What routes are advertised with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attributes {
    /// RFC 1997.
    pub communities: Vec<Community>,
    /// RFC 8092.
    pub large: Vec<LargeCommunity>,
    /// RFC 4360.
    pub extended: Vec<ExtendedCommunity>,
    /// Multi-exit discriminator.
    pub med: Option<u32>,
    /// LOCAL_PREF; there on iBGP sessions only.
    pub local_pref: Option<u32>,
    /// How many times more the node's autonomous system stands in the path; there on eBGP sessions only.
    pub prepend: Prepend,
}

/// Nothing: routes as they are.
impl Default for Attributes {
    fn default() -> Self {
        Self {
            communities: Vec::new(),
            large: Vec::new(),
            extended: Vec::new(),
            med: None,
            local_pref: None,
            prepend: Within(0),
        }
    }
}

#[cfg(test)]
mod tests;
