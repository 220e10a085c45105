//! A Pod as Kubernetes writes it, as far as the agent needs it. Every other field is ignored.

use std::collections::BTreeMap;
use std::net::IpAddr;

use flock_core::attachment::{NameError, PodName};
use flock_core::pod::{Controller, Pod, Readiness};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::source::field::{Path, quoted};
use crate::source::node_config::FieldError;

/// A static pod is kubelet's own. What the API server shows is a mirror of it, with a UID of its own; this annotation has
/// the one that the runtime is told.
const MIRROR: &str = "kubernetes.io/config.mirror";

#[derive(Deserialize)]
pub(in crate::source) struct PodManifest {
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
}

#[derive(Deserialize)]
struct Container {
    image: Option<String>,
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

impl PodManifest {
    /// Whether it has the node's network and none of its own: flock has nothing to do with it.
    pub(in crate::source) fn is_the_nodes_own(&self) -> bool {
        self.spec.host_network
    }

    /// Whether it has run to its end: its addresses may be another pod's by now.
    pub(in crate::source) fn has_ended(&self) -> bool {
        self.status.has_ended()
    }

    /// `status.podIPs`.
    pub(in crate::source) fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.status.pod_ips.iter().filter_map(|PodIp { ip }| ip.parse().ok())
    }

    fn readiness(&self) -> Readiness {
        match self.status.ready() {
            _ if self.metadata.deletion_timestamp.is_some() => Readiness::Terminating,
            Some((_, "True")) if !self.status.has_ended() => Readiness::Ready,
            _ => Readiness::NotReady,
        }
    }

    /// A `Ready` that is written otherwise than Kubernetes writes it, as `true`: it means nothing, and whoever wrote it
    /// thinks that it does.
    pub(super) fn odd_condition(&self) -> Option<FieldError> {
        let (index, status) = self.status.ready()?;
        let at = Path::new("status").field("conditions").index(index).field("status");
        let known = matches!(status, "True" | "False" | "Unknown");
        (!known)
            .then(|| at.refuse(format_args!("{} is not \"True\", \"False\" or \"Unknown\"", quoted(status))))
    }
}

impl TryFrom<PodManifest> for Pod {
    type Error = NameError;

    fn try_from(manifest: PodManifest) -> Result<Self, NameError> {
        let readiness = manifest.readiness();
        let PodManifest { metadata, spec, .. } = manifest;
        let PodMeta { namespace, name, uid, annotations, labels, owner_references, .. } = metadata;
        let controller = owner_references.into_iter().find(|owner| owner.controller);
        let of_kubelet = annotations.get(MIRROR).cloned();
        Ok(Pod {
            name: PodName::new(&namespace, &name)?,
            uid: of_kubelet.or(uid),
            annotations,
            labels,
            controller: controller.map(|OwnerReference { kind, name, .. }| Controller { kind, name }),
            image: spec.containers.into_iter().find_map(|container| container.image),
            node: spec.node_name.filter(|node| !node.is_empty()),
            readiness,
        })
    }
}

#[cfg(test)]
mod tests;
