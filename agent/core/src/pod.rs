//! What the agent knows about a pod, in core's words, whatever source it came from.

pub mod algo;
pub mod annotation;
pub mod intent;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::attachment::PodName;
use crate::pod::annotation::{AnnotationError, PodRequests, Warning};
use crate::selector::Labels;

/// A pod as far as the agent needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    /// Namespace and name.
    pub name: PodName,
    /// `metadata.uid`; manifests on disk have none.
    pub uid: Option<String>,
    /// What it asks for by annotation, or why that cannot be obeyed.
    pub requests: Result<PodRequests, AnnotationError>,
    /// What of its annotations has no effect.
    pub warnings: Vec<Warning>,
    /// All labels.
    pub labels: Labels,
    /// The owner reference with `controller: true`.
    pub controller: Option<Controller>,
    /// The first container's image reference.
    pub image: Option<String>,
    /// `spec.nodeName`; none: it is not said.
    pub node: Option<Arc<str>>,
    /// Whether it can serve.
    pub readiness: Readiness,
    /// Whether it has run to its end: its addresses may be another pod's by now.
    pub has_ended: bool,
    /// `status.podIPs`.
    pub ips: Box<[IpAddr]>,
    /// The ports of its containers, sidecars among them.
    pub ports: Box<[ContainerPort]>,
}

/// A port of a container, as NetworkPolicies name it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ContainerPort {
    /// Its name; none: it has none.
    pub name: Option<Arc<str>>,
    /// Its number.
    pub number: u16,
    /// Its protocol.
    pub protocol: Protocol,
}

/// `protocol` of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[expect(missing_docs, reason = "the names are the API's")]
pub enum Protocol {
    #[default]
    Tcp,
    Udp,
    Sctp,
}

/// Whether a pod can serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Readiness {
    /// Its condition `Ready` is `True`, and it has no deletionTimestamp.
    Ready,
    /// Its condition `Ready` is something else, or not there.
    #[default]
    NotReady,
    /// It has a deletionTimestamp: what the probe says does not count any more.
    Terminating,
    /// Nobody knows the pod, or not any more.
    Unknown,
}

/// The controller that owns a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Controller {
    /// Its kind, as `ReplicaSet`.
    pub kind: String,
    /// Its name.
    pub name: String,
}

impl Pod {
    /// A pod that nothing is said of.
    pub fn new(name: PodName) -> Self {
        Self {
            name,
            uid: None,
            requests: Ok(PodRequests::default()),
            warnings: Vec::new(),
            labels: Labels::new(),
            controller: None,
            image: None,
            node: None,
            readiness: Readiness::default(),
            has_ended: false,
            ips: Box::default(),
            ports: Box::default(),
        }
    }

    /// The pod with these annotations, read.
    #[must_use]
    pub fn annotated(mut self, annotations: &BTreeMap<String, String>) -> Self {
        (self.requests, self.warnings) = match PodRequests::parse(&self.name, annotations) {
            Ok((requests, warnings)) => (Ok(requests), warnings),
            Err(error) => (Err(error), Vec::new()),
        };
        self
    }

    /// The anycast addresses that it asks for; none where its annotations cannot be obeyed.
    pub fn anycast(&self) -> &[IpAddr] {
        self.requests.as_ref().map_or(&[], |requests| &requests.anycast)
    }

    /// Whether it is on the node of this name. One of which nothing is said is: a folder's pods are the node's.
    pub fn is_on(&self, node: &str) -> bool {
        self.node.as_deref().is_none_or(|on| on == node)
    }

    /// The workload that the pod belongs to: the Deployment's name for its ReplicaSets' pods, otherwise the
    /// controller's, otherwise the pod's own.
    pub fn app(&self) -> &str {
        match &self.controller {
            Some(controller) => self.deployment(controller).unwrap_or(&controller.name),
            None => &self.name.name,
        }
    }

    /// A Deployment names its ReplicaSets after itself and the hash that it labels their pods with.
    fn deployment<'a>(&self, controller: &'a Controller) -> Option<&'a str> {
        let hash = self.labels.get("pod-template-hash").filter(|_| controller.kind == "ReplicaSet")?;
        let name = controller.name.strip_suffix(hash)?.strip_suffix('-')?;
        Some(name).filter(|name| !name.is_empty() && !hash.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(controller: Option<(&str, &str)>, hash: Option<&str>) -> String {
        let pod = Pod {
            labels: hash.map(|hash| ("pod-template-hash".to_owned(), hash.to_owned())).into_iter().collect(),
            controller: controller
                .map(|(kind, name)| Controller { kind: kind.to_owned(), name: name.to_owned() }),
            ..Pod::new(PodName::new("default", "web-6d4cf56db6-x2x7q").unwrap())
        };
        pod.app().to_owned()
    }

    #[test]
    fn a_deployments_pods_are_called_after_the_deployment() {
        assert_eq!(app(Some(("ReplicaSet", "web-6d4cf56db6")), Some("6d4cf56db6")), "web");
        assert_eq!(app(Some(("ReplicaSet", "my-web-6d4cf56db6")), Some("6d4cf56db6")), "my-web");
    }

    #[test]
    fn any_other_controller_gives_its_own_name() {
        assert_eq!(app(Some(("ReplicaSet", "web-6d4cf56db6")), None), "web-6d4cf56db6");
        assert_eq!(app(Some(("ReplicaSet", "web-6d4cf56db6")), Some("other")), "web-6d4cf56db6");
        assert_eq!(app(Some(("ReplicaSet", "web-")), Some("")), "web-");
        assert_eq!(app(Some(("ReplicaSet", "-abc")), Some("abc")), "-abc");
        assert_eq!(app(Some(("StatefulSet", "db-0")), Some("0")), "db-0");
        assert_eq!(app(Some(("DaemonSet", "dns")), None), "dns");
    }

    #[test]
    fn a_pod_of_its_own_is_its_own_workload() {
        assert_eq!(app(None, Some("x2x7q")), "web-6d4cf56db6-x2x7q");
    }

    #[test]
    fn annotations_are_read_once_and_what_cannot_be_obeyed_is_kept_as_an_error() {
        let pod = || Pod::new(PodName::new("default", "web-0").unwrap());
        let annotated = |key: &str, value: &str| {
            pod().annotated(&BTreeMap::from([(format!("flock.fritzlab.net/{key}"), value.to_owned())]))
        };
        assert_eq!(annotated("anycast", "192.0.2.53").anycast(), ["192.0.2.53".parse::<IpAddr>().unwrap()]);
        let bad = annotated("anycast", "nowhere");
        assert_eq!((bad.requests.is_err(), bad.anycast()), (true, &[][..]));
        assert_eq!(annotated("anicast", "192.0.2.53").warnings.len(), 1);
    }

    #[test]
    fn a_pod_of_which_no_node_is_said_is_everywhere() {
        let on = |node: Option<&str>| Pod {
            node: node.map(Into::into),
            ..Pod::new(PodName::new("default", "web-0").unwrap())
        };
        let found = [None, Some("node-a"), Some("node-b")].map(|node| on(node).is_on("node-a"));
        assert_eq!(found, [true, true, false]);
    }
}
