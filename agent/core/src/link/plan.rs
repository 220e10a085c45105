//! From desired and observed facts to changes, and to what people are shown.

use std::collections::{BTreeMap, BTreeSet};

use super::LinkSpec;
use super::fact::{Fact, RemovableFact, Side};

/// What is there of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// The host side; none: no such link.
    pub host: Option<BTreeSet<Fact>>,
    /// The pod side.
    pub pod: PodObserved,
}

/// What is there of a link's pod side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PodObserved {
    /// Nobody knows where the namespace is.
    Unknown,
    /// The namespace does not exist any more.
    NamespaceGone,
    /// The namespace is there; without a [`Fact::Link`] among the facts, the interface is not.
    Facts(BTreeSet<Fact>),
}

/// One change to a link. Each is a step that may fail, or be the last one before a crash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkChange {
    /// Remove the pair, and with it all that hangs on it.
    DeletePair,
    /// Make the pair, the peer in the pod's namespace, with both names, MAC addresses and MTUs, both ends down.
    CreatePair,
    /// Make the fact true.
    Set(Fact),
    /// Remove what the fact describes.
    Unset(RemovableFact),
}

/// How far a plan may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// An ADD: both sides as desired.
    Attach,
    /// A repair behind the pod's back: the host side, and the whole pair if it is gone. What a pod does to its own
    /// side is its own affair.
    HostRepair,
}

/// The changes from `observed` to what `spec` wants, in order. Empty when nothing is to be done.
pub fn plan(spec: &LinkSpec, observed: &Observed, scope: Scope) -> Vec<LinkChange> {
    match (&observed.host, &observed.pod, scope) {
        (None, PodObserved::Facts(_), _) => create(spec),
        // Without a namespace to put the peer in, nothing can be made; an ADD's own namespace was checked before.
        (None, _, _) => Vec::new(),
        // The host side has a peer, but not in this namespace under this name.
        (Some(_), PodObserved::Facts(pod), Scope::Attach) if !pod.iter().any(is_link) => {
            let mut changes = vec![LinkChange::DeletePair];
            changes.extend(create(spec));
            changes
        }
        (Some(host), pod, _) => amend(spec, host, pod, scope),
    }
}

fn create(spec: &LinkSpec) -> Vec<LinkChange> {
    let rest = spec.facts().into_iter().filter(|fact| !comes_with_the_pair(fact)).map(LinkChange::Set);
    std::iter::once(LinkChange::CreatePair).chain(rest).collect()
}

fn amend(spec: &LinkSpec, host: &BTreeSet<Fact>, pod: &PodObserved, scope: Scope) -> Vec<LinkChange> {
    let desired = spec.facts();
    let extra = host.iter().filter(|fact| is_ours_alone(fact) && !desired.contains(fact));
    let extra = extra.filter_map(|fact| RemovableFact::try_from(fact.clone()).ok());
    let missing = desired.iter().filter(|fact| match (fact.side(), pod, scope) {
        _ if matches!(fact, Fact::AltName { .. }) => false,
        (Side::Host, _, _) => !host.contains(fact),
        (Side::Pod, PodObserved::Facts(pod), Scope::Attach) => !pod.contains(fact),
        // The MTU belongs to the pair: a pod whose end is larger than the host's loses packets.
        (Side::Pod, PodObserved::Facts(pod), Scope::HostRepair) => {
            matches!(fact, Fact::Mtu { .. }) && pod.iter().any(is_link) && !pod.contains(fact)
        }
        (Side::Pod, _, _) => false,
    });
    let missing = missing.cloned().map(LinkChange::Set);
    extra.map(LinkChange::Unset).chain(missing).collect()
}

fn is_link(fact: &Fact) -> bool {
    matches!(fact, Fact::Link { .. })
}

fn comes_with_the_pair(fact: &Fact) -> bool {
    matches!(fact, Fact::Link { .. } | Fact::Mac { .. } | Fact::Mtu { .. })
}

