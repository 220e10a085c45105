//! Values as YAML has them: a plain number passes for text where text is asked for, as `holdDown: 0`. Whoever does not know
//! what is asked for reads a number.

use flock_crds::node_config::NodeConfigSpec;
use serde_json::Value;
use serde_path_to_error::{Path, Segment};

use super::FieldError;
use super::part::without_nulls;

/// More have a reason that is better looked into by a person.
const MOST_PLAIN: usize = 256;

/// The values that `spec` was read from, such that it is read from them again.
///
/// # Errors
/// When something would be another on the way, as `1.10`, which as a number is `1.1`.
pub(in crate::source) fn as_typed(mut value: Value, spec: &NodeConfigSpec) -> Result<Value, FieldError> {
    without_nulls(&mut value);
    let refuse = |field: String, reason: String| FieldError { field, reason };
    for _ in 0..MOST_PLAIN {
        match serde_path_to_error::deserialize::<_, NodeConfigSpec>(&value) {
            Ok(read) if read == *spec => return Ok(value),
            Ok(_) => break,
            Err(error) => {
                if let Some(plain) = at(&mut value, error.path()).filter(|value| is_plain(value)) {
                    *plain = Value::String(plain.to_string());
                    continue;
                }
                return Err(refuse(format!("spec.{}", error.path()), error.into_inner().to_string()));
            }
        }
    }
    Err(refuse("spec".to_owned(), "write names and addresses in quotation marks".to_owned()))
}

fn is_plain(value: &Value) -> bool {
    value.is_number() || value.is_boolean()
}

fn at<'a>(value: &'a mut Value, path: &Path) -> Option<&'a mut Value> {
    path.iter().try_fold(value, |value, segment| match segment {
        Segment::Map { key } => value.get_mut(key),
        Segment::Seq { index } => value.get_mut(*index),
        Segment::Enum { .. } | Segment::Unknown => None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(yaml: &str) -> Result<Value, FieldError> {
        as_typed(serde_saphyr::from_str(yaml).unwrap(), &serde_saphyr::from_str(yaml).unwrap())
    }

    #[test]
    fn plain_numbers_are_text_where_text_is_asked_for() {
        let spec = read(
            "{mtu: 1400, uplinks: [7, eth0], cooldown: 0, anycast: {holdDown: 0}, defaults: {ipv6: true}}",
        );
        let expected = json!({"mtu": 1400, "uplinks": ["7", "eth0"], "cooldown": "0", "anycast": {"holdDown": "0"}, "defaults": {"ipv6": true}});
        assert_eq!(spec.unwrap(), expected);
    }

    #[test]
    fn what_would_be_another_on_the_way_is_refused() {
        let error = read("{uplinks: [1.10]}").unwrap_err().to_string();
        assert_eq!(error, "spec: write names and addresses in quotation marks");
    }
}
