//! Numbers and switches, as people write them in YAML.

use std::fmt;
use std::str::FromStr;

use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer};

/// A number or a switch. Its refusal says what was written and what is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scalar<T>(pub T);

/// What can be written as a scalar.
trait ScalarKind: FromStr {
    const ACCEPTED: &str;
}

impl ScalarKind for i64 {
    const ACCEPTED: &str = "a whole number";
}

impl ScalarKind for bool {
    const ACCEPTED: &str = "true or false";
}

impl<'de, T: ScalarKind> Deserialize<'de> for Scalar<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = deserializer.deserialize_any(ScalarVisitor { accepted: T::ACCEPTED })?;
        written.plain.parse().map(Self).map_err(|_| {
            let start: String = written.shown.chars().take(60).collect();
            D::Error::custom(format!("{start:?} is not {}", T::ACCEPTED))
        })
    }
}

/// A scalar as it was written.
struct Written {
    /// To be parsed; empty for a text, which is neither a number nor a switch, as for the API server.
    plain: String,
    /// For people.
    shown: String,
}

impl Written {
    fn plain(text: String) -> Self {
        Self { plain: text.clone(), shown: text }
    }
}

struct ScalarVisitor {
    accepted: &'static str,
}

impl Visitor<'_> for ScalarVisitor {
    type Value = Written;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.accepted)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Written, E> {
        Ok(Written::plain(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Written, E> {
        Ok(Written::plain(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Written, E> {
        Ok(Written::plain(value.to_string()))
    }

    // Numbers beyond 64 bits come this way too; `{:?}` keeps 5.0 from passing as 5.
    fn visit_f64<E>(self, value: f64) -> Result<Written, E> {
        Ok(Written::plain(format!("{value:?}")))
    }

    fn visit_str<E>(self, value: &str) -> Result<Written, E> {
        Ok(Written { plain: String::new(), shown: value.to_owned() })
    }
}
