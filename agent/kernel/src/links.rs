//! The links of attachments.

use std::future::Future;
use std::path::Path;

use flock_core::attachment::IfName;
use flock_core::host::HostLink;
use flock_core::link::{LinkChange, LinkSpec, PodObserved};

use crate::KernelError;

/// The veth pairs of attachments: one end in the node's namespace, one in the pod's.
pub trait Links: Send + Sync + 'static {
    /// One link of the node's namespace, by name.
    fn host_link(&self, name: &IfName) -> impl Future<Output = Result<Option<HostLink>, KernelError>> + Send;

    /// The pod side of a link: interface `ifname` in the namespace at `netns`.
    fn pod(
        &self,
        netns: &Path,
        ifname: &IfName,
    ) -> impl Future<Output = Result<PodObserved, KernelError>> + Send;

    /// Makes the changes in order; stops at the first one that fails. Setting what is set, unsetting what is not
    /// there and deleting a pair that is gone succeed.
    fn change_link(
        &self,
        spec: &LinkSpec,
        changes: &[LinkChange],
    ) -> impl Future<Output = Result<(), KernelError>> + Send;

    /// Removes a link of the node, and so its peer. One that is gone is fine.
    fn delete_link(&self, name: &IfName) -> impl Future<Output = Result<(), KernelError>> + Send;
}
