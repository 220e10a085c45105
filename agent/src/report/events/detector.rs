//! What is new on the node, and worth an Event: from one look to the next.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use flock_core::anycast::{Groups, MemberState};
use flock_core::attachment::AttachmentId;
use flock_core::bgp::config::BirdIdent;
use flock_core::bgp::observed::SessionState;
use flock_core::bgp::status::{BgpStatus, BirdStatus, ConfigStatus, PeerStatus};
use flock_core::ipam::{self, PoolUsage};
use flock_core::prefix::Family;

use crate::notice::{About, Notice, Severity};
use crate::report::status::shortage;
use flock_core::desired::{ConfigReport, Conflict};

/// What was seen last.
#[derive(Debug, Default)]
pub(super) struct EventDetector {
    refused: Option<String>,
    conflicts: BTreeSet<Conflict>,
    low: BTreeSet<Family>,
    withdrawn: BTreeSet<(IpAddr, AttachmentId)>,
    bgp: Bgp,
}

#[derive(Debug, Default)]
struct Bgp {
    /// Whether BIRD answers; none: nobody has waited long enough to say so.
    is_there: Option<bool>,
    config: ConfigStatus,
    up: BTreeSet<BirdIdent>,
    /// Sessions of which people were told that they are down.
    lost: BTreeSet<BirdIdent>,
}

impl EventDetector {
    /// What becomes of the node's configuration.
    pub(super) fn of_config(&mut self, report: &ConfigReport) -> Vec<Notice> {
        let mut news = Vec::new();
        if let Some(reason) = report.refused.as_ref().filter(|_| report.refused != self.refused) {
            news.push(warning("ConfigRefused", "Configuring", reason.clone()));
        }
        self.refused.clone_from(&report.refused);
        let conflicts: BTreeSet<Conflict> = report.conflicts.iter().cloned().collect();
        news.extend(conflicts.difference(&self.conflicts).map(conflict));
        self.conflicts = conflicts;
        news
    }

    /// Pools that have become low.
    pub(super) fn of_pools(&mut self, usage: &[PoolUsage]) -> Vec<Notice> {
        let low = ipam::low(usage);
        let newly = low.iter().filter(|(family, _)| !self.low.contains(family));
        let news =
            newly.map(|(family, cidrs)| warning("PoolLow", "Allocating", shortage(*family, cidrs))).collect();
        self.low = low.into_keys().collect();
        news
    }

    /// Claims that AddressPools do not admit any more. `uid_of` a pod.
    pub(super) fn of_anycast(
        &mut self,
        groups: &Groups,
        uid_of: impl Fn(&AttachmentId) -> Option<String>,
    ) -> Vec<Notice> {
        let mut refused = BTreeMap::new();
        for (address, group) in groups {
            for (id, member) in &group.members {
                if let MemberState::Refused(problem) = &member.state {
                    let note = format!("annotation flock.fritzlab.net/anycast: {address} {problem}");
                    refused.insert((*address, id.clone()), (member.pod.clone(), note));
                }
            }
        }
        let newly = refused.iter().filter(|(claim, _)| !self.withdrawn.contains(claim));
        let news = newly.map(|((_, id), (pod, note))| Notice {
            about: About::Pod { name: pod.clone(), uid: uid_of(id) },
            ..warning("AddressWithdrawn", "Advertising", note.clone())
        });
        let news = news.collect();
        self.withdrawn = refused.into_keys().collect();
        news
    }

    /// BIRD, its configuration and its sessions. `is_patient`: a BIRD that has never answered may still be starting.
    pub(super) fn of_bgp(&mut self, status: &BgpStatus, is_patient: bool) -> Vec<Notice> {
        let mut news: Vec<Notice> = self.bgp.bird(&status.bird, is_patient).into_iter().collect();
        news.extend(self.bgp.config(&status.config));
        news.extend(self.bgp.sessions(&status.peers));
        news
    }
}

impl Bgp {
    fn bird(&mut self, bird: &BirdStatus, is_patient: bool) -> Option<Notice> {
        let before = self.is_there;
        match (before, bird) {
            (Some(false), BirdStatus::Running(version)) => {
                self.is_there = Some(true);
                Some(information("BirdBack", "Peering", format!("BIRD {version} answers again")))
            }
            (_, BirdStatus::Running(_)) => {
                self.is_there = Some(true);
                None
            }
            (Some(false), _) | (_, BirdStatus::Unknown) => None,
            (None, BirdStatus::Away(_)) if is_patient => None,
            (_, BirdStatus::Away(reason)) => {
                self.is_there = Some(false);
                Some(warning("BirdAway", "Peering", format!("BIRD is away: {reason}")))
            }
        }
    }

    fn config(&mut self, config: &ConfigStatus) -> Option<Notice> {
        let before = std::mem::replace(&mut self.config, config.clone());
        if before == *config {
            return None;
        }
        match config {
            ConfigStatus::Refused { reason } => Some(warning("ConfigRefused", "Configuring", reason.clone())),
            ConfigStatus::RolledBack { reason, .. } => {
                Some(warning("ConfigRolledBack", "Configuring", reason.clone()))
            }
            _ => None,
        }
    }

    /// A session that ends with its configuration, or with BIRD, is not lost: that is told already.
    fn sessions(&mut self, peers: &[PeerStatus]) -> Vec<Notice> {
        let known: BTreeSet<&BirdIdent> = peers.iter().map(|peer| &peer.session).collect();
        self.lost.retain(|session| known.contains(session));
        let mut news = Vec::new();
        for peer in peers {
            let was_up = self.up.contains(&peer.session);
            match (was_up, peer.state) {
                (false, SessionState::Established) if self.lost.remove(&peer.session) => news.push(up(peer)),
                (_, SessionState::Established | SessionState::Unknown) | (false, _) => {}
                (true, _) => {
                    self.lost.insert(peer.session.clone());
                    news.push(down(peer));
                }
            }
        }
        let established = peers.iter().filter(|peer| peer.is_established());
        self.up = established.map(|peer| peer.session.clone()).collect();
        news
    }
}

fn up(peer: &PeerStatus) -> Notice {
    let note = format!("the BGP session with {} (AS {}) is up again", peer.address, peer.asn);
    information("SessionUp", "Peering", note)
}

fn down(peer: &PeerStatus) -> Notice {
    let reason =
        peer.reason.as_deref().filter(|reason| !reason.is_empty()).unwrap_or("the session has ended");
    warning(
        "SessionDown",
        "Peering",
        format!("the BGP session with {} (AS {}) is down: {reason}", peer.address, peer.asn),
    )
}

fn conflict(conflict: &Conflict) -> Notice {
    let Conflict { field, used, ignored } = conflict;
    let note = format!(
        "NodeConfigs {used} and {ignored} say different things of {field}, with the same priority: {used} counts; give one of them a higher spec.priority"
    );
    warning("TemplateConflict", "Configuring", note)
}

fn warning(reason: &'static str, action: &'static str, note: String) -> Notice {
    Notice { about: About::Node, severity: Severity::Warning, reason, action, note }
}

fn information(reason: &'static str, action: &'static str, note: String) -> Notice {
    Notice { severity: Severity::Normal, ..warning(reason, action, note) }
}
