//! What is told, and when.

mod conditions;
mod config_publishing;
mod state_publishing;

use std::sync::Arc;
use std::time::Duration;

use flock_core::bgp::config::BirdIdent;
use flock_core::bgp::control::BirdVersion;
use flock_core::bgp::observed::{ObservedChannel, SessionState};
use flock_core::bgp::plan::{Asn, BGP_PORT, BgpPlan, Peer};
use flock_core::bgp::status::{BgpStatus, BirdStatus, ConfigStatus, PeerStatus};
use flock_core::ipam::PoolUsage;
use flock_core::node::NodePlan;
use flock_core::prefix::Family;
use flock_crds::anycast::{AnycastPodStatus, AnycastStatus};
use flock_crds::node_state::NodeStateStatus;
use flock_crds::status::{Condition, NodeConfigStatus};
use jiff::Timestamp;
use serde_json::json;
use tokio::sync::watch;

use super::compose::{node_config_status, node_state};
use super::config_publisher::ConfigPublisher;
use super::observed::Observed;
use super::outline;
use super::state_publisher::StatePublisher;
use crate::bird::BgpView;
use crate::source::fake::{CONFIG_PATH, FakeApi, NODE, NODE_PATH, TestClock, node};
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

/// An agent, or the part of it that writes one of the two objects.
struct Agent {
    observed: watch::Sender<Option<Arc<Observed>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Agent {
    /// One that knows `observed` and writes NodeConfig `status`.
    fn of_config(api: &FakeApi, observed: Observed) -> Self {
        let sender = watch::channel(Some(Arc::new(observed))).0;
        let publisher =
            ConfigPublisher::new(api.client(), NODE, api.own(), sender.subscribe(), TestClock::boxed());
        Self { observed: sender, task: tokio::spawn(publisher.run()) }
    }

    /// One that knows `observed` and writes NodeState.
    fn of_state(api: &FakeApi, observed: Observed) -> Self {
        let sender = watch::channel(Some(Arc::new(observed))).0;
        let own = api.own().node;
        let publisher = StatePublisher::new(api.client(), NODE, own, sender.subscribe(), TestClock::boxed());
        Self { observed: sender, task: tokio::spawn(publisher.run()) }
    }

    fn learns(&self, observed: Observed) {
        self.observed.send_replace(Some(Arc::new(observed)));
    }

    async fn dies(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }
}

/// A cluster with the node; its NodeConfig has been written by a person.
fn cluster() -> FakeApi {
    let api = FakeApi::default();
    api.put(NODE_PATH, Some(node()));
    api.put(CONFIG_PATH, Some(json!({"metadata": {"name": NODE}, "spec": {"mtu": 9000}})));
    api
}

async fn pass(seconds: u64) {
    // In small steps: what follows from a request follows at once.
    for _ in 0..seconds * 10 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn session_down() -> Observed {
    observed().with_bgp(|bgp| bgp.peers[0] = session(PEERS[0], SessionState::Active, Some("no answer")))
}

fn refused(reason: &str) -> Observed {
    observed().with_desired(|desired| desired.config.refused = Some(reason.to_owned()))
}

fn fuller(used: u64) -> Observed {
    Observed { usage: vec![pool("203.0.113.0/26", 61, used)], ..observed() }
}
