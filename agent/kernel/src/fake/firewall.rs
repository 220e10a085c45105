//! The node's nftables tables.

use flock_core::steering::Ruleset;

use super::FakeKernel;
use crate::{Firewall, KernelError};

/// What there is of tables.
#[derive(Debug, Default)]
pub(super) struct FirewallState {
    steering: Option<Ruleset>,
}

impl FakeKernel {
    /// The table that marks packets of established connections.
    pub fn steering_table(&self) -> Option<Ruleset> {
        self.inner().state.firewall.steering.clone()
    }
}

impl Firewall for FakeKernel {
    async fn set_steering_table(&self, desired: Option<&Ruleset>) -> Result<(), KernelError> {
        self.put(desired.cloned(), |state| &mut state.firewall.steering)
    }
}
