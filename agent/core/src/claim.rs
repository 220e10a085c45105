//! Who may claim which address: AddressPools, and what a pod asks for beyond what IPAM gives.
//!
//! An address that a pod names itself is taken from nobody only if somebody who may has set it aside. So a claim must
//! lie in an AddressPool for that use whose namespaceSelector admits the pod's namespace. NodeConfig
//! `spec.claims: Any` turns the pools off, never the rest: what is a node's, another pod's or no host's address at all
//! is refused always.

mod ownership;

pub use ownership::Ownership;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

use crate::attachment::PodName;
use crate::selector::{LabelSelector, Labels};
use crate::steering::FlowSlot;

/// What a claimed address is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Use {
    /// On many pods' `lo`, routed to those that can serve (annotation `anycast`).
    Anycast,
    /// On one pod's interface (annotation `addresses`).
    Static,
}

impl Use {
    /// The annotation that claims it, without the prefix.
    pub fn annotation(self) -> &'static str {
        match self {
            Use::Anycast => "anycast",
            Use::Static => "addresses",
        }
    }
}

/// As AddressPool `spec.use` writes it.
impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Use::Anycast => "Anycast",
            Use::Static => "Static",
        })
    }
}

/// The addresses that an attachment's pod has asked for by name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Claimed {
    /// On the interface: the first of each family is the attachment's own, the others come beside it.
    #[serde(rename = "addresses", skip_serializing_if = "BTreeSet::is_empty")]
    pub static_addresses: BTreeSet<IpAddr>,
    /// On the pod's `lo`.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub anycast: BTreeSet<IpAddr>,
    /// The mark of its connections; none for a pod without anycast addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slot: Option<FlowSlot>,
}

impl Claimed {
    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// An AddressPool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressPool {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub cidrs: Vec<IpNet>,
    /// Whose namespaces may claim from it.
    pub namespaces: LabelSelector,
    /// For what.
    pub usage: Use,
    /// How many nodes advertise an anycast address at most; none: any number.
    pub max_advertisers: Option<NonZeroU32>,
}

impl AddressPool {
    fn has(&self, address: IpAddr) -> bool {
        self.cidrs.iter().any(|cidr| cidr.contains(&address))
    }
}

/// NodeConfig `spec.claims`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Claims {
    /// Only what an AddressPool admits.
    #[default]
    Pools,
    /// Whatever is nobody else's.
    Any,
}

/// What a claim is judged by.
#[derive(Debug, Clone)]
pub struct Registry<'a> {
    /// Whether pools are asked.
    pub claims: Claims,
    /// All AddressPools.
    pub pools: &'a [AddressPool],
    /// The labels of the pod's namespace.
    pub namespace: &'a Labels,
    /// Addresses that belong to nodes, API servers and routers.
    pub infrastructure: &'a BTreeSet<IpAddr>,
    /// Prefixes that this node gives pods addresses from.
    pub own: &'a BTreeSet<IpNet>,
    /// Prefixes that other nodes give pods addresses from.
    pub others: &'a BTreeSet<IpNet>,
    /// What the node's other pods have, and as what.
    pub taken: &'a BTreeMap<IpAddr, (Use, PodName)>,
}

/// Why a claim is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("pod {pod}: annotation flock.fritzlab.net/{}: {address} {problem}", .usage.annotation())]
pub struct ClaimError {
    /// The pod.
    pub pod: PodName,
    /// What for.
    pub usage: Use,
    /// The address.
    pub address: IpAddr,
    /// Why.
    pub problem: ClaimProblem,
}

/// What speaks against a claim.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClaimProblem {
    /// Not a host's.
    #[error("is {0}: no pod can have it")]
    NoHost(&'static str),
    /// A machine's.
    #[error("belongs to a node or a router")]
    Infrastructure,
    /// Another pod has, or will have, it from IPAM.
    #[error("is in {0}, which pods get addresses of by themselves: an anycast address is from outside")]
    Ipam(IpNet),
    /// A pod of another node has, or will have, it from IPAM.
    #[error(
        "is in {0}, which another node gives pods addresses of: name one of this node's prefixes, or of none"
    )]
    OtherNode(IpNet),
    /// Another pod has it.
    #[error("is pod {0}'s already, and not for sharing with this one: name another address")]
    Taken(PodName),
    /// No pool has it.
    #[error(
        "is in no AddressPool for {usage}; to let namespace {namespace} have it, write: {{apiVersion: flock.fritzlab.net/v1alpha1, kind: AddressPool, metadata: {{name: {namespace}}}, spec: {{cidrs: [\"{host}\"], use: {usage}, namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {namespace}}}}}}}}}"
    )]
    NoPool {
        /// The pod's namespace.
        namespace: String,
        /// The address as a prefix.
        host: IpNet,
        /// What for.
        usage: Use,
    },
    /// Pools have it, for others.
    #[error(
        "is in AddressPool {pool}, whose namespaceSelector does not admit namespace {namespace}: label the namespace, or change the pool"
    )]
    OtherNamespace {
        /// The first such pool.
        pool: String,
        /// The pod's namespace.
        namespace: String,
    },
    /// Pools have it, for another use.
    #[error("is in AddressPool {pool}, which is for use {other}: claim it by annotation flock.fritzlab.net/{}, or from another pool", .other.annotation())]
    OtherUse {
        /// The first such pool.
        pool: String,
        /// What it is for.
        other: Use,
    },
}

