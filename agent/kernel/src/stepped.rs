//! A kernel whose every single change goes through a gate: for tests that stop, fail or kill at a chosen step.

use std::path::Path;

use flock_core::anycast::{RouteChange, Routes};
use flock_core::attachment::IfName;
use flock_core::host::{HostChange, HostLink, HostState};
use flock_core::link::{LinkChange, LinkSpec, PodObserved};
use flock_core::steering::Steering;

use crate::{Changes, Kernel, KernelError};

/// Decides at each step, before and after its effect, whether things go on.
pub trait Gate: Send + Sync + 'static {
    /// Called before a change, with what it is; an error is the change's outcome.
    fn before(&self, step: &str) -> Result<(), KernelError>;
    /// Called after a change has taken effect.
    fn after(&self, step: &str) -> Result<(), KernelError>;
    /// Called before an observation.
    fn observe(&self) -> Result<(), KernelError>;
}

/// A kernel behind a gate.
#[derive(Debug)]
pub struct Stepped<K, G> {
    /// The kernel.
    pub kernel: K,
    /// The gate.
    pub gate: G,
}

impl<K: Kernel, G: Gate> Kernel for Stepped<K, G> {
    async fn host(&self) -> Result<HostState, KernelError> {
        self.gate.observe()?;
        self.kernel.host().await
    }

    async fn host_link(&self, name: &IfName) -> Result<Option<HostLink>, KernelError> {
        self.gate.observe()?;
        self.kernel.host_link(name).await
    }

    async fn pod(&self, netns: &Path, ifname: &IfName) -> Result<PodObserved, KernelError> {
        self.gate.observe()?;
        self.kernel.pod(netns, ifname).await
    }

    async fn change_link(&self, spec: &LinkSpec, changes: &[LinkChange]) -> Result<(), KernelError> {
        for change in changes {
            let step = format!("{change:?}");
            self.gate.before(&step)?;
            self.kernel.change_link(spec, std::slice::from_ref(change)).await?;
            self.gate.after(&step)?;
        }
        Ok(())
    }

    async fn delete_link(&self, name: &IfName) -> Result<(), KernelError> {
        let step = format!("DeleteLink({name})");
        self.gate.before(&step)?;
        self.kernel.delete_link(name).await?;
        self.gate.after(&step)
    }

    async fn change_host(&self, changes: &[HostChange]) -> Result<(), KernelError> {
        for change in changes {
            let step = format!("{change:?}");
            self.gate.before(&step)?;
            self.kernel.change_host(std::slice::from_ref(change)).await?;
            self.gate.after(&step)?;
        }
        Ok(())
    }

    async fn anycast_routes(&self) -> Result<Routes, KernelError> {
        self.gate.observe()?;
        self.kernel.anycast_routes().await
    }

    async fn change_anycast_routes(&self, changes: &[RouteChange]) -> Result<(), KernelError> {
        for change in changes {
            let step = format!("{change:?}");
            self.gate.before(&step)?;
            self.kernel.change_anycast_routes(std::slice::from_ref(change)).await?;
            self.gate.after(&step)?;
        }
        Ok(())
    }

    async fn steer(&self, steering: &Steering) -> Result<(), KernelError> {
        self.gate.observe()?;
        self.kernel.steer(steering).await
    }

    fn watch(&self) -> Result<Changes, KernelError> {
        self.kernel.watch()
    }
}
