//! What standard output gets: one JSON object or nothing. Standard error is for people and for logs.

use std::io::{self, Write};
use std::process::ExitCode;

use flock_rpc::{CniCode, CniError};
use serde::Serialize;

use crate::version::{self, Version};

/// CNI spec 1.1, section 5 "Error".
#[derive(Serialize)]
struct ErrorJson<'a> {
    #[serde(rename = "cniVersion")]
    cni_version: &'a str,
    code: u32,
    msg: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    details: &'a str,
}

/// CNI spec 1.1, section 5 "VERSION".
#[derive(Serialize)]
struct VersionJson<'a> {
    #[serde(rename = "cniVersion")]
    cni_version: &'a str,
    #[serde(rename = "supportedVersions")]
    supported_versions: [&'static str; 4],
}

/// Prints a result. A runtime that does not listen any more has not got it: that is a failure, and no panic.
pub(crate) fn print(text: &str) -> ExitCode {
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("flock: cannot write to standard output: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Prints an error in the version that the caller speaks, or in the latest if it did not say.
pub(crate) fn print_error(error: &CniError, cni_version: Option<&str>) -> ExitCode {
    print(&error_json(error, cni_version));
    ExitCode::FAILURE
}

/// For people who start the plugin by hand, like the reference plugins do it.
pub(crate) fn explain() -> ExitCode {
    complain(&format!(
        "flock CNI plugin v{}\nCNI protocol versions supported: {}\n\
         Container runtimes run this program; its configuration is in /etc/cni/net.d. To see whether the node's agent \
         serves it:\necho '{{\"cniVersion\":\"1.1.0\",\"name\":\"flock\"}}' | CNI_COMMAND=STATUS flock",
        env!("CARGO_PKG_VERSION"),
        version::supported()
    ));
    ExitCode::SUCCESS
}

/// The answer to VERSION: in the caller's version, whatever it is.
pub(crate) fn version_json(cni_version: Option<&str>) -> Result<String, CniError> {
    let cni_version = cni_version.unwrap_or(Version::LATEST.as_str());
    let answer = VersionJson { cni_version, supported_versions: Version::ALL.map(Version::as_str) };
    serde_json::to_string(&answer)
        .map_err(|error| CniCode::Io.error(format!("cannot write the versions: {error}")))
}

fn error_json(error: &CniError, cni_version: Option<&str>) -> String {
    let CniError { code, msg, details } = error;
    let cni_version = cni_version.unwrap_or(Version::LATEST.as_str());
    // Strings and a number always have a JSON form.
    serde_json::to_string(&ErrorJson { cni_version, code: *code, msg, details }).unwrap_or_default()
}

/// Unlike `eprintln!`, this does not panic when nobody reads.
fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_the_spec_s_shape() {
        let error = CniCode::Drift.error("eth0 lost \"192.0.2.1/32\"").with_details("line\nline");
        insta::assert_snapshot!(error_json(&error, Some("1.0.0")), @r#"{"cniVersion":"1.0.0","code":101,"msg":"eth0 lost \"192.0.2.1/32\"","details":"line\nline"}"#);
        let error = CniCode::TryAgain.error("later");
        insta::assert_snapshot!(error_json(&error, None), @r#"{"cniVersion":"1.1.0","code":11,"msg":"later"}"#);
    }

    #[test]
    fn versions_have_the_spec_s_shape() {
        insta::assert_snapshot!(version_json(Some("0.4.0")).unwrap(), @r#"{"cniVersion":"0.4.0","supportedVersions":["0.3.1","0.4.0","1.0.0","1.1.0"]}"#);
    }
}
