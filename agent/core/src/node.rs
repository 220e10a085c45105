//! The node's plan: NodeConfig, validated.

use std::collections::BTreeSet;
use std::time::Duration;

use ipnet::IpNet;

use crate::attachment::IfName;
use crate::bgp::plan::BgpPlan;
use crate::claim::Claims;
use crate::prefix::{Cidr4, Cidr6, Family};

/// Everything that a NodeConfig says about pods' network, with defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodePlan {
    /// The node's name.
    pub name: String,
    /// Where addresses come from.
    pub pools: Pools,
    /// Families of a pod that says nothing.
    pub defaults: FamilyDefaults,
    /// The family that a CNI result lists first.
    pub primary: Family,
    /// Interfaces towards the network.
    pub uplinks: Uplinks,
    /// Pods' MTU in bytes; none: the uplinks' smallest.
    pub mtu: Option<u32>,
    /// How long a released IPv4 address rests.
    pub cooldown: Duration,
    /// NodeConfig's `ip-algo` annotation, as written.
    pub ip_algo: Option<String>,
    /// Who may claim anycast and operator-chosen addresses.
    pub claims: Claims,
    /// `spec.anycast`.
    pub anycast: AnycastPlan,
    /// `spec.bgp`; none: the node speaks no BGP.
    pub bgp: Option<BgpPlan>,
}

impl NodePlan {
    /// A node without prefixes, and everything else as when nothing is said.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            pools: Pools::default(),
            defaults: FamilyDefaults::default(),
            primary: Family::IPv6,
            uplinks: Uplinks::default(),
            mtu: None,
            cooldown: Duration::from_secs(30),
            ip_algo: None,
            claims: Claims::default(),
            anycast: AnycastPlan::default(),
            bgp: None,
        }
    }
}

/// NodeConfig `spec.anycast`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnycastPlan {
    /// What becomes of the connections of a pod that leaves.
    pub established: EstablishedConnections,
    /// How long an address that was withdrawn more than once within a minute stays withdrawn at least.
    pub hold_down: Duration,
}

impl Default for AnycastPlan {
    fn default() -> Self {
        Self { established: EstablishedConnections::Keep, hold_down: Duration::from_secs(1) }
    }
}

/// What becomes of established connections when their pod stops to take new ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EstablishedConnections {
    /// They stay with the pod as long as it is there.
    #[default]
    Keep,
    /// They go where new ones go, and are reset there.
    Move,
}

/// The node's prefixes, in the order of preference; no two of a family overlap.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pools {
    /// IPv6.
    pub v6: Vec<Cidr6>,
    /// IPv4.
    pub v4: Vec<Cidr4>,
}

impl Pools {
    /// All prefixes, IPv6 first.
    pub fn iter(&self) -> impl Iterator<Item = IpNet> {
        let v6 = self.v6.iter().map(|cidr| IpNet::V6(cidr.net()));
        v6.chain(self.v4.iter().map(|cidr| IpNet::V4(cidr.net())))
    }
}

/// NodeConfig `spec.defaults`. `None`: nobody said, so the node gives what it has a pool for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FamilyDefaults {
    /// Whether pods get IPv6.
    pub v6: Option<bool>,
    /// Whether pods get IPv4.
    pub v4: Option<bool>,
}

/// Which interfaces are uplinks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Uplinks {
    /// Those of the default routes.
    #[default]
    OfDefaultRoutes,
    /// Those that NodeConfig names.
    Named(BTreeSet<IfName>),
}
