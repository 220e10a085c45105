//! Which anycast routes BIRD has, and why each came or went.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::render::{AnycastRoutes, Change};
use crate::anycast::{Announcement, Cause};

/// The anycast routes that BIRD has taken.
#[derive(Debug)]
pub struct AdvertisementLog {
    routes: AnycastRoutes,
    /// The causes that were logged already, by the time at which they were seen.
    logged: BTreeMap<IpAddr, Instant>,
}

/// One address, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advertisement {
    /// The address.
    pub address: IpAddr,
    /// What became of it.
    pub change: Change,
    /// The pods that serve it now.
    pub pods: u32,
    /// Why.
    pub cause: String,
    /// From the cause to BIRD's answer; none where the cause was no event.
    pub latency: Option<Duration>,
}

impl AdvertisementLog {
    /// `routes` are what BIRD has, as far as anybody knows.
    pub fn new(routes: AnycastRoutes) -> Self {
        Self { routes, logged: BTreeMap::new() }
    }

    /// What BIRD has.
    pub fn routes(&self) -> &AnycastRoutes {
        &self.routes
    }

    /// BIRD has these since `at`. `otherwise` is why, where the announcement does not say it.
    pub fn record(
        &mut self,
        routes: &AnycastRoutes,
        announcement: &Announcement,
        otherwise: &str,
        at: Instant,
    ) -> Vec<Advertisement> {
        let changes = self.routes.changes(routes);
        self.routes.clone_from(routes);
        let entry = |(address, change)| {
            let cause = self.new_cause(address, announcement);
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
    fn new_cause(&mut self, address: IpAddr, announcement: &Announcement) -> Option<Cause> {
        self.logged.retain(|address, _| announcement.causes.contains_key(address));
        let cause = announcement.causes.get(&address)?;
        let before = self.logged.insert(address, cause.seen);
        (before != Some(cause.seen)).then(|| cause.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::{AnycastWeight, Asn};
    use super::super::resolve;
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
        AnycastRoutes::of(&super::super::config::BirdConfig {
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
