//! BIRD's control protocol: lines with four-digit codes, as its command line client gets them.

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
    let _ = bytes;
    Ok(None)
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

    /// The version in a greeting (code 0001); none when it is not one.
    pub fn of_greeting(reply: &Reply) -> Option<Self> {
        let _ = reply;
        None
    }
}

impl std::fmt::Display for BirdVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}
