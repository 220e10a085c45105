//! The node as a whole.

use std::future::Future;

use flock_core::host::{HostChange, HostState};

use crate::KernelError;

/// What belongs to the node and to no pod: its links and addresses, sysctls, blackholes.
pub trait Node: Send + Sync + 'static {
    /// Everything on the node that flock may own or must know.
    fn host(&self) -> impl Future<Output = Result<HostState, KernelError>> + Send;

    /// Makes the changes in order; stops at the first one that fails.
    fn change_host(&self, changes: &[HostChange]) -> impl Future<Output = Result<(), KernelError>> + Send;
}
