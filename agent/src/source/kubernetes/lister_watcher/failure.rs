//! Why a collection cannot be followed.

use std::time::Duration;

use kube::core::Status;

use crate::api::call::reason;

/// Why a collection cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::source::kubernetes) struct Failure {
    /// The HTTP status, if the API server has answered.
    pub(in crate::source::kubernetes) code: Option<u16>,
    pub(in crate::source::kubernetes) reason: String,
    /// How long the API server asks to be left alone.
    pub(in crate::source::kubernetes) retry_after: Duration,
}

/// `k8s.io/apiserver/pkg/storage/errors.go`, `NewTooLargeResourceVersionError`.
const TOO_LARGE: &str = "too large resource version";

/// What a server that is busy means when it does not say (client-go's default, too).
const BUSY: Duration = Duration::from_secs(1);

impl Failure {
    pub(in crate::source::kubernetes) fn of(reason: impl ToString) -> Self {
        Self { code: None, reason: reason.to_string(), retry_after: Duration::ZERO }
    }

    pub(super) fn silence(waited: Duration) -> Self {
        Self::of(format_args!("no answer within {} s", waited.as_secs_f32()))
    }

    /// What was seen last is too long ago: a list is due.
    pub(super) fn is_gone(&self) -> bool {
        self.code == Some(410)
    }

    /// It does not know so late a version: its storage is an old backup, or it is a replica that lags.
    pub(super) fn is_too_large_version(&self) -> bool {
        matches!(self.code, Some(400 | 504)) && self.reason.to_lowercase().contains(TOO_LARGE)
    }

    /// It cannot do what was asked: 422 says that its feature gate is off, 500 that its etcd is older than 3.4.25.
    pub(super) fn is_about_the_request(&self) -> bool {
        matches!(self.code, Some(400 | 422 | 500))
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        let reason = reason(&status);
        let said = status.details.map_or(0, |details| details.retry_after_seconds);
        let retry_after = match (said, status.code) {
            (0, 429) => BUSY,
            (seconds, _) => Duration::from_secs(seconds.into()),
        };
        Self { code: (status.code != 0).then_some(status.code), reason, retry_after }
    }
}

impl From<kube::Error> for Failure {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::from(*status),
            // Its own words are that there is an error.
            kube::Error::Service(cause) => Self::of(chain(cause.as_ref())),
            error => Self::of(chain(&error)),
        }
    }
}

/// An error with its causes, each said once.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let more = cause.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = cause.source();
    }
    text
}
