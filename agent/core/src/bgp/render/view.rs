//! What the templates are given: text and numbers that have been typed values until here.

use std::collections::BTreeSet;
use std::fmt::Display;

use ipnet::IpNet;
use serde::Serialize;

use super::super::config::{BirdConfig, Channel, Session, Sourced};
use super::super::plan::{AnycastWeight, Asn, GracefulRestart, PeerAddress, PrefixRange, Reach};
use super::anycast::MED_OF_NONE;
use crate::prefix::Family;

/// A whole configuration.
#[derive(Serialize)]
pub(super) struct View {
    router_id: String,
    router_id_from: String,
    route_protocol: u8,
    families: [FamilyView; 2],
    /// Which kinds of sessions have BFD: `direct`, `multihop` or `both`.
    bfd: Option<&'static str>,
    /// Whether some next hop is looked up in the kernel's other routes.
    recursive: bool,
    sessions: Vec<SessionView>,
}

/// One family's routes.
#[derive(Serialize)]
struct FamilyView {
    name: String,
    channel: &'static str,
    digit: char,
    originate: Vec<String>,
    own: Vec<String>,
    import: Vec<String>,
    protected: Vec<String>,
}

/// One session.
#[derive(Serialize)]
struct SessionView {
    name: String,
    field: String,
    peer: String,
    asn: u32,
    listen_port: u16,
    local: Option<SourcedView>,
    address: String,
    port: u16,
    peer_asn: u32,
    interface: Option<String>,
    multihop: Option<u8>,
    ttl_security: bool,
    password: Option<String>,
    passive: bool,
    hold: u16,
    keepalive: u16,
    connect_retry: u16,
    graceful_restart: Option<u16>,
    bfd: Option<BfdView>,
    communities: Vec<String>,
    large: Vec<String>,
    extended: Vec<String>,
    med: Option<u32>,
    /// What comes on top of the MED of anycast routes; none: they have none.
    anycast_med: Option<u32>,
    local_pref: Option<u32>,
    prepend: u16,
    import_limit: Option<u32>,
    export_limit: Option<u32>,
    channels: Vec<ChannelView>,
}

/// An address and the comment that says where it comes from.
#[derive(Serialize)]
struct SourcedView {
    address: String,
    from: String,
}

/// Intervals in milliseconds.
#[derive(Serialize)]
struct BfdView {
    min_rx: u16,
    min_tx: u16,
    multiplier: u8,
}

/// One family of a session.
#[derive(Serialize)]
struct ChannelView {
    name: &'static str,
    digit: char,
    /// The export filter's name.
    filter: String,
    /// Whether there is anything that may be learned.
    imports: bool,
    /// Whether there is anything that may be advertised.
    exports: bool,
    next_hop: Option<SourcedView>,
    extended_next_hop: bool,
    /// Where next hops are looked up that need not be on a connected subnet; none: they must be.
    igp_tables: Vec<&'static str>,
}

impl View {
    pub(super) fn of(config: &BirdConfig) -> Self {
        Self {
            router_id: config.router_id.to_string(),
            router_id_from: comment(&config.router_id_from),
            route_protocol: crate::host::ROUTE_PROTOCOL,
            families: [Family::IPv6, Family::IPv4].map(|family| FamilyView::of(family, config)),
            bfd: bfd_kinds(&config.sessions),
            recursive: config.sessions.iter().any(|session| is_recursive(session, config.asn)),
            sessions: config.sessions.iter().map(|session| SessionView::of(session, config)).collect(),
        }
    }
}

impl FamilyView {
    fn of(family: Family, config: &BirdConfig) -> Self {
        Self {
            name: family.to_string(),
            channel: channel_name(family),
            digit: digit(family),
            originate: nets(family, &config.originate),
            own: ranges(family, &config.exportable),
            import: ranges(family, &config.import),
            protected: nets(family, &config.protected),
        }
    }
}

impl SessionView {
    fn of(session: &Session, config: &BirdConfig) -> Self {
        let peer = &session.peer;
        let attributes = &peer.attributes;
        Self {
            name: session.name.to_string(),
            field: format!("spec.bgp.peers[{}]", session.index),
            peer: peer.address.to_string(),
            asn: config.asn.0.get(),
            listen_port: config.listen_port.get(),
            local: session.local.as_ref().map(SourcedView::of),
            address: peer.address.ip().to_string(),
            port: peer.port.get(),
            peer_asn: peer.asn.0.get(),
            interface: interface(&peer.address),
            multihop: multihop(peer.reach),
            ttl_security: peer.ttl_security,
            password: session.password.as_ref().map(|password| password.reveal().to_owned()),
            passive: peer.passive,
            hold: peer.timers.hold(),
            keepalive: peer.timers.keepalive(),
            connect_retry: peer.timers.connect_retry(),
            graceful_restart: restart_time(peer.graceful_restart),
            bfd: peer.bfd.map(|bfd| BfdView {
                min_rx: bfd.min_rx.get(),
                min_tx: bfd.min_tx.get(),
                multiplier: bfd.multiplier.get(),
            }),
            communities: texts(&attributes.communities),
            large: texts(&attributes.large),
            extended: texts(&attributes.extended),
            med: attributes.med,
            anycast_med: anycast_med(config.anycast_weight, attributes.med),
            local_pref: attributes.local_pref,
            prepend: attributes.prepend.get(),
            import_limit: peer.import_limit.map(Into::into),
            export_limit: peer.export_limit.map(Into::into),
            channels: session.channels.iter().map(|it| ChannelView::of(it, session, config)).collect(),
        }
    }
}

