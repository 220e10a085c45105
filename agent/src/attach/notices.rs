//! What people are told of an ADD where they look first: at the pod, and at the node when it is the node's fault.

use flock_core::ipam::{IpamError, PoolUsage};

use super::AttachError;
use super::add::AddCall;
use crate::notice::{About, Notice, Severity};

/// What the pod was refused. Not what ends by itself, as a pod that is not known yet, and not what is nobody's fault who
/// reads Events: kubelet tells of every failed ADD.
pub(super) fn of_failure(call: &AddCall, uid: Option<String>, error: &AttachError) -> Vec<Notice> {
    let Some(reason) = reason(error) else { return Vec::new() };
    let node = node_note(error).map(|note| attaching(About::Node, reason, note));
    let about = About::Pod { name: call.pod.clone(), uid };
    let mut notices = vec![attaching(about, reason, error.to_string())];
    notices.extend(node);
    notices
}

/// What of its annotations is not obeyed.
pub(super) fn of_warning(call: &AddCall, uid: Option<String>, note: String) -> Notice {
    attaching(About::Pod { name: call.pod.clone(), uid }, "AnnotationIgnored", note)
}

fn attaching(about: About, reason: &'static str, note: String) -> Notice {
    Notice { about, severity: Severity::Warning, reason, action: "Attaching", note }
}

fn reason(error: &AttachError) -> Option<&'static str> {
    match error {
        AttachError::Intent(_) => Some("InvalidAnnotation"),
        AttachError::Claim(_) | AttachError::Ipam(IpamError::Taken { .. }) => Some("AddressRefused"),
        AttachError::Ipam(IpamError::AlreadyHeld { .. }) => None,
        AttachError::Ipam(_) | AttachError::NoSlot => Some("NoAddress"),
        AttachError::NotReady(_)
        | AttachError::Admission(_)
        | AttachError::UnknownPod { .. }
        | AttachError::OtherPod { .. }
        | AttachError::Store(_)
        | AttachError::Kernel(_)
        | AttachError::NoHostLinkName(..)
        | AttachError::Unknown(_)
        | AttachError::Ambiguous { .. }
        | AttachError::Drift { .. }
        | AttachError::OtherNamespace { .. }
        | AttachError::Several { .. } => None,
    }
}

/// Of the node, not of one pod and without figures: a hundred pods without an address are one Event.
fn node_note(error: &AttachError) -> Option<String> {
    match error {
        AttachError::NoSlot => Some(error.to_string()),
        AttachError::Ipam(IpamError::V6Full { ranges, .. } | IpamError::V6Collisions { ranges, .. }) => {
            Some(exhausted("IPv6", ranges, "spec.cidr6"))
        }
        AttachError::Ipam(IpamError::V4Full { ranges, .. }) => Some(exhausted("IPv4", ranges, "spec.cidr4")),
        _ => None,
    }
}

fn exhausted(family: &str, ranges: &[PoolUsage], field: &str) -> String {
    let cidrs: Vec<String> = ranges.iter().map(|range| range.cidr.to_string()).collect();
    format!(
        "a pod got no {family} address: none is free in {}; delete pods, or add a prefix to NodeConfig's {field}",
        cidrs.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use flock_core::claim::{ClaimError, ClaimProblem, Use};
    use flock_core::pod::intent::IntentError;

    use super::*;

    fn call() -> AddCall {
        AddCall {
            id: "0f3c@eth0".parse().unwrap(),
            netns: "/run/netns/web".into(),
            pod: "web/web-0".parse().unwrap(),
            uid: None,
            network: "flock".to_owned(),
            loopback: super::super::Loopback::Unknown,
        }
    }

    /// `pod REASON` and `node REASON`.
    fn told(error: impl Into<AttachError>) -> Vec<String> {
        let notices = of_failure(&call(), Some("u-1".to_owned()), &error.into());
        let told = notices.iter().map(|notice| match &notice.about {
            About::Pod { name, uid } => {
                assert_eq!((name, uid.as_deref()), (&call().pod, Some("u-1")));
                format!("pod {}", notice.reason)
            }
            About::Node => format!("node {}", notice.reason),
        });
        told.collect()
    }

    #[test]
    fn a_refusal_is_told_at_the_pod_and_a_lack_at_the_node_too() {
        let pod = call().pod;
        let ranges =
            vec![PoolUsage { cidr: "192.0.2.0/26".parse().unwrap(), size: 61, used: 61, resting: 0 }];
        let node = "node-a".to_owned();
        assert_eq!(told(IntentError::NoFamily { pod: pod.clone(), node }), ["pod InvalidAnnotation"]);
        let address = "198.51.100.53".parse().unwrap();
        let problem = ClaimProblem::Infrastructure;
        let claim = ClaimError { pod: pod.clone(), usage: Use::Anycast, address, problem };
        assert_eq!(told(claim), ["pod AddressRefused"]);
        assert_eq!(told(IpamError::V4Full { pod, ranges }), ["pod NoAddress", "node NoAddress"]);
        assert_eq!(told(AttachError::NotReady("later".to_owned())), [""; 0]);
    }

    #[test]
    fn the_nodes_note_is_the_same_for_all_its_pods() {
        let note = |pod: &str, resting| {
            let ranges =
                vec![PoolUsage { cidr: "192.0.2.0/26".parse().unwrap(), size: 61, used: 60, resting }];
            let error = AttachError::Ipam(IpamError::V4Full { pod: pod.parse().unwrap(), ranges });
            of_failure(&call(), None, &error).remove(1).note
        };
        assert_eq!(note("a/a", 0), note("b/b", 1));
        assert!(note("a/a", 0).contains("none is free in 192.0.2.0/26"));
    }
}
