//! What is done again after it has failed, ever more seldom, and told once.

use std::time::Duration;

use tokio::time::Instant;

use super::call::CallError;
use flock_core::backoff::Backoff;

use crate::environment::jittered;

/// The pause after the first failure.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The share by which a pause may be shorter.
pub const JITTER: f64 = 0.2;

/// One thing that is done again and again.
#[derive(Debug)]
pub struct Retry {
    /// In words, for the log.
    what: &'static str,
    backoff: Backoff,
    logged: Option<String>,
    not_before: Option<Instant>,
}

impl Retry {
    pub fn at(what: &'static str) -> Self {
        let backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        Self { what, backoff, logged: None, not_before: None }
    }

    /// When the next attempt may be made; none: at any time.
    pub fn not_before(&self) -> Option<Instant> {
        self.not_before
    }

    pub fn succeeded(&mut self) {
        if self.logged.take().is_some() {
            tracing::info!("{}: works again", self.what);
        }
        self.backoff.reset();
        self.not_before = None;
    }

    /// It has not. Told when it is news.
    pub fn failed(&mut self, error: &CallError) {
        let pause = jittered(self.backoff.pause(), JITTER).max(error.retry_after());
        self.not_before = Some(Instant::now() + pause);
        let kind = error.kind();
        if self.logged.as_ref() != Some(&kind) {
            tracing::warn!(%error, "{}: does not work, and is tried again", self.what);
            self.logged = Some(kind);
        }
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_up_to_a_minute_and_are_scattered() {
        let mut retry = Retry::at("test");
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            retry.failed(&CallError::Silent);
            let whole = Duration::from_secs(seconds);
            let pause = retry.not_before().unwrap() - Instant::now();
            assert!(whole * 4 / 5 <= pause && pause <= whole, "{seconds}: {pause:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_success_ends_the_pauses_and_an_api_server_may_ask_for_longer_ones() {
        let mut retry = Retry::at("test");
        retry.failed(&CallError::Silent);
        assert!(retry.not_before().unwrap() <= Instant::now() + FIRST_PAUSE);
        retry.succeeded();
        assert_eq!(retry.not_before(), None);
        let details = kube::core::response::StatusDetails {
            retry_after_seconds: 30,
            ..serde_json::from_str("{}").unwrap()
        };
        let status = Status::failure("later", "TooManyRequests").with_code(429).with_details(details);
        retry.failed(&CallError::Refused(status.boxed()));
        assert_eq!(retry.not_before(), Some(Instant::now() + Duration::from_secs(30)));
    }
}
