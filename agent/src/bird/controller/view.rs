//! What others are told.

use std::collections::BTreeMap;
use std::sync::Arc;

use flock_core::bgp::config::BirdIdent;
use flock_core::bgp::status::{self, BgpStatus, BirdStatus, ConfigStatus};
use flock_core::prefix::Family;

use super::Controller;
use super::audit::AnycastCounters;

/// What others are told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BgpView {
    /// BGP on this node.
    pub status: BgpStatus,
    /// The sessions that are up, by their names in BIRD, and the peers' addresses.
    pub sessions: BTreeMap<BirdIdent, String>,
    /// How many anycast addresses of each family BIRD has.
    pub anycast: BTreeMap<Family, usize>,
    /// What has happened so far.
    pub counters: Counters,
}

/// What has happened since the agent was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Configurations that BIRD runs or has run.
    pub applied: u64,
    /// Configurations that BIRD did not take.
    pub refused: u64,
    /// Configurations that were taken back.
    pub rolled_back: u64,
    /// Anycast addresses that came and went.
    pub anycast: AnycastCounters,
}

impl Controller {
    pub(super) fn publish(&self) {
        let config = self.config();
        let turned_down = matches!(config, ConfigStatus::Refused { .. } | ConfigStatus::RolledBack { .. });
        let in_force = self.in_force.as_ref().filter(|_| turned_down);
        let told = in_force.or(self.desired.as_ref().ok());
        let plan = told.and_then(|told| Some((told, told.plan.as_ref()?)));
        let peers = plan.map(|(told, plan)| status::peers(plan, &told.refused, self.observed.as_ref()));
        let status = BgpStatus { bird: self.bird(), config, peers: peers.unwrap_or_default() };
        let (sessions, counters) = (status.established(), self.counters);
        let view = Arc::new(BgpView { sessions, anycast: self.anycast(), counters, status });
        self.view.send_if_modified(|current| {
            let changed = *current != view;
            *current = view;
            changed
        });
    }

    fn bird(&self) -> BirdStatus {
        match (self.connection.version(), self.connection.away_because()) {
            (Some(version), _) => BirdStatus::Running(version),
            (None, Some(reason)) => BirdStatus::Away(reason.to_owned()),
            (None, None) => BirdStatus::Unknown,
        }
    }

    /// A BIRD that is away announces nothing, whatever routers still believe.
    fn anycast(&self) -> BTreeMap<Family, usize> {
        let of_family = |family| {
            let addresses = self.advertisements.routes().addresses().filter(|_| self.connection.is_up());
            (family, addresses.filter(|address| Family::of(*address) == family).count())
        };
        [Family::IPv6, Family::IPv4].map(of_family).into()
    }

    /// Of the base alone: anycast routes come and go every day, and the status is no log of them.
    fn config(&self) -> ConfigStatus {
        let desired = match &self.desired {
            Ok(desired) if desired.plan.is_none() => return ConfigStatus::None,
            Ok(desired) => desired,
            Err(reason) => return ConfigStatus::Refused { reason: reason.clone() },
        };
        let revision = desired.base.revision().to_owned();
        if let Some(trial) = &self.trial {
            return ConfigStatus::OnTrial { revision: trial.desired.base.revision().to_owned() };
        }
        if self.connection.running() == Some(&revision) {
            return match self.anycast_refused_because() {
                Some(reason) => ConfigStatus::Refused { reason: reason.to_owned() },
                None => ConfigStatus::Applied { revision },
            };
        }
        match (&self.rolled_back, &self.refused) {
            (Some(back), _) if back.revision == revision => {
                ConfigStatus::RolledBack { revision, reason: back.reason.clone(), at: back.at }
            }
            (_, Some(refused)) if refused.revision == revision => {
                ConfigStatus::Refused { reason: refused.reason.clone() }
            }
            _ => ConfigStatus::Pending,
        }
    }
}
