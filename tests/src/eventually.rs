//! Waiting for what another process does in its own time.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// What a test grants anything that should take less than a second: machines that run tests are busy, and a test
/// measures nothing.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Repeats `attempt` until it succeeds; its last error counts when `limit` has passed.
///
/// # Errors
/// The last attempt's.
pub fn eventually<T>(limit: Duration, mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        match attempt() {
            Ok(value) => return Ok(value),
            Err(error) if Instant::now() >= deadline => {
                return Err(error).with_context(|| format!("still not so after {limit:?}"));
            }
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
    }
}

#[cfg(test)]
mod tests {
    use anyhow::{bail, ensure};

    use super::*;

    #[test]
    fn returns_the_first_success() {
        let mut left = 3;
        let value = eventually(PATIENCE, || {
            left -= 1;
            ensure!(left == 0, "not yet");
            Ok("done")
        });
        assert_eq!(value.unwrap(), "done");
    }

    #[test]
    fn reports_the_last_error() {
        let outcome: Result<()> = eventually(Duration::ZERO, || bail!("no such route"));
        assert!(format!("{:?}", outcome.unwrap_err()).contains("no such route"));
    }
}
