//! From NodeConfig, as people write it, to the node's plan: [`part`] reads one object by itself, [`node_plan`] takes
//! what a node's objects say together.

mod part;

pub(super) use part::{part, typed, without_nulls};

use std::fmt::Display;
use std::time::Duration;

use flock_core::claim::Claims;
use flock_core::host::MIN_MTU6;
use flock_core::node::{AnycastPlan, EstablishedConnections, FamilyDefaults, NodePlan, Pools, Uplinks};
use flock_core::prefix::{Cidr4, Cidr6, Family, PrefixError, overlap};
use flock_crds::node_config::{self as crds, AnycastSpec, IpFamily, NodeConfigSpec, Prefix};
use ipnet::IpNet;

use super::bgp::{bgp_plan, check_bgp};

/// The annotation that gives the node's default `ip-algo`.
pub(super) const IP_ALGO: &str = "flock.fritzlab.net/ip-algo";

/// How long a released IPv4 address rests when NodeConfig does not say: longer than a connection attempt to the
/// pod that had it goes on retrying (RFC 6298 backs off to tens of seconds), shorter than anybody waits for a pod.
const DEFAULT_COOLDOWN: Duration = Duration::from_secs(30);

/// Longer rests only tie up addresses.
const MAX_COOLDOWN: Duration = Duration::from_secs(24 * 3600);

/// By then whoever made the address come and go has been at work: it is to come back when the pods do.
const MAX_HOLD_DOWN: Duration = Duration::from_secs(3600);

/// What is wrong with which field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub(super) struct FieldError {
    /// The field's path, as `spec.cidr6[0]`.
    pub(super) field: String,
    /// What is wrong and what is accepted.
    pub(super) reason: String,
}

fn field(path: impl Into<String>) -> impl FnOnce(&dyn Display) -> FieldError {
    let field = path.into();
    move |reason| FieldError { field, reason: reason.to_string() }
}

/// Validates what a node's NodeConfigs say together.
pub(super) fn node_plan(
    name: &str,
    ip_algo: Option<String>,
    spec: NodeConfigSpec,
) -> Result<NodePlan, FieldError> {
    let pools = pools(&spec)?;
    let mtu = mtu(&spec, &pools)?;
    Ok(NodePlan {
        name: name.to_owned(),
        pools,
        defaults: FamilyDefaults { v6: spec.defaults.ipv6, v4: spec.defaults.ipv4 },
        primary: match spec.primary_family {
            Some(IpFamily::IPv4) => Family::IPv4,
            Some(IpFamily::IPv6) | None => Family::IPv6,
        },
        uplinks: uplinks(&spec)?,
        mtu,
        cooldown: cooldown(&spec)?,
        ip_algo,
        claims: claims(spec.claims),
        anycast: anycast(spec.anycast)?,
        bgp: spec.bgp.map(bgp_plan).transpose()?,
    })
}

/// Validates what one NodeConfig says, which may be a part of the whole.
fn check(mut spec: NodeConfigSpec) -> Result<(), FieldError> {
    spec.bgp.take().map(check_bgp).transpose()?;
    node_plan("", None, spec).map(drop)
}

fn pools(spec: &NodeConfigSpec) -> Result<Pools, FieldError> {
    Ok(Pools {
        v6: prefixes("spec.cidr6", &spec.cidr6, Cidr6::try_from, |cidr| IpNet::V6(cidr.net()))?,
        v4: prefixes("spec.cidr4", &spec.cidr4, Cidr4::try_from, |cidr| IpNet::V4(cidr.net()))?,
    })
}

fn prefixes<N: Copy, C>(
    path: &str,
    given: &[Prefix<N>],
    typed: impl Fn(N) -> Result<C, PrefixError>,
    net: impl Fn(&C) -> IpNet,
) -> Result<Vec<C>, FieldError> {
    let mut cidrs: Vec<C> = Vec::new();
    for (index, Prefix(prefix)) in given.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let cidr = typed(*prefix).map_err(|error| field(&path)(&error))?;
        let overlapping = cidrs.iter().map(&net).find(|other| overlap(other, &net(&cidr)));
        if let Some(other) = overlapping {
            return Err(field(path)(&format!("{} overlaps {other}: name each address once", net(&cidr))));
        }
        cidrs.push(cidr);
    }
    Ok(cidrs)
}

fn mtu(spec: &NodeConfigSpec, pools: &Pools) -> Result<Option<u32>, FieldError> {
    // RFC 8200, section 5 for IPv6; RFC 791 lets IPv4 go to 68, but 576 is what every host must take.
    let smallest = if pools.v6.is_empty() { 576 } else { MIN_MTU6 };
    match spec.mtu {
        Some(mtu) if !(smallest..=65535).contains(&mtu) => {
            Err(field("spec.mtu")(&format!("{mtu} is out of range: {smallest} to 65535 bytes")))
        }
        mtu => Ok(mtu),
    }
}

fn uplinks(spec: &NodeConfigSpec) -> Result<Uplinks, FieldError> {
    if spec.uplinks.is_empty() {
        return Ok(Uplinks::OfDefaultRoutes);
    }
    let names = spec.uplinks.iter().enumerate();
    let names =
        names.map(|(index, name)| name.parse().map_err(|e| field(format!("spec.uplinks[{index}]"))(&e)));
    names.collect::<Result<_, _>>().map(Uplinks::Named)
}

fn cooldown(spec: &NodeConfigSpec) -> Result<Duration, FieldError> {
    match spec.cooldown {
        None => Ok(DEFAULT_COOLDOWN),
        Some(duration) if duration.0 > MAX_COOLDOWN => {
            Err(field("spec.cooldown")(&format!("{duration} is too long: at most 24h")))
        }
        Some(duration) => Ok(duration.0),
    }
}

fn claims(given: Option<crds::Claims>) -> Claims {
    match given {
        Some(crds::Claims::Pools) => Claims::Pools,
        Some(crds::Claims::Any) => Claims::Any,
        None => Claims::default(),
    }
}

fn anycast(given: AnycastSpec) -> Result<AnycastPlan, FieldError> {
    let AnycastSpec { established_connections, hold_down } = given;
    let defaults = AnycastPlan::default();
    Ok(AnycastPlan {
        established: established_connections.map_or(defaults.established, established),
        hold_down: match hold_down {
            None => defaults.hold_down,
            Some(duration) if duration.0 > MAX_HOLD_DOWN => {
                let reason = format!("{duration} is too long: at most 1h");
                return Err(field("spec.anycast.holdDown")(&reason));
            }
            Some(duration) => duration.0,
        },
    })
}

fn established(given: crds::EstablishedConnections) -> EstablishedConnections {
    match given {
        crds::EstablishedConnections::Keep => EstablishedConnections::Keep,
        crds::EstablishedConnections::Move => EstablishedConnections::Move,
    }
}

#[cfg(test)]
mod tests;