/// Of which prefixes routers may be told single addresses beside the node's own.
pub fn claimable(claims: Claims, pools: &[AddressPool]) -> BTreeSet<IpNet> {
    match claims {
        Claims::Pools => pools.iter().flat_map(|pool| pool.cidrs.iter().copied()).collect(),
        Claims::Any => BTreeSet::from([IpNet::V6(Ipv6Net::default()), IpNet::V4(Ipv4Net::default())]),
    }
}

/// How many nodes may advertise an anycast address: the least that a pool says which has it. None: any number.
pub fn max_advertisers(pools: &[AddressPool], address: IpAddr) -> Option<NonZeroU32> {
    let holding = |pool: &&AddressPool| pool.usage == Use::Anycast && pool.has(address);
    pools.iter().filter(holding).filter_map(|pool| pool.max_advertisers).min()
}

/// Judges one claim.
///
/// # Errors
/// When somebody else has the address, or nobody has set it aside for the pod's namespace.
pub fn admit(pod: &PodName, usage: Use, address: IpAddr, registry: &Registry<'_>) -> Result<(), ClaimError> {
    let problem = not_a_host_address(address)
        .map(ClaimProblem::NoHost)
        .or_else(|| registry.infrastructure.contains(&address).then_some(ClaimProblem::Infrastructure))
        .or_else(|| in_ipam(usage, address, registry))
        .or_else(|| taken(pod, usage, address, registry))
        .or_else(|| outside_pools(pod, usage, address, registry));
    problem.map_or(Ok(()), |problem| Err(ClaimError { pod: pod.clone(), usage, address, problem }))
}

fn not_a_host_address(address: IpAddr) -> Option<&'static str> {
    match address {
        _ if address.is_unspecified() => Some("the unspecified address"),
        _ if address.is_loopback() => Some("a loopback address"),
        _ if address.is_multicast() => Some("a multicast address"),
        IpAddr::V6(v6) if v6.is_unicast_link_local() => Some("a link-local address"),
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => Some("an IPv4-mapped address"),
        IpAddr::V4(v4) if v4.is_link_local() => Some("a link-local address"),
        IpAddr::V4(v4) if v4.is_broadcast() => Some("the broadcast address"),
        _ => None,
    }
}

/// One pod's own address may be out of its node's prefix; one of many pods cannot be.
fn in_ipam(usage: Use, address: IpAddr, registry: &Registry<'_>) -> Option<ClaimProblem> {
    let holding = |nets: &BTreeSet<IpNet>| nets.iter().find(|net| net.contains(&address)).copied();
    match usage {
        Use::Anycast => holding(registry.own).or_else(|| holding(registry.others)).map(ClaimProblem::Ipam),
        Use::Static => holding(registry.others).map(ClaimProblem::OtherNode),
    }
}

/// Only anycast addresses are shared, and only as such.
fn taken(pod: &PodName, usage: Use, address: IpAddr, registry: &Registry<'_>) -> Option<ClaimProblem> {
    let (as_what, owner) = registry.taken.get(&address)?;
    let shared = usage == Use::Anycast && *as_what == Use::Anycast;
    (!shared && owner != pod).then(|| ClaimProblem::Taken(owner.clone()))
}

fn outside_pools(
    pod: &PodName,
    usage: Use,
    address: IpAddr,
    registry: &Registry<'_>,
) -> Option<ClaimProblem> {
    if registry.claims == Claims::Any {
        return None;
    }
    let holding = || registry.pools.iter().filter(|pool| pool.has(address));
    let admits = |pool: &&AddressPool| pool.namespaces.admits(registry.namespace);
    if holding().any(|pool| pool.usage == usage && admits(&pool)) {
        return None;
    }
    let namespace = pod.namespace.to_string();
    let of_others = holding().find(|pool| pool.usage == usage);
    let for_other_use = holding().find(admits);
    Some(match (of_others, for_other_use) {
        (Some(pool), _) => ClaimProblem::OtherNamespace { pool: pool.name.clone(), namespace },
        (None, Some(pool)) => ClaimProblem::OtherUse { pool: pool.name.clone(), other: pool.usage },
        (None, None) => ClaimProblem::NoPool { namespace, host: IpNet::from(address), usage },
    })
}

#[cfg(test)]
mod tests;
