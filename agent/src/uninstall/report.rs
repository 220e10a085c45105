//! What was done, line by line.

use std::fmt::Display;
use std::io::Write;

/// Makes steps, and says each as it is made.
#[derive(Debug)]
pub(super) struct Report<W> {
    out: W,
    dry_run: bool,
    failures: usize,
}

impl<W: Write> Report<W> {
    /// Says it to `out`. With `dry_run`, steps are said and not made.
    pub(super) fn new(out: W, dry_run: bool) -> Self {
        Self { out, dry_run, failures: 0 }
    }

    /// Makes a step, which is a few words: `remove this`.
    pub(super) async fn step<E: Display>(&mut self, what: &str, work: impl Future<Output = Result<(), E>>) {
        if self.dry_run {
            self.say(format!("would {what}"));
            return;
        }
        match work.await {
            Ok(()) => self.say(format!("{what}: done")),
            Err(error) => self.failed(what, &error),
        }
    }

    /// Says what was found.
    pub(super) fn say(&mut self, line: String) {
        // Nobody listens: that is no reason to stop half-way.
        let _ = writeln!(self.out, "{line}");
    }

    /// Says that a step has failed.
    pub(super) fn failed(&mut self, what: &str, error: &impl Display) {
        self.failures += 1;
        self.say(format!("{what}: FAILED: {error}"));
    }

    /// Whether steps are only said.
    pub(super) fn is_dry(&self) -> bool {
        self.dry_run
    }

    /// How many steps have failed.
    pub(super) fn failures(&self) -> usize {
        self.failures
    }
}
