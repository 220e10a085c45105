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
use flock_core::host::{DefaultRoute, HostLink, HostState, HostSysctl};
use flock_core::link::Fact;
use tokio::sync::mpsc::Sender;

use self::state::State;
use crate::gate::{Gate, Gates};
use crate::{Changes, Events, KernelError};

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
    watchers: Vec<Sender<()>>,
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

    /// Does something behind flock's back: no step, not subject to failures, and told to watchers.
    fn disturb(&self, change: impl FnOnce(&mut State)) {
        let mut inner = self.inner();
        change(&mut inner.state);
        inner.watchers.retain(|watcher| !watcher.is_closed());
        for watcher in &inner.watchers {
            let _ = watcher.try_send(());
        }
    }

    /// Lets step number `step` fail, counted from 0 at the kernel's making. Every single change is a step:
    /// [`LinkChange`]s and [`HostChange`]s alike.
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
        self.disturb(|state| state.remove_fact(host, fact));
    }

    /// Adds a fact to a host link or to its peer, in the place of one with the same subject.
    pub fn add_fact(&self, host: &IfName, fact: Fact) {
        self.disturb(|state| state.add_fact(host, fact));
    }

    /// Removes a link of the node, and its peer.
    pub fn remove_link(&self, name: &IfName) {
        self.disturb(|state| state.remove_link(name));
    }

    /// Adds a link to the node that is not flock's, whatever its name.
    pub fn add_foreign_link(&self, name: &IfName) {
        self.disturb(|state| state.add_foreign_link(name));
    }

    /// Adds an interface to a namespace that is not flock's.
    pub fn add_foreign_interface(&self, netns: &Path, ifname: &IfName) {
        self.disturb(|state| state.add_foreign_interface(netns, ifname));
    }

    /// Adds a network namespace.
    pub fn add_namespace(&self, netns: &Path) {
        self.disturb(|state| state.add_namespace(netns));
    }

    /// Removes a network namespace, all interfaces in it, and so their peers.
    pub fn remove_namespace(&self, netns: &Path) {
        self.disturb(|state| state.remove_namespace(netns));
    }

    /// Sets the MTU (bytes) of a link that is not flock's, which is made if it is not there.
    pub fn set_uplink_mtu(&self, name: &IfName, mtu: u32) {
        self.disturb(|state| state.set_uplink_mtu(name, mtu));
    }

    /// Sets the default routes.
    pub fn set_default_routes(&self, routes: BTreeSet<DefaultRoute>) {
        self.disturb(|state| state.set_default_routes(routes));
    }

    /// Sets a sysctl of the node.
    pub fn set_sysctl(&self, sysctl: HostSysctl, value: u8) {
        self.disturb(|state| state.set_sysctl(sysctl, value));
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
    KernelError::Step { action: format!("step {step}"), cause: io::Error::other("told to fail") }
}

impl Events for FakeKernel {
    fn watch(&self) -> Result<Changes, KernelError> {
        let mut inner = self.inner();
        inner.alive()?;
        let (sender, changes) = Changes::channel();
        inner.watchers.push(sender);
        Ok(changes)
    }
}

#[cfg(test)]
mod tests;
