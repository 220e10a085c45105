//! NodeConfig `spec.bgp`, validated.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::{NonZeroU8, NonZeroU16, NonZeroU32};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;

use super::community::{Community, ExtendedCommunity, LargeCommunity};
use crate::attachment::IfName;
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
        }
    }
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
    /// The file that holds the TCP MD5 password (RFC 2385).
    pub password_file: Option<PathBuf>,
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
            password_file: None,
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

/// How far away a peer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// On a subnet of the node.
    Direct,
    /// At most so many hops away.
    Multihop(NonZeroU8),
}

/// Session timers in seconds (RFC 4271, section 10). Keepalive is never longer than hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timers {
    hold: u16,
    keepalive: u16,
    connect_retry: u16,
}

/// Why timers are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimersError {
    /// Not whole seconds, or too few or too many.
    #[error("{0:?} is out of range: {1} to {2} whole seconds")]
    Range(Duration, u16, u16),
    /// Longer than hold.
    #[error("{keepalive}s is longer than the hold time, {hold}s: a third of it is usual")]
    KeepaliveBeyondHold {
        /// Seconds.
        keepalive: u16,
        /// Seconds.
        hold: u16,
    },
}

impl Timers {
    /// Unless said. Hold: a third of what RFC 4271 suggests, and still long enough for a router that is busy; who
    /// needs to be faster wants BFD. Connect retry: BIRD's own 120 s would keep a node off the network long after its
    /// router is back.
    pub const DEFAULT: Timers = Timers { hold: 30, keepalive: 10, connect_retry: 5 };

    /// Hold: 3 to 65535 s. Keepalive: 1 to 21845 s and not beyond hold; a third of hold unless said. Connect retry:
    /// 1 to 3600 s.
    pub fn new(
        hold: Option<Duration>,
        keepalive: Option<Duration>,
        connect_retry: Option<Duration>,
    ) -> Result<Self, (&'static str, TimersError)> {
        let seconds = |name, duration: Duration, min: u16, max: u16| {
            let whole = duration.subsec_nanos() == 0;
            let value = u16::try_from(duration.as_secs()).ok().filter(|s| whole && (min..=max).contains(s));
            value.ok_or((name, TimersError::Range(duration, min, max)))
        };
        let hold = hold.map_or(Ok(Self::DEFAULT.hold), |hold| seconds("holdTime", hold, 3, u16::MAX))?;
        let keepalive = match keepalive {
            Some(duration) => seconds("keepaliveTime", duration, 1, u16::MAX / 3)?,
            None => hold / 3,
        };
        if keepalive > hold {
            return Err(("keepaliveTime", TimersError::KeepaliveBeyondHold { keepalive, hold }));
        }
        let connect_retry = match connect_retry {
            Some(duration) => seconds("connectRetryTime", duration, 1, 3600)?,
            None => Self::DEFAULT.connect_retry,
        };
        Ok(Self { hold, keepalive, connect_retry })
    }

    /// Seconds without a message after which the session is given up.
    pub fn hold(&self) -> u16 {
        self.hold
    }

    /// Seconds between two keepalive messages.
    pub fn keepalive(&self) -> u16 {
        self.keepalive
    }

    /// Seconds between two attempts to connect.
    pub fn connect_retry(&self) -> u16 {
        self.connect_retry
    }
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

/// A prefix, and how long the prefixes in it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PrefixRange {
    net: IpNet,
    ge: u8,
    le: u8,
}

/// Why a range of prefixes is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{net} with lengths {ge} to {le}: must be {len} <= ge <= le <= {max}", len = net.prefix_len(), max = net.max_prefix_len())]
pub struct PrefixRangeError {
    net: IpNet,
    ge: u8,
    le: u8,
}

impl PrefixRange {
    /// `ge` and `le` as routers know them: neither: exactly the prefix; only `ge`: up to full length; only `le`: from
    /// the prefix's own length.
    pub fn new(net: IpNet, ge: Option<u8>, le: Option<u8>) -> Result<Self, PrefixRangeError> {
        let net = net.trunc();
        let (len, max) = (net.prefix_len(), net.max_prefix_len());
        let (ge, le) = (ge.unwrap_or(len), le.unwrap_or(if ge.is_some() { max } else { len }));
        if len <= ge && ge <= le && le <= max {
            Ok(Self { net, ge, le })
        } else {
            Err(PrefixRangeError { net, ge, le })
        }
    }

    /// The prefix and everything in it.
    pub fn all_of(net: IpNet) -> Self {
        let net = net.trunc();
        Self { net, ge: net.prefix_len(), le: net.max_prefix_len() }
    }

    /// Exactly the prefix.
    pub fn exactly(net: IpNet) -> Self {
        let net = net.trunc();
        Self { net, ge: net.prefix_len(), le: net.prefix_len() }
    }

    /// Every single address in the prefix.
    pub fn hosts_of(net: IpNet) -> Self {
        let net = net.trunc();
        Self { net, ge: net.max_prefix_len(), le: net.max_prefix_len() }
    }

    /// Whether a route for `net` is meant.
    pub fn admits(&self, net: &IpNet) -> bool {
        self.net.contains(net) && (self.ge..=self.le).contains(&net.prefix_len())
    }

    /// Its family.
    pub fn family(&self) -> Family {
        Family::of(self.net.addr())
    }
}

/// As BIRD writes prefix patterns: `2001:db8::/32{48,64}`.
impl fmt::Display for PrefixRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ge == self.le && self.ge == self.net.prefix_len() {
            write!(f, "{}", self.net)
        } else {
            write!(f, "{}{{{},{}}}", self.net, self.ge, self.le)
        }
    }
}

#[cfg(test)]
mod tests;
