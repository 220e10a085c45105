//! What the kernel tells by itself.

mod stream;

pub use stream::{EventSender, KernelEvents};

use std::net::IpAddr;

use flock_core::attachment::IfName;
use flock_core::host::addresses::InterfaceAddress;
use ipnet::IpNet;

use crate::KernelError;

/// The node's kernel, followed.
pub trait Events: Send + Sync + 'static {
    /// Follows the kernel from now on. What flock cannot care about is left out.
    fn subscribe(&self) -> Result<KernelEvents, KernelError>;
}

/// One thing that has changed in the node's namespace. It says where to look; what there is now is to be observed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KernelEvent {
    /// A link, flock's or not.
    Link {
        /// Its name; none if it is not one that flock could use.
        name: Option<IfName>,
        /// Its index.
        index: u32,
        /// What happened to it.
        change: Change,
    },
    /// An address. Also when its lifetimes were set anew, as each router advertisement does.
    Address {
        /// The link's index.
        link: u32,
        /// The address, with its state.
        address: InterfaceAddress,
        /// What happened to it.
        change: Change,
    },
    /// A neighbour that is permanent, or one that went; not those of the loopback interface.
    Neighbour {
        /// The link's index.
        link: u32,
        /// Its address, where it has one.
        address: Option<IpAddr>,
        /// What happened to it.
        change: Change,
    },
    /// A default route of the main table, or one of ours that went.
    Route {
        /// Whose it is.
        kind: RouteKind,
        /// Where packets for it were to go.
        destination: IpNet,
        /// What happened to it.
        change: Change,
    },
    /// A policy rule of ours went.
    RuleGone,
    /// A nexthop object of ours went. Routes that led to it went with it, of which the kernel says nothing.
    NexthopGone {
        /// Its id.
        id: u32,
    },
    /// Anything may have changed: all is to be observed anew.
    Lost(Loss),
}

/// What happened to a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Change {
    /// It is there now, or is different from before.
    Set,
    /// It is not there any more.
    Gone,
}

/// Which route an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RouteKind {
    /// One with our protocol number.
    Ours,
    /// A default route, whoever made it.
    Default,
}

/// Why events were lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Loss {
    /// More than the queue has room for: the kernel's (ENOBUFS), or that of a [`KernelEvents`] that nobody reads.
    Overrun,
    /// The socket failed, and a new one was opened.
    Reopened,
    /// A message could not be read.
    Unreadable,
}
