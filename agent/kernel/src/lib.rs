//! The kernel, as the agent sees it. The only crate that knows netlink, network namespaces and sysctls; no type of
//! theirs crosses its border.
//!
//! * [`Kernel`]: what can be observed and changed, in `flock-core`'s vocabulary.
//! * [`linux`]: the real one: route netlink sockets in the node's and the pods' namespaces, on short-lived threads.
//! * `fake`: one in memory for tests (feature `fake`), which can fail at any step.

#[cfg(any(test, feature = "fake"))]
pub mod fake;
pub mod linux;
#[cfg(any(test, feature = "fake"))]
pub mod stepped;

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};

use flock_core::anycast::{RouteChange, Routes};
use flock_core::attachment::IfName;
use flock_core::host::{HostChange, HostLink, HostState};
use flock_core::link::{LinkChange, LinkSpec, PodObserved};
use flock_core::steering::Steering;

/// The routing-protocol number on every route that flock makes (`ip route show proto 70`). Free in
/// `/etc/iproute2/rt_protos` and not known to be used by another network program.
pub const ROUTE_PROTOCOL: u8 = 70;

/// The kernel of one node. Implementations are cheap to call from many tasks at once.
pub trait Kernel: Send + Sync + 'static {
    /// Everything on the node that flock may own or must know.
    fn host(&self) -> impl Future<Output = Result<HostState, KernelError>> + Send;

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

    /// Makes the changes in order; stops at the first one that fails.
    fn change_host(&self, changes: &[HostChange]) -> impl Future<Output = Result<(), KernelError>> + Send;

    /// The routes to anycast addresses: host routes of ours that lead through a gateway.
    fn anycast_routes(&self) -> impl Future<Output = Result<Routes, KernelError>> + Send;

    /// Makes the changes in order. One that fails does not keep the others from being made; the first failure is
    /// returned. Removing a route that is not there succeeds.
    fn change_anycast_routes(
        &self,
        changes: &[RouteChange],
    ) -> impl Future<Output = Result<(), KernelError>> + Send;

    /// Makes the node steer established connections so, and no others; what is right already is not touched.
    fn steer(&self, steering: &Steering) -> impl Future<Output = Result<(), KernelError>> + Send;

    /// Follows the kernel from now on.
    fn watch(&self) -> Result<Changes, KernelError>;
}

/// Says that something flock may care about has changed: a flock link, a route, an address or a neighbour on one
/// went away; an uplink or a default route changed; or messages were lost. What has changed is to be observed anew.
#[derive(Debug)]
pub struct Changes {
    receiver: tokio::sync::mpsc::Receiver<()>,
}

impl Changes {
    /// The receiving end for a sender of capacity one: many changes while nobody looks are one.
    pub fn channel() -> (tokio::sync::mpsc::Sender<()>, Self) {
        let (sender, receiver) = tokio::sync::mpsc::channel(1);
        (sender, Self { receiver })
    }

    /// Waits for the next change; false when the kernel cannot be followed any more.
    pub async fn changed(&mut self) -> bool {
        self.receiver.recv().await.is_some()
    }
}

/// What went wrong, on what.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// The path of the pod's namespace leads nowhere.
    #[error("network namespace {0} does not exist")]
    NoNamespace(PathBuf),
    /// The path leads to something else.
    #[error("{0} is not a network namespace")]
    NotANamespace(PathBuf),
    /// The pod's namespace has an interface of that name already, and it is not the attachment's.
    #[error(
        "network namespace {netns} already has an interface {ifname} that is not this attachment's; is another network configured in {conf}?",
        conf = "/etc/cni/net.d"
    )]
    InterfaceExists {
        /// The namespace.
        netns: PathBuf,
        /// The interface.
        ifname: IfName,
    },
    /// The host link's name is taken.
    #[error("the node already has an interface {0}")]
    HostLinkExists(IfName),
    /// A step failed.
    #[error("{action}: {cause}")]
    Step {
        /// What was being done, to what.
        action: String,
        /// The kernel's answer.
        cause: io::Error,
    },
    /// The connection to the kernel is gone.
    #[error("the netlink connection is closed")]
    Closed,
}
