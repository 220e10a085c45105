//! Joining the store with the kernel after a restart.
//!
//! 1. A record that is `Ready` stays. Whether the kernel still agrees is the reconcile loop's question.
//! 2. A record that is `Adding` or `Deleting` was interrupted: nobody was told that it exists, or somebody asked for
//!    its end. Either way what is left of it is removed.
//! 3. A link that carries our alias and has addresses, but no record: its file was damaged or lost. A pod may well
//!    be talking through it, so it becomes a record again; the runtime's DEL or GC ends it.
//! 4. Any other link is left to the sweep, if it is ours at all.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use jiff::Timestamp;

use crate::attachment::{AttachmentId, IfName};
use crate::claim::Claimed;
use crate::host::HostLink;
use crate::link::{Fact, LinkAlias, LinkRoute, Side, host_mac};
use crate::prefix::PodAddresses;
use crate::record::{NewRecord, Phase, Record};

/// The outcome of the join.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recovery {
    /// Attachments that go on.
    pub ready: Vec<Record>,
    /// Attachments to be removed now.
    pub interrupted: Vec<Record>,
    /// Attachments rebuilt from the kernel, to be written to the store; also part of the node from now on.
    pub rebuilt: Vec<Record>,
}

/// Joins `records` with the node's `links`.
pub fn join(records: Vec<Record>, links: &BTreeMap<IfName, HostLink>, now: Timestamp) -> Recovery {
    let known: BTreeSet<AttachmentId> = records.iter().map(|record| record.id.clone()).collect();
    let mut taken: BTreeSet<IpAddr> = records.iter().flat_map(|record| record.addresses.iter()).collect();
    let mut recovery = Recovery::default();
    for record in records {
        match record.phase {
            Phase::Ready => recovery.ready.push(record),
            Phase::Adding | Phase::Deleting => recovery.interrupted.push(record),
        }
    }
    for (name, link) in links {
        let rebuilt = rebuild(name, link, now).filter(|record| !known.contains(&record.id));
        if let Some(record) = rebuilt.filter(|record| record.addresses.iter().all(|a| !taken.contains(&a))) {
            taken.extend(record.addresses.iter());
            recovery.rebuilt.push(record);
        }
    }
    recovery
}

/// The record of a link that says whose it is and has addresses.
fn rebuild(name: &IfName, link: &HostLink, now: Timestamp) -> Option<Record> {
    let LinkAlias { id, pod } = link.alias.as_deref()?.parse().ok()?;
    let (addresses, static_addresses) = routed_addresses(&link.facts);
    if addresses == PodAddresses::default() || link.mac != host_mac(&id) {
        return None;
    }
    // The network's name and the namespace's path are nowhere in the kernel.
    let new = NewRecord {
        id,
        network: String::new(),
        pod,
        uid: None,
        netns: None,
        host_link: name.clone(),
        addresses,
        claimed: Claimed { static_addresses, ..Claimed::default() },
        created: now,
    };
    Some(Record::new(Phase::Ready, new))
}

/// The pod's own addresses are those with an on-link host route of their full length. Of several of a family, the lowest
/// counts as the first: which one was is nowhere in the kernel.
fn routed_addresses(facts: &BTreeSet<Fact>) -> (PodAddresses, BTreeSet<IpAddr>) {
    let (mut addresses, mut static_addresses) = (PodAddresses::default(), BTreeSet::new());
    for fact in facts {
        let Fact::Route { side: Side::Host, route: LinkRoute { dst, via: None } } = fact else {
            continue;
        };
        match dst.addr() {
            _ if dst.prefix_len() != dst.max_prefix_len() => {}
            IpAddr::V6(v6) if addresses.v6.is_none() => addresses.v6 = Some(v6),
            IpAddr::V4(v4) if addresses.v4.is_none() => addresses.v4 = Some(v4),
            other => drop(static_addresses.insert(other)),
        }
    }
    (addresses, static_addresses)
}

/// Whether `link` belongs to attachment `id`: by its alias, or, before it has one, by its derived MAC address.
pub fn owns(id: &AttachmentId, link: &HostLink) -> bool {
    match link.alias.as_deref().map(str::parse::<LinkAlias>) {
        Some(Ok(alias)) => alias.id == *id,
        Some(Err(_)) => false,
        None => link.mac == host_mac(id),
    }
}

#[cfg(test)]
mod tests {
    use ipnet::IpNet;

    use super::*;
    use crate::attachment::PodName;

