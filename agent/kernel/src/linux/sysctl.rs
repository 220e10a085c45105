//! Sysctls, as files below `/proc/sys/net`, which show the network namespace of the thread that opens them.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rustix::io::Errno;

use super::errno::Failure;

/// Where they are, unless somebody has said something else.
const ROOT: &str = "/proc/sys/net";

/// Another place. One for the process, as `/proc` is.
static ELSEWHERE: OnceLock<PathBuf> = OnceLock::new();

/// They are at `root` from now on. Runtimes make `/proc/sys` read-only in containers that are not privileged; the same
/// folder, mounted once more at another place, is not. False if another place was named before.
pub(super) fn move_to(root: PathBuf) -> bool {
    ELSEWHERE.get_or_init(|| root.clone()) == &root
}

fn file(path: &str) -> PathBuf {
    ELSEWHERE.get().map_or(Path::new(ROOT), PathBuf::as_path).join(path)
}

/// The value of a sysctl; none if there is no such sysctl, or if its value is not a small number.
pub(super) fn read(path: &str) -> Option<u8> {
    std::fs::read_to_string(file(path)).ok()?.trim().parse().ok()
}

/// Sets a sysctl.
pub(super) fn write(path: &str, value: u8) -> Result<(), Failure> {
    let file = OpenOptions::new().write(true).open(file(path));
    let written = file.and_then(|mut file| file.write_all(value.to_string().as_bytes()));
    written.map_err(Failure::from)
}

/// Turns IPv6 off, which a kernel that has none has done already.
pub(super) fn is_moot(path: &str, value: u8, failure: &Failure) -> bool {
    failure.errno == Errno::NOENT && value == 1 && path.ends_with("/disable_ipv6")
}
