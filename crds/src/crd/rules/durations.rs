//! Durations and their ranges.

use serde_json::Value;

use super::{Rule, list};

/// As [`crate::duration::Duration`] reads them. Fewer digits than it would: CEL's durations end at 292 years.
pub(crate) const DURATION_PATTERN: &str = "^(0|([0-9]{1,6}(h|m|s|ms))+)$";

/// From the one to the other, both included.
pub(crate) fn duration(min: &str, max: &str) -> Value {
    list([syntax(), in_range(min, max)])
}

/// The same without fractions of a second: BGP counts in seconds.
pub(crate) fn whole_seconds(min: &str, max: &str) -> Value {
    let whole = format!("{} || duration(self).getMilliseconds() % 1000 == 0", malformed("self"));
    list([syntax(), in_range(min, max), Rule::new(whole, "must be whole seconds")])
}

/// The API server repeats a pattern to people, who need not know what it means.
fn syntax() -> Rule {
    Rule::new(
        format!("self.matches('{DURATION_PATTERN}')"),
        "must be a duration: numbers with units (h, m, s, ms), as 30s or 1m30s",
    )
}

fn in_range(min: &str, max: &str) -> Rule {
    let value = "duration(self)";
    let within = format!("{value} >= duration('{min}') && {value} <= duration('{max}')");
    Rule::new(format!("{} || ({within})", malformed("self")), format!("must be from {min} to {max}"))
}

/// Another rule refuses it already.
pub(super) fn malformed(field: &str) -> String {
    format!("!{field}.matches('{DURATION_PATTERN}')")
}
