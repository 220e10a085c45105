//! How full the pools are.

use std::fmt;
use std::time::Duration;

use ipnet::IpNet;
use jiff::Timestamp;

use super::Allocator;
use crate::iid;
use crate::node::Pools;
use crate::prefix::{Cidr4, Cidr6};

/// How full a prefix is, in addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolUsage {
    /// The prefix.
    pub cidr: IpNet,
    /// How many addresses pods may have out of it; `u64::MAX` for that many and more.
    pub size: u64,
    /// How many of these are in use.
    pub used: u64,
    /// How many of these rest. They are not in use.
    pub resting: u64,
}

impl PoolUsage {
    /// In use or resting, from 0 to 1.
    pub fn fullness(&self) -> f64 {
        (self.used + self.resting) as f64 / self.size as f64
    }

    /// Neither in use nor resting.
    pub fn free(&self) -> u64 {
        self.size.saturating_sub(self.used + self.resting)
    }
}

impl fmt::Display for PoolUsage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cidr, size, used, resting } = self;
        let at_least = if *size == u64::MAX { "at least " } else { "" };
        write!(f, "{cidr}: {at_least}{size} usable, {used} in use, {resting} resting")
    }
}

impl Allocator {
    /// How full each of the node's prefixes is, in their order, IPv6 first. O(n + r).
    pub fn usage(&self, pools: &Pools, now: Timestamp, cooldown: Duration) -> Vec<PoolUsage> {
        let mut usage = self.usages6(&pools.v6);
        usage.extend(pools.v4.iter().map(|cidr| self.usage4(*cidr, now, cooldown)));
        usage
    }

    pub(super) fn usages6(&self, cidrs: &[Cidr6]) -> Vec<PoolUsage> {
        cidrs.iter().map(|cidr| self.usage6(*cidr)).collect()
    }

    fn usage6(&self, cidr: Cidr6) -> PoolUsage {
        let net = cidr.net();
        let used = self.v6.range(net.network()..=net.broadcast());
        PoolUsage {
            cidr: IpNet::V6(net),
            size: u64::try_from(iid::usable(net)).unwrap_or(u64::MAX),
            used: used.filter(|(address, _)| !iid::is_reserved(**address, net)).count() as u64,
            resting: 0,
        }
    }

    pub(super) fn usage4(&self, cidr: Cidr4, now: Timestamp, cooldown: Duration) -> PoolUsage {
        let net = cidr.net();
        let used = self.v4.range(net.network()..=net.broadcast());
        let still = |address| cidr.grants(address) && self.cool_downs.is_cooling_down(address, now, cooldown);
        PoolUsage {
            cidr: IpNet::V4(net),
            size: cidr.usable(),
            used: used.filter(|(address, _)| cidr.grants(**address)).count() as u64,
            resting: self.resting().filter(|(address, _)| still(*address)).count() as u64,
        }
    }
}
