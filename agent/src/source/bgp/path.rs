//! Where a field is.

use std::fmt;

use crate::source::node_config::FieldError;

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
