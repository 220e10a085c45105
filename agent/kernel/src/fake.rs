//! A kernel in memory, for tests: deterministic, open to inspection, easily disturbed, and failing on demand.
//!
//! `state`: what it holds. `links`, `node`, `routes`, `firewall`: the effect of each operation, one file for a trait.

mod firewall;
mod links;
mod node;
mod routes;
mod state;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flock_core::attachment::IfName;
use flock_core::host::addresses::{AddressFlags, InterfaceAddress, Lifetimes};
use flock_core::host::{DefaultRoute, HostLink, HostState, HostSysctl};
use flock_core::link::Fact;
use flock_core::supervision::Failed;
use ipnet::Ipv6Net;

use self::state::State;
use crate::events::{Change, EventSender, RouteKind};
use crate::gate::{Gate, Gates};
use crate::{Events, KernelError, KernelEvent, KernelEvents, Residents};

/// What happens at the step given to [`FakeKernel::fail_at`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailMode {
    /// The step fails without effect; the next one works again.
    Error,
    /// The step has no effect, and every call from then on fails: a crash just before it.
    DieBefore,
    /// The step has its effect, and every call from then on fails, the step's own too: a crash just after it.
    DieAfter,
}

/// A kernel in memory. A handle: clones are the same kernel.
#[derive(Debug, Clone, Default)]
pub struct FakeKernel {
    inner: Arc<Mutex<Inner>>,
    gates: Gates,
}

#[derive(Debug, Default)]
struct Inner {
    state: State,
    steps: usize,
    failure: Option<(usize, FailMode)>,
    dead: bool,
    subscribers: Vec<EventSender>,
}

impl FakeKernel {
    /// A node with uplink `eth0` of MTU 1500 and default routes over it; forwarding is off, and nothing of flock's
    /// is there.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same kernel, with every operation of this handle going through a gate.
    #[must_use]
    pub fn behind(self, gate: impl Gate) -> Self {
        Self { gates: Gates::through(gate), ..self }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An observation.
    fn observe<T>(&self, look: impl FnOnce(&State) -> T) -> Result<T, KernelError> {
        self.gates.observe()?;
        self.inner().alive().map(look)
    }

    /// Makes changes in order, each a step; stops at the first one that fails.
    fn change<C: Debug>(
        &self,
        changes: &[C],
        mut make: impl FnMut(&mut State, &C) -> Result<(), KernelError>,
    ) -> Result<(), KernelError> {
        self.inner().alive()?;
        changes
            .iter()
            .try_for_each(|change| self.gates.step(change, || self.inner().step(|state| make(state, change))))
    }

    /// Puts a value in the place of another one: a step, unless they are equal. To gates, an observation.
    fn put<T: PartialEq>(&self, value: T, place: impl Fn(&mut State) -> &mut T) -> Result<(), KernelError> {
        self.gates.observe()?;
        let mut inner = self.inner();
        inner.alive()?;
        if *place(&mut inner.state) == value {
            return Ok(());
        }
        inner.step(|state| {
            *place(state) = value;
            Ok(())
        })
    }

    /// Does something behind flock's back: no step, not subject to failures, and an event.
    fn disturb(&self, event: KernelEvent, change: impl FnOnce(&mut State)) {
        change(&mut self.inner().state);
        self.emit(event);
    }

    /// Sends an event to all subscribers, whatever has happened.
    pub fn emit(&self, event: KernelEvent) {
        let mut inner = self.inner();
        inner.subscribers.retain(|subscriber| !subscriber.is_closed());
        inner.subscribers.iter().for_each(|subscriber| subscriber.send(event.clone()));
    }

    /// Lets step number `step` fail, counted from 0 at the kernel's making. Every single change is a step:
    /// `LinkChange`s and `HostChange`s alike.
    pub fn fail_at(&self, step: usize, mode: FailMode) {
        self.inner().failure = Some((step, mode));
    }

    /// How many steps there have been, those that failed included.
    pub fn steps(&self) -> usize {
        self.inner().steps
    }

    /// Whether a step has let it die.
    pub fn is_dead(&self) -> bool {
        self.inner().dead
    }

    /// Lets it live, and no step fail any more. What was there still is.
    pub fn revive(&self) {
        let mut inner = self.inner();
        inner.dead = false;
        inner.failure = None;
    }

    /// Flock links (and foreign ones of such names) of the node.
    pub fn links(&self) -> BTreeMap<IfName, HostLink> {
        self.inner().state.node().flock_links
    }

    /// Everything on the node.
    pub fn node(&self) -> HostState {
        self.inner().state.node()
    }

    /// The facts of a host link and of its peer.
    pub fn facts(&self, host: &IfName) -> BTreeSet<Fact> {
        self.inner().state.pair_facts(host)
    }

    /// The facts of an interface in a namespace; none: no such namespace.
    pub fn pod_facts(&self, netns: &Path, ifname: &IfName) -> Option<BTreeSet<Fact>> {
        self.inner().state.pod_facts(netns, ifname)
    }

    /// Removes a fact of a host link or of its peer, as somebody's `ip route del` would.
    pub fn remove_fact(&self, host: &IfName, fact: &Fact) {
        self.disturb(fact_event(host, fact, Change::Gone), |state| state.remove_fact(host, fact));
    }

    /// Adds a fact to a host link or to its peer, in the place of one with the same subject.
    pub fn add_fact(&self, host: &IfName, fact: Fact) {
        self.disturb(fact_event(host, &fact, Change::Set), |state| state.add_fact(host, fact));
    }

    /// Removes a link of the node, and its peer.
    pub fn remove_link(&self, name: &IfName) {
        self.disturb(link_event(name, Change::Gone), |state| state.remove_link(name));
    }

    /// Adds a link to the node that is not flock's, whatever its name.
    pub fn add_foreign_link(&self, name: &IfName) {
        self.disturb(link_event(name, Change::Set), |state| state.add_foreign_link(name));
    }

    /// Adds an interface to a namespace that is not flock's.
    pub fn add_foreign_interface(&self, netns: &Path, ifname: &IfName) {
        self.inner().state.add_foreign_interface(netns, ifname);
    }

    /// Adds a network namespace.
    pub fn add_namespace(&self, netns: &Path) {
        self.inner().state.add_namespace(netns);
    }

    /// Removes a network namespace, all interfaces in it, and so their peers.
    pub fn remove_namespace(&self, netns: &Path) {
        let gone = self.inner().state.remove_namespace(netns);
        gone.iter().for_each(|host| self.emit(link_event(host, Change::Gone)));
    }

    /// Sets the MTU (bytes) of a link that is not flock's, which is made if it is not there.
    pub fn set_uplink_mtu(&self, name: &IfName, mtu: u32) {
        self.disturb(link_event(name, Change::Set), |state| state.set_uplink_mtu(name, mtu));
    }

    /// Sets the default routes.
    pub fn set_default_routes(&self, routes: BTreeSet<DefaultRoute>) {
        let event = KernelEvent::Route {
            kind: RouteKind::Default,
            destination: Ipv6Net::default().into(),
            change: Change::Set,
        };
        self.disturb(event, |state| state.set_default_routes(routes));
    }

    /// Sets a sysctl of the node.
    pub fn set_sysctl(&self, sysctl: HostSysctl, value: u8) {
        self.inner().state.set_sysctl(sysctl, value);
    }
}

impl Inner {
    fn alive(&self) -> Result<&State, KernelError> {
        if self.dead { Err(KernelError::Closed) } else { Ok(&self.state) }
    }

