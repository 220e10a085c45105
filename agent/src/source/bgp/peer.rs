//! One of `spec.bgp.peers`.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration as StdDuration;

use flock_core::bgp::plan::{
    Attributes, Bfd, BfdInterval, Families, GracefulRestart, PasswordSource, Peer, PeerAddress, Prepend,
    Reach, RestartTime, Timers, not_a_router,
};
use flock_core::prefix::Family;
use flock_crds::bgp::{BfdSpec, CommunitiesSpec, GracefulRestartSpec, PeerSpec, Scalar, SecretKeyRef};
use flock_crds::duration::Duration;
use flock_crds::node_config::IpFamily;

use super::super::field::{Path, at_most, number, positive, quoted};
use super::{FieldError, Own, U32, as_number};

/// What BFD asks for unless said: a link that is lost is noticed within a second, and a router's slow path keeps up.
const DEFAULT_BFD_INTERVAL: Duration = Duration(StdDuration::from_millis(300));

/// RFC 5880, section 6.8.4; the usual one.
const DEFAULT_BFD_MULTIPLIER: i64 = 3;

/// Unless said, the router keeps the node's routes for so long: what a rollout of BIRD takes, with room.
const DEFAULT_RESTART_TIME: Duration = Duration(StdDuration::from_secs(120));

/// PATH_MAX, the kernel's longest path.
const LONGEST_PATH: usize = 4096;

/// RFC 1123, section 2.1: names of Kubernetes' objects.
const LONGEST_NAME: usize = 253;

/// More of a kind do not fit what routers take beside a path.
const MOST_COMMUNITIES: usize = 32;

/// Whose autonomous system the router is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Session {
    Internal,
    External,
    /// The node's is said in another NodeConfig.
    Either,
}

/// Validates one peer of a node in the autonomous system `own`.
pub(super) fn peer(at: &Path, own: Own, spec: PeerSpec) -> Result<Peer, FieldError> {
    let asn = as_number(&at.field("asn"), spec.asn)?;
    let address: PeerAddress = parsed(&at.field("address"), &spec.address)?;
    let session = match own {
        Own::Said(own) if own == asn => Session::Internal,
        Own::Said(_) => Session::External,
        Own::Elsewhere => Session::Either,
    };
    let timers = timers(at, &spec)?;
    let PeerSpec {
        address: _,
        asn: _,
        port,
        source_address,
        password_file,
        password_secret,
        hold_time: _,
        keepalive_time: _,
        connect_retry_time: _,
        multihop,
        ttl_security,
        bfd,
        graceful_restart,
        families,
        communities,
        med,
        local_pref,
        prepend,
        import_limit,
        export_limit,
        passive,
    } = spec;
    Ok(Peer {
        port: super::port(&at.field("port"), port)?,
        asn,
        source: source_address.map(|text| source(&at.field("sourceAddress"), &address, &text)).transpose()?,
        password: password(at, password_file, password_secret)?,
        timers,
        reach: reach(&at.field("multihop"), &address, multihop)?,
        ttl_security: ttl_security.is_some_and(|Scalar(on)| on),
        bfd: bfd.map(|spec| self::bfd(&at.field("bfd"), spec)).transpose()?,
        graceful_restart: self::graceful_restart(&at.field("gracefulRestart"), graceful_restart)?,
        families: self::families(&at.field("families"), &address, families)?,
        attributes: attributes(at, session, Said { communities, med, local_pref, prepend })?,
        import_limit: limit(&at.field("importLimit"), import_limit)?,
        export_limit: limit(&at.field("exportLimit"), export_limit)?,
        passive: passive.is_some_and(|Scalar(on)| on),
        address,
    })
}

fn parsed<T: FromStr<Err: Display>>(at: &Path, text: &str) -> Result<T, FieldError> {
    text.trim().parse().map_err(|error| at.refuse(error))
}

fn source(at: &Path, peer: &PeerAddress, text: &str) -> Result<IpAddr, FieldError> {
    if let PeerAddress::LinkLocal { interface, .. } = peer {
        let own = format!("the node's end of a session with {peer} is {interface}'s own link-local address");
        return Err(at.refuse(format_args!("{own}: leave it out")));
    }
    let syntax =
        |_| at.refuse(format_args!("{} is not an address: write 192.0.2.2 or 2001:db8::2", quoted(text)));
    let ip: IpAddr = text.trim().parse().map_err(syntax)?;
    match not_a_source(ip, peer) {
        Some(reason) => Err(at.refuse(reason)),
        None => Ok(ip),
    }
}

