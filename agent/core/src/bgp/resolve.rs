//! Plan and surroundings joined: every address, next hop and filter decided.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use ipnet::IpNet;

use super::config::{BirdConfig, Password};
use super::control::BirdVersion;
use super::plan::BgpPlan;
use super::subnet::Subnets;
use crate::attachment::IfName;
use crate::node::Pools;
use crate::prefix::PodAddresses;

/// What a configuration follows from beside the plan.
#[derive(Debug, Clone)]
pub struct Surroundings<'a> {
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
    /// The content of each password file that the plan names, or why there is none.
    pub passwords: &'a BTreeMap<PathBuf, Result<Password, String>>,
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

/// Decides everything that the plan leaves open.
///
/// # Errors
/// When the BIRD that runs is too old for any configuration of flock's.
pub fn resolve(plan: &BgpPlan, around: &Surroundings<'_>) -> Result<Resolved, String> {
    let _ = (plan, around);
    Err("not written yet".to_owned())
}
