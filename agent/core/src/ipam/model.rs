//! Any sequence of operations, against a model that knows only who has what, what cools down since when, and the rules.

mod ops;

use proptest::prelude::*;

use super::tests::{at, id};
use super::*;
use crate::iid;
use crate::node::Pools;
use crate::prefix::{Cidr4, Cidr6, Family};
use ops::{Ask, Op, op_strategy, pools_strategy};

const COOLDOWN: Duration = Duration::from_secs(30);

/// Splitmix64, biased to small numbers so that addresses collide.
struct Dice(u64);

impl Random for Dice {
    fn fill(&mut self, bytes: &mut [u8]) {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let value = if z.is_multiple_of(3) {
            u128::from(z % 8)
        } else {
            u128::from(z) << 64 | u128::from(z ^ self.0)
        };
        bytes.copy_from_slice(&value.to_be_bytes());
    }
}

struct Model {
    pools: Pools,
    now: i64,
    held: BTreeMap<usize, PodAddresses>,
    /// The longest-resting first; also those whose rest goes on beneath a use.
    cool_downs: Vec<(Ipv4Addr, i64)>,
}

impl Model {
    fn has(&self, address: IpAddr) -> bool {
        self.held.values().any(|held| held.iter().any(|other| other == address))
    }

    fn cool_downs(&self, address: Ipv4Addr) -> bool {
        let still = |since: i64| self.now - since < COOLDOWN.as_secs() as i64;
        self.cool_downs.iter().any(|(other, since)| *other == address && still(*since))
    }

    /// Every allocation and release corrects cool-downs that began in the future.
    fn correct_clock(&mut self) {
        for (_, since) in &mut self.cool_downs {
            *since = (*since).min(self.now);
        }
        self.cool_downs.sort_by_key(|(_, since)| *since);
    }

    /// What the range has for pods, in ascending order: all between gateway and broadcast address.
    fn granted(range: &Cidr4) -> impl Iterator<Item = Ipv4Addr> + use<> {
        let net = range.net();
        (net.network().to_bits() + 2..net.broadcast().to_bits()).map(Ipv4Addr::from_bits)
    }

    /// The rule for IPv4, naively.
    fn expected_v4(&self, ranges: &[Cidr4]) -> Option<Ipv4Addr> {
        let unused = |address: &Ipv4Addr| !self.has(IpAddr::V4(*address));
        let fresh = |range| Self::granted(range).filter(unused).find(|address| !self.cool_downs(*address));
        let early = || {
            let granted = |address: &Ipv4Addr| ranges.iter().any(|range| range.grants(*address));
            self.cool_downs
                .iter()
                .map(|(address, _)| *address)
                .find(|address| unused(address) && granted(address))
        };
        ranges.iter().find_map(fresh).or_else(early)
    }

    fn check_v6(&self, address: Ipv6Addr, intent: &PodIntent) {
        let cidr = intent.v6().iter().find(|cidr| cidr.contains(address)).expect("outside of its ranges");
        assert!(!iid::is_reserved(address, cidr.net()), "{address} is reserved");
        assert!(!self.has(IpAddr::V6(address)), "{address} is in use");
        if let Some(algo) = intent.algo() {
            let made = (0..16).map(|retry| cidr.address(algo.host_bits(intent.identity(), *cidr, retry)));
            assert!(made.into_iter().any(|made| made == address), "{address} is not of {algo}");
        }
    }

    /// Only a small range that is full, or an `ip-algo`, may be without an address here: there are 16 tries.
    fn check_no_v6(&self, error: &IpamError, intent: &PodIntent) {
        let free = |cidr: &Cidr6, host| {
            let address = cidr.address(host);
            !iid::is_reserved(address, cidr.net()) && !self.has(IpAddr::V6(address))
        };
        let found = |cidr: &Cidr6| match intent.algo() {
            Some(algo) => (0..16).any(|retry| free(cidr, algo.host_bits(intent.identity(), *cidr, retry))),
            None => (0..1 << cidr.host_bits().min(16)).any(|host| free(cidr, host)),
        };
        assert!(!intent.v6().iter().any(found), "there is an address: {error}");
    }

