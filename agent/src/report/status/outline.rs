//! What matters in what is told: of this a person, or a program, is told at once. Figures can wait.

use flock_crds::anycast::AnycastStatus;
use flock_crds::node_state::NodeStateStatus;
use flock_crds::status::{BgpPeerStatus, BgpStatus, Condition, NodeConfigStatus, PoolStatus};

/// A NodeConfig `status` without times, and without the numbers in messages.
pub(super) fn of_config(status: &NodeConfigStatus) -> NodeConfigStatus {
    NodeConfigStatus { conditions: status.conditions.iter().map(condition).collect(), ..status.clone() }
}

/// A NodeState without figures, and without what changes all the time as long as something does not work: the states that
/// a session without an answer goes through, and the numbers in messages.
pub(super) fn of_state(status: &NodeStateStatus) -> NodeStateStatus {
    NodeStateStatus {
        heartbeat: None,
        conditions: status.conditions.iter().map(condition).collect(),
        pools: status.pools.iter().map(pool).collect(),
        bgp: status.bgp.as_ref().map(bgp),
        anycast: status.anycast.iter().map(anycast).collect(),
        ..status.clone()
    }
}

fn condition(condition: &Condition) -> Condition {
    Condition { last_transition_time: String::new(), message: words(&condition.message), ..condition.clone() }
}

fn pool(pool: &PoolStatus) -> PoolStatus {
    PoolStatus { used: 0, resting: 0, ..pool.clone() }
}

fn bgp(bgp: &BgpStatus) -> BgpStatus {
    let mut bgp = bgp.clone();
    bgp.bird.reason = bgp.bird.reason.as_deref().map(words);
    bgp.config.reason = bgp.config.reason.as_deref().map(words);
    bgp.peers.iter_mut().for_each(peer);
    bgp
}

fn peer(peer: &mut BgpPeerStatus) {
    (peer.since, peer.last_error) = (None, None);
    peer.reason = peer.reason.as_deref().map(words);
    if !["Established", "Unknown"].contains(&peer.state.as_str()) {
        "Down".clone_into(&mut peer.state);
    }
    for family in &mut peer.families {
        (family.imported, family.filtered, family.exported) = (0, 0, 0);
    }
    if let Some(bfd) = &mut peer.bfd {
        bfd.since = None;
        if bfd.state != "Up" {
            "Down".clone_into(&mut bfd.state);
        }
    }
}

fn anycast(anycast: &AnycastStatus) -> AnycastStatus {
    AnycastStatus { since: None, reason: anycast.reason.as_deref().map(words), ..anycast.clone() }
}

fn words(text: &str) -> String {
    text.chars().filter(|c| !c.is_ascii_digit()).collect()
}
