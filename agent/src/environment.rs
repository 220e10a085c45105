//! What decisions need of the outside world besides the kernel: the time and randomness.

use std::time::Duration;

use flock_core::ipam::Random;
use jiff::Timestamp;
use tokio::time::Instant;

/// The wall clock. Records and rests outlive the process, so a monotonic one would not do.
pub trait Clock: Send + Sync + 'static {
    fn now(&self) -> Timestamp;
}

#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// The system's randomness, `getrandom(2)`.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&mut self, bytes: &mut [u8]) {
        // It cannot fail on a kernel that is up; zeros are a collision that the allocator's retry meets.
        if let Err(error) = getrandom::fill(bytes) {
            tracing::error!(%error, "the system gives no randomness");
            bytes.fill(0);
        }
    }
}

/// Sleeps until then; for ever if there is no then.
pub(crate) async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
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
    fn a_pause_is_shortened_by_its_share_at_most() {
        let whole = Duration::from_secs(10);
        let pauses: Vec<Duration> = (0..99).map(|_| jittered(whole, 0.2)).collect();
        assert!(pauses.iter().all(|pause| whole * 4 / 5 <= *pause && *pause <= whole), "{pauses:?}");
        assert!(pauses.iter().any(|pause| *pause != pauses[0]), "{pauses:?}");
        assert_eq!(jittered(whole, 0.0), whole);
    }
}
