//! Flap damping: an address that comes and goes is announced less eagerly. A withdrawal is never delayed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

/// Withdrawals within this time count together.
const WINDOW: Duration = Duration::from_secs(60);

/// So many withdrawals within the window are no flapping: a pod that is replaced makes one.
const FREE: usize = 1;

/// What is announced, and what was withdrawn lately. Times are a monotonic clock's.
#[derive(Debug, Clone, Default)]
pub struct Damper {
    announced: BTreeSet<IpAddr>,
    withdrawals: BTreeMap<IpAddr, Vec<Duration>>,
}

/// What follows from what is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Damped {
    /// To be announced now.
    pub announced: BTreeSet<IpAddr>,
    /// Wanted, but held down, and until when.
    pub held: BTreeMap<IpAddr, Duration>,
}

impl Damper {
    /// Decides what of `wanted` is announced at `now`. An address that was withdrawn more than once within a minute is
    /// held down: it comes back when it has been away for `hold_down`.
    pub fn settle(&mut self, wanted: &BTreeSet<IpAddr>, now: Duration, hold_down: Duration) -> Damped {
        for withdrawn in self.announced.difference(wanted) {
            self.withdrawals.entry(*withdrawn).or_default().push(now);
        }
        self.withdrawals.retain(|_, times| {
            times.retain(|time| now.saturating_sub(*time) < WINDOW.max(hold_down));
            !times.is_empty()
        });
        let mut damped = Damped::default();
        for address in wanted {
            match self.held_until(address, hold_down).filter(|until| *until > now) {
                Some(until) => drop(damped.held.insert(*address, until)),
                None => drop(damped.announced.insert(*address)),
            }
        }
        self.announced.clone_from(&damped.announced);
        damped
    }

    fn held_until(&self, address: &IpAddr, hold_down: Duration) -> Option<Duration> {
        if self.announced.contains(address) {
            return None;
        }
        let times = self.withdrawals.get(address).filter(|times| times.len() > FREE)?;
        times.last().map(|last| *last + hold_down)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOLD_DOWN: Duration = Duration::from_secs(1);

    fn address() -> IpAddr {
        "198.51.100.53".parse().unwrap()
    }

    /// Whether the address is announced after each of these: when, and whether it is wanted then.
    fn told(steps: &[(u64, bool)]) -> Vec<bool> {
        let mut damper = Damper::default();
        let step = |(ms, wanted): &(u64, bool)| {
            let wanted: BTreeSet<IpAddr> = wanted.then(address).into_iter().collect();
            !damper.settle(&wanted, Duration::from_millis(*ms), HOLD_DOWN).announced.is_empty()
        };
        steps.iter().map(step).collect()
    }

    #[test]
    fn a_pod_that_is_replaced_is_not_held_down() {
        assert_eq!(told(&[(0, true), (10, false), (20, true)]), [true, false, true]);
    }

    #[test]
    fn an_address_that_flaps_stays_away_for_a_while() {
        let steps = [(0, true), (10, false), (20, true), (30, false), (40, true), (1029, true), (1030, true)];
        assert_eq!(told(&steps), [true, false, true, false, false, false, true]);
    }

    #[test]
    fn a_quiet_minute_is_forgiven() {
        let steps = [(0, true), (10, false), (20, true), (60_020, true), (60_030, false), (60_040, true)];
        assert_eq!(told(&steps), [true, false, true, true, false, true]);
    }

    proptest! {
        /// Nothing is announced that is not wanted; what is held down is announced when it is due.
        #[test]
        fn withdrawals_are_never_delayed(steps in proptest::collection::vec((1_u64..2000, any::<bool>()), 1..40)) {
            let (mut damper, mut now) = (Damper::default(), Duration::ZERO);
            for (ms, is_wanted) in steps {
                now += Duration::from_millis(ms);
                let wanted: BTreeSet<IpAddr> = is_wanted.then(address).into_iter().collect();
                let damped = damper.settle(&wanted, now, HOLD_DOWN);
                prop_assert!(damped.announced.is_subset(&wanted));
                if let Some(until) = damped.held.get(&address()) {
                    prop_assert!(*until > now && *until <= now + HOLD_DOWN);
                    prop_assert_eq!(&damper.clone().settle(&wanted, *until, HOLD_DOWN).announced, &wanted);
                } else {
                    prop_assert_eq!(&damped.announced, &wanted);
                }
            }
        }
    }
}
