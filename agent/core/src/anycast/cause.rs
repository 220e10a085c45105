//! Why an address's group has changed, in words.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::{Group, Groups, Member, MemberState};
use crate::pod::Readiness;

/// What has changed of each address, as `pod dns/resolver-0 is not ready`. Addresses of which nothing has changed are
/// not among them.
pub fn causes(before: &Groups, after: &Groups) -> BTreeMap<IpAddr, String> {
    let addresses: BTreeSet<&IpAddr> = before.keys().chain(after.keys()).collect();
    let none = Group::default();
    let of = |groups: &Groups, address| groups.get(address).cloned().unwrap_or_else(|| none.clone());
    let changed = addresses.into_iter().filter_map(|address| {
        let words = changes(&of(before, address), &of(after, address));
        (!words.is_empty()).then(|| (*address, words.join(", ")))
    });
    changed.collect()
}

fn changes(before: &Group, after: &Group) -> Vec<String> {
    let ids: BTreeSet<_> = before.members.keys().chain(after.members.keys()).collect();
    let words = ids.into_iter().map(|id| (before.members.get(id), after.members.get(id)));
    words.filter_map(|(before, after)| change(before, after)).collect()
}

fn change(before: Option<&Member>, after: Option<&Member>) -> Option<String> {
    match (before, after) {
        (Some(before), Some(after)) if before.state == after.state => None,
        (_, Some(Member { pod, state })) => Some(format!("pod {pod} {}", words(state))),
        (Some(Member { pod, .. }), None) => Some(format!("pod {pod} was detached")),
        (None, None) => None,
    }
}

fn words(state: &MemberState) -> &'static str {
    match state {
        MemberState::Serving => "is ready",
        MemberState::Out(readiness) => is(*readiness),
        // Why is told at length where people look for it.
        MemberState::Refused(_) => "may not have it any more",
        MemberState::NoFamily => "has no address of the family",
    }
}

fn is(readiness: Readiness) -> &'static str {
    match readiness {
        Readiness::Ready => "is ready",
        Readiness::NotReady => "is not ready",
        Readiness::Terminating => "is terminating",
        Readiness::Unknown => "is not known any more",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attachment::AttachmentId;

    fn groups(members: &[(&str, MemberState)]) -> Groups {
        let member = |(pod, state): &(&str, MemberState)| {
            let id: AttachmentId = format!("{pod}@eth0").parse().unwrap();
            (id, Member { pod: format!("dns/{pod}").parse().unwrap(), state: state.clone() })
        };
        let group = Group { members: members.iter().map(member).collect(), ..Group::default() };
        Groups::from([("198.51.100.53".parse().unwrap(), group)])
    }

    fn cause(before: &Groups, after: &Groups) -> String {
        causes(before, after).into_values().collect()
    }

    #[test]
    fn every_change_of_a_pod_has_its_words() {
        let (nobody, ready) = (Groups::new(), groups(&[("a", MemberState::Serving)]));
        assert_eq!(cause(&nobody, &ready), "pod dns/a is ready");
        assert_eq!(cause(&ready, &nobody), "pod dns/a was detached");
        assert_eq!(cause(&ready, &ready), "");
        for (readiness, words) in [
            (Readiness::NotReady, "pod dns/a is not ready"),
            (Readiness::Terminating, "pod dns/a is terminating"),
            (Readiness::Unknown, "pod dns/a is not known any more"),
        ] {
            assert_eq!(cause(&ready, &groups(&[("a", MemberState::Out(readiness))])), words);
        }
    }

    #[test]
    fn changes_that_come_together_are_told_together() {
        let before = groups(&[("a", MemberState::Serving), ("b", MemberState::Serving)]);
        let after = groups(&[("a", MemberState::Out(Readiness::Terminating)), ("c", MemberState::Serving)]);
        assert_eq!(
            cause(&before, &after),
            "pod dns/a is terminating, pod dns/b was detached, pod dns/c is ready"
        );
    }
}
