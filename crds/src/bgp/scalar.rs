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
        let Written(text) = deserializer.deserialize_any(ScalarVisitor { accepted: T::ACCEPTED })?;
        text.parse().map(Self).map_err(|_| {
            let start: String = text.chars().take(60).collect();
            D::Error::custom(format!("{start:?} is not {}", T::ACCEPTED))
        })
    }
}

/// A scalar as text.
struct Written(String);

struct ScalarVisitor {
    accepted: &'static str,
}

impl Visitor<'_> for ScalarVisitor {
    type Value = Written;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.accepted)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Written, E> {
        Ok(Written(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Written, E> {
        Ok(Written(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Written, E> {
        Ok(Written(value.to_string()))
    }

    // Numbers beyond 64 bits come this way too; `{:?}` keeps 5.0 from passing as 5.
    fn visit_f64<E>(self, value: f64) -> Result<Written, E> {
        Ok(Written(format!("{value:?}")))
    }

    fn visit_str<E>(self, value: &str) -> Result<Written, E> {
        Ok(Written(value.to_owned()))
    }
}
