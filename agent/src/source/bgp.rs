//! From NodeConfig `spec.bgp`, as people write it, to the typed plan.
//!
//! Nothing that a person wrote gets through as text, but the name of a peer's interface and the path of its password
//! file; the latter never reaches BIRD.

mod peer;

use std::net::Ipv4Addr;
use std::num::{NonZeroU16, NonZeroU32};
use std::ops::RangeInclusive;
use std::time::Duration as StdDuration;

use flock_core::bgp::plan::{
    Aggregation, AnycastWeight, Asn, BGP_PORT, BgpPlan, Peer, PrefixRange, RequireEstablished, RouterId,
    Within,
};
use flock_crds::bgp::{
    self as crds, BgpSpec, ImportPrefix, ImportSpec, PeerSpec, RequireEstablishedSpec, Scalar,
};
use flock_crds::duration::Duration;
use ipnet::IpNet;

use super::field::{Path, at_most, number, positive, quoted};
use super::node_config::FieldError;

/// Far more routers than a node is cabled to.
const MOST_PEERS: usize = 64;

/// What a filter still goes through quickly for each route.
const MOST_PREFIXES: usize = 1000;

/// Two connect retries and a graceful restart's first updates fit in.
const DEFAULT_REQUIRE_TIMEOUT: Duration = Duration(StdDuration::from_secs(120));

/// Whoever waits longer is better helped by a person.
const MAX_REQUIRE_TIMEOUT: Duration = Duration(StdDuration::from_secs(3600));

const U32: RangeInclusive<i64> = 0..=u32::MAX as i64;

/// Validates `spec.bgp`.
///
/// # Errors
/// The path of the first field that is to be changed, and why.
pub(super) fn bgp_plan(spec: BgpSpec) -> Result<BgpPlan, FieldError> {
    let at = Path::new("spec.bgp").field("asn");
    let missing = "missing: write the node's autonomous system, here or in a template";
    let own = as_number(&at, spec.asn.ok_or_else(|| at.refuse(missing))?)?;
    plan(spec, own, Own::Said(own))
}

/// Validates what one NodeConfig says in `spec.bgp`, which may be a part of the whole.
///
/// # Errors
/// As [`bgp_plan`].
pub(super) fn check_bgp(spec: BgpSpec) -> Result<(), FieldError> {
    if spec.asn.is_some() {
        return bgp_plan(spec).map(drop);
    }
    plan(spec, Asn(NonZeroU32::MIN), Own::Elsewhere).map(drop)
}

/// Where the node's autonomous system is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Own {
    Said(Asn),
    /// In another NodeConfig: what depends on it is checked with that.
    Elsewhere,
}

fn plan(spec: BgpSpec, asn: Asn, own: Own) -> Result<BgpPlan, FieldError> {
    let BgpSpec {
        asn: _,
        router_id,
        listen_port,
        peers,
        import,
        aggregation,
        anycast_weight,
        require_established,
    } = spec;
    let at = Path::new("spec.bgp");
    Ok(BgpPlan {
        asn,
        router_id: router_id.map(|text| self::router_id(&at.field("routerID"), &text)).transpose()?,
        listen_port: port(&at.field("listenPort"), listen_port)?,
        peers: self::peers(&at.field("peers"), own, peers)?,
        import: self::import(&at.field("import").field("prefixes"), import)?,
        aggregation: self::aggregation(aggregation),
        anycast_weight: self::anycast_weight(anycast_weight),
        require_established: require_established
            .map(|spec| self::require_established(&at.field("requireEstablished"), spec))
            .transpose()?,
    })
}

fn aggregation(given: Option<crds::Aggregation>) -> Aggregation {
    match given {
        Some(crds::Aggregation::NodePrefix) => Aggregation::NodePrefix,
        Some(crds::Aggregation::Pods) => Aggregation::Pods,
        Some(crds::Aggregation::Both) => Aggregation::Both,
        None => Aggregation::default(),
    }
}

fn anycast_weight(given: Option<crds::AnycastWeight>) -> AnycastWeight {
    match given {
        Some(crds::AnycastWeight::LinkBandwidth) => AnycastWeight::LinkBandwidth,
        Some(crds::AnycastWeight::Med) => AnycastWeight::Med,
        Some(crds::AnycastWeight::None) => AnycastWeight::None,
        None => AnycastWeight::default(),
    }
}

