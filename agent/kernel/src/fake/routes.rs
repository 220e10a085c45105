//! Routes and rules that lead to pods.

use flock_core::anycast::{self, RouteChange};
use flock_core::steering::Routing;
use rustix::io::Errno;

use super::FakeKernel;
use super::state::{State, failed, on_node};
use crate::{KernelError, Routes};

/// What there is of routes and rules.
#[derive(Debug, Default)]
pub(super) struct RoutesState {
    anycast: anycast::Routes,
    steering: Routing,
}

impl FakeKernel {
    /// The routes to anycast addresses.
    pub fn anycast(&self) -> anycast::Routes {
        self.inner().state.routes.anycast.clone()
    }

    /// The rules and routes that established connections follow.
    pub fn steering(&self) -> Routing {
        self.inner().state.routes.steering.clone()
    }
}

impl Routes for FakeKernel {
    async fn anycast_routes(&self) -> Result<anycast::Routes, KernelError> {
        self.observe(|state| state.routes.anycast.clone())
    }

    async fn change_anycast_routes(&self, changes: &[RouteChange]) -> Result<(), KernelError> {
        self.change(changes, State::change_anycast)
    }

    async fn add_steering(&self, desired: &Routing) -> Result<(), KernelError> {
        let mut all = self.observe(|state| state.routes.steering.clone())?;
        all.rules.extend(&desired.rules);
        all.paths.extend(desired.paths.iter().cloned());
        self.put(all, |state| &mut state.routes.steering)
    }

    async fn remove_steering(&self, desired: &Routing) -> Result<(), KernelError> {
        let mut kept = self.observe(|state| state.routes.steering.clone())?;
        kept.rules.retain(|rule| desired.rules.contains(rule));
        kept.paths.retain(|path| desired.paths.contains(path));
        self.put(kept, |state| &mut state.routes.steering)
    }
}

impl State {
    /// A next hop must be on a link that is there, as the kernel demands.
    fn change_anycast(&mut self, change: &RouteChange) -> Result<(), KernelError> {
        match change {
            RouteChange::Set(address, hops) => {
                if let Some(hop) = hops.iter().find(|hop| !self.links.contains_key(&on_node(&hop.link))) {
                    return Err(failed(format!("{change} ({})", hop.link), Errno::NODEV));
                }
                self.routes.anycast.insert(*address, hops.clone());
            }
            RouteChange::Remove(address) => {
                self.routes.anycast.remove(address);
            }
        }
        Ok(())
    }
}
