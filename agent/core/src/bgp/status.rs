//! Everything that a person is told of BGP on this node.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU32;

use jiff::Timestamp;

use super::config::BirdIdent;
use super::control::BirdVersion;
use super::explain::{Md5Refusals, why_down};
use super::observed::{ObservedBfd, ObservedChannel, ObservedSession, SessionState};
use super::plan::{Asn, BgpPlan, Peer, PeerAddress};
use crate::prefix::Family;

/// BGP on this node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BgpStatus {
    /// BIRD itself.
    pub bird: BirdStatus,
    /// The configuration.
    pub config: ConfigStatus,
    /// The peers, in the order of `spec.bgp.peers`.
    pub peers: Vec<PeerStatus>,
}

/// BIRD itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum BirdStatus {
    /// Not asked yet.
    #[default]
    Unknown,
    /// It answers.
    Running(BirdVersion),
    /// It does not, and why.
    Away(String),
}

/// What became of the configuration that is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ConfigStatus {
    /// There is no `spec.bgp`.
    #[default]
    None,
    /// BIRD has not been told yet.
    Pending,
    /// BIRD has it, and reverts by itself unless the sessions come up.
    OnTrial {
        /// Its revision.
        revision: String,
    },
    /// BIRD runs it.
    Applied {
        /// Its revision.
        revision: String,
    },
    /// BIRD does not take it, or it cannot be written; what ran before still does.
    Refused {
        /// Why.
        reason: String,
    },
    /// It took sessions down, and what ran before is back.
    RolledBack {
        /// Its revision.
        revision: String,
        /// What it did.
        reason: String,
        /// When.
        at: Timestamp,
    },
}

/// One peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerStatus {
    /// Its address.
    pub address: PeerAddress,
    /// The session's name in BIRD.
    pub session: BirdIdent,
    /// Its autonomous system.
    pub asn: Asn,
    /// Whether that is the node's own.
    pub internal: bool,
    /// The session's state.
    pub state: SessionState,
    /// Since when, if BIRD says so.
    pub since: Option<Timestamp>,
    /// BIRD's last error.
    pub last_error: Option<String>,
    /// Why it is not up; or what a person should know of one that is.
    pub reason: Option<String>,
    /// The families that are configured.
    pub families: BTreeMap<Family, ObservedChannel>,
    /// BFD's state; none: not configured.
    pub bfd: Option<ObservedBfd>,
}

impl BgpStatus {
    /// The sessions that are up, by their names in BIRD, and the peers' addresses.
    pub fn established(&self) -> BTreeMap<BirdIdent, String> {
        let up = self.peers.iter().filter(|peer| peer.is_established());
        up.map(|peer| (peer.session.clone(), peer.address.to_string())).collect()
    }
}

impl PeerStatus {
    /// Whether routes are exchanged.
    pub fn is_established(&self) -> bool {
        self.state == SessionState::Established
    }
}

/// What BIRD has answered when its sessions were last observed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Observation {
    /// BGP protocols by name.
    pub sessions: BTreeMap<String, ObservedSession>,
    /// BFD sessions by neighbour and interface.
    pub bfd: BTreeMap<(IpAddr, String), ObservedBfd>,
    /// What the kernel has refused since the sessions were last looked at as a whole.
    pub refusals: Md5Refusals,
}

/// The peers of a plan, as BIRD tells them; without an observation nothing is known of them. `refused`: those that are not
/// started, by index, with the reason.
pub fn peers(
    plan: &BgpPlan,
    refused: &BTreeMap<usize, String>,
    observed: Option<&Observation>,
) -> Vec<PeerStatus> {
    plan.peers
        .iter()
        .enumerate()
        .map(|(index, peer)| status(plan.asn, peer, refused.get(&index), observed))
        .collect()
}

fn status(own: Asn, peer: &Peer, refused: Option<&String>, observed: Option<&Observation>) -> PeerStatus {
    let name = BirdIdent::of_peer(&peer.address, peer.port);
    let session = observed.and_then(|observed| observed.sessions.get(name.as_str()));
    let families = peer.families.iter().map(|family| {
        let channel = session.and_then(|session| session.channels.get(&family));
        (family, channel.cloned().unwrap_or_default())
    });
    let families: BTreeMap<_, _> = families.collect();
    let reason = match (refused, observed, session) {
        (Some(reason), ..) => Some(reason.clone()),
        (None, Some(observed), Some(session)) => {
            why_down(own, peer, session, observed.refusals).or_else(|| limits(peer, &families))
        }
        (None, Some(_), None) => Some("BIRD does not have this session yet".to_owned()),
        (None, None, _) => Some("BIRD does not answer".to_owned()),
    };
    PeerStatus {
        address: peer.address.clone(),
        session: name,
        asn: peer.asn,
        internal: peer.asn == own,
        state: session.map_or(without_session(observed), |session| session.state),
        since: session.and_then(|session| session.since),
        last_error: session.and_then(|session| session.last_error.clone()),
        reason,
        families,
        bfd: peer.bfd.and_then(|_| observed.map(|observed| bfd(peer, observed))),
    }
}

