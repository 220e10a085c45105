//! What a pod gets on this node: its annotations joined with the node's plan.

mod error;

pub use error::{AskedBy, IntentError};

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::attachment::PodName;
use crate::node::NodePlan;
use crate::pod::Pod;
use crate::pod::algo::{self, Identity, IpAlgo};
use crate::pod::annotation::{Concern, Key, Warning};
use crate::prefix::{Cidr4, Cidr6, Family, PodAddresses};

/// What a pod gets. It wants at least one family, and has at least one range for each family that it wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodIntent {
    identity: Identity,
    v6: Vec<Cidr6>,
    v4: Vec<Cidr4>,
    algo: Option<IpAlgo>,
    static_addresses: StaticAddresses,
    anycast: BTreeSet<IpAddr>,
}

/// Addresses that the pod names itself instead of having IPAM choose.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StaticAddresses {
    /// In the place of IPAM's, as far as there are any.
    pub addresses: PodAddresses,
    /// Beside them.
    pub further: BTreeSet<IpAddr>,
}

impl StaticAddresses {
    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = IpAddr> {
        self.addresses.iter().chain(self.further.iter().copied())
    }

    /// The first of each family is the pod's, the others come beside it.
    fn of(listed: &[IpAddr]) -> Self {
        let v6 = listed.iter().find_map(|address| match address {
            IpAddr::V6(v6) => Some(*v6),
            IpAddr::V4(_) => None,
        });
        let v4 = listed.iter().find_map(|address| match address {
            IpAddr::V4(v4) => Some(*v4),
            IpAddr::V6(_) => None,
        });
        let addresses = PodAddresses { v6, v4 };
        let first = |address: &IpAddr| addresses.iter().any(|own| own == *address);
        let further = listed.iter().filter(|address| !first(address)).copied().collect();
        Self { addresses, further }
    }

    fn has(&self, family: Family) -> bool {
        self.addresses.iter().any(|address| Family::of(address) == family)
    }
}

impl PodIntent {
    /// The pod.
    pub fn pod(&self) -> &PodName {
        &self.identity.pod
    }

    /// What `ip-algo` shows of the pod.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The addresses that it names itself. Whether it may have them is [`crate::claim`]'s question.
    pub fn static_addresses(&self) -> &StaticAddresses {
        &self.static_addresses
    }

    /// The anycast addresses that it is to serve.
    pub fn anycast(&self) -> &BTreeSet<IpAddr> {
        &self.anycast
    }

    /// Where the IPv6 address comes from, the preferred range first; empty: IPAM gives none.
    pub fn v6(&self) -> &[Cidr6] {
        &self.v6
    }

    /// Where the IPv4 address comes from, the preferred range first; empty: IPAM gives none.
    pub fn v4(&self) -> &[Cidr4] {
        &self.v4
    }

    /// How its IPv6 address is made; none: at random.
    pub fn algo(&self) -> Option<&IpAlgo> {
        self.algo.as_ref()
    }

    /// Whether the pod gets an address of this family.
    pub fn wants(&self, family: Family) -> bool {
        let from_ipam = match family {
            Family::IPv6 => !self.v6.is_empty(),
            Family::IPv4 => !self.v4.is_empty(),
        };
        from_ipam || self.static_addresses.has(family)
    }
}

/// Joins what the pod asks for with what the node has.
pub fn resolve(plan: &NodePlan, pod: &Pod) -> Result<(PodIntent, Vec<Warning>), IntentError> {
    let (asked, mut warnings) = (pod.requests.clone()?, pod.warnings.clone());
    let static_addresses = StaticAddresses::of(&asked.addresses);
    let wants_v6 = wants(plan, pod, Family::IPv6, asked.ipv6, &static_addresses)?;
    let wants_v4 = wants(plan, pod, Family::IPv4, asked.ipv4, &static_addresses)?;
    if !wants_v6 && !wants_v4 {
        return Err(IntentError::NoFamily { pod: pod.name.clone(), node: plan.name.clone() });
    }
    for (key, addresses) in [(Key::Addresses, &asked.addresses), (Key::Anycast, &asked.anycast)] {
        let has = |address: &&IpAddr| if address.is_ipv6() { wants_v6 } else { wants_v4 };
        if let Some(address) = addresses.iter().find(|address| !has(address)) {
            return Err(IntentError::NoSuchFamily { pod: pod.name.clone(), key, address: *address });
        }
    }
    if let Some(address) = asked.anycast.iter().find(|address| asked.addresses.contains(address)) {
        return Err(IntentError::BothUses { pod: pod.name.clone(), address: *address });
    }
    let (algo, ignored) = algo::resolve(asked.ip_algo.as_deref(), plan.ip_algo.as_deref());
    let mut concerns: Vec<Concern> = ignored.into_iter().map(Concern::IpAlgo).collect();
    concerns.extend((!wants_v6 && !asked.cidr6.is_empty()).then_some(Concern::CidrUnused(Family::IPv6)));
    concerns.extend((!wants_v4 && !asked.cidr4.is_empty()).then_some(Concern::CidrUnused(Family::IPv4)));
    warnings.extend(concerns.into_iter().map(|concern| Warning { pod: pod.name.clone(), concern }));
    let intent = PodIntent {
        identity: Identity { pod: pod.name.clone(), app: pod.app().to_owned(), image: pod.image.clone() },
        v6: if wants_v6 && !static_addresses.has(Family::IPv6) {
            ranges6(plan, pod, &asked.cidr6)?
        } else {
            Vec::new()
        },
        v4: if wants_v4 && !static_addresses.has(Family::IPv4) {
            ranges4(plan, pod, &asked.cidr4)?
        } else {
            Vec::new()
        },
        algo,
        static_addresses,
        anycast: asked.anycast.into_iter().collect(),
    };
    Ok((intent, warnings))
}

