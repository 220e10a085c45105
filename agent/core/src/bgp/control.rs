//! BIRD's control protocol: lines with four-digit codes, as its command line client gets them.
//!
//! ```text
//! 1002-name  BGP  ---  up  ...    "-": more lines follow
//! 1006-  Description: ...
//!    BGP state: ...               one space, then text: it has the code of the line before
//! +1000 ...                       the echo of a log line: no part of any answer
//! 0000 text                       " ": the last line
//! ```

#[cfg(test)]
mod tests;

/// One whole answer to one command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Its lines, in order. The last one's code is the answer's.
    pub lines: Vec<Line>,
}

/// One line of an answer. A line without a code of its own has the one of the line before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// 0xxx: done; 1xxx: data; 2xxx: a table; 8xxx: the command failed; 9xxx: the command was not understood.
    pub code: u16,
    /// The text behind the code; what is not UTF-8 is replaced.
    pub text: String,
}

/// What comes over the socket is not BIRD's protocol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// A line that no code can be found for.
    #[error("BIRD's answer makes no sense: {0:?}")]
    Nonsense(String),
    /// An answer that does not end.
    #[error("BIRD's answer has more than {0} bytes")]
    Endless(usize),
}

/// More than the status of a thousand sessions.
pub const LONGEST_REPLY: usize = 16 * 1024 * 1024;

/// The first whole answer in `bytes` and how many bytes it has; none when it is not complete yet.
///
/// # Errors
/// When the bytes cannot become an answer any more.
pub fn decode(bytes: &[u8]) -> Result<Option<(Reply, usize)>, ProtocolError> {
    let mut lines: Vec<Line> = Vec::new();
    let mut taken = 0;
    for raw in bytes.split_inclusive(|&byte| byte == b'\n') {
        taken += raw.len();
        if taken > LONGEST_REPLY {
            return Err(ProtocolError::Endless(LONGEST_REPLY));
        }
        let Some(raw) = raw.strip_suffix(b"\n") else {
            return unfinished(raw, taken).map(|()| None);
        };
        match classify(raw) {
            Some(Class::Echo) => {}
            Some(Class::Continuation(text)) => {
                let code = lines.last().ok_or_else(|| nonsense(raw))?.code;
                lines.push(line(code, text));
            }
            Some(Class::More(code, text)) => lines.push(line(code, text)),
            Some(Class::Last(code, text)) => {
                lines.push(line(code, text));
                return Ok(Some((Reply { lines }, taken)));
            }
            None => return Err(nonsense(raw)),
        }
    }
    Ok(None)
}

/// What a line is, and its text.
enum Class<'a> {
    Echo,
    Continuation(&'a [u8]),
    More(u16, &'a [u8]),
    Last(u16, &'a [u8]),
}

fn classify(raw: &[u8]) -> Option<Class<'_>> {
    match raw {
        [b'+', ..] => Some(Class::Echo),
        [b' ', text @ ..] => Some(Class::Continuation(text)),
        [b'\t', ..] => Some(Class::Continuation(raw)),
        [a, b, c, d, more @ (b'-' | b' '), text @ ..] => {
            let code = code([*a, *b, *c, *d])?;
            Some(if *more == b'-' { Class::More(code, text) } else { Class::Last(code, text) })
        }
        _ => None,
    }
}

fn code(digits: [u8; 4]) -> Option<u16> {
    let digit = |byte: u8| byte.is_ascii_digit().then(|| u16::from(byte - b'0'));
    digits.into_iter().try_fold(0, |code, byte| Some(code * 10 + digit(byte)?))
}

/// A line whose end is not there yet. What can be no line, however it goes on, is refused now: nobody should wait for
/// the end of the line of something that is not BIRD.
fn unfinished(raw: &[u8], taken: usize) -> Result<(), ProtocolError> {
    let possible = match raw {
        [] | [b'+' | b' ' | b'\t', ..] => true,
        _ => raw.iter().zip(0..5).all(|(byte, at)| match at {
            4 => matches!(byte, b'-' | b' '),
            _ => byte.is_ascii_digit(),
        }),
    };
    match possible {
        true if taken == LONGEST_REPLY => Err(ProtocolError::Endless(LONGEST_REPLY)),
        true => Ok(()),
        false => Err(nonsense(raw)),
    }
}

fn line(code: u16, text: &[u8]) -> Line {
    Line { code, text: String::from_utf8_lossy(text).into_owned() }
}

/// The beginning of it is enough for a log.
fn nonsense(raw: &[u8]) -> ProtocolError {
    ProtocolError::Nonsense(String::from_utf8_lossy(raw.get(..80).unwrap_or(raw)).into_owned())
}

impl Reply {
    /// The answer's code: the last line's.
    pub fn code(&self) -> u16 {
        self.lines.last().map_or(0, |line| line.code)
    }

    /// The text of a failure (8xxx, 9xxx), none of a success.
    pub fn failure(&self) -> Option<&str> {
        self.lines.last().filter(|line| line.code >= 8000).map(|line| line.text.as_str())
    }
}

/// BIRD's version, as its greeting tells it: `BIRD 2.0.12 ready.`
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BirdVersion {
    /// 2 or 3.
    pub major: u16,
    /// Minor version.
    pub minor: u16,
    /// Patch; 0 where BIRD names none.
    pub patch: u16,
}

impl BirdVersion {
    /// The oldest one that flock's configuration is written for.
    pub const OLDEST: BirdVersion = BirdVersion { major: 2, minor: 0, patch: 12 };

    /// Whether `graceful restart` sends peers a NOTIFICATION, at which they drop the routes that they should keep
    /// (RFC 4724, section 4.1). Seen with 3.4.0; not so with 2.0.12, 2.17.5 and 3.1.7.
    pub fn notifies_at_graceful_restart(self) -> bool {
        self >= BirdVersion { major: 3, minor: 2, patch: 0 }
    }

    /// The version in a greeting (code 0001); none when it is not one.
    pub fn of_greeting(reply: &Reply) -> Option<Self> {
        let line = reply.lines.last().filter(|line| line.code == 1)?;
        let version = line.text.strip_prefix("BIRD ")?.split_whitespace().next()?;
        Self::of_text(version.strip_prefix('v').unwrap_or(version))
    }

    /// `2.0.12`, `3.1`, and what a packager adds: `2.0.12+deb`, `2.15.1-3-gabcdef`.
    fn of_text(text: &str) -> Option<Self> {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let mut numbers = text[..end].trim_end_matches('.').split('.').map(str::parse);
        let major = numbers.next()?.ok()?;
        let minor = numbers.next()?.ok()?;
        let patch = numbers.next().map_or(Ok(0), |patch| patch).ok()?;
        Some(Self { major, minor, patch })
    }
}

impl std::fmt::Display for BirdVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}