fn without_session(observed: Option<&Observation>) -> SessionState {
    if observed.is_some() { SessionState::Down } else { SessionState::Unknown }
}

/// A session that is up and yet not as it should be. BIRD forgets that a limit was hit when it is configured anew, and
/// what is at its limit may well have been cut off there.
fn limits(peer: &Peer, families: &BTreeMap<Family, ObservedChannel>) -> Option<String> {
    let reached =
        |count: u64, limit: Option<NonZeroU32>| limit.is_some_and(|limit| count >= limit.get().into());
    families.iter().find_map(|(family, channel)| {
        let limit = match channel {
            _ if channel.import_limit_hit || reached(channel.imported, peer.import_limit) => {
                "importLimit is reached: further routes of the router are ignored"
            }
            _ if channel.export_limit_hit || reached(channel.exported, peer.export_limit) => {
                "exportLimit is reached: further routes are not advertised"
            }
            _ if !channel.up => "the router does not exchange routes of this family",
            _ => return None,
        };
        Some(format!("{family}: {limit}"))
    })
}

fn bfd(peer: &Peer, observed: &Observation) -> ObservedBfd {
    let of_peer = observed.bfd.iter().find(|((address, ifname), _)| match &peer.address {
        PeerAddress::Global(ip) => address == ip,
        PeerAddress::LinkLocal { address: ip, interface } => address == ip && ifname == interface.as_str(),
    });
    let none = || ObservedBfd { state: "Down".to_owned(), since: None };
    of_peer.map_or_else(none, |(_, bfd)| bfd.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> BgpPlan {
        let peer = Peer {
            export_limit: NonZeroU32::new(2),
            ..Peer::new("192.0.2.1".parse().unwrap(), Asn(65000.try_into().unwrap()))
        };
        BgpPlan { peers: vec![peer], ..BgpPlan::new(Asn(65001.try_into().unwrap())) }
    }

    fn observed(state: SessionState, channel: ObservedChannel) -> Observation {
        let channels = BTreeMap::from([(Family::IPv4, channel)]);
        let session = ObservedSession { state, since: None, last_error: None, channels };
        Observation {
            sessions: BTreeMap::from([("peer_192_0_2_1".to_owned(), session)]),
            ..Observation::default()
        }
    }

    fn told(refused: Option<&str>, observed: Option<&Observation>) -> (SessionState, String) {
        let refused = refused.map(|reason| (0, reason.to_owned())).into_iter().collect();
        let peer = peers(&plan(), &refused, observed).remove(0);
        (peer.state, peer.reason.unwrap_or_default())
    }

    #[test]
    fn a_peer_that_is_not_up_says_why() {
        let none = Observation::default();
        let down = observed(SessionState::Active, ObservedChannel::default());
        let cases = [
            (None, None, SessionState::Unknown, "BIRD does not answer"),
            (Some("no password"), Some(&none), SessionState::Down, "no password"),
            (None, Some(&none), SessionState::Down, "BIRD does not have this session yet"),
            (None, Some(&down), SessionState::Active, "no answer from 192.0.2.1"),
        ];
        for (refused, observed, state, words) in cases {
            let (told_state, reason) = told(refused, observed);
            assert_eq!(told_state, state);
            assert!(reason.contains(words), "{words}: {reason}");
        }
    }

    #[test]
    fn a_peer_that_is_up_may_have_something_to_say_too() {
        let up = |channel| told(None, Some(&observed(SessionState::Established, channel))).1;
        let channel = |exported| ObservedChannel { up: true, exported, ..ObservedChannel::default() };
        assert_eq!(up(channel(1)), "");
        assert!(up(channel(2)).contains("IPv4: exportLimit is reached"));
        let hit = ObservedChannel { import_limit_hit: true, ..channel(0) };
        assert!(up(hit).contains("IPv4: importLimit is reached"));
        assert!(up(ObservedChannel::default()).contains("does not exchange routes of this family"));
    }
}
