//! The allocator: which addresses an attachment gets, and which ones rest.
//!
//! * IPv6: random host bits, or the pod's `ip-algo`; never a reserved identifier ([`crate::iid`]). Nothing rests: the
//!   chance to draw an address again is small.
//! * IPv4: the lowest address that is neither in use nor resting. A released one rests for the cool-down, since peers
//!   go on talking to the pod that had it; if nothing else is left, the one that has rested longest is used early.
//!
//! A rest goes on beneath an early use: if that ADD is rolled back, the address rests as before; once it is released,
//! it rests anew. While an address is in use, it does not count as resting.
//!
//! An address belongs to at most one attachment. The allocator knows addresses, not pools: those come with each
//! intent, so that pools may change while pods live, whose addresses stay theirs.
//!
//! With n addresses in use and r resting: reading and releasing one take O(log n) steps; an IPv4 allocation
//! O((n + r) log n) for each range at worst, since it passes over one taken address per step; an IPv6 allocation 16
//! tries for each range, and then, only in ranges of at most 16 host bits, O(n log n).

mod error;
mod rests;
mod usage;
mod v4;
mod v6;

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

pub use error::{Conflict, IpamError};
pub use usage::PoolUsage;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use jiff::Timestamp;

use crate::attachment::AttachmentId;
use crate::intent::PodIntent;
use crate::prefix::PodAddresses;
use rests::Rests;

/// Where randomness comes from.
pub trait Random {
    /// Fills `bytes` with random ones.
    fn fill(&mut self, bytes: &mut [u8]);
}

/// What an allocation needs of the world.
pub struct Draw<'a> {
    /// Randomness, for IPv6.
    pub random: &'a mut dyn Random,
    /// Wall clock.
    pub now: Timestamp,
    /// How long a released IPv4 address rests.
    pub cooldown: Duration,
}

/// Which attachment has which addresses, and which IPv4 addresses rest.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Allocator {
    held: BTreeMap<AttachmentId, PodAddresses>,
    v6: BTreeMap<Ipv6Addr, AttachmentId>,
    v4: BTreeMap<Ipv4Addr, AttachmentId>,
    rests: Rests,
}

impl Allocator {
    /// Gives an attachment one address of each family that `intent` wants, or, on error, none.
    pub fn allocate(
        &mut self,
        id: &AttachmentId,
        intent: &PodIntent,
        draw: Draw<'_>,
    ) -> Result<PodAddresses, IpamError> {
        if let Some(addresses) = self.addresses(id) {
            return Err(IpamError::AlreadyHeld { id: id.clone(), addresses });
        }
        let Draw { random, now, cooldown } = draw;
        self.rests.set_clock(now);
        let v6 = if intent.v6().is_empty() { None } else { Some(self.pick_v6(intent, random)?) };
        let v4 = if intent.v4().is_empty() { None } else { Some(self.pick_v4(intent, now, cooldown)?) };
        let addresses = PodAddresses { v6, v4 };
        self.hold(id, addresses);
        Ok(addresses)
    }

    /// Takes an attachment's addresses back; the IPv4 one begins its rest at `now`. None: it had none.
    pub fn release(&mut self, id: &AttachmentId, now: Timestamp) -> Option<PodAddresses> {
        let addresses = self.forget(id)?;
        self.rests.set_clock(now);
        if let Some(v4) = addresses.v4 {
            self.rests.start(v4, now);
        }
        Some(addresses)
    }

    /// Takes the addresses of an attachment back which no pod has ever used: nothing begins to rest.
    pub fn forget(&mut self, id: &AttachmentId) -> Option<PodAddresses> {
        let addresses = self.held.remove(id)?;
        addresses.v6.map(|v6| self.v6.remove(&v6));
        addresses.v4.map(|v4| self.v4.remove(&v4));
        Some(addresses)
    }

    /// Makes addresses an attachment's again after a restart, whatever the pools are today. Repeating it changes
    /// nothing; on error nothing is changed either.
    pub fn restore(&mut self, id: &AttachmentId, addresses: PodAddresses) -> Result<(), Conflict> {
        if let Some(held) = self.addresses(id).filter(|held| *held != addresses) {
            return Err(Conflict::Attachment { id: id.clone(), held, addresses });
        }
        let taken = addresses.iter().find_map(|address| {
            self.owner(address).filter(|owner| *owner != id).map(|owner| (address, owner.clone()))
        });
        if let Some((address, owner)) = taken {
            return Err(Conflict::Address { id: id.clone(), address, owner });
        }
        if addresses != PodAddresses::default() {
            self.hold(id, addresses);
        }
        Ok(())
    }

    /// Goes on with a rest after a restart. The address may be in use again early.
    pub fn restore_resting(&mut self, address: Ipv4Addr, since: Timestamp) {
        self.rests.start(address, since);
    }

    /// Drops the rests that have ended, and returns their addresses.
    pub fn expire(&mut self, now: Timestamp, cooldown: Duration) -> Vec<Ipv4Addr> {
        self.rests.set_clock(now);
        self.rests.expire(now, cooldown)
    }

    /// Whose address it is.
    pub fn owner(&self, address: IpAddr) -> Option<&AttachmentId> {
        match address {
            IpAddr::V6(v6) => self.v6.get(&v6),
            IpAddr::V4(v4) => self.v4.get(&v4),
        }
    }

    /// What an attachment has.
    pub fn addresses(&self, id: &AttachmentId) -> Option<PodAddresses> {
        self.held.get(id).copied()
    }

    /// All attachments that have addresses, in the order of their IDs.
    pub fn attachments(&self) -> impl Iterator<Item = (&AttachmentId, PodAddresses)> {
        self.held.iter().map(|(id, addresses)| (id, *addresses))
    }

    /// The addresses that rest and since when, the longest-resting first; those whose rest has ended are among them
    /// until [`Allocator::expire`].
    pub fn resting(&self) -> impl Iterator<Item = (Ipv4Addr, Timestamp)> {
        self.rests.iter().filter(|(address, _)| !self.v4.contains_key(address))
    }

    fn hold(&mut self, id: &AttachmentId, addresses: PodAddresses) {
        self.held.insert(id.clone(), addresses);
        addresses.v6.map(|v6| self.v6.insert(v6, id.clone()));
        addresses.v4.map(|v4| self.v4.insert(v4, id.clone()));
    }
}
