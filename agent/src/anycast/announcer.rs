//! Decides what routers are told of single addresses.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flock_core::anycast::{self, Announced, Announcement, Cause, Damped, Damper, Groups};
use flock_core::claim::{self, Ownership, Use};
use flock_core::host::NodeView;
use flock_core::record::{Claimants, Records};
use tokio::sync::watch;

use super::members::{candidates, serving_elsewhere};
use super::{AnycastView, Programmed, Withheld};
use crate::environment::sleep_until;
use crate::publish::publish_change;
use flock_core::desired::Desired;

/// The cause of an address that is gone is kept for this time: longer than BIRD needs to be told.
const FORGET: Duration = Duration::from_secs(300);

/// What decisions about anycast addresses follow from.
#[derive(Debug, Clone)]
pub struct AnnouncerInputs {
    pub desired: watch::Receiver<Arc<Desired>>,
    pub claimants: watch::Receiver<Claimants>,
    /// Who has which address already. Nothing is decided anew because these change.
    pub records: watch::Receiver<Records>,
    pub host: watch::Receiver<NodeView>,
    pub programmed: watch::Receiver<Programmed>,
}

/// The decider. It touches nothing: others do.
pub struct Announcer {
    node: String,
    inputs: AnnouncerInputs,
    groups: watch::Sender<Groups>,
    announcement: watch::Sender<Arc<Announcement>>,
    view: watch::Sender<Arc<AnycastView>>,
    damper: Damper,
    causes: BTreeMap<IpAddr, Cause>,
    /// When the first address that is held down comes back.
    due: Option<Instant>,
    started: Instant,
}

impl Announcer {
    /// Knows nothing yet: [`Announcer::settle`] comes first. `view` is what people are shown.
    pub fn new(node: String, inputs: AnnouncerInputs, view: watch::Sender<Arc<AnycastView>>) -> Self {
        Self {
            node,
            inputs,
            groups: watch::channel(Groups::new()).0,
            announcement: watch::channel(Arc::default()).0,
            view,
            damper: Damper::default(),
            causes: BTreeMap::new(),
            due: None,
            started: Instant::now(),
        }
    }

    /// Follows which pods serve which addresses.
    pub fn follow_groups(&self) -> watch::Receiver<Groups> {
        self.groups.subscribe()
    }

    /// Follows what routers are to be told.
    pub fn follow(&self) -> watch::Receiver<Arc<Announcement>> {
        self.announcement.subscribe()
    }

    /// Runs until `shutdown` is there.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            self.settle();
            let due = self.due.map(tokio::time::Instant::from_std);
            tokio::select! {
                () = &mut shutdown => return,
                Ok(()) = self.inputs.desired.changed() => {}
                Ok(()) = self.inputs.claimants.changed() => {}
                Ok(()) = self.inputs.host.changed() => {}
                Ok(()) = self.inputs.programmed.changed() => {}
                () = sleep_until(due) => {}
            }
        }
    }

    /// One look at everything, and what follows from it.
    pub fn settle(&mut self) {
        let seen = Instant::now();
        let desired = self.inputs.desired.borrow_and_update().clone();
        let claimants = self.inputs.claimants.borrow_and_update().clone();
        let host = self.inputs.host.borrow_and_update().clone();
        let ownership = Ownership::new(&desired, &host, &self.inputs.records.borrow());
        let groups = anycast::resolve(&candidates(&claimants, &desired, &ownership));
        for (address, text) in anycast::causes(&self.groups.borrow(), &groups) {
            tracing::info!(%address, cause = text, "anycast");
            self.causes.insert(address, Cause { text, seen });
        }
        self.causes.retain(|address, cause| groups.contains_key(address) || cause.seen.elapsed() < FORGET);
        let (mut wanted, mut withheld) = self.wanted(&groups, &desired, &ownership);
        let hold_down = desired.node.as_ref().map(|node| node.anycast.hold_down).unwrap_or_default();
        let now = seen.duration_since(self.started);
        let Damped { announced, held } = self.damper.settle(&wanted, now, hold_down);
        withheld.extend(held.keys().map(|address| (*address, Withheld::HeldDown)));
        self.due = held.values().min().map(|due| self.started + *due);
        wanted.retain(|address| announced.contains(address));
        self.publish(
            groups,
            wanted,
            withheld,
            &static_addresses(&claimants, &desired, &ownership),
            &ownership,
        );
    }

    /// The addresses that pods serve here and that this node is to advertise; and why others are not among them.
    fn wanted(
        &mut self,
        groups: &Groups,
        desired: &Desired,
        ownership: &Ownership,
    ) -> (BTreeSet<IpAddr>, BTreeMap<IpAddr, Withheld>) {
        let elsewhere = serving_elsewhere(desired, &self.node, ownership);
        let programmed = self.inputs.programmed.borrow_and_update().routed.clone();
        let none = BTreeSet::new();
        let (mut wanted, mut withheld) = (BTreeSet::new(), BTreeMap::new());
        for address in
            groups.iter().filter(|(_, group)| group.ready_pods().is_some()).map(|(address, _)| *address)
        {
            let others = elsewhere.get(&address).unwrap_or(&none);
            let most = claim::max_advertisers(&desired.pools, address);
            if !anycast::is_elected(&self.node, address, others, most) {
                withheld.insert(address, Withheld::NotElected);
            } else if !programmed.contains(&address) {
                withheld.insert(address, Withheld::NoRoute);
            } else {
                wanted.insert(address);
            }
        }
        (wanted, withheld)
    }

    fn publish(
        &self,
        groups: Groups,
        announced: BTreeSet<IpAddr>,
        withheld: BTreeMap<IpAddr, Withheld>,
        static_addresses: &BTreeSet<IpAddr>,
        ownership: &Ownership,
    ) {
        let weight = |address: &IpAddr| Some((*address, groups.get(address)?.ready_pods()?));
        let told = Announced {
            anycast: announced.iter().filter_map(weight).collect(),
            static_addresses: static_addresses.clone(),
        };
        let claimable = ownership.claimable();
        self.announcement.send_if_modified(|current| {
            let changed = current.announced != told || current.claimable != claimable;
            *current = Arc::new(Announcement { announced: told, claimable, causes: self.causes.clone() });
            changed
        });
        let problem = self.inputs.programmed.borrow().problem.clone();
        let view = Arc::new(AnycastView { groups: groups.clone(), announced, withheld, problem });
        publish_change(&self.view, view);
        publish_change(&self.groups, groups);
    }
}

/// Addresses that pods have chosen themselves, still may have, and that the node's prefixes do not cover.
fn static_addresses(claimants: &Claimants, desired: &Desired, ownership: &Ownership) -> BTreeSet<IpAddr> {
    let covered = |address: &IpAddr| {
        desired.node.as_ref().is_some_and(|node| node.pools.iter().any(|net| net.contains(address)))
    };
    let named = claimants.values().flat_map(|record| {
        record.claimed.static_addresses.iter().map(move |address| (&record.pod, *address))
    });
    named
        .filter(|(pod, address)| !covered(address) && ownership.problem(pod, Use::Static, *address).is_none())
        .map(|(_, address)| address)
        .collect()
}
