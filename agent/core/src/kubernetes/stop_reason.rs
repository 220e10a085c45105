//! Why BIRD's container is stopped, as far as the API server can tell: a new one follows, or the node is to get no traffic
//! any more, or it goes.
//!
//! Everything that stops a container looks the same from within: a preStop hook and SIGTERM. What is believed in doubt is
//! that a new BIRD follows: then routers keep the node's routes for their graceful restart time, which is right for a
//! rollout and, without a new BIRD, wrong for no longer than that. To withdraw in doubt would cut off every pod of every node
//! at each rollout during which the API server cannot be asked.

use std::collections::BTreeMap;
use std::fmt;

/// What the kubelet says in the message of its condition Ready from the moment when it begins to shut the node down
/// gracefully (`pkg/kubelet/nodeshutdown`, `ShutdownStatus`; the reason is `KubeletNotReady`, as for all that ails it).
const SHUTTING_DOWN: &str = "node is shutting down";

/// What is seen of the Node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// The API server has not told.
    Unknown,
    /// There is none.
    Gone,
    /// There is one.
    Present(NodeFacts),
}

/// What matters of a Node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NodeFacts {
    /// It has a `deletionTimestamp`.
    pub deleted: bool,
    /// `spec.unschedulable`: cordoned.
    pub unschedulable: bool,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Status and message of its condition Ready.
    pub ready: Option<(String, String)>,
}

/// What is seen of the DaemonSet that the pod belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// The API server has not told, or the pod belongs to nothing.
    Unknown,
    /// There is none, or another one of the same name.
    Gone,
    /// There is one.
    Present(OwnerFacts),
}

/// What matters of a DaemonSet.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OwnerFacts {
    /// It has a `deletionTimestamp`.
    pub deleted: bool,
    /// Its pods' `nodeSelector`.
    pub node_selector: BTreeMap<String, String>,
}

/// Why BIRD's container is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// The Node is not there any more.
    NodeGone,
    /// The Node is being deleted.
    NodeDeleted,
    /// The machine goes down.
    NodeShutsDown,
    /// The DaemonSet is not there any more, or is being deleted.
    DaemonSetDeleted,
    /// The DaemonSet has pods on other nodes only.
    NodeNotSelected,
    /// The node is cordoned.
    NodeCordoned,
    /// Nothing says that it is more than a new pod in the place of an old one.
    Replaced,
}

/// Why. What is worse for those who send packets counts first: a machine that goes down forwards none.
pub fn stop_reason(node: &Node, owner: &Owner) -> StopReason {
    match node {
        Node::Gone => return StopReason::NodeGone,
        Node::Present(node) if node.deleted => return StopReason::NodeDeleted,
        Node::Present(node) if node.shuts_down() => return StopReason::NodeShutsDown,
        _ => {}
    }
    match (owner, node) {
        (Owner::Gone, _) => StopReason::DaemonSetDeleted,
        (Owner::Present(owner), _) if owner.deleted => StopReason::DaemonSetDeleted,
        (Owner::Present(owner), Node::Present(node)) if !owner.selects(&node.labels) => {
            StopReason::NodeNotSelected
        }
        (_, Node::Present(node)) if node.unschedulable => StopReason::NodeCordoned,
        _ => StopReason::Replaced,
    }
}

impl NodeFacts {
    fn shuts_down(&self) -> bool {
        self.ready
            .as_ref()
            .is_some_and(|(status, message)| status != "True" && message.contains(SHUTTING_DOWN))
    }
}

impl OwnerFacts {
    fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        self.node_selector.iter().all(|(key, value)| labels.get(key) == Some(value))
    }
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StopReason::NodeGone => "there is no such Node any more",
            StopReason::NodeDeleted => "the Node is being deleted",
            StopReason::NodeShutsDown => "the kubelet says that the node is shutting down",
            StopReason::DaemonSetDeleted => "the DaemonSet is gone or being deleted",
            StopReason::NodeNotSelected => "the DaemonSet's nodeSelector does not select the node any more",
            StopReason::NodeCordoned => "the node is cordoned",
            StopReason::Replaced => "nothing says that this is more than a new pod in the place of this one",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(change: impl FnOnce(&mut NodeFacts)) -> Node {
        let mut facts = NodeFacts {
            labels: [("kubernetes.io/os", "linux"), ("rack", "7")].map(|(k, v)| (k.into(), v.into())).into(),
            ready: Some(("True".to_owned(), "kubelet is posting ready status".to_owned())),
            ..NodeFacts::default()
        };
        change(&mut facts);
        Node::Present(facts)
    }

    fn ready(status: &str, message: &str) -> Node {
        node(|node| node.ready = Some((status.to_owned(), message.to_owned())))
    }

    fn owner(deleted: bool, selector: &[(&str, &str)]) -> Owner {
        let node_selector = selector.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        Owner::Present(OwnerFacts { deleted, node_selector })
    }

    #[test]
    fn each_way_to_go_is_told_from_a_rollout() {
        let plain = || node(|_| {});
        let there = || owner(false, &[("kubernetes.io/os", "linux")]);
        let cordoned = || node(|node| node.unschedulable = true);
        let cases = [
            ("a rollout", plain(), there(), StopReason::Replaced),
            ("a DaemonSet for all nodes", plain(), owner(false, &[]), StopReason::Replaced),
            (
                "the kubelet restarts",
                ready("False", "container runtime is down"),
                there(),
                StopReason::Replaced,
            ),
            (
                "the kubelet is not heard",
                ready("Unknown", "Kubelet stopped posting"),
                there(),
                StopReason::Replaced,
            ),
            ("not Ready yet", node(|node| node.ready = None), there(), StopReason::Replaced),
            ("nothing is known", Node::Unknown, Owner::Unknown, StopReason::Replaced),
            ("a pod of nobody's", plain(), Owner::Unknown, StopReason::Replaced),
            (
                "a word in a healthy node's message",
                ready("True", "no node is shutting down"),
                there(),
                StopReason::Replaced,
            ),
            ("cordoned", cordoned(), there(), StopReason::NodeCordoned),
            ("cordoned, the DaemonSet unknown", cordoned(), Owner::Unknown, StopReason::NodeCordoned),
            ("uninstalled", plain(), Owner::Gone, StopReason::DaemonSetDeleted),
            ("being uninstalled", plain(), owner(true, &[]), StopReason::DaemonSetDeleted),
            ("uninstalled, the Node unknown", Node::Unknown, Owner::Gone, StopReason::DaemonSetDeleted),
            ("another value", plain(), owner(false, &[("rack", "8")]), StopReason::NodeNotSelected),
            ("no such label", plain(), owner(false, &[("cni", "flock")]), StopReason::NodeNotSelected),
            ("the Node unknown", Node::Unknown, owner(false, &[("rack", "8")]), StopReason::Replaced),
            ("the Node is gone", Node::Gone, there(), StopReason::NodeGone),
            ("it is deleted", node(|node| node.deleted = true), there(), StopReason::NodeDeleted),
            ("shutdown", ready("False", "node is shutting down"), there(), StopReason::NodeShutsDown),
            (
                "among others",
                ready("False", "[a, node is shutting down]"),
                there(),
                StopReason::NodeShutsDown,
            ),
            (
                "shutdown while uninstalled",
                ready("False", "node is shutting down"),
                Owner::Gone,
                StopReason::NodeShutsDown,
            ),
        ];
        for (case, node, owner, expected) in cases {
            assert_eq!(stop_reason(&node, &owner), expected, "{case}");
        }
    }
}
