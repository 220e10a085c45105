//! Times, their percentiles, and the table.

use std::net::Ipv6Addr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use flock_tests::{Netns, command};

/// Times of one thing done many times.
#[derive(Debug, Default)]
pub(crate) struct Sample(Vec<Duration>);

impl Sample {
    pub(crate) fn push(&mut self, time: Duration) {
        self.0.push(time);
    }

    /// The time that `percent` of all stay within (nearest rank).
    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() * percent).div_ceil(100).max(1);
        sorted.get(rank - 1).copied().unwrap_or_default()
    }

    pub(crate) fn summary(&self) -> String {
        let (half, most) = (millis(self.percentile(50)), millis(self.percentile(99)));
        format!("p50 {half}, p99 {most} ({} runs)", self.0.len())
    }

    pub(crate) fn summary_in_micros(&self) -> String {
        let (half, most) = (self.percentile(50).as_micros(), self.percentile(99).as_micros());
        format!("p50 {half} us, p99 {most} us ({} runs)", self.0.len())
    }
}

/// One line of the table. The budget comes with whether it is kept.
#[derive(Debug)]
pub(crate) struct Row {
    what: String,
    value: String,
    budget: Option<(String, bool)>,
}

impl Row {
    pub(crate) fn new(what: String, value: String, budget: Option<(String, bool)>) -> Self {
        Self { what, value, budget }
    }
}

pub(crate) fn print(rows: &[Row]) {
    let width = |column: fn(&Row) -> &str| rows.iter().map(|row| column(row).len()).max().unwrap_or_default();
    let (what, value) = (width(|row| &row.what), width(|row| &row.value));
    for row in rows {
        let budget = row.budget.as_ref().map(|(text, kept)| {
            let verdict = if *kept { "kept" } else { "MISSED" };
            format!("budget {text}: {verdict}")
        });
        println!("{:what$}  {:value$}  {}", row.what, row.value, budget.unwrap_or_default());
    }
}

pub(crate) fn millis(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
pub(crate) fn bytes(count: u64) -> String {
    format!("{:.2} MiB", count as f64 / f64::from(1 << 20))
}

/// How long it takes until an echo request is answered: a `ping`, from its start to its end.
pub(crate) fn echo(from: &Netns, to: Ipv6Addr) -> Result<Duration> {
    let mut ping =
        command::command(&["ping", "-n", "-q", "-c", "1", "-i", "0.002", "-w", "5", &to.to_string()])?;
    from.enter(|| {
        let start = Instant::now();
        let output = ping.output().context("start ping")?;
        ensure!(output.status.success(), "no answer from {to}");
        Ok(start.elapsed())
    })?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let sample = Sample((1..=200).rev().map(Duration::from_millis).collect());
        assert_eq!(sample.percentile(50), Duration::from_millis(100));
        assert_eq!(sample.percentile(99), Duration::from_millis(198));
        assert_eq!(Sample::default().percentile(99), Duration::ZERO);
        assert_eq!(Sample(vec![Duration::from_millis(7)]).percentile(50), Duration::from_millis(7));
    }
}

/// A process' resident memory, in KiB.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Resident {
    pub(crate) all: u64,
    /// Of that, what it has written: heap and stacks. The rest is its program, which the kernel can read again.
    pub(crate) anonymous: u64,
}

impl Resident {
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kib =
                line.with_context(|| format!("no {name}"))?.trim().trim_end_matches(" kB").parse::<u64>();
            Ok::<_, anyhow::Error>(kib?)
        };
        Ok(Self { all: field("VmRSS:")?, anonymous: field("RssAnon:")? })
    }
}

impl std::fmt::Display for Resident {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, {} of it its own", bytes(self.all << 10), bytes(self.anonymous << 10))
    }
}
