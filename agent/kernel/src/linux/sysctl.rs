//! Sysctls, as files below `/proc/sys/net`, which show the network namespace of the thread that opens them.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::io::Errno;

use super::errno::Failure;

/// Where the sysctls are.
#[derive(Debug, Clone)]
pub(super) struct Sysctls(Arc<Path>);

impl Default for Sysctls {
    fn default() -> Self {
        Self(Path::new("/proc/sys/net").into())
    }
}

impl Sysctls {
    /// They are below `root`. Runtimes make `/proc/sys` read-only in containers that are not privileged; the same
    /// folder, mounted once more at another place, is not.
    pub(super) fn at(root: PathBuf) -> Self {
        Self(root.into())
    }

    /// The value of a sysctl; none if there is no such sysctl, or if its value is not a small number.
    pub(super) fn read(&self, path: &str) -> Option<u8> {
        std::fs::read_to_string(self.0.join(path)).ok()?.trim().parse().ok()
    }

    /// Sets a sysctl.
    pub(super) fn write(&self, path: &str, value: u8) -> Result<(), Failure> {
        let file = OpenOptions::new().write(true).open(self.0.join(path));
        let written = file.and_then(|mut file| file.write_all(value.to_string().as_bytes()));
        written.map_err(Failure::from)
    }
}

/// Whether a failure is that of turning off IPv6 in a kernel that has none.
pub(super) fn has_no_effect(path: &str, value: u8, failure: &Failure) -> bool {
    failure.errno == Errno::NOENT && value == 1 && path.ends_with("/disable_ipv6")
}
