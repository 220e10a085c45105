//! A session's timers.

use std::time::Duration;

/// Session timers in seconds (RFC 4271, section 10). Keepalive is never longer than hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timers {
    hold: u16,
    keepalive: u16,
    connect_retry: u16,
}

/// Why timers are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimersError {
    /// Not whole seconds, or too few or too many.
    #[error("{0:?} is out of range: {1} to {2} whole seconds")]
    Range(Duration, u16, u16),
    /// Longer than hold.
    #[error("{keepalive}s is longer than the hold time, {hold}s: a third of it is usual")]
    KeepaliveBeyondHold {
        /// Seconds.
        keepalive: u16,
        /// Seconds.
        hold: u16,
    },
}

impl Timers {
    /// Unless said. Hold: a third of what RFC 4271 suggests, and still long enough for a router that is busy; who
    /// needs to be faster wants BFD. Connect retry: BIRD's own 120 s would keep a node off the network long after its
    /// router is back.
    pub const DEFAULT: Timers = Timers { hold: 30, keepalive: 10, connect_retry: 5 };

    /// Hold: 3 to 65535 s. Keepalive: 1 to 21845 s and not beyond hold; a third of hold unless said. Connect retry:
    /// 1 to 3600 s.
    pub fn new(
        hold: Option<Duration>,
        keepalive: Option<Duration>,
        connect_retry: Option<Duration>,
    ) -> Result<Self, (&'static str, TimersError)> {
        let seconds = |name, duration: Duration, min: u16, max: u16| {
            let whole = duration.subsec_nanos() == 0;
            let value = u16::try_from(duration.as_secs()).ok().filter(|s| whole && (min..=max).contains(s));
            value.ok_or((name, TimersError::Range(duration, min, max)))
        };
        let hold = hold.map_or(Ok(Self::DEFAULT.hold), |hold| seconds("holdTime", hold, 3, u16::MAX))?;
        let keepalive = match keepalive {
            Some(duration) => seconds("keepaliveTime", duration, 1, u16::MAX / 3)?,
            None => hold / 3,
        };
        if keepalive > hold {
            return Err(("keepaliveTime", TimersError::KeepaliveBeyondHold { keepalive, hold }));
        }
        let connect_retry = match connect_retry {
            Some(duration) => seconds("connectRetryTime", duration, 1, 3600)?,
            None => Self::DEFAULT.connect_retry,
        };
        Ok(Self { hold, keepalive, connect_retry })
    }

    /// Seconds without a message after which the session is given up.
    pub fn hold(&self) -> u16 {
        self.hold
    }

    /// Seconds between two keepalive messages.
    pub fn keepalive(&self) -> u16 {
        self.keepalive
    }

    /// Seconds between two attempts to connect.
    pub fn connect_retry(&self) -> u16 {
        self.connect_retry
    }
}
