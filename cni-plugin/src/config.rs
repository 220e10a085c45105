//! The network configuration on standard input (CNI spec 1.1, section 1). Each verb reads only what it needs, so that
//! a DEL succeeds whatever has become of the rest. Unknown keys belong to others.

use std::io::{self, Read};
use std::path::PathBuf;

use flock_rpc::name::{is_container_id, is_ifname, is_network_name};
use flock_rpc::{AttachmentId, CniCode, CniError};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::result::{CniResult, Dns};
use crate::version::{self, Version};

/// More than any configuration: GC with 5,000 attachments takes half of it.
const LIMIT: u64 = 1024 * 1024;
const DEFAULT_SOCKET: &str = "/run/flock/agent.sock";

/// What is wrong with standard input.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("cannot read the network configuration from standard input: {0}")]
    Read(#[source] io::Error),
    #[error("the network configuration on standard input has more than 1 MiB, which is the limit")]
    TooLong,
    #[error("standard input is not a CNI network configuration: {0}")]
    Json(#[source] serde_json::Error),
    #[error(
        "cniVersion {0:?} is not supported: the configuration must say one of {versions}",
        versions = version::supported()
    )]
    Version(String),
    #[error("the network configuration has no \"name\"")]
    NoName,
    #[error(
        "the network's name {0:?} is not valid: it must begin with a letter or digit and go on with letters, digits, '_', '.' or '-'"
    )]
    Name(String),
    #[error(
        "\"socket\" {0:?} is not an absolute path: it must be where flock-agent listens, {DEFAULT_SOCKET} by default"
    )]
    Socket(String),
    #[error("prevResult has cniVersion {0:?}, which is not supported: it must be one of {versions}", versions = version::supported())]
    PrevVersion(String),
    #[error("CHECK needs prevResult, the result of this attachment's ADD, in the network configuration")]
    NoPrevResult,
    #[error(
        "GC needs \"cni.dev/valid-attachments\", a list, in the network configuration; nothing was removed, since none would be valid"
    )]
    NoAttachments,
    #[error("\"cni.dev/valid-attachments\" names {0:?}, which is no attachment; nothing was removed")]
    Attachment(String),
}

impl From<ConfigError> for CniError {
    fn from(error: ConfigError) -> CniError {
        let code = match &error {
            ConfigError::Read(_) => CniCode::Io,
            ConfigError::TooLong | ConfigError::Json(_) => CniCode::Decode,
            ConfigError::Version(_) => CniCode::IncompatibleVersion,
            _ => CniCode::InvalidConfig,
        };
        code.error(error.to_string())
    }
}

/// What every verb needs.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Network {
    pub(crate) version: Version,
    pub(crate) name: String,
    pub(crate) socket: PathBuf,
}

/// What ADD needs in addition.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct AddConfig {
    pub(crate) dns: Option<Dns>,
    #[serde(rename = "prevResult")]
    pub(crate) prev_result: Option<CniResult>,
}

#[derive(Deserialize)]
struct VersionOnly {
    #[serde(rename = "cniVersion")]
    cni_version: Option<String>,
}

#[derive(Deserialize)]
struct NetworkKeys {
    name: Option<String>,
    socket: Option<String>,
}

#[derive(Deserialize)]
struct CheckKeys {
    #[serde(rename = "prevResult")]
    prev_result: Option<CniResult>,
}

/// libcni sends the list under both names: spec 1.1 and its first release differed.
#[derive(Deserialize)]
struct GcKeys {
    #[serde(rename = "cni.dev/valid-attachments")]
    valid: Option<Vec<GcAttachment>>,
    #[serde(rename = "cni.dev/attachments")]
    legacy: Option<Vec<GcAttachment>>,
}

#[derive(Deserialize)]
struct GcAttachment {
    #[serde(rename = "containerID")]
    container_id: String,
    ifname: String,
}

/// Reads to the end, at most [`LIMIT`].
pub(crate) fn read(stdin: impl Read) -> Result<Vec<u8>, CniError> {
    let mut text = Vec::new();
    match stdin.take(LIMIT + 1).read_to_end(&mut text) {
        Err(error) => Err(ConfigError::Read(error).into()),
        Ok(length) if length as u64 > LIMIT => Err(ConfigError::TooLong.into()),
        Ok(_) => Ok(text),
    }
}

/// `cniVersion`, if the text is good enough to have one.
pub(crate) fn cni_version(stdin: &[u8]) -> Option<String> {
    json::<VersionOnly>(stdin).ok()?.cni_version.filter(|version| !version.is_empty())
}

pub(crate) fn network(stdin: &[u8]) -> Result<Network, ConfigError> {
    // Without the key it is 0.1.0 (CNI spec 0.2.0), which flock does not speak.
    let text = json::<VersionOnly>(stdin)?.cni_version.filter(|version| !version.is_empty());
    let text = text.unwrap_or_else(|| "0.1.0".to_owned());
    let version = Version::parse(&text).ok_or(ConfigError::Version(text))?;
    let NetworkKeys { name, socket } = json(stdin)?;
    let name = name.filter(|name| !name.is_empty()).ok_or(ConfigError::NoName)?;
    if !is_network_name(&name) {
        return Err(ConfigError::Name(name));
    }
    let socket = socket.unwrap_or_else(|| DEFAULT_SOCKET.to_owned());
    if !socket.starts_with('/') || socket.ends_with('/') {
        return Err(ConfigError::Socket(socket));
    }
    Ok(Network { version, name, socket: socket.into() })
}

pub(crate) fn add(stdin: &[u8]) -> Result<AddConfig, ConfigError> {
    let config: AddConfig = json(stdin)?;
    config.prev_result.as_ref().map_or(Ok(()), check_version)?;
    Ok(config)
}

/// `prevResult`, which CHECK can't do without.
pub(crate) fn check(stdin: &[u8]) -> Result<CniResult, ConfigError> {
    let prev_result = json::<CheckKeys>(stdin)?.prev_result.ok_or(ConfigError::NoPrevResult)?;
    check_version(&prev_result)?;
    Ok(prev_result)
}

/// The attachments that GC must keep. `null` is no list: removing everything takes an explicit empty one.
pub(crate) fn gc(stdin: &[u8]) -> Result<Vec<AttachmentId>, ConfigError> {
    let GcKeys { valid, legacy } = json(stdin)?;
    if valid.is_none() && legacy.is_none() {
        return Err(ConfigError::NoAttachments);
    }
    valid.into_iter().chain(legacy).flatten().map(GcAttachment::parse).collect()
}

impl GcAttachment {
    fn parse(self) -> Result<AttachmentId, ConfigError> {
        let Self { container_id, ifname } = self;
        if is_container_id(&container_id) && is_ifname(&ifname) {
            Ok(AttachmentId { container_id, ifname })
        } else {
            Err(ConfigError::Attachment(format!("{container_id}@{ifname}")))
        }
    }
}

/// Without `cniVersion`, a prevResult has the configuration's.
fn check_version(prev_result: &CniResult) -> Result<(), ConfigError> {
    match &prev_result.cni_version {
        Some(text) if Version::parse(text).is_none() => Err(ConfigError::PrevVersion(text.clone())),
        _ => Ok(()),
    }
}

fn json<T: DeserializeOwned>(stdin: &[u8]) -> Result<T, ConfigError> {
    serde_json::from_slice(stdin).map_err(ConfigError::Json)
}

#[cfg(test)]
mod tests;
