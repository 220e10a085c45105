//! Sysctls, as files below `/proc/sys/net`, which show the network namespace of the thread that opens them.

use std::fs::OpenOptions;
use std::io::Write;

use rustix::io::Errno;

use super::errno::Failure;

const ROOT: &str = "/proc/sys/net";

/// The value of a sysctl; none if there is no such sysctl, or if its value is not a small number.
pub(super) fn read(path: &str) -> Option<u8> {
    std::fs::read_to_string(format!("{ROOT}/{path}")).ok()?.trim().parse().ok()
}

/// Sets a sysctl.
pub(super) fn write(path: &str, value: u8) -> Result<(), Failure> {
    let file = OpenOptions::new().write(true).open(format!("{ROOT}/{path}"));
    let written = file.and_then(|mut file| file.write_all(value.to_string().as_bytes()));
    written.map_err(Failure::from)
}

/// Turns IPv6 off, which a kernel that has none has done already.
pub(super) fn is_moot(path: &str, value: u8, failure: &Failure) -> bool {
    failure.errno == Errno::NOENT && value == 1 && path.ends_with("/disable_ipv6")
}
