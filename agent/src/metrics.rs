//! What the agent counts as it happens. Whoever counts holds a handle, and all are shown together with
//! [`crate::report::metrics`].

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Upper bounds of buckets, in seconds: an ADD takes some three milliseconds, one that waits for the API server seconds.
const BOUNDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// All of them. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    pub cni: CniCalls,
    pub bird: BirdCommands,
}

impl Metrics {
    pub fn register(&self, registry: &mut Registry) {
        self.cni.register(registry);
        self.bird.register(registry);
    }
}

/// The plugin's calls.
#[derive(Debug, Clone)]
pub struct CniCalls {
    calls: Family<Call, Counter>,
    duration: Family<Verb, Histogram, fn() -> Histogram>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Call {
    verb: &'static str,
    result: &'static str,
    code: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Verb {
    verb: &'static str,
}

impl Default for CniCalls {
    fn default() -> Self {
        Self { calls: Family::default(), duration: Family::new_with_constructor(|| Histogram::new(BOUNDS)) }
    }
}

impl CniCalls {
    /// A call has ended after this time; an error by its number (CNI spec 1.1, section 5).
    pub fn observe(&self, verb: &'static str, outcome: Result<(), u32>, time: Duration) {
        let (result, code) = match outcome {
            Ok(()) => ("success", 0),
            Err(code) => ("error", code),
        };
        self.calls.get_or_create(&Call { verb, result, code }).inc();
        self.duration.get_or_create(&Verb { verb }).observe(time.as_secs_f64());
    }

    fn register(&self, registry: &mut Registry) {
        let help = "Calls of the CNI plugin by verb and result; code: the CNI error, 0 for none";
        registry.register("cni_calls", help, self.calls.clone());
        let help = "Time that the agent took to answer a call of the CNI plugin";
        registry.register_with_unit("cni_call_duration", help, Unit::Seconds, self.duration.clone());
    }
}

/// What BIRD was asked over its control socket.
#[derive(Debug, Clone, Default)]
pub struct BirdCommands(Family<BirdCommand, Counter>);

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BirdCommand {
    command: &'static str,
    result: &'static str,
}

/// What came of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BirdOutcome {
    Done,
    /// BIRD does not take it.
    Refused,
    /// No answer, or none that makes sense.
    Lost,
}

impl BirdCommands {
    pub fn count(&self, command: &'static str, outcome: BirdOutcome) {
        let result = match outcome {
            BirdOutcome::Done => "success",
            BirdOutcome::Refused => "refused",
            BirdOutcome::Lost => "lost",
        };
        self.0.get_or_create(&BirdCommand { command, result }).inc();
    }

    fn register(&self, registry: &mut Registry) {
        let help = "What the agent asked of BIRD over its control socket, by what came of it";
        registry.register("bird_commands", help, self.0.clone());
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text;

    use super::*;

    #[test]
    fn what_a_clone_counts_is_shown() {
        let metrics = Metrics::default();
        let handle = metrics.clone();
        handle.cni.observe("ADD", Ok(()), Duration::from_millis(3));
        handle.cni.observe("ADD", Err(11), Duration::from_secs(5));
        handle.bird.count("look", BirdOutcome::Done);
        let mut registry = Registry::with_prefix("flock");
        metrics.register(&mut registry);
        let mut shown = String::new();
        text::encode(&mut shown, &registry).unwrap();
        for line in [
            "flock_cni_calls_total{verb=\"ADD\",result=\"success\",code=\"0\"} 1",
            "flock_cni_calls_total{verb=\"ADD\",result=\"error\",code=\"11\"} 1",
            "flock_cni_call_duration_seconds_bucket{le=\"0.005\",verb=\"ADD\"} 1",
            "flock_cni_call_duration_seconds_count{verb=\"ADD\"} 2",
            "flock_bird_commands_total{command=\"look\",result=\"success\"} 1",
        ] {
            assert!(shown.lines().any(|found| found == line), "{line} is not in\n{shown}");
        }
    }
}
