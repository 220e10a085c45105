//! Arbitrary single addresses.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::num::NonZeroU32;

use flock_core::anycast::Announced;
use ipnet::IpNet;
use proptest::collection::{btree_map, btree_set};
use proptest::prelude::*;

use crate::arbitrary::{net, part_of};

/// What pods may claim, and what is announced.
pub(crate) fn claims() -> impl Strategy<Value = (Announced, BTreeSet<IpNet>)> {
    btree_set(net(), 0..4).prop_flat_map(|claimable| (announced(claimable.clone()), Just(claimable)))
}

/// Addresses that pods may claim, and some that they may not.
fn announced(claimable: BTreeSet<IpNet>) -> impl Strategy<Value = Announced> {
    let pods = prop_oneof![1..=5_u32, 990..=1010_u32, 1..=u32::MAX];
    let pods = pods.prop_map(|pods| NonZeroU32::new(pods).unwrap());
    let anycast = btree_map(address(claimable.clone()), pods, 0..6);
    (anycast, btree_set(address(claimable), 0..3))
        .prop_map(|(anycast, static_addresses)| Announced { anycast, static_addresses })
}

fn address(claimable: BTreeSet<IpNet>) -> impl Strategy<Value = IpAddr> {
    let claimable = Vec::from_iter(claimable);
    let choice = (any::<u128>(), any::<usize>(), prop::bool::weighted(0.2), net());
    choice.prop_map(move |(bits, pick, foreign, elsewhere)| {
        let within = claimable.get(pick % claimable.len().max(1)).filter(|_| !foreign);
        part_of(*within.unwrap_or(&elsewhere), bits, 128).addr()
    })
}
