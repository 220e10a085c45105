//! Which family runs out of addresses.

use std::collections::BTreeMap;

use ipnet::IpNet;

use super::PoolUsage;
use crate::prefix::Family;

/// A family is low from this share of its addresses on, in per cent.
pub const LOW_PERCENT: u128 = 90;

/// The families whose prefixes together are [`LOW_PERCENT`] in use or resting, with these prefixes.
pub fn low(usage: &[PoolUsage]) -> BTreeMap<Family, Vec<IpNet>> {
    let mut families: BTreeMap<Family, Vec<&PoolUsage>> = BTreeMap::new();
    for pool in usage {
        families.entry(Family::of(pool.cidr.addr())).or_default().push(pool);
    }
    let cidrs = |pools: Vec<&PoolUsage>| pools.iter().map(|pool| pool.cidr).collect();
    let full = families.into_iter().filter(|(_, pools)| is_low(pools));
    full.map(|(family, pools)| (family, cidrs(pools))).collect()
}

fn is_low(pools: &[&PoolUsage]) -> bool {
    let sum = |count: fn(&PoolUsage) -> u128| pools.iter().map(|pool| count(pool)).sum::<u128>();
    let taken = sum(|pool| u128::from(pool.used) + u128::from(pool.resting));
    taken * 100 >= sum(|pool| pool.size.into()) * LOW_PERCENT
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(cidr: &str, size: u64, used: u64, resting: u64) -> PoolUsage {
        PoolUsage { cidr: cidr.parse().unwrap(), size, used, resting }
    }

    #[test]
    fn a_family_is_low_when_its_prefixes_are_so_together() {
        let v6 = pool("2001:db8::/64", u64::MAX, 250, 0);
        let families = |v4: &[PoolUsage]| {
            let usage: Vec<PoolUsage> = [v6].iter().chain(v4).copied().collect();
            low(&usage).into_keys().collect::<Vec<_>>()
        };
        assert_eq!(families(&[pool("192.0.2.0/26", 60, 53, 0)]), []);
        assert_eq!(families(&[pool("192.0.2.0/26", 60, 50, 4)]), [Family::IPv4]);
        assert_eq!(families(&[pool("192.0.2.0/26", 60, 60, 0), pool("192.0.2.64/26", 61, 0, 0)]), []);
        assert_eq!(low(&[]), BTreeMap::new());
        assert_eq!(low(&[pool("192.0.2.0/30", 1, 1, 0)])[&Family::IPv4], ["192.0.2.0/30".parse().unwrap()]);
    }
}
