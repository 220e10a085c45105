//! Which collections can be followed, and which there are none of.

use std::collections::BTreeMap;
use std::time::Duration;

use flock_core::desired::{Place, Problem};
use jiff::Timestamp;

use super::lister_watcher::Failure;
use crate::source::objects::{Audience, Fallback, Unreadable};
use crate::source::stores::{Kind, Kinds};

/// A collection that cannot be followed.
#[derive(Debug, Clone)]
struct Trouble {
    since: Timestamp,
    reason: String,
}

#[derive(Debug, Default)]
pub(super) struct Health {
    troubles: BTreeMap<Kind, Trouble>,
    /// Collections that there are none of, and why.
    absent: BTreeMap<Kind, String>,
}

/// What a failure makes of a collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It will be there later; what is known stays.
    Wait,
    /// It counts as empty until it is there.
    Empty,
}

/// A missing permission counts as such only after so long: an API server that has just come up refuses everybody for a
/// moment.
const FORBIDDEN_FOR: Duration = Duration::from_secs(5);

impl Health {
    /// The NodeConfigs that cannot be read, whichever there are.
    pub(super) fn unreadable(&self, kinds: &Kinds) -> Vec<Unreadable> {
        let absent = self.absent.get(&Kind::NodeConfigs).map(|reason| Unreadable {
            place: crd(Kind::NodeConfigs),
            reason: reason.clone(),
            nodes: Audience::Unknown,
            fallback: Fallback::Nothing,
        });
        let configs = kinds.configs.iter();
        absent.into_iter().chain(configs.filter_map(|(_, config)| config.unreadable.clone())).collect()
    }

    /// What is to be told about kinds that there are none of.
    pub(super) fn problems(&self) -> impl Iterator<Item = Problem> {
        self.absent.iter().map(|(kind, reason)| Problem { place: crd(*kind), reason: reason.clone() })
    }

    /// A collection is followed. Says whether it was not.
    pub(super) fn following(&mut self, kind: Kind) -> bool {
        self.troubles.remove(&kind).is_some()
    }

    /// A list is complete, so there is such a collection. Says whether that is news.
    pub(super) fn present(&mut self, kind: Kind) -> bool {
        self.absent.remove(&kind).is_some()
    }

    /// A collection cannot be followed. Says whether it could be before.
    pub(super) fn failing(
        &mut self,
        kind: Kind,
        is_listed: bool,
        failure: &Failure,
        now: Timestamp,
    ) -> (bool, Verdict) {
        let reason = failure.reason.clone();
        let first = !self.troubles.contains_key(&kind);
        let since = self.troubles.get(&kind).map_or(now, |trouble| trouble.since);
        let lasts = now.duration_since(since) >= FORBIDDEN_FOR.try_into().unwrap_or_default();
        // What has been there is not gone because the API server says so once.
        let is_absent = self.absent.contains_key(&kind);
        let counts_as_empty = is_absent || !is_listed;
        let why = kind.row().crd.filter(|_| counts_as_empty).and_then(|crd| match failure.code {
            Some(404) => Some(unknown_kind(crd)),
            Some(403) if lasts || is_absent => {
                Some(format!("{reason}: grant `list` and `watch` of {crd} to the agent's ClusterRole"))
            }
            _ => None,
        });
        match why {
            Some(why) => {
                self.troubles.remove(&kind);
                let first = self.absent.insert(kind, why).is_none();
                (first, Verdict::Empty)
            }
            None => {
                self.troubles.insert(kind, Trouble { since, reason });
                (first, Verdict::Wait)
            }
        }
    }

    /// Why what is known is not all, or may be old.
    pub(super) fn trouble(&self, kinds: &Kinds) -> Option<String> {
        let mut by_reason: BTreeMap<&str, (Vec<String>, Timestamp)> = BTreeMap::new();
        for (kind, Trouble { since, reason }) in &self.troubles {
            let (titles, first) = by_reason.entry(reason).or_insert((Vec::new(), *since));
            titles.push(kind.to_string());
            *first = (*first).min(*since);
        }
        if by_reason.is_empty() {
            let missing = Kind::ALL.iter().filter(|kind| !kinds.is_listed(**kind));
            let missing: Vec<String> = missing.map(Kind::to_string).collect();
            return (!missing.is_empty())
                .then(|| format!("the API server has not listed {} yet", missing.join(", ")));
        }
        let one = |(reason, (titles, since)): (&str, (Vec<String>, Timestamp))| {
            format!("{} cannot be followed since {since:.0}: {reason}", titles.join(", "))
        };
        let all: Vec<String> = by_reason.into_iter().map(one).collect();
        Some(format!("API server: {}", all.join("; ")))
    }
}

fn crd(kind: Kind) -> Place {
    Place::Object { kind: "CustomResourceDefinition", name: kind.row().crd.unwrap_or_default().to_owned() }
}

/// What is told of a kind of objects that the API server does not know.
fn unknown_kind(crd: &str) -> String {
    format!("the API server knows no {crd}: apply deploy/crds, as `kubectl apply -f deploy/crds`")
}
