//! The node as a whole.

use flock_core::host::{HostChange, HostState};
use rustix::io::Errno;

use super::FakeKernel;
use super::state::{State, failed};
use crate::{KernelError, Node};

impl Node for FakeKernel {
    async fn host(&self) -> Result<HostState, KernelError> {
        self.observe(State::node)
    }

    async fn change_host(&self, changes: &[HostChange]) -> Result<(), KernelError> {
        self.change(changes, State::change_host)
    }
}

impl State {
    fn change_host(&mut self, change: &HostChange) -> Result<(), KernelError> {
        match change {
            HostChange::Sysctl(sysctl, value) => match self.sysctls.get_mut(sysctl) {
                Some(current) => *current = *value,
                None => return Err(failed(format!("set {sysctl}"), Errno::NOENT)),
            },
            HostChange::AddBlackhole(net) => drop(self.blackholes.insert(*net)),
            HostChange::RemoveBlackhole(net) => drop(self.blackholes.remove(net)),
        }
        Ok(())
    }
}
