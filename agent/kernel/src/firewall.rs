//! The node's nftables tables.

use std::future::Future;

use flock_core::steering::Ruleset;

use crate::KernelError;

/// Those tables of nftables that are flock's. Nobody else's are touched.
pub trait Firewall: Send + Sync + 'static {
    /// Puts the table that marks packets of established connections in the place of what is there, unless it is there
    /// already; without one, removes it.
    fn set_steering_table(
        &self,
        desired: Option<&Ruleset>,
    ) -> impl Future<Output = Result<(), KernelError>> + Send;
}