    fn record(id: &str, phase: Phase) -> Record {
        let new = NewRecord {
            id: id.parse().unwrap(),
            network: "flock".to_owned(),
            pod: PodName::new("default", "web-0").unwrap(),
            uid: None,
            netns: None,
            host_link: "flock00000001".parse().unwrap(),
            addresses: PodAddresses { v6: Some("2001:db8::5".parse().unwrap()), v4: None },
            claimed: Claimed::default(),
            created: Timestamp::UNIX_EPOCH,
        };
        Record::new(phase, new)
    }

    fn link(id: &str, alias: Option<&str>, addresses: &[&str]) -> HostLink {
        let routes = addresses.iter().map(|address| Fact::Route {
            side: Side::Host,
            route: LinkRoute { dst: IpNet::from(address.parse::<IpAddr>().unwrap()), via: None },
        });
        HostLink {
            alias: alias.map(str::to_owned),
            mac: host_mac(&id.parse().unwrap()),
            facts: routes.collect(),
        }
    }

    fn links(link: HostLink) -> BTreeMap<IfName, HostLink> {
        BTreeMap::from([("flock00000001".parse().unwrap(), link)])
    }

    #[test]
    fn ready_stays_and_intents_are_removed() {
        let records = vec![
            record("a@eth0", Phase::Ready),
            record("b@eth0", Phase::Adding),
            record("c@eth0", Phase::Deleting),
        ];
        let recovery = join(records.clone(), &BTreeMap::new(), Timestamp::UNIX_EPOCH);
        assert_eq!(recovery.ready, records[..1]);
        assert_eq!(recovery.interrupted, records[1..]);
        assert_eq!(recovery.rebuilt, []);
    }

    #[test]
    fn a_link_without_a_record_becomes_one_again() {
        let links = links(link("a@eth0", Some("flock a@eth0 default/web-0"), &["2001:db8::5", "192.0.2.5"]));
        let rebuilt = join(Vec::new(), &links, Timestamp::UNIX_EPOCH).rebuilt;
        assert_eq!(rebuilt.len(), 1);
        assert_eq!(rebuilt[0].id.to_string(), "a@eth0");
        assert_eq!(rebuilt[0].addresses.v4, Some("192.0.2.5".parse().unwrap()));
        assert_eq!(rebuilt[0].addresses.v6, Some("2001:db8::5".parse().unwrap()));
        assert_eq!(rebuilt[0].phase, Phase::Ready);
    }

    #[test]
    fn further_addresses_of_a_rebuilt_link_come_beside_the_first() {
        let addresses = ["2001:db8::6", "2001:db8::5", "192.0.2.5"];
        let links = links(link("a@eth0", Some("flock a@eth0 default/web-0"), &addresses));
        let rebuilt = &join(Vec::new(), &links, Timestamp::UNIX_EPOCH).rebuilt[0];
        assert_eq!(rebuilt.addresses.v6, Some("2001:db8::5".parse().unwrap()));
        assert_eq!(rebuilt.claimed.static_addresses, BTreeSet::from(["2001:db8::6".parse().unwrap()]));
    }

    #[test]
    fn links_that_are_not_ours_or_incomplete_are_not_rebuilt() {
        let cases = [
            link("a@eth0", None, &["2001:db8::5"]),
            link("a@eth0", Some("somebody else's"), &["2001:db8::5"]),
            link("a@eth0", Some("flock b@eth0 default/web-0"), &["2001:db8::5"]),
            link("a@eth0", Some("flock a@eth0 default/web-0"), &[]),
        ];
        for link in cases {
            assert_eq!(join(Vec::new(), &links(link), Timestamp::UNIX_EPOCH), Recovery::default());
        }
    }

    #[test]
    fn a_record_is_never_rebuilt_over_another_ones_address() {
        let records = vec![record("b@eth0", Phase::Ready)];
        let links = links(link("a@eth0", Some("flock a@eth0 default/web-0"), &["2001:db8::5"]));
        assert_eq!(join(records, &links, Timestamp::UNIX_EPOCH).rebuilt, []);
    }

    #[test]
    fn ownership_is_the_alias_or_before_it_the_derived_mac() {
        let id = "a@eth0".parse().unwrap();
        assert!(owns(&id, &link("x@eth0", Some("flock a@eth0 default/web-0"), &[])));
        assert!(owns(&id, &link("a@eth0", None, &[])));
        assert!(!owns(&id, &link("a@eth0", Some("flock x@eth0 default/web-0"), &[])));
        assert!(!owns(&id, &link("a@eth0", Some("uplink"), &[])));
        assert!(!owns(&id, &link("x@eth0", None, &[])));
    }
}
