//! A pod's annotations `flock.fritzlab.net/*`, typed.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::attachment::PodName;
use crate::pod::algo::Ignored;
use crate::prefix::Family;

/// What all keys of ours begin with.
pub const PREFIX: &str = "flock.fritzlab.net/";

/// The most of a value that a message repeats, in characters.
const QUOTED: usize = 100;

/// An annotation that this release serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// `ipv6`: whether the pod gets IPv6.
    Ipv6,
    /// `ipv4`: whether the pod gets IPv4.
    Ipv4,
    /// `cidr6`: which IPv6 prefixes the address may come from.
    Cidr6,
    /// `cidr4`: which IPv4 prefixes the address may come from.
    Cidr4,
    /// `ip-algo`: what the IPv6 address shows.
    IpAlgo,
    /// `addresses`: the pod's own addresses, instead of IPAM's.
    Addresses,
    /// `anycast`: addresses that it serves together with other pods.
    Anycast,
}

/// What a pod asks for by annotation. Nothing there: nothing said.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PodRequests {
    /// Whether it wants IPv6.
    pub ipv6: Option<bool>,
    /// Whether it wants IPv4.
    pub ipv4: Option<bool>,
    /// Prefixes to choose from, the preferred one first; host bits are zero.
    pub cidr6: Vec<Ipv6Net>,
    /// The same for IPv4.
    pub cidr4: Vec<Ipv4Net>,
    /// As written; it is judged together with the node's ([`crate::pod::algo::resolve`]).
    pub ip_algo: Option<String>,
    /// Its own addresses, in order: the first of each family takes the place of IPAM's.
    pub addresses: Vec<IpAddr>,
    /// Anycast addresses, in order.
    pub anycast: Vec<IpAddr>,
}

/// An annotation that cannot be obeyed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("pod {pod}: annotation {key}={}: {problem}", quoted(.value))]
pub struct AnnotationError {
    /// The pod.
    pub pod: PodName,
    /// Which annotation.
    pub key: Key,
    /// As written.
    pub value: String,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a value, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Neither true nor false.
    #[error("only \"true\" and \"false\" are accepted")]
    NotBoolean,
    /// No prefix at all, or none between two commas.
    #[error("a prefix is empty; accepted are {}; without the annotation the node's prefixes are used", accepted(*.0))]
    Empty(Family),
    /// Not a prefix.
    #[error("{} is no {wanted} prefix; accepted are {}", quoted(.item), accepted(*.wanted))]
    NotPrefix {
        /// The item of the list.
        item: String,
        /// The key's family.
        wanted: Family,
    },
    /// A prefix, but not of the key's family.
    #[error("{item} is an {} prefix, which belongs in {}; accepted are {}", other(*.wanted), cidr_key(other(*.wanted)), accepted(*.wanted))]
    OtherFamily {
        /// The item of the list.
        item: IpNet,
        /// The key's family.
        wanted: Family,
    },
    /// No address at all, or none between two commas.
    #[error("an address is empty; accepted are {ADDRESSES}; to have none, remove the annotation")]
    NoAddress,
    /// Not an address.
    #[error("{} is no address; accepted are {ADDRESSES}", quoted(.0))]
    NotAddress(String),
    /// Twice in the list.
    #[error("{0} is there twice: name it once")]
    Twice(IpAddr),
    /// Nobody needs so many.
    #[error("{0} addresses are too many: at most {MOST_ADDRESSES} are accepted")]
    TooMany(usize),
}

/// What a list of addresses looks like.
const ADDRESSES: &str = "addresses such as 2001:db8:53::1 and 198.51.100.53, separated by commas";

/// Each is an address, a neighbour or a route in the kernel, and a route at every router.
const MOST_ADDRESSES: usize = 32;

/// Something about a pod that does not stop it, but that somebody should hear of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The pod.
    pub pod: PodName,
    /// What it is.
    pub concern: Concern,
}

/// What a warning is about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Concern {
    /// A key of ours that does not exist.
    #[error("annotation {} is unknown and ignored: there are {}", quoted(.0), known())]
    UnknownKey(String),
    /// An `ip-algo` that is none.
    #[error("{0}")]
    IpAlgo(Ignored),
    /// Prefixes for a family that the pod does not get.
    #[error("annotation {key} is ignored: the pod gets no {family}", key = cidr_key(*.0), family = .0)]
    CidrUnused(Family),
}

impl Key {
    const ALL: [Key; 7] =
        [Key::Ipv6, Key::Ipv4, Key::Cidr6, Key::Cidr4, Key::IpAlgo, Key::Addresses, Key::Anycast];

    /// The name after the prefix.
    fn name(self) -> &'static str {
        match self {
            Key::Ipv6 => "ipv6",
            Key::Ipv4 => "ipv4",
            Key::Cidr6 => "cidr6",
            Key::Cidr4 => "cidr4",
            Key::IpAlgo => "ip-algo",
            Key::Addresses => "addresses",
            Key::Anycast => "anycast",
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", self.name())
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pod {}: {}", self.pod, self.concern)
    }
}

