//! What others are told of BGP: the view, the log, the counters.

use std::collections::BTreeMap;

use flock_core::bgp::advertisements::Advertisement;
use flock_core::bgp::config::BirdIdent;
use flock_core::bgp::pipeline::Note;
use flock_core::bgp::render::Change;
use flock_core::bgp::status::BgpStatus;
use flock_core::prefix::Family;

use crate::bird::files::ConfFiles;
use crate::latencies::Latencies;

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

/// What has happened since the agent was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AnycastCounters {
    /// Addresses that were announced.
    pub announced: u64,
    /// Addresses that were withdrawn.
    pub withdrawn: u64,
    /// From the cause of a withdrawal to BIRD's answer.
    pub withdrawing: Latencies,
}

impl Counters {
    pub(super) fn count(&mut self, note: &Note) {
        match note {
            Note::Applied(_) => self.applied += 1,
            Note::Refused(_) | Note::RoutesRefused(_) => self.refused += 1,
            Note::RolledBack(_) => self.rolled_back += 1,
            Note::Advertised(advertisement) => self.anycast.count(advertisement),
            Note::Undesired(_) | Note::Answers(_) | Note::Away(_) | Note::Unproved | Note::NotReverted(_) => {
            }
        }
    }
}

impl AnycastCounters {
    fn count(&mut self, advertisement: &Advertisement) {
        match advertisement.change {
            Change::Announced => self.announced += 1,
            Change::Withdrawn => {
                self.withdrawn += 1;
                advertisement.latency.into_iter().for_each(|latency| self.withdrawing.observe(latency));
            }
            Change::Weight => {}
        }
    }
}

pub(super) fn log(note: &Note, files: &ConfFiles) {
    match note {
        Note::Undesired(reason) => {
            tracing::error!(reason, "there is no configuration for BIRD; the one that it has stays");
        }
        Note::Answers(version) => tracing::info!(%version, "BIRD answers"),
        Note::Away(reason) => tracing::warn!(reason, "BIRD is away; what is programmed stays"),
        Note::Unproved => {
            tracing::warn!("BIRD runs a configuration that was not confirmed; taking it back to try it anew");
        }
        Note::Applied(revision) => tracing::info!(revision, "BIRD runs the configuration"),
        Note::Refused(reason) => {
            tracing::error!(reason, "the configuration is refused; the one before stays")
        }
        Note::RoutesRefused(reason) => {
            tracing::error!(reason, "BIRD goes on with the anycast routes that it has");
        }
        Note::RolledBack(reason) => {
            tracing::error!(reason, candidate = %files.candidate().display(), "the configuration was taken back");
        }
        Note::NotReverted(error) => {
            tracing::error!(error, "BIRD does not go back to the last good configuration")
        }
        Note::Advertised(advertisement) => log_advertisement(advertisement),
    }
}

/// A line for every address that comes or goes, with the target `audit`.
fn log_advertisement(advertisement: &Advertisement) {
    let Advertisement { address, change, pods, cause, latency } = advertisement;
    let change = match change {
        Change::Announced => "announced",
        Change::Withdrawn => "withdrawn",
        Change::Weight => "weight changed",
    };
    let latency_ms = latency.map(|latency| u64::try_from(latency.as_millis()).unwrap_or(u64::MAX));
    tracing::info!(target: "audit", %address, change, pods, cause, latency_ms, "anycast");
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn withdrawals_are_counted_with_the_time_that_they_took() {
        let mut counters = Counters::default();
        let advertisement = |change, latency| {
            let address = "2001:db8:53::1".parse().unwrap();
            Note::Advertised(Advertisement { address, change, pods: 1, cause: String::new(), latency })
        };
        for note in [
            advertisement(Change::Announced, Some(Duration::from_millis(40))),
            advertisement(Change::Withdrawn, Some(Duration::ZERO)),
            advertisement(Change::Withdrawn, None),
            advertisement(Change::Weight, None),
        ] {
            counters.count(&note);
        }
        let AnycastCounters { announced, withdrawn, withdrawing } = counters.anycast;
        assert_eq!((announced, withdrawn, withdrawing.count()), (1, 2, 1));
    }
}
