//! The anycast routes of a configuration. They come and go without the rest of it: the templates leave a place for
//! them, in which they are written, replaced, and found again.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use ipnet::IpNet;

use super::super::config::{ANYCAST, BirdConfig};
use super::super::plan::{AnycastWeight, Asn};
use super::BirdConf;
use crate::fnv::fnv1a_64;
use crate::prefix::Family;

/// The static protocols that they come from.
pub const ANYCAST_PROTOCOLS: [(Family, &str); 2] = [(Family::IPv6, "anycast6"), (Family::IPv4, "anycast4")];

/// The MED of an address that no pod serves. It is the lower, which routers prefer, the more do; from so many on it is
/// 0.
pub(super) const MED_OF_NONE: u32 = 1000;

/// What one pod counts: 1 Gbit/s, in bytes.
const BYTES_PER_SECOND: f32 = 125_000_000.0;

/// Stands for autonomous systems of 32 bits where there is room for 16 (RFC 6793).
const AS_TRANS: u16 = 23456;

/// Anycast routes, as statements. Clones share them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnycastRoutes {
    statements: Arc<BTreeMap<IpAddr, String>>,
    revision: Arc<str>,
}

impl From<BTreeMap<IpAddr, String>> for AnycastRoutes {
    fn from(statements: BTreeMap<IpAddr, String>) -> Self {
        let lines: String = statements.values().map(|statement| format!("{statement}\n")).collect();
        let revision = format!("{:016x}", fnv1a_64(lines.as_bytes()));
        Self { statements: Arc::new(statements), revision: revision.into() }
    }
}

impl Default for AnycastRoutes {
    fn default() -> Self {
        BTreeMap::new().into()
    }
}

/// What becomes of one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Change {
    /// Routers are told of it.
    Announced,
    /// Routers are told that it is gone.
    Withdrawn,
    /// Routers are told that it has another weight.
    Weight,
}

impl AnycastRoutes {
    /// Those of a configuration.
    pub fn of(config: &BirdConfig) -> Self {
        let route = |(address, pods): (&IpAddr, &NonZeroU32)| {
            (*address, statement(*address, attributes(config.anycast_weight, config.asn, *pods)))
        };
        config.anycast.iter().map(route).collect::<BTreeMap<_, _>>().into()
    }

    /// The addresses.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.statements.keys().copied()
    }

    /// What `eval flock_anycast` answers in a BIRD that has them.
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// What it takes to get from these to `others`.
    pub fn changes(&self, others: &Self) -> BTreeMap<IpAddr, Change> {
        let now =
            others.statements.iter().filter_map(|(address, statement)| match self.statements.get(address) {
                None => Some((*address, Change::Announced)),
                Some(before) if before != statement => Some((*address, Change::Weight)),
                Some(_) => None,
            });
        let gone = self.statements.keys().filter(|address| !others.statements.contains_key(address));
        now.chain(gone.map(|address| (*address, Change::Withdrawn))).collect()
    }

    /// These, without the addresses that `others` do not have.
    pub fn only_of(&self, others: &Self) -> Self {
        self.filtered(|address| others.statements.contains_key(&address))
    }

    /// Those of which that is true.
    pub fn filtered(&self, stays: impl Fn(IpAddr) -> bool) -> Self {
        if self.statements.keys().all(|address| stays(*address)) {
            return self.clone();
        }
        let kept = self.statements.iter().filter(|(address, _)| stays(**address));
        kept.map(|(address, statement)| (*address, statement.clone())).collect::<BTreeMap<_, _>>().into()
    }

    fn of_family(&self, family: Family) -> impl Iterator<Item = &String> {
        self.statements
            .iter()
            .filter(move |(address, _)| Family::of(**address) == family)
            .map(|(_, statement)| statement)
    }
}

fn statement(address: IpAddr, attributes: String) -> String {
    format!("  route {} blackhole{attributes}", IpNet::from(address))
}

