//! Pods, as far as the agent needs them. Every other field is ignored.

use std::collections::BTreeMap;

use flock_core::attachment::PodName;
use flock_core::feed::Parsed;
use flock_core::pod::{ContainerPort, Controller, Pod, Protocol, Readiness};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Interner, Meta, ReadError, Reader, parsed, shaped};
use crate::source::field::{Path, quoted};
use crate::source::node_config::FieldError;

/// A static pod is kubelet's own. What the API server shows is a mirror of it, with a UID of its own; this annotation has
/// the one that the runtime is told.
const MIRROR: &str = "kubernetes.io/config.mirror";

#[derive(Deserialize)]
struct Manifest {
    metadata: PodMeta,
    #[serde(default)]
    spec: PodSpec,
    #[serde(default)]
    status: PodStatus,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodMeta {
    #[serde(default = "default_namespace")]
    namespace: String,
    name: String,
    uid: Option<String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    owner_references: Vec<OwnerReference>,
    deletion_timestamp: Option<IgnoredAny>,
}

fn default_namespace() -> String {
    "default".to_owned()
}

#[derive(Deserialize)]
struct OwnerReference {
    kind: String,
    name: String,
    #[serde(default)]
    controller: bool,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct PodSpec {
    node_name: Option<String>,
    #[serde(default)]
    host_network: bool,
    #[serde(default)]
    containers: Vec<Container>,
    #[serde(default)]
    init_containers: Vec<Container>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Container {
    image: Option<String>,
    restart_policy: Option<String>,
    #[serde(default)]
    ports: Vec<Port>,
}

impl Container {
    /// One that is started before the others and runs beside them (KEP-753).
    fn is_sidecar(&self) -> bool {
        self.restart_policy.as_deref() == Some("Always")
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Port {
    name: Option<String>,
    container_port: u16,
    #[serde(default)]
    protocol: PortProtocol,
}

#[derive(Clone, Copy, Deserialize, Default)]
#[serde(rename_all = "UPPERCASE")]
enum PortProtocol {
    #[default]
    Tcp,
    Udp,
    Sctp,
}

impl From<PortProtocol> for Protocol {
    fn from(protocol: PortProtocol) -> Self {
        match protocol {
            PortProtocol::Tcp => Self::Tcp,
            PortProtocol::Udp => Self::Udp,
            PortProtocol::Sctp => Self::Sctp,
        }
    }
}

#[derive(Deserialize, Default)]
struct PodStatus {
    phase: Option<String>,
    #[serde(default)]
    conditions: Vec<Condition>,
    #[serde(default, rename = "podIPs")]
    pod_ips: Vec<PodIp>,
}

#[derive(Deserialize)]
struct PodIp {
    ip: String,
}

/// The API server takes a condition without either; so do we.
#[derive(Deserialize)]
struct Condition {
    #[serde(rename = "type")]
    kind: Option<String>,
    status: Option<String>,
}

impl PodStatus {
    /// The first one, as Kubernetes' own readers have it.
    fn ready(&self) -> Option<(usize, &str)> {
        let mut conditions = self.conditions.iter().enumerate();
        let (index, ready) = conditions.find(|(_, condition)| condition.kind.as_deref() == Some("Ready"))?;
        Some((index, ready.status.as_deref()?))
    }

    /// A pod that has run to its end may still say that it was ready.
    fn has_ended(&self) -> bool {
        matches!(self.phase.as_deref(), Some("Succeeded" | "Failed"))
    }
}

impl Manifest {
    fn readiness(&self) -> Readiness {
        match self.status.ready() {
            _ if self.metadata.deletion_timestamp.is_some() => Readiness::Terminating,
            Some((_, "True")) if !self.status.has_ended() => Readiness::Ready,
            _ => Readiness::NotReady,
        }
    }

    /// A `Ready` that is written otherwise than Kubernetes writes it, as `true`: it means nothing, and whoever wrote it
    /// thinks that it does.
    fn invalid_condition(&self) -> Option<FieldError> {
        let (index, status) = self.status.ready()?;
        let at = Path::new("status").field("conditions").index(index).field("status");
        let known = matches!(status, "True" | "False" | "Unknown");
        (!known)
            .then(|| at.refuse(format_args!("{} is not \"True\", \"False\" or \"Unknown\"", quoted(status))))
    }
}

impl PodSpec {
    /// The ports of all containers that run as long as the pod does.
    fn ports(&self, interner: &mut Interner) -> Box<[ContainerPort]> {
        let sidecars = self.init_containers.iter().filter(|container| container.is_sidecar());
        let ports = sidecars.chain(&self.containers).flat_map(|container| &container.ports);
        let port = |port: &Port| ContainerPort {
            name: port.name.as_deref().map(|name| interner.text(name)),
            number: port.container_port,
            protocol: port.protocol.into(),
        };
        ports.map(port).collect()
    }
}

/// A Pod, and a condition of it that somebody should hear of.
#[derive(Debug)]
pub(in crate::source) struct ReadPod {
    pub(in crate::source) pod: Pod,
    pub(in crate::source) invalid_condition: Option<FieldError>,
}

/// Reads a Pod; none: it has the node's network and none of its own, so flock has nothing to do with it.
///
/// # Errors
/// The first field that cannot be read, and why.
pub(in crate::source) fn pod(text: &str, interner: &mut Interner) -> Result<Option<ReadPod>, ReadError> {
    let manifest: Manifest = shaped(text)?;
    if manifest.spec.host_network {
        return Ok(None);
    }
    let invalid_condition = manifest.invalid_condition();
    let (readiness, has_ended) = (manifest.readiness(), manifest.status.has_ended());
    let Manifest { metadata, spec, status } = manifest;
    let PodMeta { namespace, name, uid, annotations, labels, owner_references, .. } = metadata;
    let named = PodName::within(&interner.text(&namespace), &name);
    let name = named.map_err(|error| {
        ReadError::Value(FieldError { field: "metadata".to_owned(), reason: error.to_string() })
    })?;
    let controller = owner_references.into_iter().find(|owner| owner.controller);
    let pod = Pod {
        uid: annotations.get(MIRROR).cloned().or(uid),
        labels: interner.labels(&labels),
        controller: controller.map(|OwnerReference { kind, name, .. }| Controller { kind, name }),
        ports: spec.ports(interner),
        image: spec.containers.into_iter().find_map(|container| container.image),
        node: spec.node_name.filter(|node| !node.is_empty()).map(|node| interner.text(&node)),
        readiness,
        has_ended,
        ips: status.pod_ips.iter().filter_map(|PodIp { ip }| ip.parse().ok()).collect(),
        ..Pod::new(name)
    };
    Ok(Some(ReadPod { pod: pod.annotated(&annotations), invalid_condition }))
}

/// The pods of this node that have a network of their own.
#[derive(Debug)]
pub(in crate::source) struct PodReader {
    node: String,
    interner: Interner,
}

impl Reader for PodReader {
    type Key = PodName;
    type Value = Pod;

    fn of_node(node: &str) -> Self {
        Self { node: node.to_owned(), interner: Interner::default() }
    }

    fn key(&mut self, meta: &Meta) -> Option<PodName> {
        PodName::within(&self.interner.text(&meta.namespace), &meta.name).ok()
    }

    fn read(&mut self, text: &str, _: Option<&Pod>) -> Parsed<Pod> {
        let read = pod(text, &mut self.interner);
        let own = |read: ReadPod| Some(read.pod).filter(|pod| pod.node.as_deref() == Some(&self.node));
        parsed("Pod", text, read.map(|read| read.and_then(own)))
    }

    fn relisted(&mut self) {
        self.interner.tidy();
    }
}

#[cfg(test)]
mod tests;