/// Why the node cannot speak to a peer beyond its link from this address.
fn not_a_source(ip: IpAddr, peer: &PeerAddress) -> Option<String> {
    let family = peer.family();
    match ip {
        _ if Family::of(ip) != family => {
            Some(format!("{ip} is not {family}, as the peer's address {peer} is"))
        }
        _ if ip == peer.ip() => Some(format!("{ip} is the peer's own address")),
        IpAddr::V6(v6) if v6.is_unicast_link_local() => {
            Some(format!("{ip} is link-local, and the peer's address {peer} is not"))
        }
        ip => not_a_router(ip)
            .map(|what| format!("{ip} is {what}, not one that a node can have towards a router")),
    }
}

fn password(
    at: &Path,
    file: Option<String>,
    secret: Option<SecretKeyRef>,
) -> Result<Option<PasswordSource>, FieldError> {
    let at_secret = at.field("passwordSecret");
    match (file, secret) {
        (None, None) => Ok(None),
        (Some(text), None) => path(&at.field("passwordFile"), text).map(PasswordSource::File).map(Some),
        (None, Some(SecretKeyRef { name, key })) => {
            let key = key.unwrap_or_else(|| "password".to_owned());
            let name = secret_part(&at_secret.field("name"), name)?;
            Ok(Some(PasswordSource::Secret { name, key: secret_part(&at_secret.field("key"), key)? }))
        }
        (Some(_), Some(_)) => {
            Err(at_secret.refuse("there is passwordFile too: a session has one password, leave one out"))
        }
    }
}

/// As the API server has names and keys of Secrets: then they can stand in a path and in a log.
fn secret_part(at: &Path, text: String) -> Result<String, FieldError> {
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let fits = !text.is_empty() && text.len() <= LONGEST_NAME && text.chars().all(known);
    if fits && text != "." && text != ".." {
        return Ok(text);
    }
    Err(at.refuse(format_args!("{} is no name: up to 253 letters, digits, '-', '_' and '.'", quoted(&text))))
}

/// A path is read by the agent only. Without control characters it can be shown in a log as it is.
fn path(at: &Path, text: String) -> Result<PathBuf, FieldError> {
    let reason = if !text.starts_with('/') {
        "is not an absolute path"
    } else if text.contains(char::is_control) {
        "has control characters"
    } else if text.len() > LONGEST_PATH {
        "is longer than 4096 bytes"
    } else {
        return Ok(PathBuf::from(text));
    };
    Err(at.refuse(format_args!(
        "{} {reason}: write the file's path, as /etc/flock/tor.password",
        quoted(&text)
    )))
}

fn timers(at: &Path, spec: &PeerSpec) -> Result<Timers, FieldError> {
    let [hold, keepalive, connect_retry] = [spec.hold_time, spec.keepalive_time, spec.connect_retry_time]
        .map(|time| time.map(|Duration(time)| time));
    Timers::new(hold, keepalive, connect_retry).map_err(|(field, error)| at.field(field).refuse(error))
}

fn reach(at: &Path, peer: &PeerAddress, hops: Option<Scalar<i64>>) -> Result<Reach, FieldError> {
    let Some(hops) = hops else { return Ok(Reach::Direct) };
    if let PeerAddress::LinkLocal { .. } = peer {
        return Err(at.refuse(format_args!("{peer} is link-local, so on the node's own link: leave it out")));
    }
    positive(at, hops, 2..=255).map(Reach::Multihop)
}

fn bfd(at: &Path, spec: BfdSpec) -> Result<Bfd, FieldError> {
    let BfdSpec { min_rx, min_tx, multiplier } = spec;
    let multiplier = multiplier.unwrap_or(Scalar(DEFAULT_BFD_MULTIPLIER));
    Ok(Bfd {
        min_rx: millis(&at.field("minRx"), min_rx.unwrap_or(DEFAULT_BFD_INTERVAL))?,
        min_tx: millis(&at.field("minTx"), min_tx.unwrap_or(DEFAULT_BFD_INTERVAL))?,
        multiplier: positive(&at.field("multiplier"), multiplier, 2..=255)?,
    })
}

fn millis(at: &Path, given: Duration) -> Result<BfdInterval, FieldError> {
    let whole = given.0.subsec_nanos().is_multiple_of(1_000_000);
    let value = u16::try_from(given.0.as_millis()).ok().filter(|_| whole).and_then(BfdInterval::new);
    value.ok_or_else(|| at.refuse(format_args!("{given} is out of range: 10ms to 60s, whole milliseconds")))
}

