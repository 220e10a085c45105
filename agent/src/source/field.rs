//! A field of a document: where it is, and what its value must be.

use std::fmt;
use std::num::NonZeroI64;
use std::ops::RangeInclusive;

use flock_crds::bgp::Scalar;

use super::node_config::FieldError;

/// A field's path, as `spec.bgp.peers[1].asn`.
#[derive(Debug, Clone)]
pub(super) struct Path(String);

impl Path {
    pub(super) fn new(root: &str) -> Self {
        Self(root.to_owned())
    }

    pub(super) fn field(&self, name: &str) -> Self {
        Self(format!("{self}.{name}"))
    }

    pub(super) fn index(&self, index: usize) -> Self {
        Self(format!("{self}[{index}]"))
    }

    /// This field is to be changed, for that reason.
    pub(super) fn refuse(&self, reason: impl fmt::Display) -> FieldError {
        FieldError { field: self.0.clone(), reason: reason.to_string() }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Enough of a text to recognize it by, on one line.
pub(super) fn quoted(text: &str) -> String {
    let start: String = text.chars().take(64).collect();
    format!("{start:?}")
}

/// A number in a range that `T` can hold.
pub(super) fn number<T: TryFrom<i64>>(
    at: &Path,
    Scalar(given): Scalar<i64>,
    range: RangeInclusive<i64>,
) -> Result<T, FieldError> {
    let typed = range.contains(&given).then(|| T::try_from(given).ok()).flatten();
    typed.ok_or_else(|| out_of_range(at, given, &range))
}

/// The same without zero.
pub(super) fn positive<T: TryFrom<NonZeroI64>>(
    at: &Path,
    Scalar(given): Scalar<i64>,
    range: RangeInclusive<i64>,
) -> Result<T, FieldError> {
    let typed = NonZeroI64::new(given).filter(|_| range.contains(&given));
    typed.and_then(|number| T::try_from(number).ok()).ok_or_else(|| out_of_range(at, given, &range))
}

fn out_of_range(at: &Path, given: i64, range: &RangeInclusive<i64>) -> FieldError {
    at.refuse(format_args!("{given} is out of range: {} to {}", range.start(), range.end()))
}

pub(super) fn at_most(at: &Path, given: usize, most: usize) -> Result<(), FieldError> {
    if given <= most { Ok(()) } else { Err(at.refuse(format_args!("{given} are too many: at most {most}"))) }
}
