//! Durations as Go writes and Kubernetes reads them: a sequence of decimal numbers with units, as `1m30s` or `50ms`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration as StdDuration;

use serde::{Deserialize, Deserializer, de::Error as _};

/// A non-negative duration, in text as `30s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Duration(pub StdDuration);

/// The text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a duration: write numbers with units (h, m, s, ms), as 30s or 1m30s")]
pub struct DurationError(String);

/// The units, those first that another one is the beginning of.
const UNITS: [(&str, u64); 4] = [("ms", 1), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)];

impl FromStr for Duration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        let fail = || DurationError(text.chars().take(60).collect());
        let mut rest = text.trim();
        if rest == "0" {
            return Ok(Self(StdDuration::ZERO));
        }
        if rest.is_empty() {
            return Err(fail());
        }
        let mut total: u64 = 0;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(fail)?;
            let number: u64 = rest[..digits].parse().map_err(|_| fail())?;
            let (unit, millis) =
                UNITS.iter().find(|(unit, _)| rest[digits..].starts_with(unit)).ok_or_else(fail)?;
            total = number.checked_mul(*millis).and_then(|part| total.checked_add(part)).ok_or_else(fail)?;
            rest = &rest[digits + unit.len()..];
        }
        Ok(Self(StdDuration::from_millis(total)))
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        if millis.is_multiple_of(1000) { write!(f, "{}s", millis / 1000) } else { write!(f, "{millis}ms") }
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_kubernetes_writes() {
        let cases =
            [("30s", 30_000), ("1m30s", 90_000), ("50ms", 50), ("2h", 7_200_000), ("0", 0), ("0s", 0)];
        for (text, millis) in cases {
            assert_eq!(text.parse::<Duration>().unwrap().0, StdDuration::from_millis(millis), "{text}");
        }
    }

    #[test]
    fn refuses_everything_else() {
        for text in
            ["", "30", "s", "-1s", "1d", "1.5s", "1s2", "99999999999999999999h", "18446744073709551615h"]
        {
            assert!(text.parse::<Duration>().is_err(), "{text}");
        }
    }
}
