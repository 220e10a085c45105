//! What the kernel refuses.

use std::io;
use std::path::PathBuf;

use flock_core::attachment::IfName;

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
