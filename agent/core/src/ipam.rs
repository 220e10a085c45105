//! The allocator: which addresses an attachment gets, and which ones rest.
//!
//! * IPv6: random host bits, or the pod's `ip-algo`; never a reserved identifier ([`crate::iid`]). Nothing cools down: the
//!   chance to draw an address again is small.
//! * IPv4: the lowest address that is neither in use nor cooling down. A released one cools down, since peers
//!   go on talking to the pod that had it; if nothing else is left, the one that has rested longest is used early.
//!
//! A cool-down goes on beneath an early use: if that ADD is rolled back, the address cools down as before; once it is released,
//! it cools down anew. While an address is in use, it does not count as cooling down.
//!
//! An address belongs to at most one attachment. The allocator knows addresses, not pools: those come with each
//! intent, so that pools may change while pods live, whose addresses stay theirs.
//!
//! With n addresses in use and r resting: reading and releasing one take O(log n) steps; an IPv4 allocation
//! O((n + r) log n) for each range at worst, since it passes over one taken address per step; an IPv6 allocation 16
//! tries for each range, and then, only in ranges of at most 16 host bits, O(n log n).

mod cool_down;
mod error;
mod low;
mod usage;
mod v4;
mod v6;

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

pub use error::{Conflict, IpamError};
pub use low::{LOW_PERCENT, low};
pub use usage::PoolUsage;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use jiff::Timestamp;

use crate::attachment::AttachmentId;
use crate::pod::intent::PodIntent;
use crate::prefix::PodAddresses;
use cool_down::CoolDowns;

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
    /// How long a released IPv4 address cools down.
    pub cooldown: Duration,
}

/// Which attachment has which addresses, and which IPv4 addresses rest.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Allocator {
    held: BTreeMap<AttachmentId, PodAddresses>,
    /// What attachments have beside.
    static_addresses: BTreeMap<AttachmentId, BTreeSet<IpAddr>>,
    v6: BTreeMap<Ipv6Addr, AttachmentId>,
    v4: BTreeMap<Ipv4Addr, AttachmentId>,
    cool_downs: CoolDowns,
}

impl Allocator {
    /// Gives an attachment one address of each family that `intent` wants, and those that its pod names itself; or, on
    /// error, none. A rest keeps nobody from an address that he names.
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
        self.cool_downs.set_clock(now);
        let static_addresses = intent.static_addresses();
        if let Some((address, owner)) = self.taken(static_addresses.iter(), id) {
            return Err(IpamError::Taken { pod: intent.pod().clone(), address, owner });
        }
        // Held before anything is drawn, so that nothing of it is drawn.
        self.hold(id, static_addresses.addresses);
        self.hold_static(id, &static_addresses.further);
        let drawn = self.draw(intent, random, now, cooldown);
        match drawn {
            Ok(PodAddresses { v6, v4 }) => {
                let addresses = PodAddresses {
                    v6: v6.or(static_addresses.addresses.v6),
                    v4: v4.or(static_addresses.addresses.v4),
                };
                self.hold(id, addresses);
                Ok(addresses)
            }
            Err(error) => {
                self.forget(id);
                Err(error)
            }
        }
    }

    fn draw(
        &self,
        intent: &PodIntent,
        random: &mut dyn Random,
        now: Timestamp,
        cooldown: Duration,
    ) -> Result<PodAddresses, IpamError> {
        let v6 = if intent.v6().is_empty() { None } else { Some(self.pick_v6(intent, random)?) };
        let v4 = if intent.v4().is_empty() { None } else { Some(self.pick_v4(intent, now, cooldown)?) };
        Ok(PodAddresses { v6, v4 })
    }

    /// The first of these addresses that is another attachment's, and whose.
    fn taken(
        &self,
        addresses: impl IntoIterator<Item = IpAddr>,
        id: &AttachmentId,
    ) -> Option<(IpAddr, AttachmentId)> {
        let owner = |address| Some((address, self.owner(address).filter(|owner| *owner != id)?.clone()));
        addresses.into_iter().find_map(owner)
    }

    /// Takes an attachment's addresses back; the IPv4 one begins its rest at `now`. None: it had none.
    pub fn release(&mut self, id: &AttachmentId, now: Timestamp) -> Option<PodAddresses> {
        let addresses = self.forget(id)?;
        self.cool_downs.set_clock(now);
        if let Some(v4) = addresses.v4 {
            self.cool_downs.start(v4, now);
        }
        Some(addresses)
    }

    /// Takes the addresses of an attachment back which no pod has ever used: nothing begins to rest.
    pub fn forget(&mut self, id: &AttachmentId) -> Option<PodAddresses> {
        let addresses = self.held.remove(id)?;
        let further = self.static_addresses.remove(id).unwrap_or_default();
        for address in addresses.iter().chain(further) {
            match address {
                IpAddr::V6(v6) => drop(self.v6.remove(&v6)),
                IpAddr::V4(v4) => drop(self.v4.remove(&v4)),
            }
        }
        Some(addresses)
    }

    /// Makes addresses, and those beside them, an attachment's again after a restart, whatever the pools are today.
    /// Repeating it changes nothing; on error nothing is changed either.
    pub fn restore(
        &mut self,
        id: &AttachmentId,
        addresses: PodAddresses,
        further: &BTreeSet<IpAddr>,
    ) -> Result<(), Conflict> {
        if let Some(held) = self.addresses(id).filter(|held| *held != addresses) {
            return Err(Conflict::Attachment { id: id.clone(), held, addresses });
        }
        if let Some((address, owner)) = self.taken(addresses.iter().chain(further.iter().copied()), id) {
            return Err(Conflict::Address { id: id.clone(), address, owner });
        }
        if addresses != PodAddresses::default() {
            self.hold(id, addresses);
            self.hold_static(id, further);
        }
        Ok(())
    }

    /// Goes on with a rest after a restart. The address may be in use again early.
    pub fn restore_cool_down(&mut self, address: Ipv4Addr, since: Timestamp) {
        self.cool_downs.start(address, since);
    }

    /// Drops the cool-downs that have ended, and returns their addresses.
    pub fn expire(&mut self, now: Timestamp, cooldown: Duration) -> Vec<Ipv4Addr> {
        self.cool_downs.set_clock(now);
        self.cool_downs.expire(now, cooldown)
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
        self.cool_downs.iter().filter(|(address, _)| !self.v4.contains_key(address))
    }

    fn hold(&mut self, id: &AttachmentId, addresses: PodAddresses) {
        self.held.insert(id.clone(), addresses);
        addresses.v6.map(|v6| self.v6.insert(v6, id.clone()));
        addresses.v4.map(|v4| self.v4.insert(v4, id.clone()));
    }

    fn hold_static(&mut self, id: &AttachmentId, further: &BTreeSet<IpAddr>) {
        for address in further {
            match address {
                IpAddr::V6(v6) => drop(self.v6.insert(*v6, id.clone())),
                IpAddr::V4(v4) => drop(self.v4.insert(*v4, id.clone())),
            }
        }
        if !further.is_empty() {
            self.static_addresses.insert(id.clone(), further.clone());
        }
    }
}