impl PodRequests {
    /// Reads a pod's annotations, and warns of those that would vanish silently.
    ///
    /// # Errors
    /// The first annotation that cannot be obeyed.
    pub fn parse(
        pod: &PodName,
        annotations: &BTreeMap<String, String>,
    ) -> Result<(Self, Vec<Warning>), AnnotationError> {
        let given = Annotations { pod, annotations };
        let requests = Self {
            ipv6: given.read(Key::Ipv6, boolean)?,
            ipv4: given.read(Key::Ipv4, boolean)?,
            cidr6: given
                .read(Key::Cidr6, |list| prefixes(list, Family::IPv6, Ipv6Net::trunc))?
                .unwrap_or_default(),
            cidr4: given
                .read(Key::Cidr4, |list| prefixes(list, Family::IPv4, Ipv4Net::trunc))?
                .unwrap_or_default(),
            ip_algo: given.read(Key::IpAlgo, |value| Ok(value.to_owned()))?,
            addresses: given.read(Key::Addresses, addresses)?.unwrap_or_default(),
            anycast: given.read(Key::Anycast, addresses)?.unwrap_or_default(),
        };
        Ok((requests, given.warnings()))
    }
}

/// All annotations of a pod, as written.
struct Annotations<'a> {
    pod: &'a PodName,
    annotations: &'a BTreeMap<String, String>,
}

impl Annotations<'_> {
    fn read<T>(
        &self,
        key: Key,
        parse: impl Fn(&str) -> Result<T, Problem>,
    ) -> Result<Option<T>, AnnotationError> {
        let Some(value) = self.annotations.get(&key.to_string()) else {
            return Ok(None);
        };
        let error = |problem| AnnotationError { pod: self.pod.clone(), key, value: value.clone(), problem };
        parse(value).map(Some).map_err(error)
    }

    fn warnings(&self) -> Vec<Warning> {
        let concerns = self.annotations.keys().filter_map(|key| {
            let name = key.strip_prefix(PREFIX)?;
            if Key::ALL.iter().any(|known| known.name() == name) {
                return None;
            }
            Some(Concern::UnknownKey(key.clone()))
        });
        concerns.map(|concern| Warning { pod: self.pod.clone(), concern }).collect()
    }
}

fn boolean(value: &str) -> Result<bool, Problem> {
    match value.trim() {
        value if value.eq_ignore_ascii_case("true") => Ok(true),
        value if value.eq_ignore_ascii_case("false") => Ok(false),
        _ => Err(Problem::NotBoolean),
    }
}

fn prefixes<N: FromStr>(list: &str, wanted: Family, trunc: fn(&N) -> N) -> Result<Vec<N>, Problem> {
    let parse = |item: &str| match item.parse::<N>() {
        Ok(prefix) => Ok(trunc(&prefix)),
        Err(_) if item.is_empty() => Err(Problem::Empty(wanted)),
        Err(_) => Err(match item.parse() {
            Ok(item) => Problem::OtherFamily { item, wanted },
            Err(_) => Problem::NotPrefix { item: item.to_owned(), wanted },
        }),
    };
    list.split(',').map(|item| parse(item.trim())).collect()
}

fn addresses(list: &str) -> Result<Vec<IpAddr>, Problem> {
    let mut found = Vec::new();
    for item in list.split(',').map(str::trim) {
        let address = match item.parse() {
            Ok(address) => address,
            Err(_) if item.is_empty() => return Err(Problem::NoAddress),
            Err(_) => return Err(Problem::NotAddress(item.to_owned())),
        };
        if found.contains(&address) {
            return Err(Problem::Twice(address));
        }
        found.push(address);
    }
    if found.len() > MOST_ADDRESSES { Err(Problem::TooMany(found.len())) } else { Ok(found) }
}

/// A value as it may stand in one line of a message: quoted, without control characters, not endless.
pub fn quoted(value: &str) -> String {
    match value.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("{:?}...", &value[..end]),
        None => format!("{value:?}"),
    }
}

/// The key that narrows a family's choice.
pub fn cidr_key(family: Family) -> Key {
    match family {
        Family::IPv6 => Key::Cidr6,
        Family::IPv4 => Key::Cidr4,
    }
}

/// The key that turns a family on or off.
pub fn family_key(family: Family) -> Key {
    match family {
        Family::IPv6 => Key::Ipv6,
        Family::IPv4 => Key::Ipv4,
    }
}

fn other(family: Family) -> Family {
    match family {
        Family::IPv6 => Family::IPv4,
        Family::IPv4 => Family::IPv6,
    }
}

fn accepted(family: Family) -> &'static str {
    match family {
        Family::IPv6 => "IPv6 prefixes such as 2001:db8:a:1:5::/80, separated by commas",
        Family::IPv4 => "IPv4 prefixes such as 203.0.113.16/28, separated by commas",
    }
}

fn known() -> String {
    Key::ALL.map(Key::name).join(", ")
}

#[cfg(test)]
mod tests;
