//! Why something is refused, in words for the person who wrote it, on one line.

/// A reason that is longer repeats what was given; that must fill neither a log nor a terminal.
const LONGEST_REASON: usize = 600;

/// Types as Rust's programmers call them, and as people do.
const TYPES: [(&str, &str); 7] = [
    ("expected a sequence", "expected a list"),
    ("expected a map", "expected a mapping of fields"),
    ("expected struct", "expected a mapping of fields"),
    ("expected a boolean", "expected true or false"),
    ("expected i64", "expected a whole number"),
    ("expected u32", "expected a whole number"),
    ("expected u16", "expected a whole number"),
];

/// A JSON reader's words without what is meant for its programmer.
pub(in crate::source) fn plain(error: &str) -> String {
    // The text that it has read is not the one that was written.
    let error = error.rsplit_once(" at line ").map_or(error, |(reason, _)| reason);
    one_line(&alternatives(error).or_else(|| in_peoples_words(error)).unwrap_or_else(|| error.to_owned()))
}

fn in_peoples_words(error: &str) -> Option<String> {
    let (given, expected) = error.split_once(", ").filter(|_| error.starts_with("invalid "))?;
    let (_, words) = TYPES.iter().find(|(theirs, _)| expected.starts_with(theirs))?;
    Some(format!("{given}, {words}"))
}

/// ``unknown variant `a`, expected `b` or `c` `` with the names alone.
fn alternatives(error: &str) -> Option<String> {
    let (given, expected) = error.rsplit_once(", expected ").filter(|_| error.starts_with("unknown "))?;
    let names: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
    Some(format!("{given}, expected one of {}", names.join(", ")))
}

/// A reason as one line of a log, whatever was given.
pub(in crate::source) fn one_line(reason: &str) -> String {
    // U+2028 and U+2029 separate lines and paragraphs, too.
    let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    let printable: String = reason.chars().map(|c| if breaks(c) { ' ' } else { c }).collect();
    shortened(&printable, LONGEST_REASON)
}

/// Beginning and end of a text: the one says what it is about, the other what is accepted.
pub(in crate::source) fn shortened(text: &str, longest: usize) -> String {
    let length = text.chars().count();
    if length <= longest {
        return text.to_owned();
    }
    let start: String = text.chars().take(longest / 3).collect();
    let end: String = text.chars().skip(length - longest / 3 * 2).collect();
    format!("{start} … {end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_readers_words_are_those_of_people() {
        let cases = [
            (
                "invalid type: integer `7`, expected a string at line 1 column 30",
                "invalid type: integer `7`, expected a string",
            ),
            (
                "invalid type: string \"x\", expected a sequence",
                "invalid type: string \"x\", expected a list",
            ),
            (
                "invalid type: string \"x\", expected struct BgpSpec",
                "invalid type: string \"x\", expected a mapping of fields",
            ),
            (
                "invalid type: string \"65001\", expected i64",
                "invalid type: string \"65001\", expected a whole number",
            ),
            (
                "unknown variant `All`, expected `Pools` or `Any`",
                "unknown variant `All`, expected one of Pools, Any",
            ),
            (
                "unknown variant `a`, expected one of `b`, `c`, `d`",
                "unknown variant `a`, expected one of b, c, d",
            ),
            ("unknown field `a`, expected `b`", "unknown field `a`, expected one of b"),
        ];
        for (theirs, ours) in cases {
            assert_eq!(plain(theirs), ours);
        }
    }
}
