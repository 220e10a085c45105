//! Choosing an IPv6 address.

use std::net::Ipv6Addr;

use super::{Allocator, IpamError, Random};
use crate::iid;
use crate::pod::algo::{self, IpAlgo};
use crate::pod::intent::PodIntent;
use crate::prefix::Cidr6;

/// How often an address is drawn for each range.
const TRIES: u8 = 16;

/// The most host bits of a range in which a free address is looked for one by one when drawing has failed.
pub(super) const SWEPT_BITS: u8 = 16;

impl Allocator {
    /// An address of the first range that has one: as `ip-algo` makes it, or random.
    pub(super) fn pick_v6(&self, intent: &PodIntent, random: &mut dyn Random) -> Result<Ipv6Addr, IpamError> {
        let ranges = intent.v6();
        match intent.algo() {
            Some(algo) => ranges.iter().find_map(|cidr| self.embed(*cidr, intent, algo)),
            None => ranges.iter().find_map(|cidr| self.draw_v6(*cidr, random)),
        }
        .ok_or_else(|| self.no_v6(intent))
    }

    fn embed(&self, cidr: Cidr6, intent: &PodIntent, algo: &IpAlgo) -> Option<Ipv6Addr> {
        let address = |retry| cidr.address(algo.host_bits(intent.identity(), cidr, retry));
        (0..algo::RETRIES).map(address).find(|address| self.is_free_v6(*address, cidr))
    }

    fn draw_v6(&self, cidr: Cidr6, random: &mut dyn Random) -> Option<Ipv6Addr> {
        let mut host = 0;
        for _ in 0..TRIES {
            let mut bytes = [0; 16];
            random.fill(&mut bytes);
            host = u128::from_be_bytes(bytes);
            if self.is_free_v6(cidr.address(host), cidr) {
                return Some(cidr.address(host));
            }
        }
        // Upwards from the last try and around: a small range can be given out to the last address.
        let others = if cidr.host_bits() <= SWEPT_BITS { 1_u128 << cidr.host_bits() } else { 0 };
        let next = |step| cidr.address(host.wrapping_add(step));
        (1..others).map(next).find(|address| self.is_free_v6(*address, cidr))
    }

    fn is_free_v6(&self, address: Ipv6Addr, cidr: Cidr6) -> bool {
        !iid::is_reserved(address, cidr.net()) && !self.v6.contains_key(&address)
    }

    fn no_v6(&self, intent: &PodIntent) -> IpamError {
        let pod = intent.pod().clone();
        let ranges = intent.v6().to_vec();
        match intent.algo() {
            Some(algo) => IpamError::AlgoTaken { pod, algo: algo.clone(), ranges },
            None if ranges.iter().any(|cidr| cidr.host_bits() > SWEPT_BITS) => {
                IpamError::V6Collisions { pod, ranges: self.usages6(&ranges) }
            }
            None => IpamError::V6Full { pod, ranges: self.usages6(&ranges) },
        }
    }
}
