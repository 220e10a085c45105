//! Pauses between attempts: each twice as long as the one before.

use std::time::Duration;

use flock_core::ipam::Random as _;

use super::SystemRandom;

/// How long to wait before the next attempt.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, next: first }
    }

    /// After one more failure.
    pub fn pause(&mut self) -> Duration {
        let now = self.next.min(self.longest);
        self.next = now.saturating_mul(2);
        now
    }

    /// After a success.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

/// Up to a `share` (0 to 1) less, at random: nodes that failed together do not come back together.
pub fn jittered(whole: Duration, share: f64) -> Duration {
    let mut byte = [0_u8];
    SystemRandom.fill(&mut byte);
    whole.mul_f64(1.0 - share * f64::from(byte[0]) / 256.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_doubles_up_to_the_longest_until_there_is_a_success() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        let pauses: Vec<u128> = (0..6).map(|_| backoff.pause().as_millis()).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1000, 1000]);
        backoff.reset();
        assert_eq!(backoff.pause().as_millis(), 100);
    }

    #[test]
    fn a_pause_is_shortened_by_its_share_at_most() {
        let whole = Duration::from_secs(10);
        let pauses: Vec<Duration> = (0..99).map(|_| jittered(whole, 0.2)).collect();
        assert!(pauses.iter().all(|pause| whole * 4 / 5 <= *pause && *pause <= whole), "{pauses:?}");
        assert!(pauses.iter().any(|pause| *pause != pauses[0]), "{pauses:?}");
        assert_eq!(jittered(whole, 0.0), whole);
    }
}