impl ChannelView {
    fn of(channel: &Channel, session: &Session, config: &BirdConfig) -> Self {
        let family = channel.family;
        let names = |ranges: &BTreeSet<PrefixRange>| ranges.iter().any(|range| range.family() == family);
        Self {
            name: channel_name(family),
            digit: digit(family),
            filter: format!("{}_export{}", session.name, digit(family)),
            imports: names(&config.import),
            exports: names(&config.exportable),
            next_hop: channel.next_hop.as_ref().map(SourcedView::of),
            extended_next_hop: channel.extended_next_hop,
            igp_tables: igp_tables(channel, is_recursive(session, config.asn)),
        }
    }
}

impl SourcedView {
    fn of(sourced: &Sourced) -> Self {
        Self { address: sourced.address.to_string(), from: comment(&sourced.from) }
    }
}

/// A comment ends at the end of its line, and nothing in it may end that.
fn comment(text: &impl Display) -> String {
    text.to_string().chars().filter(|c| !c.is_control()).collect()
}

fn channel_name(family: Family) -> &'static str {
    match family {
        Family::IPv6 => "ipv6",
        Family::IPv4 => "ipv4",
    }
}

fn digit(family: Family) -> char {
    match family {
        Family::IPv6 => '6',
        Family::IPv4 => '4',
    }
}

fn texts(values: &[impl Display]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}

/// Without host bits, which BIRD refuses.
fn nets(family: Family, nets: &BTreeSet<IpNet>) -> Vec<String> {
    let of_family = nets.iter().filter(|net| Family::of(net.addr()) == family);
    of_family.map(|net| net.trunc().to_string()).collect()
}

fn ranges(family: Family, ranges: &BTreeSet<PrefixRange>) -> Vec<String> {
    ranges.iter().filter(|range| range.family() == family).map(ToString::to_string).collect()
}

fn interface(address: &PeerAddress) -> Option<String> {
    match address {
        PeerAddress::Global(_) => None,
        PeerAddress::LinkLocal { interface, .. } => Some(interface.to_string()),
    }
}

fn multihop(reach: Reach) -> Option<u8> {
    match reach {
        Reach::Direct => None,
        Reach::Multihop(hops) => Some(hops.get()),
    }
}

fn restart_time(graceful_restart: GracefulRestart) -> Option<u16> {
    match graceful_restart {
        GracefulRestart::Off => None,
        GracefulRestart::On(restart_time) => Some(restart_time.get()),
    }
}

/// Together they must stay within 32 bits, or the nodes with the fewest pods would be preferred.
fn anycast_med(weight: AnycastWeight, of_session: Option<u32>) -> Option<u32> {
    let of_session = of_session.unwrap_or_default().min(u32::MAX - MED_OF_NONE);
    (weight == AnycastWeight::Med).then_some(of_session)
}

fn bfd_kinds(sessions: &[Session]) -> Option<&'static str> {
    let with_bfd = || sessions.iter().filter(|session| session.peer.bfd.is_some());
    let direct = with_bfd().any(|session| session.peer.reach == Reach::Direct);
    let multihop = with_bfd().any(|session| session.peer.reach != Reach::Direct);
    match (direct, multihop) {
        (true, true) => Some("both"),
        (true, false) => Some("direct"),
        (false, true) => Some("multihop"),
        (false, false) => None,
    }
}

/// Whether next hops may be off the connected subnets. An eBGP neighbour on a subnet names itself or somebody beside it
/// (RFC 4271, section 5.1.3); iBGP passes on next hops that only the IGP knows. A link-local next hop is always
/// direct.
fn is_recursive(session: &Session, own: Asn) -> bool {
    match (&session.peer.address, session.peer.reach) {
        (_, Reach::Multihop(_)) => true,
        (PeerAddress::Global(_), Reach::Direct) => session.peer.asn == own,
        (PeerAddress::LinkLocal { .. }, Reach::Direct) => false,
    }
}

/// One for each family that a next hop can have.
fn igp_tables(channel: &Channel, recursive: bool) -> Vec<&'static str> {
    match (channel.family, recursive) {
        (_, false) => Vec::new(),
        (Family::IPv6, true) => vec!["igp6"],
        (Family::IPv4, true) if channel.extended_next_hop => vec!["igp4", "igp6"],
        (Family::IPv4, true) => vec!["igp4"],
    }
}