/// The time is checked even where it is switched off: who switches it on again must not be told only then.
fn graceful_restart(at: &Path, spec: GracefulRestartSpec) -> Result<GracefulRestart, FieldError> {
    let GracefulRestartSpec { enabled, time } = spec;
    let time = time.unwrap_or(DEFAULT_RESTART_TIME);
    let whole = time.0.subsec_nanos() == 0;
    let seconds = u16::try_from(time.0.as_secs()).ok().filter(|_| whole).and_then(RestartTime::new);
    let wrong =
        || at.field("time").refuse(format_args!("{time} is out of range: 1s to 4095s, whole seconds"));
    let restart_time = seconds.ok_or_else(wrong)?;
    let enabled = enabled.is_none_or(|Scalar(on)| on);
    Ok(if enabled { GracefulRestart::On(restart_time) } else { GracefulRestart::Off })
}

fn families(at: &Path, peer: &PeerAddress, given: Option<Vec<IpFamily>>) -> Result<Families, FieldError> {
    let Some(given) = given else { return Ok(Families::only(peer.family())) };
    let mut set = BTreeSet::new();
    for (index, family) in given.into_iter().enumerate() {
        let family = match family {
            IpFamily::IPv6 => Family::IPv6,
            IpFamily::IPv4 => Family::IPv4,
        };
        if !set.insert(family) {
            return Err(at.index(index).refuse(format_args!("{family} is there twice: leave one out")));
        }
    }
    let empty = "a session without a family has no routes: name IPv6, IPv4 or both, or leave the field out";
    Families::new(&set).ok_or_else(|| at.refuse(empty))
}

fn limit(at: &Path, given: Option<Scalar<i64>>) -> Result<Option<NonZeroU32>, FieldError> {
    given.map(|limit| positive(at, limit, 1..=i64::from(u32::MAX))).transpose()
}

/// What a peer's spec says of route attributes.
struct Said {
    communities: CommunitiesSpec,
    med: Option<Scalar<i64>>,
    local_pref: Option<Scalar<i64>>,
    prepend: Option<Scalar<i64>>,
}

fn attributes(at: &Path, session: Session, said: Said) -> Result<Attributes, FieldError> {
    let CommunitiesSpec { standard, large, extended } = said.communities;
    let communities = at.field("communities");
    Ok(Attributes {
        communities: list(&communities.field("standard"), &standard)?,
        large: list(&communities.field("large"), &large)?,
        extended: list(&communities.field("extended"), &extended)?,
        med: said.med.map(|med| number(&at.field("med"), med, U32)).transpose()?,
        local_pref: local_pref(&at.field("localPref"), session, said.local_pref)?,
        prepend: prepend(&at.field("prepend"), session, said.prepend)?,
    })
}

fn list<T: FromStr<Err: Display> + PartialEq>(at: &Path, texts: &[String]) -> Result<Vec<T>, FieldError> {
    at_most(at, texts.len(), MOST_COMMUNITIES)?;
    let mut communities: Vec<T> = Vec::with_capacity(texts.len());
    for (index, text) in texts.iter().enumerate() {
        let entry = at.index(index);
        let community = parsed(&entry, text)?;
        if let Some(first) = communities.iter().position(|other| *other == community) {
            return Err(entry.refuse(format_args!("the same as {}: leave one out", at.index(first))));
        }
        communities.push(community);
    }
    Ok(communities)
}

/// RFC 4271, section 5.1.5: LOCAL_PREF is not sent to other autonomous systems.
fn local_pref(at: &Path, session: Session, given: Option<Scalar<i64>>) -> Result<Option<u32>, FieldError> {
    let Some(given) = given else { return Ok(None) };
    if session == Session::External {
        let reason =
            "a router of another autonomous system never sees it (the peer's asn is not spec.bgp.asn)";
        return Err(at.refuse(format_args!("{reason}: leave it out, or use med, prepend or a community")));
    }
    number(at, given, U32).map(Some)
}

/// Within an autonomous system the path is empty, and its own number in it would be taken for a loop (RFC 4271,
/// section 9.1.2).
fn prepend(at: &Path, session: Session, given: Option<Scalar<i64>>) -> Result<Prepend, FieldError> {
    let Some(given) = given else { return Ok(Attributes::default().prepend) };
    // More would only be a typing error: paths in the Internet have about five.
    let times = number(at, given, 0..=16)?;
    if times > 0 && session == Session::Internal {
        let reason = "a router of the node's own autonomous system would take the longer path for a loop";
        return Err(at.refuse(format_args!(
            "{reason} (the peer's asn is spec.bgp.asn): leave it out, or use localPref or med"
        )));
    }
    Prepend::new(times).ok_or_else(|| at.refuse("0 to 16"))
}
