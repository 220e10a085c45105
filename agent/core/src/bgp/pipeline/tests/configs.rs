//! Configurations that may be wanted.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::LazyLock;

use super::super::*;
use crate::anycast::{Announced, Announcement};
use crate::bgp::config::BirdConfig;
use crate::bgp::plan::{Asn, BgpPlan, Peer, RouterId};
use crate::bgp::{render, resolve};

/// Configurations that may be wanted; each has one session of its own and the one that all have.
pub(super) const BASES: usize = 4;
/// Anycast addresses that may be announced.
pub(super) const ADDRESSES: u8 = 3;
pub(super) const SHARED: &str = "shared";

pub(super) static CONFIGS: LazyLock<Vec<Base>> = LazyLock::new(|| {
    let base = |number: usize| {
        let router_id = RouterId::new([192, 0, 2, u8::try_from(number).unwrap() + 1].into()).unwrap();
        render::base(&BirdConfig { router_id, ..resolve::silent() }).unwrap()
    };
    (0..BASES).map(base).collect()
});

pub(super) fn base(number: usize) -> Base {
    CONFIGS[number].clone()
}

pub(super) fn own_session(number: usize) -> String {
    format!("own{number}")
}

pub(super) fn addresses(mask: u8) -> BTreeSet<IpAddr> {
    let address = |bit: u8| IpAddr::from([0x2001, 0xdb8, 0x53, 0, 0, 0, 0, u16::from(bit) + 1]);
    (0..ADDRESSES).filter(|bit| mask & (1 << bit) != 0).map(address).collect()
}

pub(super) fn announcement(mask: u8) -> Announcement {
    let one = 1.try_into().unwrap();
    let anycast = addresses(mask).into_iter().map(|address| (address, one)).collect();
    Announcement { announced: Announced { anycast, ..Announced::default() }, ..Announcement::default() }
}

pub(super) fn routes(mask: u8) -> AnycastRoutes {
    let anycast = announcement(mask).announced.anycast;
    AnycastRoutes::of(&BirdConfig { anycast, ..resolve::silent() })
}

pub(super) fn desired(number: usize, mask: u8) -> DesiredConfig {
    let asn = Asn(65001.try_into().unwrap());
    let peers = vec![Peer::new("2001:db8::1".parse().unwrap(), asn)];
    DesiredConfig {
        plan: Some(BgpPlan { peers, ..BgpPlan::new(asn) }),
        base: base(number),
        routes: routes(mask),
        announcement: Arc::new(announcement(mask)),
        sessions: [SHARED.to_owned(), own_session(number)].into(),
        refused: BTreeMap::new(),
    }
}