/// The pod's word, else the node's, else true for a family that the node has, or that the pod has an address of its own
/// in.
fn wants(
    plan: &NodePlan,
    pod: &Pod,
    family: Family,
    annotation: Option<bool>,
    static_addresses: &StaticAddresses,
) -> Result<bool, IntentError> {
    let (default, has_pool) = match family {
        Family::IPv6 => (plan.defaults.v6, !plan.pools.v6.is_empty()),
        Family::IPv4 => (plan.defaults.v4, !plan.pools.v4.is_empty()),
    };
    let has_pool = has_pool || static_addresses.has(family);
    let asked_by = match (annotation, default) {
        (Some(false), _) | (None, Some(false)) => return Ok(false),
        (None, None) => return Ok(has_pool),
        (Some(true), _) => AskedBy::Annotation(family),
        (None, Some(true)) => AskedBy::Defaults(family),
    };
    let missing = || IntentError::NoPool { pod: pod.name.clone(), node: plan.name.clone(), family, asked_by };
    has_pool.then_some(true).ok_or_else(missing)
}

fn ranges6(plan: &NodePlan, pod: &Pod, asked: &[Ipv6Net]) -> Result<Vec<Cidr6>, IntentError> {
    let pools = &plan.pools.v6;
    if asked.is_empty() {
        return Ok(pools.clone());
    }
    let found = narrow(pools, Cidr6::net, asked).ok_or_else(|| IntentError::Disjoint {
        pod: pod.name.clone(),
        node: plan.name.clone(),
        family: Family::IPv6,
        asked: asked.iter().copied().map(IpNet::V6).collect(),
        pools: pools.iter().map(|cidr| IpNet::V6(cidr.net())).collect(),
    })?;
    let error = |error| IntentError::Prefix { pod: pod.name.clone(), family: Family::IPv6, error };
    found.into_iter().map(|net| Cidr6::try_from(net).map_err(error)).collect()
}

fn ranges4(plan: &NodePlan, pod: &Pod, asked: &[Ipv4Net]) -> Result<Vec<Cidr4>, IntentError> {
    let pools = &plan.pools.v4;
    if asked.is_empty() {
        return Ok(pools.clone());
    }
    let found = narrow(pools, Cidr4::net, asked).ok_or_else(|| IntentError::Disjoint {
        pod: pod.name.clone(),
        node: plan.name.clone(),
        family: Family::IPv4,
        asked: asked.iter().copied().map(IpNet::V4).collect(),
        pools: pools.iter().map(|cidr| IpNet::V4(cidr.net())).collect(),
    })?;
    let error = |error| IntentError::Prefix { pod: pod.name.clone(), family: Family::IPv4, error };
    found.into_iter().map(|net| Cidr4::try_from(net).map_err(error)).collect()
}

/// What the first asked prefix that has something in common with the node's prefixes has in common with them.
fn narrow<C, N: Copy + Into<IpNet>>(pools: &[C], net: fn(&C) -> N, asked: &[N]) -> Option<Vec<N>> {
    // Two prefixes are either disjoint or one contains the other.
    let common = |asked: N, node: N| match (asked.into(), node.into()) {
        (wide, narrow) if wide.contains(&narrow) => Some(node),
        (narrow, wide) if wide.contains(&narrow) => Some(asked),
        _ => None,
    };
    let parts = |asked| pools.iter().filter_map(|pool| common(asked, net(pool))).collect();
    asked.iter().map(|asked| parts(*asked)).find(|parts: &Vec<N>| !parts.is_empty())
}

#[cfg(test)]
mod tests;
