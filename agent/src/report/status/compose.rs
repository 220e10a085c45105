//! From what is known to what is told: pure. Both objects follow from the same [`Observed`].

use flock_core::bgp::status::BirdStatus;
use flock_core::ipam::PoolUsage;
use flock_crds::anycast::AnycastStatus;
use flock_crds::node_state::{NodeStateStatus, Versions};
use flock_crds::status::{BgpStatus, Condition, NodeConfigStatus, PoolPrefix, PoolStatus, TemplateConflict};
use jiff::Timestamp;

use super::conditions::{self, conditions};
use super::observed::Observed;
use super::{ANYCAST_LISTED, cut};
use crate::report::{self, seconds};
use flock_core::desired::Conflict;

/// Every list is bounded: an object that is too large cannot be stored at all.
const LISTED: usize = 64;

/// Pods of one anycast address.
const PODS_LISTED: usize = 16;

/// The largest number that an API server takes for a 64-bit integer.
const MOST: u64 = i64::MAX.unsigned_abs();

/// What all nodes read, and whether the configuration is obeyed. `former` is what was told before: times of transitions
/// are taken from it, and what stands while BIRD tries a configuration.
pub(super) fn node_config_status(
    observed: &Observed,
    former: Option<&NodeConfigStatus>,
    now: Timestamp,
) -> NodeConfigStatus {
    let config = &observed.desired.config;
    NodeConfigStatus {
        observed_generation: config.generation,
        conditions: conditions::of_configuration(observed, former, now),
        templates: config.templates.iter().take(LISTED).cloned().collect(),
        conflicts: config.conflicts.iter().take(LISTED).map(conflict).collect(),
        addresses: addresses(observed),
        pools: observed.usage.iter().take(LISTED).map(prefix).collect(),
    }
}

/// How the node is at `now`. `former` are the conditions that were told before.
pub(super) fn node_state(observed: &Observed, former: &[Condition], now: Timestamp) -> NodeStateStatus {
    NodeStateStatus {
        heartbeat: Some(seconds(now)),
        config: conditions::configuration(observed).to_owned(),
        config_generation: observed.desired.config.generation,
        conditions: conditions(observed, former, now),
        versions: versions(observed),
        pools: observed.usage.iter().take(LISTED).map(pool).collect(),
        bgp: observed.plan().map(|_| bgp(observed)),
        anycast: observed.anycast.iter().take(ANYCAST_LISTED).cloned().map(anycast).collect(),
    }
}

fn versions(observed: &Observed) -> Versions {
    let bird = match &observed.bgp.status.bird {
        BirdStatus::Running(version) => Some(version.to_string()),
        BirdStatus::Away(_) | BirdStatus::Unknown => None,
    };
    Versions { agent: env!("CARGO_PKG_VERSION").to_owned(), bird }
}

fn conflict(conflict: &Conflict) -> TemplateConflict {
    let Conflict { field, used, ignored } = conflict.clone();
    TemplateConflict { field, used, ignored }
}

fn addresses(observed: &Observed) -> Vec<String> {
    let own = observed.subnets.addresses.iter().map(|own| own.net.addr());
    let sorted: std::collections::BTreeSet<_> = own.collect();
    sorted.into_iter().take(LISTED).map(|address| address.to_string()).collect()
}

fn prefix(usage: &PoolUsage) -> PoolPrefix {
    PoolPrefix { cidr: usage.cidr.to_string() }
}

fn pool(usage: &PoolUsage) -> PoolStatus {
    let PoolUsage { cidr, size, used, resting } = *usage;
    PoolStatus {
        cidr: cidr.to_string(),
        size: size.min(MOST),
        used: used.min(MOST),
        resting: resting.min(MOST),
    }
}

fn bgp(observed: &Observed) -> BgpStatus {
    let mut status = report::bgp::node_status(&observed.bgp.status);
    status.bird.reason = status.bird.reason.map(cut);
    status.config.reason = status.config.reason.map(cut);
    status.config.time = whole_seconds(status.config.time);
    status.peers.truncate(LISTED);
    for peer in &mut status.peers {
        peer.since = whole_seconds(peer.since.take());
        peer.last_error = peer.last_error.take().map(cut);
        peer.reason = peer.reason.take().map(cut);
        if let Some(bfd) = &mut peer.bfd {
            bfd.since = whole_seconds(bfd.since.take());
        }
    }
    status
}

fn anycast(mut status: AnycastStatus) -> AnycastStatus {
    status.since = whole_seconds(status.since);
    status.reason = status.reason.map(cut);
    status.peers.truncate(LISTED);
    status.pods.truncate(PODS_LISTED);
    for pod in &mut status.pods {
        pod.reason = pod.reason.take().map(cut);
    }
    status
}

fn whole_seconds(time: Option<String>) -> Option<String> {
    time.map(|text| text.parse().map(seconds).unwrap_or(text))
}
