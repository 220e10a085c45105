//! Orphans: what is left when a sandbox vanished without a DEL. Nothing is removed on a single look, since a look
//! may fall between two steps of somebody else's work.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use crate::attachment::{AttachmentId, IfName};
use crate::host::HostLink;
use crate::link::{LinkAlias, host_mac};

/// Something that looks like an orphan.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Suspect {
    /// A record whose link and network namespace are both gone.
    Record(AttachmentId),
    /// A link of ours without a record.
    Link(IfName),
}

/// What looks like an orphan right now: of the `recorded` attachments those that have `vanished`, whose link and network
/// namespace are both gone; and links that name an attachment without a record.
pub fn suspects(
    recorded: &BTreeSet<AttachmentId>,
    vanished: &BTreeSet<AttachmentId>,
    links: &BTreeMap<IfName, HostLink>,
) -> BTreeSet<Suspect> {
    let unowned = links.iter().filter(|(_, link)| {
        let alias = link.alias.as_deref().and_then(|alias| alias.parse::<LinkAlias>().ok());
        alias.is_some_and(|alias| link.mac == host_mac(&alias.id) && !recorded.contains(&alias.id))
    });
    let unowned = unowned.map(|(name, _)| Suspect::Link(name.clone()));
    vanished.intersection(recorded).cloned().map(Suspect::Record).chain(unowned).collect()
}

/// Remembers since when something has been suspect.
#[derive(Debug, Default)]
pub struct Sweeper {
    since: BTreeMap<Suspect, Timestamp>,
}

impl Sweeper {
    /// Takes one look's suspects; returns those that have been suspect at every look for `apart` or longer. A
    /// suspect that a look does not show again starts anew.
    pub fn observe(&mut self, now: Timestamp, suspects: BTreeSet<Suspect>, apart: Duration) -> Vec<Suspect> {
        let since = suspects.into_iter().map(|suspect| {
            // A clock that was set back counts as a first look.
            let first = self.since.get(&suspect).copied().filter(|first| *first <= now).unwrap_or(now);
            (suspect, first)
        });
        self.since = since.collect();
        let old_enough =
            |first: &Timestamp| *first != now && now.duration_since(*first).unsigned_abs() >= apart;
        self.since.iter().filter(|(_, first)| old_enough(first)).map(|(suspect, _)| suspect.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const APART: Duration = Duration::from_secs(30);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn one(name: &str) -> BTreeSet<Suspect> {
        BTreeSet::from([Suspect::Link(name.parse().unwrap())])
    }

    #[test]
    fn links_and_records_without_each_other_are_suspect() {
        let ids = |ids: &[&str]| ids.iter().map(|id| id.parse().unwrap()).collect::<BTreeSet<AttachmentId>>();
        let link = |id: &str, alias: &str| HostLink {
            alias: Some(alias.to_owned()),
            mac: host_mac(&id.parse().unwrap()),
            facts: BTreeSet::new(),
        };
        let links = BTreeMap::from([
            ("flock1".parse().unwrap(), link("a@eth0", "flock a@eth0 default/a")),
            ("flock2".parse().unwrap(), link("b@eth0", "flock b@eth0 default/b")),
            ("flock3".parse().unwrap(), link("c@eth0", "a bridge of somebody's")),
            ("flock4".parse().unwrap(), link("x@eth0", "flock d@eth0 default/d")),
        ]);
        let found = suspects(&ids(&["a@eth0", "e@eth0"]), &ids(&["e@eth0", "f@eth0"]), &links);
        let expected = [Suspect::Record("e@eth0".parse().unwrap()), Suspect::Link("flock2".parse().unwrap())];
        assert_eq!(found, BTreeSet::from(expected));
    }

    #[test]
    fn nothing_is_an_orphan_at_first_sight() {
        let mut sweeper = Sweeper::default();
        assert_eq!(sweeper.observe(at(0), one("flocka"), APART), []);
        assert_eq!(sweeper.observe(at(0), one("flocka"), Duration::ZERO), []);
        assert_eq!(sweeper.observe(at(29), one("flocka"), APART), []);
        assert_eq!(sweeper.observe(at(30), one("flocka"), APART), Vec::from_iter(one("flocka")));
    }

    #[test]
    fn a_suspect_that_recovers_starts_anew() {
        let mut sweeper = Sweeper::default();
        sweeper.observe(at(0), one("flocka"), APART);
        sweeper.observe(at(20), BTreeSet::new(), APART);
        assert_eq!(sweeper.observe(at(40), one("flocka"), APART), []);
        assert_eq!(sweeper.observe(at(70), one("flocka"), APART).len(), 1);
    }

    #[test]
    fn a_clock_set_back_is_a_first_look() {
        let mut sweeper = Sweeper::default();
        sweeper.observe(at(1000), one("flocka"), APART);
        assert_eq!(sweeper.observe(at(10), one("flocka"), APART), []);
        assert_eq!(sweeper.observe(at(40), one("flocka"), APART).len(), 1);
    }
}