    fn step(
        &mut self,
        effect: impl FnOnce(&mut State) -> Result<(), KernelError>,
    ) -> Result<(), KernelError> {
        self.alive()?;
        let step = self.steps;
        self.steps += 1;
        let mode = self.failure.filter(|(at, _)| *at == step).map(|(_, mode)| mode);
        match mode {
            None => effect(&mut self.state),
            Some(FailMode::Error) => Err(injected(step)),
            Some(FailMode::DieBefore) => self.die(),
            Some(FailMode::DieAfter) => effect(&mut self.state).and_then(|()| self.die()),
        }
    }

    fn die(&mut self) -> Result<(), KernelError> {
        self.dead = true;
        Err(KernelError::Closed)
    }
}

fn injected(step: usize) -> KernelError {
    KernelError::Step { action: format!("step {step}"), cause: io::Error::other("injected failure") }
}

impl Events for FakeKernel {
    fn subscribe(&self) -> Result<KernelEvents, KernelError> {
        let mut inner = self.inner();
        inner.alive()?;
        let (sender, events) = KernelEvents::channel();
        inner.subscribers.push(sender);
        Ok(events)
    }
}

impl Residents for FakeKernel {
    /// It has none.
    async fn failed(&self) -> Failed {
        std::future::pending().await
    }
}

/// The fake's links have no indices.
fn link_event(name: &IfName, change: Change) -> KernelEvent {
    KernelEvent::Link { name: Some(name.clone()), index: 0, change }
}

/// What the kernel would tell of a fact about a host link; of the other end it would tell nothing here.
fn fact_event(host: &IfName, fact: &Fact, change: Change) -> KernelEvent {
    match fact {
        Fact::Route { route, .. } => {
            KernelEvent::Route { kind: RouteKind::Ours, destination: route.dst, change }
        }
        Fact::Neighbour { address, .. } => {
            KernelEvent::Neighbour { link: 0, address: Some(*address), change }
        }
        Fact::Address { net, .. } => KernelEvent::Address {
            link: 0,
            address: InterfaceAddress {
                net: *net,
                flags: AddressFlags::PERMANENT | AddressFlags::NO_DAD,
                lifetimes: Lifetimes::default(),
            },
            change,
        },
        _ => link_event(host, Change::Set),
    }
}

#[cfg(test)]
mod tests;
