//! Plan and surroundings joined: every address, next hop and filter decided.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;

use ipnet::IpNet;

use super::config::{BirdConfig, BirdIdent, Channel, Origin, Password, Session, Sourced};
use super::control::BirdVersion;
use super::plan::{
    Aggregation, AnycastWeight, Asn, BGP_PORT, BgpPlan, PasswordSource, Peer, PeerAddress, PrefixRange,
    Reach, RouterId,
};
use crate::anycast::Announced;
use crate::attachment::IfName;
use crate::fnv::fnv1a_32;
use crate::host::addresses::{NodeAddress, Subnets};
use crate::node::Pools;
use crate::prefix::{Family, PodAddresses};

/// What a configuration follows from beside the plan.
#[derive(Debug, Clone)]
pub struct NodeContext<'a> {
    /// The node's name.
    pub node: &'a str,
    /// The node's own prefixes.
    pub pools: &'a Pools,
    /// The other nodes' prefixes.
    pub cluster: &'a BTreeSet<IpNet>,
    /// The node's addresses and connected subnets.
    pub subnets: &'a Subnets,
    /// The node's uplinks.
    pub uplinks: &'a BTreeSet<IfName>,
    /// The addresses of the node's pods.
    pub pods: &'a BTreeSet<PodAddresses>,
    /// Single addresses that the node tells of.
    pub announced: &'a Announced,
    /// What pods may claim: all AddressPools' prefixes.
    pub claimable: &'a BTreeSet<IpNet>,
    /// Each password that the plan names, or why there is none.
    pub passwords: &'a BTreeMap<PasswordSource, Result<Password, String>>,
    /// The BIRD that runs; none: not known yet.
    pub bird: Option<BirdVersion>,
}

/// A configuration and what was left out of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The configuration.
    pub config: BirdConfig,
    /// Peers that cannot be started: index in `spec.bgp.peers`, and why.
    pub refused: BTreeMap<usize, String>,
}

/// The BIRD that runs is too old for any configuration of flock's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("BIRD {0} is too old: install {oldest} or later", oldest = BirdVersion::OLDEST)]
pub struct TooOld(pub BirdVersion);

/// Decides everything that the plan leaves open. A peer that cannot be started is left out, with the reason; the
/// others go on.
///
/// # Errors
/// When the BIRD that runs is too old for any configuration of flock's.
pub fn resolve(plan: &BgpPlan, context: &NodeContext<'_>) -> Result<Resolved, TooOld> {
    if let Some(bird) = context.bird.filter(|bird| *bird < BirdVersion::OLDEST) {
        return Err(TooOld(bird));
    }
    let mut sessions = Vec::new();
    let mut refused = BTreeMap::new();
    for (index, peer) in plan.peers.iter().enumerate() {
        match session(index, peer, context) {
            Ok(session) => sessions.push(session),
            Err(reason) => drop(refused.insert(index, reason)),
        }
    }
    let (router_id, router_id_from) = router_id(plan, context);
    let config = BirdConfig {
        asn: plan.asn,
        router_id,
        router_id_from,
        listen_port: plan.listen_port,
        originate: originate(plan.aggregation, context),
        anycast: context.announced.anycast.clone(),
        anycast_weight: plan.anycast_weight,
        exportable: exportable(plan.aggregation, context),
        import: import(plan, context.cluster),
        protected: protected(context),
        sessions,
    };
    Ok(Resolved { config, refused })
}

/// What a BIRD is told that is to fall silent: no sessions, nothing to say and nothing to learn.
pub fn silent() -> BirdConfig {
    BirdConfig {
        // Nobody is told: it is a session's part.
        asn: Asn(NonZeroU32::MAX),
        router_id: RouterId::LOWEST,
        router_id_from: Origin::NodeName,
        listen_port: BGP_PORT,
        originate: BTreeSet::new(),
        anycast: BTreeMap::new(),
        anycast_weight: AnycastWeight::None,
        exportable: BTreeSet::new(),
        import: BTreeSet::new(),
        protected: BTreeSet::new(),
        sessions: Vec::new(),
    }
}

