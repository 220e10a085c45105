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
            name: PodName::new("default", "web-6d4cf56db6-x2x7q").unwrap(),
            uid: None,
            annotations: BTreeMap::new(),
            labels: hash.map(|hash| ("pod-template-hash".to_owned(), hash.to_owned())).into_iter().collect(),
            controller: controller
                .map(|(kind, name)| Controller { kind: kind.to_owned(), name: name.to_owned() }),
            image: None,
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