/// Host-side facts that nobody but flock makes on a flock link, so that a surplus one is removed. A surplus value
/// of any other kind is overwritten by the right one, or none of our business.
fn is_ours_alone(fact: &Fact) -> bool {
    matches!(fact, Fact::Route { side: Side::Host, .. } | Fact::Neighbour { side: Side::Host, .. })
}

/// Desired beside observed, for one subject of one side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// Which end.
    pub side: Side,
    /// See [`Fact::subject`].
    pub subject: String,
    /// The value that should be; none for a surplus fact.
    pub desired: Option<String>,
    /// The value that is; none for a missing one.
    pub observed: Option<String>,
    /// What follows.
    pub verdict: Verdict,
}

/// The outcome of a [`Comparison`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// Not there.
    Missing,
    /// There with another value.
    Differs,
    /// There, and should not be.
    Extra,
    /// Could not be looked at: the namespace's path is not known.
    Unknown,
}

impl Verdict {
    /// Whether this is a difference that CHECK reports.
    pub fn is_drift(self) -> bool {
        matches!(self, Verdict::Missing | Verdict::Differs | Verdict::Extra)
    }

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Ok => "ok",
            Verdict::Missing => "missing",
            Verdict::Differs => "differs",
            Verdict::Extra => "extra",
            Verdict::Unknown => "unknown",
        }
    }
}

/// Every desired fact beside what is observed of its subject, then the host side's surplus ones.
pub fn compare(spec: &LinkSpec, observed: &Observed) -> Vec<Comparison> {
    let empty = BTreeSet::new();
    let host = observed.host.as_ref().unwrap_or(&empty);
    let pod = match &observed.pod {
        PodObserved::Facts(facts) => Some(facts),
        PodObserved::NamespaceGone => Some(&empty),
        PodObserved::Unknown => None,
    };
    let desired = spec.facts();
    let values = |facts: &BTreeSet<Fact>| -> BTreeMap<String, String> {
        facts.iter().map(|fact| (fact.subject(), fact.value())).collect()
    };
    let (host_values, pod_values) = (values(host), pod.map(values));
    let mut rows: Vec<Comparison> = desired
        .iter()
        .map(|fact| match fact.side() {
            Side::Host => compare_fact(fact, Some(&host_values)),
            Side::Pod => compare_fact(fact, pod_values.as_ref()),
        })
        .collect();
    let subjects: BTreeSet<String> =
        desired.iter().filter(|f| f.side() == Side::Host).map(Fact::subject).collect();
    rows.extend(host.iter().filter(|f| is_ours_alone(f) && !subjects.contains(&f.subject())).map(surplus));
    rows
}

fn compare_fact(fact: &Fact, observed: Option<&BTreeMap<String, String>>) -> Comparison {
    let desired = fact.value();
    let found = observed.and_then(|values| values.get(&fact.subject())).cloned();
    let verdict = match (&found, observed) {
        (_, None) => Verdict::Unknown,
        (Some(found), _) if *found == desired => Verdict::Ok,
        (_, _) if matches!(fact, Fact::AltName { .. }) => Verdict::Unknown,
        (Some(_), _) => Verdict::Differs,
        (None, _) => Verdict::Missing,
    };
    Comparison {
        side: fact.side(),
        subject: fact.subject(),
        desired: Some(desired),
        observed: found,
        verdict,
    }
}