fn attributes(weight: AnycastWeight, asn: Asn, pods: NonZeroU32) -> String {
    match weight {
        AnycastWeight::None => ";".to_owned(),
        AnycastWeight::LinkBandwidth => {
            let (community, bandwidth) = link_bandwidth(asn, pods);
            let added = format!("bgp_ext_community.add((generic, {community:#010x}, {bandwidth:#010x}))");
            format!(" {{ {added}; }};   # link bandwidth, pods: {pods}")
        }
        AnycastWeight::Med => {
            let med = MED_OF_NONE.saturating_sub(pods.get());
            format!(" {{ bgp_med = {med}; }};")
        }
    }
}

/// The link bandwidth extended community (draft-ietf-idr-link-bandwidth), its two halves: type 0x00, transitive, with
/// sub-type 0x04 and the AS number; bytes per second as an IEEE 754 number. Type 0x40, which the draft began with, is
/// not transitive: BIRD sends it to no eBGP peer.
fn link_bandwidth(asn: Asn, pods: NonZeroU32) -> (u32, u32) {
    let asn = u16::try_from(asn.0.get()).unwrap_or(AS_TRANS);
    let pods = u16::try_from(pods.get()).unwrap_or(u16::MAX);
    (0x0004 << 16 | u32::from(asn), (f32::from(pods) * BYTES_PER_SECOND).to_bits())
}

/// A configuration but for its anycast routes.
///
/// Clones share its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    text: Arc<str>,
    revision: Arc<str>,
}

impl Base {
    /// `text` has its revision and room for routes.
    pub(super) fn new(text: String, revision: String) -> Self {
        Self { text: text.into(), revision: revision.into() }
    }

    /// The base of a file that was written earlier, and the routes in it. None if it has no place for such routes:
    /// what BIRD starts with at first, and what others have written.
    pub fn read(text: &str) -> Option<(Self, AnycastRoutes)> {
        let quoted = |name: &str| text.lines().find_map(|line| defined(line, name));
        let revision = quoted(super::REVISION)?.to_owned();
        quoted(ANYCAST)?;
        let routes = places(text).filter_map(|(line, place)| route(line, place));
        let routes = routes.collect::<BTreeMap<_, _>>().into();
        let base = Self::new(rewritten(text, &AnycastRoutes::default(), ""), revision);
        Some((base, routes))
    }

    /// What `eval flock_revision` answers in a BIRD that runs it: a hash of everything in it.
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// The file's content without any route.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The whole configuration.
    pub fn with(&self, routes: &AnycastRoutes) -> BirdConf {
        let text = rewritten(&self.text, routes, routes.revision());
        BirdConf { text, revision: self.revision.to_string() }
    }
}

/// The lines of a configuration, each with the protocol for anycast routes that it is in.
fn places(text: &str) -> impl Iterator<Item = (&str, Option<Family>)> {
    let mut place = None;
    text.split_inclusive('\n').map(move |line| {
        let begins = |name: &str| line.trim_end() == format!("protocol static {name} {{");
        if let Some((family, _)) = ANYCAST_PROTOCOLS.iter().find(|(_, name)| begins(name)) {
            place = Some(*family);
        }
        let here = place;
        if line.trim_end() == "}" {
            place = None;
        }
        (line, here)
    })
}

/// The text with these routes in the place of those that it has.
fn rewritten(text: &str, routes: &AnycastRoutes, revision: &str) -> String {
    let mut new = String::with_capacity(text.len());
    for (line, place) in places(text) {
        if route(line, place).is_some() {
            continue;
        }
        if let Some(family) = place.filter(|_| line.trim_end() == "}") {
            routes.of_family(family).for_each(|statement| new.extend([statement.as_str(), "\n"]));
        }
        match defined(line, ANYCAST) {
            Some(_) => new.push_str(&format!("define {ANYCAST} = \"{revision}\";\n")),
            None => new.push_str(line),
        }
    }
    new
}

/// The route that a line in such a place holds.
fn route(line: &str, place: Option<Family>) -> Option<(IpAddr, String)> {
    let statement = line.trim_end();
    let net: IpNet = statement.strip_prefix("  route ")?.split(' ').next()?.parse().ok()?;
    place.map(|_| (net.addr(), statement.to_owned()))
}

/// The value of the constant if the line defines it.
fn defined<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let value = line.trim_end().strip_prefix("define ")?.strip_prefix(name)?.strip_prefix(" = \"")?;
    value.strip_suffix("\";")
}