/// The node's IPv4 address, the uplinks' first. A node without one needs an identifier all the same (RFC 6286): one
/// that stays the same and that no other node of the cluster is likely to have.
fn router_id(plan: &BgpPlan, context: &NodeContext<'_>) -> (RouterId, Origin) {
    if let Some(id) = plan.router_id {
        return (id, Origin::Field("spec.bgp.routerID".to_owned()));
    }
    let own = context.subnets.any(context.uplinks, Family::IPv4);
    let of_address = own.and_then(|own| match own.net.addr() {
        IpAddr::V4(address) => Some((RouterId::new(address)?, Origin::Interface(own.ifname.clone()))),
        IpAddr::V6(_) => None,
    });
    of_address.unwrap_or_else(|| {
        let id = Ipv4Addr::from_bits(fnv1a_32(context.node.as_bytes()));
        (RouterId::new(id).unwrap_or(RouterId::LOWEST), Origin::NodeName)
    })
}

fn pod_nets(context: &NodeContext<'_>) -> impl Iterator<Item = IpNet> {
    context.pods.iter().flat_map(PodAddresses::iter).map(IpNet::from)
}

fn originate(aggregation: Aggregation, context: &NodeContext<'_>) -> BTreeSet<IpNet> {
    let of_plan: BTreeSet<IpNet> = match aggregation {
        Aggregation::NodePrefix => context.pools.iter().collect(),
        Aggregation::Pods => pod_nets(context).collect(),
        Aggregation::Both => context.pools.iter().chain(pod_nets(context)).collect(),
    };
    of_plan.into_iter().chain(context.announced.static_addresses.iter().copied().map(IpNet::from)).collect()
}

fn exportable(aggregation: Aggregation, context: &NodeContext<'_>) -> BTreeSet<PrefixRange> {
    let prefixes = || context.pools.iter().map(PrefixRange::exactly);
    let pods = || context.pools.iter().map(PrefixRange::hosts_of);
    let of_plan: BTreeSet<PrefixRange> = match aggregation {
        Aggregation::NodePrefix => prefixes().collect(),
        Aggregation::Pods => pods().collect(),
        Aggregation::Both => prefixes().chain(pods()).collect(),
    };
    of_plan.into_iter().chain(context.claimable.iter().copied().map(PrefixRange::hosts_of)).collect()
}

fn import(plan: &BgpPlan, cluster: &BTreeSet<IpNet>) -> BTreeSet<PrefixRange> {
    cluster.iter().map(|net| PrefixRange::all_of(*net)).chain(plan.import.iter().copied()).collect()
}

/// A route to a subnet that the node is on, or to a part of it, would draw the traffic to the neighbours through the
/// router; one into the node's own prefixes would take its pods away. A default route out of a link without gateway
/// is no subnet.
fn protected(context: &NodeContext<'_>) -> BTreeSet<IpNet> {
    let connected = context.subnets.on_link.iter().map(IpNet::trunc).filter(|net| net.prefix_len() > 0);
    connected.chain(context.pools.iter()).collect()
}

fn session(index: usize, peer: &Peer, context: &NodeContext<'_>) -> Result<Session, String> {
    let at = Path { index };
    let own = own_end(&at, peer, context)?;
    let password = match &peer.password {
        None => None,
        Some(source) => Some(password(&at, source, context)?),
    };
    let channels: Result<_, String> =
        peer.families.iter().map(|family| channel(&at, peer, family, &own, context)).collect();
    Ok(Session {
        name: BirdIdent::of_peer(&peer.address, peer.port),
        index,
        peer: peer.clone(),
        local: own.address,
        password,
        channels: channels?,
    })
}

/// A peer's place in the NodeConfig.
struct Path {
    index: usize,
}

impl Path {
    fn field(&self, name: &str) -> String {
        format!("spec.bgp.peers[{}].{name}", self.index)
    }