fn surplus(fact: &Fact) -> Comparison {
    Comparison {
        side: fact.side(),
        subject: fact.subject(),
        desired: None,
        observed: Some(fact.value()),
        verdict: Verdict::Extra,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claim::Claimed;
    use crate::link::{LinkRoute, Mac};
    use crate::prefix::PodAddresses;

    fn spec(v6: Option<&str>, v4: Option<&str>) -> LinkSpec {
        LinkSpec {
            id: "0f3c@eth0".parse().unwrap(),
            pod: "default/web-0".parse().unwrap(),
            netns: Some("/run/netns/web".into()),
            host: "flock0a1b2c3d".parse().unwrap(),
            mtu: 1500,
            addresses: PodAddresses {
                v6: v6.map(|a| a.parse().unwrap()),
                v4: v4.map(|a| a.parse().unwrap()),
            },
            claimed: Claimed::default(),
        }
    }

    fn dual() -> LinkSpec {
        spec(Some("2001:db8::5"), Some("192.0.2.5"))
    }

    /// The observation of a link on which everything is as desired.
    fn healthy(spec: &LinkSpec) -> Observed {
        let (host, pod) = spec.facts().into_iter().partition(|fact| fact.side() == Side::Host);
        Observed { host: Some(host), pod: PodObserved::Facts(pod) }
    }

    fn nothing() -> Observed {
        Observed { host: None, pod: PodObserved::Facts(BTreeSet::new()) }
    }

    #[test]
    fn a_healthy_link_needs_nothing() {
        for spec in [dual(), spec(Some("2001:db8::5"), None), spec(None, Some("192.0.2.5"))] {
            assert_eq!(plan(&spec, &healthy(&spec), Scope::Attach), []);
            assert_eq!(plan(&spec, &healthy(&spec), Scope::HostRepair), []);
            assert!(compare(&spec, &healthy(&spec)).iter().all(|row| row.verdict == Verdict::Ok));
        }
    }

    #[test]
    fn a_new_link_is_made_first_and_comes_up_before_its_routes() {
        let changes = plan(&dual(), &nothing(), Scope::Attach);
        let position = |is: &dyn Fn(&Fact) -> bool| {
            changes.iter().position(|change| matches!(change, LinkChange::Set(fact) if is(fact))).unwrap()
        };
        assert_eq!(changes[0], LinkChange::CreatePair);
        let up = position(&|fact| *fact == Fact::Up { side: Side::Host });
        assert!(position(&|fact| matches!(fact, Fact::Sysctl { .. })) < up);
        assert!(position(&|fact| matches!(fact, Fact::Address { side: Side::Pod, .. })) < up);
        assert!(up < position(&|fact| matches!(fact, Fact::Route { .. })));
        assert!(up < position(&|fact| matches!(fact, Fact::Neighbour { .. })));
    }

    #[test]
    fn what_comes_with_the_pair_is_not_set_again() {
        let changes = plan(&dual(), &nothing(), Scope::Attach);
        assert!(
            !changes
                .iter()
                .any(|change| matches!(change, LinkChange::Set(fact) if comes_with_the_pair(fact)))
        );
    }

    #[test]
    fn a_family_that_is_not_there_leaves_no_facts() {
        let text = |spec: &LinkSpec| spec.facts().iter().map(Fact::to_string).collect::<Vec<_>>().join("\n");
        let v4_only = text(&spec(None, Some("192.0.2.5")));
        assert!(!v4_only.contains("fe80") && !v4_only.contains("::"), "{v4_only}");
        assert!(v4_only.contains("pod sysctl disable_ipv6 (1)"));
        let v6_only = text(&spec(Some("2001:db8::5"), None));
        assert!(!v6_only.contains("169.254") && !v6_only.contains("0.0.0.0"), "{v6_only}");
    }

    #[test]
    fn a_missing_host_fact_is_repaired_and_named() {
        let spec = dual();
        for missing in spec.facts().into_iter().filter(|fact| fact.side() == Side::Host) {
            if matches!(missing, Fact::AltName { .. } | Fact::Link { .. }) {
                continue;
            }
            let mut observed = healthy(&spec);
            observed.host.as_mut().unwrap().remove(&missing);
            assert_eq!(plan(&spec, &observed, Scope::HostRepair), [LinkChange::Set(missing.clone())]);
            let drift: Vec<_> =
                compare(&spec, &observed).into_iter().filter(|row| row.verdict.is_drift()).collect();
            assert_eq!(drift.len(), 1, "{missing}");
            assert_eq!((drift[0].subject.clone(), drift[0].verdict), (missing.subject(), Verdict::Missing));
        }
    }

    #[test]
    fn a_missing_pod_fact_is_reported_but_not_repaired_behind_the_pods_back() {
        let spec = dual();
        let missing = Fact::Address { side: Side::Pod, net: "192.0.2.5/32".parse().unwrap() };
        let mut observed = healthy(&spec);
        let PodObserved::Facts(pod) = &mut observed.pod else { unreachable!() };
        pod.remove(&missing);
        assert_eq!(plan(&spec, &observed, Scope::HostRepair), []);
        assert_eq!(plan(&spec, &observed, Scope::Attach), [LinkChange::Set(missing)]);
        assert_eq!(compare(&spec, &observed).iter().filter(|row| row.verdict == Verdict::Missing).count(), 1);
    }

    #[test]
    fn surplus_routes_and_neighbours_on_the_host_side_are_removed() {
        let spec = dual();
        let route = Fact::Route {
            side: Side::Host,
            route: LinkRoute { dst: "192.0.2.9/32".parse().unwrap(), via: None },
        };
        let neighbour = Fact::Neighbour {
            side: Side::Host,
            address: "192.0.2.9".parse().unwrap(),
            mac: Mac([2, 0, 0, 0, 0, 9]),
        };
        let mut observed = healthy(&spec);
        observed.host.as_mut().unwrap().extend([route.clone(), neighbour.clone()]);
        let changes = plan(&spec, &observed, Scope::HostRepair);
        let unset = |fact: Fact| LinkChange::Unset(fact.try_into().unwrap());
        assert_eq!(changes, [unset(neighbour), unset(route)]);
        assert_eq!(compare(&spec, &observed).iter().filter(|row| row.verdict == Verdict::Extra).count(), 2);
    }

    #[test]
    fn a_new_mtu_goes_to_both_ends() {
        let spec = dual();
        let observed = healthy(&LinkSpec { mtu: 9000, ..spec.clone() });
        let set = |side| LinkChange::Set(Fact::Mtu { side, mtu: 1500 });
        assert_eq!(plan(&spec, &observed, Scope::HostRepair), [set(Side::Host), set(Side::Pod)]);
        let differs: Vec<_> =
            compare(&spec, &observed).into_iter().filter(|row| row.verdict.is_drift()).collect();
        assert!(
            differs
                .iter()
                .all(|row| row.verdict == Verdict::Differs && row.observed.as_deref() == Some("9000"))
        );
    }

    #[test]
    fn a_vanished_pair_is_made_again_while_the_namespace_is_there() {
        assert_eq!(plan(&dual(), &nothing(), Scope::HostRepair)[0], LinkChange::CreatePair);
        for pod in [PodObserved::NamespaceGone, PodObserved::Unknown] {
            assert_eq!(plan(&dual(), &Observed { host: None, pod }, Scope::HostRepair), []);
        }
    }

    #[test]
    fn an_add_replaces_a_pair_whose_other_end_is_elsewhere() {
        let observed = Observed { pod: PodObserved::Facts(BTreeSet::new()), ..healthy(&dual()) };
        let changes = plan(&dual(), &observed, Scope::Attach);
        assert_eq!(changes[..2], [LinkChange::DeletePair, LinkChange::CreatePair]);
        assert_eq!(plan(&dual(), &observed, Scope::HostRepair), []);
    }

    #[test]
    fn a_name_that_another_sandbox_of_the_pod_still_bears_is_no_drift() {
        let spec = dual();
        let mut observed = healthy(&spec);
        observed.host.as_mut().unwrap().retain(|fact| !matches!(fact, Fact::AltName { .. }));
        assert_eq!(plan(&spec, &observed, Scope::HostRepair), []);
        assert!(!compare(&spec, &observed).iter().any(|row| row.verdict.is_drift()));
    }
}
