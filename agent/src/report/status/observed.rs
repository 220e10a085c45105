//! Everything that the status follows from.

use std::sync::Arc;

use flock_core::bgp::plan::BgpPlan;
use flock_core::host::addresses::Subnets;
use flock_core::ipam::PoolUsage;
use flock_crds::anycast::AnycastStatus;

use crate::bird::BgpView;
use flock_core::desired::{Desired, Place, Problem};

/// Everything that the status follows from, but what it was before.
#[derive(Debug, Clone, Default)]
pub(super) struct Observed {
    pub(super) node: String,
    /// What is wanted of it.
    pub(super) desired: Arc<Desired>,
    /// Why it cannot take pods; none: it can.
    pub(super) not_ready: Option<String>,
    /// How full its pools are.
    pub(super) usage: Vec<PoolUsage>,
    pub(super) bgp: Arc<BgpView>,
    /// Anycast, with what BIRD says of it.
    pub(super) anycast: Vec<AnycastStatus>,
    /// The node's own addresses.
    pub(super) subnets: Subnets,
}

impl Observed {
    /// `spec.bgp`.
    pub(super) fn plan(&self) -> Option<&BgpPlan> {
        self.desired.node.as_ref()?.bgp.as_ref()
    }

    /// What is wrong with what the node is configured by: its NodeConfig, its templates, AddressPools. Not what is wrong
    /// with pods, or with other nodes.
    pub(super) fn problems(&self) -> impl Iterator<Item = &Problem> {
        self.desired.problems.iter().filter(|problem| match &problem.place {
            Place::Object { kind: "NodeConfig", name } => {
                *name == self.node || self.desired.config.templates.contains(name)
            }
            Place::Object { kind, .. } => *kind == "AddressPool",
            Place::Composition(node) => *node == self.node,
            Place::File { .. } => true,
        })
    }
}
