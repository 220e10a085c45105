//! Between the wire and core's types. Messages are taken apart whole, so that a new field breaks the build here.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;

use flock_core::attachment::{AttachmentId, NameError, PodName};
use flock_core::link::{GATEWAY4, GATEWAY6, host_mac, pod_mac};
use flock_core::prefix::Family;
use flock_core::record::Record;
use flock_rpc::error::CniCode;
use flock_rpc::v1alpha1::{self as wire, AddRequest, AddResponse, CheckRequest, IpConfig, PodRef, Route};
use ipnet::IpNet;
use tonic::Status;

use crate::attach::{AddCall, AttachError, Attached, CheckCall, Loopback};

/// An error as the plugin gets it.
pub(super) fn status(error: &AttachError) -> Status {
    error.code().error(error.to_string()).into()
}

/// What the plugin has let through is checked again: it is not the only one that can call.
fn invalid(error: impl std::fmt::Display) -> Status {
    CniCode::InvalidEnvironment.error(error.to_string()).into()
}

pub(super) fn attachment_id(id: Option<wire::AttachmentId>) -> Result<AttachmentId, Status> {
    let wire::AttachmentId { container_id, ifname } = id.unwrap_or_default();
    let typed = |container: &str, ifname: &str| -> Result<AttachmentId, NameError> {
        Ok(AttachmentId { container: container.parse()?, ifname: ifname.parse()? })
    };
    typed(&container_id, &ifname).map_err(invalid)
}

pub(super) fn attachment_id_message(id: &AttachmentId) -> wire::AttachmentId {
    wire::AttachmentId { container_id: id.container.to_string(), ifname: id.ifname.to_string() }
}

fn netns_path(netns: String) -> Result<PathBuf, Status> {
    let path = PathBuf::from(netns);
    if path.is_absolute() {
        Ok(path)
    } else {
        Err(invalid(format!("CNI_NETNS {path:?} is not an absolute path")))
    }
}

pub(super) fn add_call(request: AddRequest) -> Result<AddCall, Status> {
    let loopback = match request.loopback() {
        wire::Loopback::Unspecified => Loopback::Unknown,
        wire::Loopback::Unsettled => Loopback::Unsettled,
        wire::Loopback::Settled => Loopback::Settled,
    };
    let AddRequest { attachment, netns, pod, network, loopback: _ } = request;
    let PodRef { namespace, name, uid } = pod.unwrap_or_default();
    Ok(AddCall {
        id: attachment_id(attachment)?,
        netns: netns_path(netns)?,
        pod: PodName::new(&namespace, &name).map_err(invalid)?,
        uid: (!uid.is_empty()).then_some(uid),
        network,
        loopback,
    })
}

pub(super) fn check_call(request: CheckRequest) -> Result<CheckCall, Status> {
    let CheckRequest { attachment, netns, network: _, addresses, interfaces } = request;
    let address = |text: &String| text.parse::<IpNet>().map(|net| net.addr()).map_err(|_| prev_result(text));
    let on_host = interfaces.into_iter().filter(|interface| interface.sandbox.is_empty());
    Ok(CheckCall {
        id: attachment_id(attachment)?,
        netns: netns_path(netns)?,
        addresses: addresses.iter().map(address).collect::<Result<BTreeSet<IpAddr>, _>>()?,
        host_links: on_host.map(|interface| interface.name).collect(),
    })
}

fn prev_result(address: &str) -> Status {
    CniCode::InvalidConfig
        .error(format!("prevResult: {address:?} is not an address with a prefix length"))
        .into()
}

/// Indices of [`add_response`]'s interfaces.
const POD_INTERFACE: u32 = 1;

/// The result in the plugin's words: host interface, pod interface, addresses with the node's primary family first.
pub(super) fn add_response(attached: &Attached) -> AddResponse {
    let Attached { record, mtu, primary } = attached;
    let netns = record.netns.as_deref().map(|path| path.display().to_string()).unwrap_or_default();
    let host = wire::Interface {
        name: record.host_link.to_string(),
        mac: host_mac(&record.id).to_string(),
        mtu: *mtu,
        sandbox: String::new(),
    };
    let pod = wire::Interface {
        name: record.id.ifname.to_string(),
        mac: pod_mac(&record.id).to_string(),
        mtu: *mtu,
        sandbox: netns,
    };
    let mut addresses: Vec<IpAddr> = record.addresses.iter().collect();
    addresses.sort_by_key(|address| Family::of(*address) != *primary);
    AddResponse {
        interfaces: vec![host, pod],
        ips: addresses.iter().map(ip_config).collect(),
        routes: addresses.iter().map(default_route).collect(),
        loopback_pending: false,
    }
}

fn gateway(address: &IpAddr) -> String {
    match address {
        IpAddr::V6(_) => GATEWAY6.to_string(),
        IpAddr::V4(_) => GATEWAY4.to_string(),
    }
}

fn ip_config(address: &IpAddr) -> IpConfig {
    IpConfig {
        address: IpNet::from(*address).to_string(),
        gateway: gateway(address),
        interface: POD_INTERFACE,
    }
}

fn default_route(address: &IpAddr) -> Route {
    let dst = if address.is_ipv6() { "::/0" } else { "0.0.0.0/0" };
    Route { dst: dst.to_owned(), gw: gateway(address) }
}

/// A record as people see it.
pub(super) fn attachment(record: &Record, mtu: u32) -> wire::Attachment {
    wire::Attachment {
        id: Some(attachment_id_message(&record.id)),
        pod: Some(PodRef {
            namespace: record.pod.namespace.to_string(),
            name: record.pod.name.to_string(),
            uid: record.uid.clone().unwrap_or_default(),
        }),
        addresses: record.link(mtu).own().map(|address| address.to_string()).collect(),
        host_link: record.host_link.to_string(),
        mtu,
        phase: record.phase.as_str().to_owned(),
        created_unix_ms: record.created.as_millisecond(),
        network: record.network.clone(),
        netns: record.netns.as_deref().map(|path| path.display().to_string()).unwrap_or_default(),
    }
}
