//! Latencies, counted in buckets: for a histogram.

use std::time::Duration;

/// The upper bounds of the buckets, in milliseconds; what is longer has a bucket of its own.
const BOUNDS: [u64; 11] = [5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000];

/// How often something took how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Latencies {
    counts: [u64; BOUNDS.len() + 1],
    sum: Duration,
}

impl Latencies {
    pub fn observe(&mut self, latency: Duration) {
        let bucket = BOUNDS.iter().position(|bound| latency <= Duration::from_millis(*bound));
        if let Some(count) = self.counts.get_mut(bucket.unwrap_or(BOUNDS.len())) {
            *count += 1;
        }
        self.sum = self.sum.saturating_add(latency);
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// All of them together.
    pub fn sum(&self) -> Duration {
        self.sum
    }

    /// How many were in each bucket, by its upper bound; none: without bound.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<Duration>, u64)> {
        let bounds = BOUNDS.into_iter().map(|bound| Some(Duration::from_millis(bound)));
        bounds.chain([None]).zip(self.counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_latency_is_in_the_first_bucket_that_it_fits_into() {
        let mut latencies = Latencies::default();
        for millis in [5, 6, 10_000, 10_001] {
            latencies.observe(Duration::from_millis(millis));
        }
        let filled: Vec<_> = latencies.buckets().filter(|(_, count)| *count > 0).collect();
        let bound = |millis| Some(Duration::from_millis(millis));
        assert_eq!(filled, [(bound(5), 1), (bound(10), 1), (bound(10_000), 1), (None, 1)]);
        assert_eq!((latencies.count(), latencies.sum()), (4, Duration::from_millis(20_012)));
    }
}
