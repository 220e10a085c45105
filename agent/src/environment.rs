//! What decisions need of the outside world besides the kernel: the time and randomness. [`backoff`]: when to try again.

pub mod backoff;

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
