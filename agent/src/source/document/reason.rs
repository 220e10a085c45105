//! Why a document is refused, in words for the person who wrote it, on one line.

use serde_saphyr::Error as ReadError;

/// A reason that is longer repeats what was given; that must fill neither a log nor a terminal.
const LONGEST_REASON: usize = 600;

/// The reader's words, but where they are meant for its programmer.
pub(super) fn readers_reason(error: &ReadError) -> String {
    match error {
        ReadError::Unexpected { expected: "sequence start", .. } => "must be a list".to_owned(),
        ReadError::Unexpected { expected: "mapping start", .. } => "must be a mapping of fields".to_owned(),
        ReadError::DuplicateMappingKey { key, .. } => {
            format!("{} is there twice: leave one out", key.as_deref().unwrap_or("a field"))
        }
        error => {
            let text = error.to_string();
            text.rsplit_once(" at line ").map_or(text.as_str(), |(reason, _)| reason).to_owned()
        }
    }
}

/// A reason as one line of a log, whatever was given.
pub(in crate::source) fn one_line(reason: &str) -> String {
    // U+2028 and U+2029 separate lines and paragraphs, too.
    let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    let printable: String = reason.chars().map(|c| if breaks(c) { ' ' } else { c }).collect();
    shortened(&printable, LONGEST_REASON)
}

/// Beginning and end of a text: the one says what it is about, the other what is accepted.
pub(super) fn shortened(text: &str, longest: usize) -> String {
    let length = text.chars().count();
    if length <= longest {
        return text.to_owned();
    }
    let start: String = text.chars().take(longest / 3).collect();
    let end: String = text.chars().skip(length - longest / 3 * 2).collect();
    format!("{start} … {end}")
}
