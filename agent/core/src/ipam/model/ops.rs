//! What may happen to an allocator.

use std::net::Ipv4Addr;

use proptest::prelude::*;
use proptest::sample::Index;

use crate::ipam::tests::{intent, pools};
use crate::node::Pools;
use crate::pod::intent::PodIntent;
use crate::prefix::{Cidr4, Cidr6};

/// Enough attachments to exhaust small pools, and what `ip-algo` has for one pod.
const ATTACHMENTS: usize = 20;

#[derive(Debug, Clone)]
pub(super) enum Op {
    Allocate {
        attachment: usize,
        ask: Ask,
    },
    Release(usize),
    Forget(usize),
    /// Seconds; the clock may be set back.
    Advance(i64),
    Expire,
    ChangePools(Pools),
    Restart,
}

/// A pod's annotations, as far as they make sense for any pools.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    families: (bool, bool),
    /// How much longer than one of the node's prefixes, and which part of which one.
    narrow: Option<(u8, Index, u128)>,
    algo: Option<&'static str>,
}

/// Keeps long prefixes out of ISATAP's identifiers, 0:5efe::/32 (RFC 5214): a prefix of nothing but reserved ones is
/// refused, as it should be, and chance would find one in every few dozen runs.
const NOT_ISATAP: u64 = !(0xf000 << 32);

pub(super) fn pools_strategy() -> impl Strategy<Value = Pools> {
    let v6 = (prop_oneof![2 => Just(120_u8), 1 => Just(64), 3 => 48_u8..=120], 0..4_u16, any::<u64>());
    let v4 = (prop_oneof![3 => 28_u8..=30, 1 => 8_u8..=30], 0..4_u8, any::<u32>());
    let v6 = prop::collection::vec(
        v6.prop_map(|(length, site, low)| format!("2001:db8:{site}::{}/{length}", hextets(low & NOT_ISATAP))),
        1..3,
    );
    let v4 = prop::collection::vec(
        v4.prop_map(|(length, site, low)| format!("{}.{}/{length}", 10 + site, dots(low))),
        1..3,
    );
    (v6, v4).prop_map(|(v6, v4)| {
        let texts: Vec<&str> = v6.iter().chain(&v4).map(String::as_str).collect();
        without_overlaps(pools(&texts))
    })
}

fn hextets(low: u64) -> String {
    format!("{:x}:{:x}:{:x}", low >> 32 & 0xffff, low >> 16 & 0xffff, low & 0xffff)
}

fn dots(low: u32) -> String {
    format!("{}.{}.{}", low >> 16 & 0xff, low >> 8 & 0xff, low & 0xff)
}

/// As a node's plan has them.
fn without_overlaps(pools: Pools) -> Pools {
    let Pools { mut v6, mut v4 } = pools;
    if v6.len() == 2 && (v6[0].contains(v6[1].net().addr()) || v6[1].contains(v6[0].net().addr())) {
        v6.pop();
    }
    if v4.len() == 2 && (v4[0].contains(v4[1].net().addr()) || v4[1].contains(v4[0].net().addr())) {
        v4.pop();
    }
    Pools { v6, v4 }
}

fn ask_strategy() -> impl Strategy<Value = Ask> {
    let families = prop_oneof![4 => Just((true, true)), 1 => Just((true, false)), 1 => Just((false, true))];
    let narrow = prop::option::weighted(0.3, (0..40_u8, any::<Index>(), any::<u128>()));
    let algo =
        prop::option::weighted(0.3, prop::sample::select(vec!["app", "namespace,app,pod", "image", "bad"]));
    (families, narrow, algo).prop_map(|(families, narrow, algo)| Ask { families, narrow, algo })
}

pub(super) fn op_strategy() -> impl Strategy<Value = Op> {
    let attachment = 0..ATTACHMENTS;
    prop_oneof![
        12 => (attachment.clone(), ask_strategy()).prop_map(|(attachment, ask)| Op::Allocate { attachment, ask }),
        3 => attachment.clone().prop_map(Op::Release),
        1 => attachment.prop_map(Op::Forget),
        2 => (0..20_i64).prop_map(Op::Advance),
        1 => (-100..100_i64).prop_map(Op::Advance),
        1 => Just(Op::Expire),
        1 => pools_strategy().prop_map(Op::ChangePools),
        1 => Just(Op::Restart),
    ]
}

impl Ask {
    pub(super) fn intent(&self, pools: &Pools) -> PodIntent {
        let truth = |wanted: bool| if wanted { "true" } else { "false" };
        let (ipv6, ipv4) = (truth(self.families.0), truth(self.families.1));
        let mut annotations = vec![("ipv6", ipv6.to_owned()), ("ipv4", ipv4.to_owned())];
        if let Some((longer, which, bits)) = &self.narrow {
            let net = which.get(&pools.v6).net();
            let length = (net.prefix_len() + longer).min(Cidr6::LONGEST);
            let part = Cidr6::try_from(net).unwrap().address(*bits & u128::from(NOT_ISATAP));
            annotations.push(("cidr6", format!("{part}/{length}")));
            let net = which.get(&pools.v4).net();
            let length = (net.prefix_len() + longer / 4).min(Cidr4::LONGEST);
            let part = net.network().to_bits() | (*bits as u32 & net.hostmask().to_bits());
            annotations.push(("cidr4", format!("{}/{length}", Ipv4Addr::from_bits(part))));
        }
        annotations.extend(self.algo.map(|algo| ("ip-algo", algo.to_owned())));
        let annotations: Vec<(&str, &str)> =
            annotations.iter().map(|(key, value)| (*key, value.as_str())).collect();
        intent(pools, &annotations)
    }
}
