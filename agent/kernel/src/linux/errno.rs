//! The kernel's refusals.

use std::io;

use rustix::io::Errno;

use crate::KernelError;

/// Why the kernel refused a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.words())]
pub(super) struct Failure {
    /// Its error number.
    pub(super) errno: Errno,
    /// Its own words (extended ACK, NLMSGERR_ATTR_MSG), where it has any.
    pub(super) text: Option<String>,
}

impl Failure {
    /// The failure as the cause of a failed step; `action` names what was being done, to what.
    pub(super) fn of_step(self, action: impl Into<String>) -> KernelError {
        KernelError::Step { action: action.into(), cause: self.into() }
    }

    /// Success if the failure is one of `harmless`: what was asked for is so already.
    pub(super) fn unless(self, harmless: &[Errno]) -> Result<(), Failure> {
        if harmless.contains(&self.errno) { Ok(()) } else { Err(self) }
    }

    fn words(&self) -> String {
        match &self.text {
            Some(text) => format!("{} ({text})", io::Error::from(self.errno)),
            None => io::Error::from(self.errno).to_string(),
        }
    }
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Self {
        Self { errno, text: None }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match Errno::from_io_error(&error) {
            Some(errno) => errno.into(),
            None => Self { errno: Errno::IO, text: Some(error.to_string()) },
        }
    }
}

impl From<Failure> for io::Error {
    fn from(failure: Failure) -> Self {
        match failure.text {
            // An `io::Error` that keeps its number has no room for words.
            None => failure.errno.into(),
            Some(_) => io::Error::new(io::Error::from(failure.errno).kind(), failure),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_words_follow_the_error_number() {
        let plain = Failure::from(Errno::NODEV);
        assert_eq!(io::Error::from(plain.clone()).raw_os_error(), Some(Errno::NODEV.raw_os_error()));

        let worded = Failure { text: Some("Nexthop has invalid gateway".to_owned()), ..plain };
        let KernelError::Step { action, cause } = worded.of_step("add route x") else { unreachable!() };
        assert_eq!(action, "add route x");
        assert!(cause.to_string().ends_with("(Nexthop has invalid gateway)"), "{cause}");
    }
}
