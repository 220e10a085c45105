//! Which notice becomes an Event, which one is counted in an earlier one, and which is lost.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::notice::Notice;

/// The second of two equal notices is told after so long: then it is known that it was not once only.
const SOON: Duration = Duration::from_secs(10);

/// Between two later writes about equal notices.
const APART: Duration = Duration::from_secs(300);

/// An equal notice after so long is a new Event: the API server keeps one for an hour.
const SERIES_ENDS: Duration = Duration::from_secs(1800);

/// So many Events may come at once, whatever they are about.
const BURST: u32 = 30;

/// And one more in each of these.
const REFILL: Duration = Duration::from_secs(2);

/// The notices of the last half hour.
#[derive(Debug)]
pub(super) struct EventSeries {
    series: HashMap<Notice, Series>,
    tokens: u32,
    refilled_at: Instant,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Series {
    pub(super) event: String,
    /// How many there were.
    pub(super) count: u32,
    told_at: Instant,
    /// Until the next write.
    apart: Duration,
    seen_at: Instant,
}

/// What becomes of a notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    Create(Series),
    /// There is an Event, in which it is counted.
    Count(Series),
    Nothing,
}

impl EventSeries {
    pub(super) fn new(now: Instant) -> Self {
        Self { series: HashMap::new(), tokens: BURST, refilled_at: now }
    }

    /// Enters a notice. `event` is the name of its Event, if it becomes one.
    pub(super) fn enter(&mut self, notice: &Notice, event: String, now: Instant) -> Action {
        self.series.retain(|_, series| now < series.seen_at + SERIES_ENDS);
        self.refill(now);
        let Some(series) = self.series.get_mut(notice) else {
            if !take(&mut self.tokens) {
                return Action::Nothing;
            }
            let series = Series { event, count: 1, told_at: now, apart: SOON, seen_at: now };
            self.series.insert(notice.clone(), series.clone());
            return Action::Create(series);
        };
        series.count = series.count.saturating_add(1);
        series.seen_at = now;
        if now < series.told_at + series.apart || !take(&mut self.tokens) {
            return Action::Nothing;
        }
        series.told_at = now;
        series.apart = APART;
        Action::Count(series.clone())
    }

    /// There is no such Event, or none any more.
    pub(super) fn forget(&mut self, notice: &Notice) {
        self.series.remove(notice);
    }

    fn refill(&mut self, now: Instant) {
        let periods = now.saturating_duration_since(self.refilled_at).as_secs() / REFILL.as_secs();
        let periods = u32::try_from(periods).unwrap_or(u32::MAX);
        self.tokens = self.tokens.saturating_add(periods).min(BURST);
        self.refilled_at += REFILL.saturating_mul(periods);
    }
}

fn take(tokens: &mut u32) -> bool {
    let is_left = *tokens > 0;
    *tokens = tokens.saturating_sub(1);
    is_left
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notice::{About, Severity};

    fn notice(note: &str) -> Notice {
        Notice {
            about: About::Node,
            severity: Severity::Warning,
            reason: "SessionDown",
            action: "Peering",
            note: note.to_owned(),
        }
    }

    /// `new`, `xN` or `-`.
    fn enter(series: &mut EventSeries, note: &str, now: Instant) -> String {
        match series.enter(&notice(note), "node-a.1".to_owned(), now) {
            Action::Create(_) => "new".to_owned(),
            Action::Count(series) => format!("x{}", series.count),
            Action::Nothing => "-".to_owned(),
        }
    }

    #[test]
    fn equal_notices_are_one_event_and_counted_soon_and_then_every_five_minutes() {
        let start = Instant::now();
        let mut series = EventSeries::new(start);
        let after = |seconds| start + Duration::from_secs(seconds);
        let cases = [(0, "new"), (9, "-"), (10, "x3"), (60, "-"), (309, "-"), (310, "x6"), (2200, "new")];
        for (seconds, expected) in cases {
            assert_eq!(enter(&mut series, "a", after(seconds)), expected, "after {seconds} s");
        }
        assert_eq!(enter(&mut series, "b", after(2200)), "new");
    }

    #[test]
    fn a_storm_of_different_notices_is_cut_short() {
        let start = Instant::now();
        let mut series = EventSeries::new(start);
        let told = (0..1000).filter(|n| enter(&mut series, &n.to_string(), start) == "new").count();
        assert_eq!(told, 30);
        assert_eq!(enter(&mut series, "x", start + REFILL), "new");
        assert_eq!(enter(&mut series, "y", start + REFILL), "-");
        // What was lost is told when it comes again.
        assert_eq!(enter(&mut series, "y", start + REFILL * 2), "new");
        assert_eq!(enter(&mut series, "z", start + REFILL * 2), "-");
    }

    #[test]
    fn an_event_that_is_gone_is_made_again() {
        let start = Instant::now();
        let mut series = EventSeries::new(start);
        assert_eq!(enter(&mut series, "a", start), "new");
        series.forget(&notice("a"));
        assert_eq!(enter(&mut series, "a", start), "new");
    }
}
