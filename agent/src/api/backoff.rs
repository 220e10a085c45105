//! What is done again after it has failed, ever more seldom, and told once.

use std::time::Duration;

use flock_core::ipam::Random as _;
use tokio::time::Instant;

use super::call::CallError;
use crate::environment::SystemRandom;

/// The pause after the first failure; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// One thing that is done again and again.
#[derive(Debug)]
pub struct Backoff {
    /// In words, for the log.
    what: &'static str,
    failures: u32,
    told: Option<String>,
    not_before: Option<Instant>,
}

impl Backoff {
    pub fn at(what: &'static str) -> Self {
        Self { what, failures: 0, told: None, not_before: None }
    }

    /// When the next attempt may be made; none: at any time.
    pub fn not_before(&self) -> Option<Instant> {
        self.not_before
    }

    pub fn succeeded(&mut self) {
        if self.told.take().is_some() {
            tracing::info!("{}: works again", self.what);
        }
        (self.failures, self.not_before) = (0, None);
    }

    /// It has not. Told when it is news.
    pub fn failed(&mut self, error: &CallError) {
        let pause = pause(self.failures).max(error.retry_after());
        self.failures += 1;
        self.not_before = Some(Instant::now() + pause);
        let kind = error.kind();
        if self.told.as_ref() != Some(&kind) {
            tracing::warn!(%error, "{}: does not work, and is tried again", self.what);
            self.told = Some(kind);
        }
    }
}

/// The pause after so many failures in a row before this one: up to a fifth less than the whole, so that a cluster's
/// nodes do not come all at once.
fn pause(failures: u32) -> Duration {
    let whole = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(failures.min(16))).min(LONGEST_PAUSE);
    jittered(whole)
}

/// Up to a fifth less.
pub fn jittered(whole: Duration) -> Duration {
    let mut byte = [0_u8];
    SystemRandom.fill(&mut byte);
    whole - whole * u32::from(byte[0]) / (5 * 256)
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    #[test]
    fn pauses_grow_up_to_a_minute_and_are_scattered() {
        for (failures, seconds) in [(0, 1), (1, 2), (3, 8), (6, 60), (99, 60)] {
            let whole = Duration::from_secs(seconds);
            let pause = pause(failures);
            assert!(whole * 4 / 5 <= pause && pause <= whole, "{failures}: {pause:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_success_ends_the_pauses_and_an_api_server_may_ask_for_longer_ones() {
        let mut backoff = Backoff::at("test");
        backoff.failed(&CallError::Silent);
        assert!(backoff.not_before().unwrap() <= Instant::now() + FIRST_PAUSE);
        backoff.succeeded();
        assert_eq!(backoff.not_before(), None);
        let details = kube::core::response::StatusDetails {
            retry_after_seconds: 30,
            ..serde_json::from_str("{}").unwrap()
        };
        let status = Status::failure("later", "TooManyRequests").with_code(429).with_details(details);
        backoff.failed(&CallError::Refused(status.boxed()));
        assert_eq!(backoff.not_before(), Some(Instant::now() + Duration::from_secs(30)));
    }
}