fn require_established(at: &Path, spec: RequireEstablishedSpec) -> Result<RequireEstablished, FieldError> {
    let RequireEstablishedSpec { percent, timeout } = spec;
    let at_percent = at.field("percent");
    let percent: u16 = number(&at_percent, percent.unwrap_or(Scalar(100)), 1..=100)?;
    let timeout = timeout.unwrap_or(DEFAULT_REQUIRE_TIMEOUT);
    if timeout > MAX_REQUIRE_TIMEOUT {
        return Err(at.field("timeout").refuse(format_args!("{timeout} is too long: at most 1h")));
    }
    let percent = Within::new(percent).ok_or_else(|| at_percent.refuse("1 to 100"))?;
    Ok(RequireEstablished { percent, timeout: timeout.0 })
}

fn router_id(at: &Path, text: &str) -> Result<RouterId, FieldError> {
    let id = text.trim().parse::<Ipv4Addr>().ok().and_then(RouterId::new);
    let accepted = "is not a BGP identifier: write one as an IPv4 address, 192.0.2.1, but not 0.0.0.0";
    id.ok_or_else(|| at.refuse(format_args!("{} {accepted}", quoted(text))))
}

fn peers(at: &Path, own: Own, specs: Vec<PeerSpec>) -> Result<Vec<Peer>, FieldError> {
    at_most(at, specs.len(), MOST_PEERS)?;
    let mut peers: Vec<Peer> = Vec::with_capacity(specs.len());
    for (index, spec) in specs.into_iter().enumerate() {
        let at = at.index(index);
        let peer = peer::peer(&at, own, spec)?;
        let same = |other: &Peer| other.address == peer.address && other.port == peer.port;
        if let Some(first) = peers.iter().position(same) {
            let Peer { address, port, .. } = &peer;
            let reason = format!("{address} port {port} is spec.bgp.peers[{first}] already: leave one out");
            return Err(at.field("address").refuse(reason));
        }
        peers.push(peer);
    }
    Ok(peers)
}

fn import(at: &Path, spec: ImportSpec) -> Result<Vec<PrefixRange>, FieldError> {
    let ImportSpec { prefixes } = spec;
    at_most(at, prefixes.len(), MOST_PREFIXES)?;
    let mut ranges: Vec<PrefixRange> = Vec::with_capacity(prefixes.len());
    for (index, prefix) in prefixes.into_iter().enumerate() {
        let entry = at.index(index);
        let range = prefix_range(&entry, prefix)?;
        if let Some(first) = ranges.iter().position(|other| *other == range) {
            return Err(entry.refuse(format_args!("the same as {}: leave one out", at.index(first))));
        }
        ranges.push(range);
    }
    Ok(ranges)
}

fn prefix_range(at: &Path, prefix: ImportPrefix) -> Result<PrefixRange, FieldError> {
    let ImportPrefix { cidr, ge, le } = prefix;
    let accepted = "is not a prefix: write 2001:db8::/32 or 10.0.0.0/8";
    let wrong = |_| at.field("cidr").refuse(format_args!("{} {accepted}", quoted(&cidr)));
    let net: IpNet = cidr.trim().parse().map_err(wrong)?;
    let lengths = 0..=i64::from(net.max_prefix_len());
    let ge = ge.map(|ge| number(&at.field("ge"), ge, lengths.clone())).transpose()?;
    let le = le.map(|le| number(&at.field("le"), le, lengths)).transpose()?;
    PrefixRange::new(net, ge, le).map_err(|error| at.refuse(error))
}

fn as_number(at: &Path, given: Scalar<i64>) -> Result<Asn, FieldError> {
    positive::<NonZeroU32>(at, given, 1..=i64::from(u32::MAX)).map(Asn)
}

fn port(at: &Path, given: Option<Scalar<i64>>) -> Result<NonZeroU16, FieldError> {
    given.map_or(Ok(BGP_PORT), |port| positive(at, port, 1..=i64::from(u16::MAX)))
}

#[cfg(test)]
mod tests;
