//! Anycast on this node: which addresses are served by which pods, the routes to them, and what the routers are told.
//!
//! ```text
//!  pods, AddressPools, attachments --> Announcer --groups--> Programmer --> Kernel (routes)
//!                              |          |  ^                   |
//!                              |          |  +----programmed-----+
//!                              |          +--> Announcement --> Controller --> BIRD
//!                              +--> Steerer --> Kernel (established connections)
//! ```
//!
//! A withdrawal waits for nothing. An address is announced when its route is there. Nobody waits for the steerer.

mod announcer;
#[cfg(test)]
mod examples;
mod members;
mod programmer;
mod steerer;

pub use announcer::{Announcer, AnnouncerInputs};
pub use programmer::Programmer;
pub use steerer::Steerer;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use flock_core::anycast::Groups;

/// Anycast as it is, for people.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AnycastView {
    /// Every address that is claimed on this node.
    pub groups: Groups,
    /// Those that BIRD is to announce.
    pub announced: BTreeSet<IpAddr>,
    /// Those that are served but not announced, and why.
    pub withheld: BTreeMap<IpAddr, Withheld>,
    /// What the kernel refuses of the routes.
    pub problem: Option<String>,
}

/// What is in the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Programmed {
    /// The addresses whose routes are there.
    pub routed: BTreeSet<IpAddr>,
    /// What the kernel refuses.
    pub problem: Option<String>,
}

/// Why an address that pods serve is not announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Withheld {
    /// The kernel has no route to its pods yet.
    NoRoute,
    /// It has come and gone, and waits for its hold-down to end.
    HeldDown,
    /// Its AddressPool lets fewer nodes advertise than serve, and others do.
    NotElected,
}

impl Withheld {
    pub fn as_str(&self) -> &'static str {
        match self {
            Withheld::NoRoute => "the kernel has no route to its pods yet",
            Withheld::HeldDown => "held down: it has come and gone (spec.anycast.holdDown)",
            Withheld::NotElected => "other nodes advertise it (maxAdvertisers of its AddressPool)",
        }
    }
}
