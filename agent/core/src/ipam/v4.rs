//! Choosing an IPv4 address.

use std::net::Ipv4Addr;
use std::time::Duration;

use jiff::Timestamp;

use super::{Allocator, IpamError};
use crate::pod::intent::PodIntent;
use crate::prefix::Cidr4;

impl Allocator {
    /// The lowest address of the first range that has one which neither is in use nor rests; else the one of all
    /// ranges that has rested longest.
    pub(super) fn pick_v4(
        &self,
        intent: &PodIntent,
        now: Timestamp,
        cooldown: Duration,
    ) -> Result<Ipv4Addr, IpamError> {
        let rested = |address: &Ipv4Addr| !self.cool_downs.is_cooling_down(*address, now, cooldown);
        let lowest = intent.v4().iter().find_map(|range| self.unused(range).find(rested));
        lowest.or_else(|| self.longest_resting(intent.v4())).ok_or_else(|| IpamError::V4Full {
            pod: intent.pod().clone(),
            ranges: intent.v4().iter().map(|range| self.usage4(*range, now, cooldown)).collect(),
        })
    }

    /// The range's addresses that nobody has, from the lowest. Lazy: each step passes over a taken one or ends.
    fn unused<'a>(&'a self, range: &'a Cidr4) -> impl Iterator<Item = Ipv4Addr> + 'a {
        let net = range.net();
        let all = net.network().to_bits()..=net.broadcast().to_bits();
        all.map(Ipv4Addr::from_bits)
            .filter(|address| range.grants(*address) && !self.v4.contains_key(address))
    }

    fn longest_resting(&self, ranges: &[Cidr4]) -> Option<Ipv4Addr> {
        let granted = |address: &Ipv4Addr| ranges.iter().any(|range| range.grants(*address));
        self.resting().map(|(address, _)| address).find(granted)
    }
}
