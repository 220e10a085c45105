//! Why an address's group has changed, in words.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::{Group, Groups, Seat, Standing};
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
    let ids: BTreeSet<_> = before.seats.keys().chain(after.seats.keys()).collect();
    let words = ids.into_iter().map(|id| (before.seats.get(id), after.seats.get(id)));
    words.filter_map(|(before, after)| change(before, after)).collect()
}

fn change(before: Option<&Seat>, after: Option<&Seat>) -> Option<String> {
    match (before, after) {
        (Some(before), Some(after)) if before.standing == after.standing => None,
        (_, Some(Seat { pod, standing })) => Some(format!("pod {pod} {}", words(standing))),
        (Some(Seat { pod, .. }), None) => Some(format!("pod {pod} was detached")),
        (None, None) => None,
    }
}

fn words(standing: &Standing) -> &'static str {
    match standing {
        Standing::Serving => "is ready",
        Standing::Out(readiness) => is(*readiness),
        // Why is told at length where people look for it.
        Standing::Refused(_) => "may not have it any more",
        Standing::NoFamily => "has no address of the family",
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

    fn groups(seats: &[(&str, Standing)]) -> Groups {
        let seat = |(pod, standing): &(&str, Standing)| {
            let id: AttachmentId = format!("{pod}@eth0").parse().unwrap();
            (id, Seat { pod: format!("dns/{pod}").parse().unwrap(), standing: standing.clone() })
        };
        let group = Group { seats: seats.iter().map(seat).collect(), ..Group::default() };
        Groups::from([("198.51.100.53".parse().unwrap(), group)])
    }

    fn cause(before: &Groups, after: &Groups) -> String {
        causes(before, after).into_values().collect()
    }

    #[test]
    fn every_change_of_a_pod_has_its_words() {
        let (nobody, ready) = (Groups::new(), groups(&[("a", Standing::Serving)]));
        assert_eq!(cause(&nobody, &ready), "pod dns/a is ready");
        assert_eq!(cause(&ready, &nobody), "pod dns/a was detached");
        assert_eq!(cause(&ready, &ready), "");
        for (readiness, words) in [
            (Readiness::NotReady, "pod dns/a is not ready"),
            (Readiness::Terminating, "pod dns/a is terminating"),
            (Readiness::Unknown, "pod dns/a is not known any more"),
        ] {
            assert_eq!(cause(&ready, &groups(&[("a", Standing::Out(readiness))])), words);
        }
    }

    #[test]
    fn changes_that_come_together_are_told_together() {
        let before = groups(&[("a", Standing::Serving), ("b", Standing::Serving)]);
        let after = groups(&[("a", Standing::Out(Readiness::Terminating)), ("c", Standing::Serving)]);
        assert_eq!(
            cause(&before, &after),
            "pod dns/a is terminating, pod dns/b was detached, pod dns/c is ready"
        );
    }
}
