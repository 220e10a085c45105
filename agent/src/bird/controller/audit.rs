//! What BIRD was told to announce, and why: a line of the log for every address that comes or goes, with the target
//! `audit`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use flock_core::bgp::render::{AnycastRoutes, Change};

use crate::latencies::Latencies;
use flock_core::anycast::{Announcement, Cause};

/// The anycast routes that BIRD has taken.
#[derive(Debug)]
pub(super) struct AdvertisementLog {
    routes: AnycastRoutes,
    /// The causes that were told already, by the time at which they were seen.
    told: BTreeMap<IpAddr, Instant>,
}

/// One address, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Advertisement {
    address: IpAddr,
    change: Change,
    /// The pods that serve it now.
    pods: u32,
    cause: String,
    /// From the cause to BIRD's answer.
    latency: Option<Duration>,
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

impl AdvertisementLog {
    /// `routes` are what BIRD has, as far as anybody knows.
    pub(super) fn new(routes: AnycastRoutes) -> Self {
        Self { routes, told: BTreeMap::new() }
    }

    pub(super) fn routes(&self) -> &AnycastRoutes {
        &self.routes
    }

    /// BIRD has these since `at`. `otherwise` is why, where the announcement does not say it.
    pub(super) fn record(
        &mut self,
        routes: &AnycastRoutes,
        announcement: &Announcement,
        otherwise: &str,
        at: Instant,
    ) -> Vec<Advertisement> {
        let changes = self.routes.changes(routes);
        self.routes.clone_from(routes);
        let entry = |(address, change)| {
            let cause = self.news(address, announcement);
            let pods = announcement.announced.anycast.get(&address).map_or(0, |pods| pods.get());
            Advertisement {
                address,
                change,
                pods: if change == Change::Withdrawn { 0 } else { pods },
                latency: cause.as_ref().map(|cause| at.saturating_duration_since(cause.seen)),
                cause: cause.map_or_else(|| otherwise.to_owned(), |cause| cause.text),
            }
        };
        changes.into_iter().map(entry).collect()
    }

    /// Why the address is announced or withdrawn, unless that was the reason of an earlier change.
    fn news(&mut self, address: IpAddr, announcement: &Announcement) -> Option<Cause> {
        self.told.retain(|address, _| announcement.causes.contains_key(address));
        let cause = announcement.causes.get(&address)?;
        let before = self.told.insert(address, cause.seen);
        (before != Some(cause.seen)).then(|| cause.clone())
    }
}

impl Advertisement {
    pub(super) fn log(&self) {
        let Self { address, change, pods, cause, latency } = self;
        let change = match change {
            Change::Announced => "announced",
            Change::Withdrawn => "withdrawn",
            Change::Weight => "weight changed",
        };
        let latency_ms = latency.map(|latency| u64::try_from(latency.as_millis()).unwrap_or(u64::MAX));
        tracing::info!(target: "audit", %address, change, pods, cause, latency_ms, "anycast");
    }

    pub(super) fn count(&self, counters: &mut AnycastCounters) {
        match self.change {
            Change::Announced => counters.announced += 1,
            Change::Withdrawn => {
                counters.withdrawn += 1;
                self.latency.into_iter().for_each(|latency| counters.withdrawing.observe(latency));
            }
            Change::Weight => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use flock_core::bgp::plan::{AnycastWeight, Asn};
    use flock_core::bgp::resolve;

    use super::*;

    const ADDRESS: &str = "2001:db8:53::1";

    fn announcement(pods: u32, cause: Option<(&str, Instant)>) -> Announcement {
        let address: IpAddr = ADDRESS.parse().unwrap();
        let mut announcement = Announcement::default();
        announcement.announced.anycast.extend(pods.try_into().ok().map(|pods| (address, pods)));
        let cause = cause.map(|(text, seen)| (address, Cause { text: text.to_owned(), seen }));
        announcement.causes.extend(cause);
        announcement
    }

    fn routes(announcement: &Announcement, anycast_weight: AnycastWeight) -> AnycastRoutes {
        let anycast = announcement.announced.anycast.clone();
        let asn = Asn(65001.try_into().unwrap());
        AnycastRoutes::of(&flock_core::bgp::config::BirdConfig {
            asn,
            anycast,
            anycast_weight,
            ..resolve::silent()
        })
    }

    fn recorded(
        advertisements: &mut AdvertisementLog,
        now: &Announcement,
        weight: AnycastWeight,
        at: Instant,
    ) -> Vec<Advertisement> {
        advertisements.record(&routes(now, weight), now, "BIRD was started", at)
    }

    #[test]
    fn each_change_is_told_once_with_its_cause_and_the_time_that_it_took() {
        let mut advertisements = AdvertisementLog::new(AnycastRoutes::default());
        let seen = Instant::now();
        let at = seen + Duration::from_millis(40);
        let ready = announcement(2, Some(("pod dns/resolver-0 is ready", seen)));
        let entry = Advertisement {
            address: ADDRESS.parse().unwrap(),
            change: Change::Announced,
            pods: 2,
            cause: "pod dns/resolver-0 is ready".to_owned(),
            latency: Some(Duration::from_millis(40)),
        };
        assert_eq!(
            recorded(&mut advertisements, &ready, AnycastWeight::None, at),
            std::slice::from_ref(&entry)
        );
        assert_eq!(recorded(&mut advertisements, &ready, AnycastWeight::None, at), []);
        let gone = announcement(0, Some(("pod dns/resolver-0 is gone", at)));
        let withdrawn = Advertisement {
            change: Change::Withdrawn,
            pods: 0,
            cause: "pod dns/resolver-0 is gone".to_owned(),
            latency: Some(Duration::ZERO),
            ..entry
        };
        assert_eq!(
            recorded(&mut advertisements, &gone, AnycastWeight::None, at),
            std::slice::from_ref(&withdrawn)
        );
        let mut counters = AnycastCounters::default();
        withdrawn.count(&mut counters);
        assert_eq!((counters.announced, counters.withdrawn, counters.withdrawing.count()), (0, 1, 1));
    }

    /// A BIRD that comes back announces what it has announced before, for no reason that has to do with pods.
    #[test]
    fn a_cause_explains_one_change_only() {
        let mut advertisements = AdvertisementLog::new(AnycastRoutes::default());
        let seen = Instant::now();
        let ready = announcement(1, Some(("pod dns/resolver-0 is ready", seen)));
        recorded(&mut advertisements, &ready, AnycastWeight::None, seen);
        let lost = advertisements.record(&AnycastRoutes::default(), &ready, "BIRD was started", seen);
        assert_eq!((lost[0].cause.as_str(), lost[0].latency), ("BIRD was started", None));
        let again = recorded(&mut advertisements, &ready, AnycastWeight::None, seen);
        assert_eq!((again[0].cause.as_str(), again[0].latency), ("BIRD was started", None));
    }

    #[test]
    fn another_number_of_pods_is_told_where_routers_are_told() {
        let seen = Instant::now();
        for (weight, told) in [(AnycastWeight::None, 0), (AnycastWeight::Med, 1)] {
            let mut advertisements = AdvertisementLog::new(AnycastRoutes::default());
            recorded(&mut advertisements, &announcement(1, None), weight, seen);
            let entries = recorded(&mut advertisements, &announcement(2, None), weight, seen);
            assert_eq!(entries.len(), told);
            assert!(entries.iter().all(|entry| entry.change == Change::Weight && entry.pods == 2));
        }
    }
}
