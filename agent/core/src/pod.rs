//! What the agent knows about a pod, in core's words, whatever source it came from.

use std::collections::BTreeMap;

use crate::attachment::PodName;

/// A pod as far as the agent needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    /// Namespace and name.
    pub name: PodName,
    /// `metadata.uid`; manifests on disk have none.
    pub uid: Option<String>,
    /// All annotations.
    pub annotations: BTreeMap<String, String>,
    /// All labels.
    pub labels: BTreeMap<String, String>,
    /// The owner reference with `controller: true`.
    pub controller: Option<Controller>,
    /// The first container's image reference.
    pub image: Option<String>,
    /// `spec.nodeName`; none: it is not said.
    pub node: Option<String>,
    /// Whether it can serve.
    pub readiness: Readiness,
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
            annotations: BTreeMap::new(),
            labels: BTreeMap::new(),
            controller: None,
            image: None,
            node: None,
            readiness: Readiness::default(),
        }
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
        let name = controller.name.strip_suffix(hash.as_str())?.strip_suffix('-')?;
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
}
