//! The status in the words of NodeState `status.bgp`.

use flock_core::bgp::observed::{ObservedBfd, ObservedChannel};
use flock_core::bgp::status::{BgpStatus, BirdStatus, ConfigStatus, PeerStatus};
use flock_core::prefix::Family;
use flock_crds::status as crd;
use jiff::Timestamp;

/// NodeState `status.bgp`.
pub fn node_status(status: &BgpStatus) -> crd::BgpStatus {
    crd::BgpStatus {
        bird: bird(&status.bird),
        config: config(&status.config),
        established: established(&status.peers),
        peers: status.peers.iter().map(peer).collect(),
    }
}

/// As `2/3`; nothing for a node without peers.
fn established(peers: &[PeerStatus]) -> String {
    let up = peers.iter().filter(|peer| peer.is_established()).count();
    if peers.is_empty() { String::new() } else { format!("{up}/{}", peers.len()) }
}

fn bird(bird: &BirdStatus) -> crd::BirdStatus {
    let (state, version, reason) = match bird {
        BirdStatus::Unknown => ("Unknown", None, None),
        BirdStatus::Running(version) => ("Running", Some(version.to_string()), None),
        BirdStatus::Away(reason) => ("Away", None, Some(reason.clone())),
    };
    crd::BirdStatus { state: state.to_owned(), version, reason }
}

fn config(config: &ConfigStatus) -> crd::BgpConfigStatus {
    let named = |state: &str| crd::BgpConfigStatus { state: state.to_owned(), ..Default::default() };
    match config {
        ConfigStatus::None => named("None"),
        ConfigStatus::Pending => named("Pending"),
        ConfigStatus::OnTrial { revision } => {
            crd::BgpConfigStatus { revision: Some(revision.clone()), ..named("OnTrial") }
        }
        ConfigStatus::Applied { revision } => {
            crd::BgpConfigStatus { revision: Some(revision.clone()), ..named("Applied") }
        }
        ConfigStatus::Refused { reason } => {
            crd::BgpConfigStatus { reason: Some(reason.clone()), ..named("Refused") }
        }
        ConfigStatus::RolledBack { revision, reason, at } => crd::BgpConfigStatus {
            revision: Some(revision.clone()),
            reason: Some(reason.clone()),
            time: Some(at.to_string()),
            ..named("RolledBack")
        },
    }
}

fn peer(peer: &PeerStatus) -> crd::BgpPeerStatus {
    crd::BgpPeerStatus {
        address: peer.address.to_string(),
        asn: peer.asn.0.get(),
        kind: if peer.internal { "iBGP" } else { "eBGP" }.to_owned(),
        state: peer.state.as_str().to_owned(),
        since: rfc3339(peer.since),
        last_error: peer.last_error.clone(),
        reason: peer.reason.clone(),
        families: peer.families.iter().map(|(family, channel)| self::family(*family, channel)).collect(),
        bfd: peer.bfd.as_ref().map(bfd),
    }
}

fn family(family: Family, channel: &ObservedChannel) -> crd::BgpFamilyStatus {
    crd::BgpFamilyStatus {
        family: family.to_string(),
        up: channel.up,
        imported: channel.imported,
        filtered: channel.filtered,
        exported: channel.exported,
    }
}

fn bfd(bfd: &ObservedBfd) -> crd::BfdStatus {
    crd::BfdStatus { state: bfd.state.clone(), since: rfc3339(bfd.since) }
}

fn rfc3339(time: Option<Timestamp>) -> Option<String> {
    time.map(|time| time.to_string())
}