    fn refuse(&self, name: &str, reason: impl std::fmt::Display) -> String {
        format!("{}: {reason}", self.field(name))
    }
}

/// The node's end of a session: its address, none for a link-local peer; and the interface that it is on.
struct OwnEnd {
    address: Option<Sourced>,
    ifname: IfName,
}

fn own_end(at: &Path, peer: &Peer, context: &NodeContext<'_>) -> Result<OwnEnd, String> {
    let found = match (&peer.address, peer.source, peer.reach) {
        (PeerAddress::LinkLocal { interface, .. }, ..) => {
            return Ok(OwnEnd { address: None, ifname: interface.clone() });
        }
        (PeerAddress::Global(_), Some(source), _) => {
            let own = context.subnets.holder(source).ok_or_else(|| {
                at.refuse("sourceAddress", format_args!("{source} is on none of this node's interfaces"))
            })?;
            (own, Origin::Field(at.field("sourceAddress")))
        }
        (PeerAddress::Global(ip), None, Reach::Direct) => {
            let own = context.subnets.beside(*ip).ok_or_else(|| at.refuse("address", not_beside(*ip)))?;
            (own, Origin::Interface(own.ifname.clone()))
        }
        (PeerAddress::Global(ip), None, Reach::Multihop(_)) => {
            let family = Family::of(*ip);
            let own = context.subnets.any(context.uplinks, family).ok_or_else(|| {
                at.refuse("address", format_args!("this node has no {family} address to reach {ip} from"))
            })?;
            (own, Origin::Interface(own.ifname.clone()))
        }
    };
    let (NodeAddress { ifname, net, .. }, from) = found;
    Ok(OwnEnd { address: Some(Sourced { address: net.addr(), from }), ifname: ifname.clone() })
}

fn not_beside(ip: IpAddr) -> String {
    format!(
        "no address of this node is on a subnet with {ip}: is the interface up? A router further away needs multihop"
    )
}

fn password(at: &Path, source: &PasswordSource, context: &NodeContext<'_>) -> Result<Password, String> {
    let reason = match context.passwords.get(source) {
        Some(Ok(password)) => return Ok(password.clone()),
        Some(Err(reason)) => reason.as_str(),
        None => "not read yet",
    };
    Err(at.refuse(
        source.field(),
        format_args!("{source}: {reason}: the session is not started without its password"),
    ))
}

fn channel(
    at: &Path,
    peer: &Peer,
    family: Family,
    own: &OwnEnd,
    context: &NodeContext<'_>,
) -> Result<Channel, String> {
    let session_family = peer.address.family();
    let extended_next_hop = family == Family::IPv4 && session_family == Family::IPv6;
    let same_family = own.address.clone().filter(|_| family == session_family);
    let next_hop = match same_family.or_else(|| on_own_interface(peer, family, own, context)) {
        Some(next_hop) => Some(next_hop),
        // RFC 8950: IPv4 routes with an IPv6 next hop, the session's own end. A link-local end has none but itself.
        None if extended_next_hop => {
            own.address.clone().or_else(|| on_own_interface(peer, Family::IPv6, own, context))
        }
        None if own.address.is_none() => None,
        None => {
            let reason =
                format!("{family} routes need an {family} next hop, and {} has no such address", own.ifname);
            return Err(at.refuse("families", reason));
        }
    };
    Ok(Channel { family, next_hop, extended_next_hop })
}

/// An address of the interface that the session goes out of. A router further away takes any of the uplinks'.
fn on_own_interface(peer: &Peer, family: Family, own: &OwnEnd, context: &NodeContext<'_>) -> Option<Sourced> {
    let on_interface = context.subnets.on(&own.ifname, family);
    let found = match peer.reach {
        Reach::Direct => on_interface,
        Reach::Multihop(_) => on_interface.or_else(|| context.subnets.any(context.uplinks, family)),
    };
    found.map(|own| Sourced { address: own.net.addr(), from: Origin::Interface(own.ifname.clone()) })
}

#[cfg(test)]
mod tests;
