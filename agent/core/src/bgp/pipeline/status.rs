//! What people are shown of it.

use std::collections::BTreeMap;

use super::super::status::{self, BgpStatus, BirdStatus, ConfigStatus};
use super::{Pipeline, State, Undesired};
use crate::prefix::Family;

impl Pipeline {
    /// BGP on this node.
    pub fn status(&self) -> BgpStatus {
        let config = self.config();
        let is_turned_down = matches!(config, ConfigStatus::Refused { .. } | ConfigStatus::RolledBack { .. });
        let in_force = self.in_force.as_ref().filter(|_| is_turned_down);
        let shown = in_force.or(self.desired.as_ref().ok());
        let plan = shown.and_then(|shown| Some((shown, shown.plan.as_ref()?)));
        let peers = plan.map(|(shown, plan)| status::peers(plan, &shown.refused, self.observed.as_ref()));
        BgpStatus { bird: self.bird.clone(), config, peers: peers.unwrap_or_default() }
    }

    /// How many anycast addresses of each family BIRD has. One that is away announces nothing, whatever routers still
    /// believe.
    pub fn anycast(&self) -> BTreeMap<Family, usize> {
        let is_up = matches!(self.bird, BirdStatus::Running(_));
        let of_family = |family| {
            let addresses = self.advertisements.routes().addresses().filter(|_| is_up);
            (family, addresses.filter(|address| Family::of(*address) == family).count())
        };
        [Family::IPv6, Family::IPv4].map(of_family).into()
    }

    /// Of the base alone: anycast routes come and go every day, and the status is no log of them.
    fn config(&self) -> ConfigStatus {
        let desired = match &self.desired {
            Ok(desired) if desired.plan.is_none() => return ConfigStatus::None,
            Ok(desired) => desired,
            Err(Undesired { reason, .. }) => return ConfigStatus::Refused { reason: reason.clone() },
        };
        if let State::OnTrial(_) | State::Confirming(_) = self.state
            && let Some(candidate) = self.state.candidate()
        {
            return ConfigStatus::OnTrial { revision: candidate.base.revision().to_owned() };
        }
        let revision = desired.base.revision().to_owned();
        if self.running.revision.as_ref() == Some(&revision) && !self.is_unproved() {
            return match self.routes_refused_because() {
                Some(reason) => ConfigStatus::Refused { reason: reason.to_owned() },
                None => ConfigStatus::Applied { revision },
            };
        }
        match (self.rolled_back(&revision), &self.refused) {
            (Some(back), _) => {
                ConfigStatus::RolledBack { revision, reason: back.reason.clone(), at: back.at }
            }
            (_, Some(refused)) if refused.revision == revision => {
                ConfigStatus::Refused { reason: refused.reason.clone() }
            }
            _ => ConfigStatus::Pending,
        }
    }
}