    fn check(&self, ipam: &Allocator) {
        let held: BTreeMap<AttachmentId, PodAddresses> =
            ipam.attachments().map(|(id, a)| (id.clone(), a)).collect();
        assert_eq!(held, self.held.iter().map(|(number, held)| (id(*number), *held)).collect());
        for (number, address) in
            self.held.iter().flat_map(|(number, held)| held.iter().map(move |a| (*number, a)))
        {
            assert_eq!(ipam.owner(address), Some(&id(number)), "{address}");
        }
        for usage in ipam.usage(&self.pools, at(self.now), COOLDOWN) {
            assert!(usage.used + usage.resting <= usage.size, "{usage}");
        }
    }
}

fn allocate(model: &mut Model, ipam: &mut Allocator, dice: &mut Dice, attachment: usize, ask: &Ask) {
    let intent = ask.intent(&model.pools);
    let before: Vec<_> = ipam.attachments().map(|(id, addresses)| (id.clone(), addresses)).collect();
    let draw = Draw { random: dice, now: at(model.now), cooldown: COOLDOWN };
    let result = ipam.allocate(&id(attachment), &intent, draw);
    if let Some(addresses) = model.held.get(&attachment) {
        assert_eq!(result, Err(IpamError::AlreadyHeld { id: id(attachment), addresses: *addresses }));
        return;
    }
    model.correct_clock();
    match result {
        Ok(addresses) => {
            assert_eq!(addresses.v6.is_some(), intent.wants(Family::IPv6));
            assert_eq!(addresses.v4, model.expected_v4(intent.v4()));
            addresses.v6.iter().for_each(|v6| model.check_v6(*v6, &intent));
            model.held.insert(attachment, addresses);
        }
        Err(error) => {
            match &error {
                IpamError::V4Full { .. } => assert_eq!(model.expected_v4(intent.v4()), None),
                error => model.check_no_v6(error, &intent),
            }
            assert!(ipam.attachments().map(|(id, addresses)| (id.clone(), addresses)).eq(before), "{error}");
        }
    }
}

fn release(model: &mut Model, ipam: &mut Allocator, attachment: usize) {
    let held = model.held.remove(&attachment);
    assert_eq!(ipam.release(&id(attachment), at(model.now)), held);
    if held.is_some() {
        model.correct_clock();
    }
    if let Some(v4) = held.and_then(|held| held.v4) {
        model.cool_downs.retain(|(address, _)| *address != v4);
        model.cool_downs.push((v4, model.now));
    }
}

fn expire(model: &mut Model, ipam: &mut Allocator) {
    model.correct_clock();
    let ended =
        model.cool_downs.iter().map(|(address, _)| *address).filter(|address| !model.cool_downs(*address));
    let ended: Vec<Ipv4Addr> = ended.collect();
    assert_eq!(ipam.expire(at(model.now), COOLDOWN), ended);
    model.cool_downs.retain(|(address, _)| !ended.contains(address));
}

fn restart(model: &Model) -> Allocator {
    let mut ipam = Allocator::default();
    model.cool_downs.iter().for_each(|(address, since)| ipam.restore_cool_down(*address, at(*since)));
    model.held.iter().for_each(|(number, held)| ipam.restore(&id(*number), *held, &BTreeSet::new()).unwrap());
    ipam
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_sequence_of_operations_breaks_the_rules(
        pools in pools_strategy(),
        seed in any::<u64>(),
        ops in prop::collection::vec(op_strategy(), 1..80),
    ) {
        let mut model = Model { pools, now: 1_000, held: BTreeMap::new(), cool_downs: Vec::new() };
        let (mut ipam, mut dice) = (Allocator::default(), Dice(seed));
        for op in ops {
            match op {
                Op::Allocate { attachment, ask } => allocate(&mut model, &mut ipam, &mut dice, attachment, &ask),
                Op::Release(attachment) => release(&mut model, &mut ipam, attachment),
                Op::Forget(attachment) => {
                    prop_assert_eq!(ipam.forget(&id(attachment)), model.held.remove(&attachment));
                }
                Op::Advance(seconds) => model.now += seconds,
                Op::Expire => expire(&mut model, &mut ipam),
                Op::ChangePools(pools) => model.pools = pools,
                Op::Restart => ipam = restart(&model),
            }
            model.check(&ipam);
        }
    }
}
