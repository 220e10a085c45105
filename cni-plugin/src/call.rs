//! One call: environment and configuration together, checked. Nothing here has an effect.

use std::path::PathBuf;

use flock_rpc::v1alpha1::{AddRequest, CheckRequest, DelRequest, GcRequest, Loopback, StatusRequest};
use flock_rpc::{CniCode, CniError};

use crate::config::{self, AddConfig, Network};
use crate::env::{EnvError, Vars};
use crate::version::Version;

/// What the runtime wants.
#[derive(Debug)]
pub(crate) enum Call {
    /// The caller's version, if it said one. No agent is asked.
    Version(Option<String>),
    /// A call of the agent on `socket`.
    Agent { socket: PathBuf, request: Request },
}

/// What the agent gets.
#[derive(Debug)]
pub(crate) enum Request {
    Add(Box<Add>),
    Del(DelRequest),
    Check(CheckRequest),
    Gc(GcRequest),
    Status(StatusRequest),
}

/// ADD is the one verb whose answer becomes a result, in the caller's version and with what the configuration gives.
#[derive(Debug)]
pub(crate) struct Add {
    pub(crate) request: AddRequest,
    pub(crate) version: Version,
    pub(crate) config: AddConfig,
}

/// Checks variables before configuration, so that a call by hand learns of them first.
pub(crate) fn parse(vars: &Vars, stdin: &[u8]) -> Result<Call, CniError> {
    let parse = match vars.command.to_str() {
        Some("ADD") => add,
        Some("DEL") => del,
        Some("CHECK") => check,
        Some("GC") => gc,
        Some("STATUS") => status,
        Some("VERSION") => return Ok(Call::Version(config::cni_version(stdin))),
        _ => return Err(EnvError::Command(vars.command.to_string_lossy().into_owned()).into()),
    };
    parse(vars, stdin)
}

fn add(vars: &Vars, stdin: &[u8]) -> Result<Call, CniError> {
    let (attachment, netns) = vars.attachment_in_netns()?;
    let pod = vars.pod()?;
    let Network { version, name, socket } = config::network(stdin)?;
    let config = config::add(stdin)?;
    let request = AddRequest {
        attachment: Some(attachment),
        netns,
        pod: Some(pod),
        network: name,
        loopback: Loopback::Unsettled.into(),
    };
    Ok(Call::Agent { socket, request: Request::Add(Box::new(Add { request, version, config })) })
}

/// Takes what there is: a DEL that fails keeps the pod from going.
fn del(vars: &Vars, stdin: &[u8]) -> Result<Call, CniError> {
    let attachment = vars.attachment()?;
    let netns = vars.netns.to_string_lossy().into_owned();
    let Network { name, socket, .. } = config::network(stdin)?;
    let request = DelRequest { attachment: Some(attachment), netns, network: name };
    Ok(Call::Agent { socket, request: Request::Del(request) })
}

fn check(vars: &Vars, stdin: &[u8]) -> Result<Call, CniError> {
    let (attachment, netns) = vars.attachment_in_netns()?;
    let Network { name, socket, .. } = network_since(Version::V0_4_0, "CHECK", stdin)?;
    let prev_result = config::check(stdin)?;
    let request = CheckRequest {
        netns,
        network: name,
        addresses: prev_result.addresses_of(&attachment.ifname),
        interfaces: prev_result.interfaces_of(&attachment.ifname),
        attachment: Some(attachment),
    };
    Ok(Call::Agent { socket, request: Request::Check(request) })
}

fn gc(_: &Vars, stdin: &[u8]) -> Result<Call, CniError> {
    let Network { name, socket, .. } = network_since(Version::V1_1_0, "GC", stdin)?;
    let request = GcRequest { network: name, valid: config::gc(stdin)? };
    Ok(Call::Agent { socket, request: Request::Gc(request) })
}

fn status(_: &Vars, stdin: &[u8]) -> Result<Call, CniError> {
    let Network { name, socket, .. } = network_since(Version::V1_1_0, "STATUS", stdin)?;
    Ok(Call::Agent { socket, request: Request::Status(StatusRequest { network: name }) })
}

fn network_since(first: Version, verb: &str, stdin: &[u8]) -> Result<Network, CniError> {
    let network = config::network(stdin)?;
    if network.version < first {
        let msg = format!(
            "cniVersion {} has no {verb}: the configuration must say {first} or later",
            network.version
        );
        return Err(CniCode::IncompatibleVersion.error(msg));
    }
    Ok(network)
}

#[cfg(test)]
mod tests;
