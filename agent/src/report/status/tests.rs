//! What is told, and when.

mod conditions;
mod publishing;

use std::sync::Arc;

use flock_core::bgp::config::BirdIdent;
use flock_core::bgp::control::BirdVersion;
use flock_core::bgp::observed::{ObservedChannel, SessionState};
use flock_core::bgp::plan::{Asn, BGP_PORT, BgpPlan, Peer};
use flock_core::bgp::status::{BgpStatus, BirdStatus, ConfigStatus, PeerStatus};
use flock_core::ipam::PoolUsage;
use flock_core::node::NodePlan;
use flock_core::prefix::Family;
use flock_crds::anycast::{AnycastPodStatus, AnycastStatus};
use flock_crds::status::{Condition, NodeConfigStatus};
use jiff::Timestamp;

use super::compose::compose;
use super::observed::Observed;
use super::outline::outline;
use crate::bird::BgpView;
use crate::source::fake::NODE;
use flock_core::desired::{ConfigReport, Conflict, Desired, Place, Problem};

const PEERS: [&str; 2] = ["2001:db8:a::1", "192.0.2.1"];

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A node that is as it should be: two peers, a pool of each family.
fn observed() -> Observed {
    let asn = |number: u32| Asn(number.try_into().unwrap());
    let peers = PEERS.map(|peer| Peer::new(peer.parse().unwrap(), asn(65000)));
    let bgp = BgpPlan { peers: peers.to_vec(), ..BgpPlan::new(asn(65001)) };
    let plan = NodePlan { bgp: Some(bgp), ..NodePlan::new(NODE) };
    let status = BgpStatus {
        bird: BirdStatus::Running(BirdVersion { major: 2, minor: 0, patch: 12 }),
        config: ConfigStatus::Applied { revision: "1".to_owned() },
        peers: PEERS.map(|peer| session(peer, SessionState::Established, None)).to_vec(),
    };
    let config = ConfigReport { generation: Some(3), ..ConfigReport::default() };
    Observed {
        node: NODE.to_owned(),
        desired: Arc::new(Desired { node: Some(Arc::new(plan)), config, ..Desired::default() }),
        usage: vec![pool("2001:db8:a:1::/64", u64::MAX, 7), pool("203.0.113.0/26", 61, 7)],
        bgp: Arc::new(BgpView { status, ..BgpView::default() }),
        ..Observed::default()
    }
}

fn session(peer: &str, state: SessionState, reason: Option<&str>) -> PeerStatus {
    let address = peer.parse().unwrap();
    PeerStatus {
        session: BirdIdent::of_peer(&address, BGP_PORT),
        families: [(Family::of(peer.parse().unwrap()), ObservedChannel { up: true, ..Default::default() })]
            .into(),
        address,
        asn: Asn(65000.try_into().unwrap()),
        internal: false,
        state,
        since: Some(at("2026-11-21T11:00:00.123Z")),
        last_error: None,
        reason: reason.map(str::to_owned),
        bfd: None,
    }
}

fn pool(cidr: &str, size: u64, used: u64) -> PoolUsage {
    PoolUsage { cidr: cidr.parse().unwrap(), size, used, resting: 0 }
}

fn anycast(number: usize) -> AnycastStatus {
    AnycastStatus {
        address: format!("2001:db8:53::{number:x}"),
        advertised: true,
        ..AnycastStatus::default()
    }
}

impl Observed {
    fn with_desired(mut self, change: impl FnOnce(&mut Desired)) -> Self {
        change(Arc::make_mut(&mut self.desired));
        self
    }

    fn with_bgp(mut self, change: impl FnOnce(&mut BgpStatus)) -> Self {
        change(&mut Arc::make_mut(&mut self.bgp).status);
        self
    }

    fn without_bgp(self) -> Self {
        let observed = self.with_desired(|desired| desired.node = Some(Arc::new(NodePlan::new(NODE))));
        observed.with_bgp(|bgp| *bgp = BgpStatus::default())
    }
}
