//! What BIRD can be asked, and how.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flock_core::bgp::config::BirdIdent;

use super::{ANSWER, BirdError, CONFIGURE};

/// What BIRD can be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `configure check`: would it take this file? Changes nothing.
    CheckConfig(PathBuf),
    /// `configure`: takes this file.
    Configure(PathBuf),
    /// `configure ... timeout`: takes this file, and goes back by itself unless [`Command::Confirm`] comes in time.
    Try {
        /// The file; BIRD reads it itself.
        path: PathBuf,
        /// The time until it goes back: whole seconds, rounded up.
        undo_after: Duration,
    },
    /// `configure confirm`: stays with the configuration. Code 18, or 19 when there is nothing to confirm (any more).
    Confirm,
    /// `configure undo`: goes back to the configuration before. Code 19 when there is none.
    Undo,
    /// `show protocols all`, for [`flock_core::bgp::observed::sessions`].
    ShowProtocols,
    /// `show bfd sessions`, for [`flock_core::bgp::observed::bfd`]. A failure when no BFD protocol is configured.
    ShowBfd,
    /// `show route protocol`, for [`flock_core::bgp::observed::addresses`]. A failure when there is no such protocol.
    ShowRoutes(&'static str),
    /// `show route exported`: the anycast routes that this session has told its peer of, for the same.
    ShowExported(BirdIdent),
    /// `eval`: the value of a constant of the configuration. A failure when it has no such constant.
    Eval(&'static str),
    /// `disable`: stops a protocol until the next reconfiguration. A failure when the configuration has none such.
    Disable(&'static str),
    /// `graceful restart`: ends BIRD so that peers and kernel keep its routes.
    GracefulRestart,
    /// `down`: ends BIRD; peers withdraw its routes.
    Down,
    /// `show status`: version, uptime, and whether a graceful restart is being recovered from.
    ShowStatus,
}

impl Command {
    /// The command as it is sent, without the end of its line.
    pub(super) fn line(&self) -> Result<String, BirdError> {
        Ok(match self {
            Command::CheckConfig(path) => format!("configure check \"{}\"", quotable(path)?),
            Command::Configure(path) => format!("configure \"{}\"", quotable(path)?),
            Command::Try { path, undo_after } => {
                let seconds = undo_after.as_secs() + u64::from(undo_after.subsec_nanos() > 0);
                // BIRD takes `timeout 0` for: at once.
                format!("configure \"{}\" timeout {}", quotable(path)?, seconds.max(1))
            }
            other => other.to_string(),
        })
    }

    pub(super) fn deadline(&self) -> Duration {
        match self {
            Command::CheckConfig(_) | Command::Configure(_) | Command::Try { .. } | Command::Undo => {
                CONFIGURE
            }
            _ => ANSWER,
        }
    }
}

/// For people; what is sent also has paths and times.
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Command::CheckConfig(_) => f.write_str("configure check"),
            Command::Configure(_) | Command::Try { .. } => f.write_str("configure"),
            Command::Confirm => f.write_str("configure confirm"),
            Command::Undo => f.write_str("configure undo"),
            Command::ShowProtocols => f.write_str("show protocols all"),
            Command::ShowBfd => f.write_str("show bfd sessions"),
            Command::ShowRoutes(protocol) => write!(f, "show route protocol {protocol}"),
            Command::ShowExported(session) => {
                write!(f, "show route exported {session} where proto ~ \"anycast*\"")
            }
            Command::Eval(name) => write!(f, "eval {name}"),
            Command::Disable(name) => write!(f, "disable {name}"),
            Command::GracefulRestart => f.write_str("graceful restart"),
            Command::Down => f.write_str("down"),
            Command::ShowStatus => f.write_str("show status"),
        }
    }
}

/// BIRD's strings end at the next `"`; it knows no escapes.
fn quotable(path: &Path) -> Result<&str, BirdError> {
    path.to_str()
        .filter(|text| !text.contains(|c: char| c == '"' || c.is_control()))
        .ok_or_else(|| BirdError::Path(path.to_owned()))
}
