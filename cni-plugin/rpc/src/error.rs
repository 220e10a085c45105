//! CNI errors (spec 1.1, section 5 "Error") and how they travel in a gRPC status: encoded, as its details.

use prost::Message;
use tonic::{Code, Status};

use crate::v1alpha1::CniError;

/// Bounds, in bytes, of the texts in a status. Both end up in one HTTP/2 header block, base64- or percent-encoded,
/// and a client refuses a block above 16 KiB: it would see a broken connection instead of the error.
const MSG_LIMIT: usize = 1024;
const DETAILS_LIMIT: usize = 4096;

/// What a CNI error's number means. Up to 99 they are the spec's, from 100 on ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum CniCode {
    /// The configuration's CNI version is not supported, or too old for the verb.
    IncompatibleVersion = 1,
    /// The configuration has a field, or a value of one, that is not supported.
    UnsupportedField = 2,
    /// The container is unknown or gone; the runtime need not clean up.
    UnknownContainer = 3,
    /// A `CNI_*` variable is missing or invalid.
    InvalidEnvironment = 4,
    /// Reading or writing failed.
    Io = 5,
    /// Standard input is not what it should be.
    Decode = 6,
    /// The configuration is well-formed and wrong.
    InvalidConfig = 7,
    /// A passing condition: the runtime should call again.
    TryAgain = 11,
    /// STATUS: the plugin can't serve ADD.
    Unavailable = 50,
    /// STATUS: the plugin can't serve ADD, and attached containers may have limited connectivity.
    Limited = 51,
    /// The kernel or the agent failed.
    Internal = 100,
    /// CHECK: the kernel or the store differs from what ADD returned.
    Drift = 101,
    /// IPAM has no free address.
    NoAddress = 102,
    /// The pod's annotations or the NodeConfig ask for something impossible.
    InvalidPod = 103,
}

impl CniCode {
    /// The number that a runtime sees.
    pub fn number(self) -> u32 {
        self as u32
    }

    /// An error with this code. `msg` says what happened, to what, and what to do.
    pub fn error(self, msg: impl Into<String>) -> CniError {
        CniError { code: self.number(), msg: msg.into(), details: String::new() }
    }

    /// The gRPC code of a status that carries this number, which may be a newer release's.
    fn grpc(number: u32) -> Code {
        match number {
            2 | 4 | 6 | 7 => Code::InvalidArgument,
            3 => Code::NotFound,
            1 | 101 | 103 => Code::FailedPrecondition,
            11 | 50 | 51 => Code::Unavailable,
            102 => Code::ResourceExhausted,
            _ => Code::Internal,
        }
    }
}

impl CniError {
    /// The same error with `details`, what an operator may want to know beyond `msg`.
    #[must_use]
    pub fn with_details(self, details: impl Into<String>) -> Self {
        Self { details: details.into(), ..self }
    }

    /// Whether the error has this code.
    pub fn is(&self, code: CniCode) -> bool {
        self.code == code.number()
    }
}

impl From<CniError> for Status {
    /// Texts are cut at 1 KiB (`msg`) and 4 KiB (`details`).
    fn from(error: CniError) -> Status {
        let error = CniError {
            code: error.code,
            msg: cut(error.msg, MSG_LIMIT),
            details: cut(error.details, DETAILS_LIMIT),
        };
        Status::with_details(CniCode::grpc(error.code), error.msg.clone(), error.encode_to_vec().into())
    }
}

impl From<&Status> for CniError {
    /// The error in the status' details; without one, an error that fits the gRPC code.
    fn from(status: &Status) -> CniError {
        match CniError::decode(status.details()) {
            Ok(error) if error.code != 0 => error,
            _ => without_details(status),
        }
    }
}

/// The agent did not make this status: tonic, another program on the socket or an agent of another release did.
fn without_details(status: &Status) -> CniError {
    let said = status.message();
    match status.code() {
        Code::Unimplemented => CniCode::Internal.error(
            "the agent does not know this call: the agent is older than the plugin: upgrade it (the flock-agent DaemonSet)",
        ),
        Code::PermissionDenied | Code::Unauthenticated => CniCode::Internal
            .error(format!("the agent refused the caller ({said}): the plugin and flockctl must run as root")),
        Code::DeadlineExceeded => CniCode::TryAgain.error(format!("the agent did not answer in time ({said})")),
        Code::Unavailable => CniCode::TryAgain.error(format!("the agent is not available ({said})")),
        code => CniCode::Internal.error(format!("the agent failed: {code:?}: {said}; its log says more")),
    }
}

fn cut(mut text: String, limit: usize) -> String {
    if text.len() > limit {
        let end = limit - '…'.len_utf8();
        let end = (0..=end).rev().find(|&end| text.is_char_boundary(end)).unwrap_or_default();
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_survives_the_status() {
        let error =
            CniCode::NoAddress.error("203.0.113.0/30 has no free address").with_details("used: 1 of 1");
        let status = Status::from(error.clone());
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert_eq!(CniError::from(&status), error);
    }

    #[test]
    fn a_code_of_a_newer_agent_passes_unchanged() {
        let error = CniError { code: 142, msg: "new".into(), details: String::new() };
        assert_eq!(CniError::from(&Status::from(error.clone())), error);
    }

    #[test]
    fn a_status_without_details_gets_the_code_that_fits() {
        for (status, code, hint) in [
            (Status::unimplemented(""), CniCode::Internal, "the agent is older than the plugin: upgrade it"),
            (Status::permission_denied("uid 1000"), CniCode::Internal, "root"),
            (Status::deadline_exceeded(""), CniCode::TryAgain, "in time"),
            (Status::unavailable("shutting down"), CniCode::TryAgain, "shutting down"),
            (Status::internal("boom"), CniCode::Internal, "boom"),
            (Status::with_details(Code::Aborted, "x", vec![0xff; 3].into()), CniCode::Internal, "Aborted"),
        ] {
            let error = CniError::from(&status);
            assert!(error.is(code), "{error:?}");
            assert!(error.msg.contains(hint), "{error:?}");
        }
    }

    #[test]
    fn long_texts_are_cut_to_fit_one_header_block() {
        let error = CniCode::Drift.error("ü".repeat(5000)).with_details("…".repeat(5000));
        let status = Status::from(error);
        let error = CniError::from(&status);
        assert!(error.msg.len() <= MSG_LIMIT && error.details.len() <= DETAILS_LIMIT);
        assert!(error.msg.ends_with("ü…") && error.details.ends_with('…'));
        // Percent-encoding triples the message, base64 adds a third to the details.
        assert!(status.message().len() * 3 + status.details().len() * 4 / 3 < 15 * 1024);
    }
}
