//! Where tests come between the agent and its kernel, the real one or the one in memory. The gate is a part of both
//! kernels: the functions that all operations are made of (`observe`, `change`) go through it, so that a new operation
//! needs no wrapper of its own.

use std::fmt;
use std::sync::Arc;

use crate::KernelError;

/// Decides at each step, before and after its effect, whether things go on.
pub trait Gate: Send + Sync + 'static {
    /// Called before a change, with what it is; an error is the change's outcome.
    fn before(&self, step: &str) -> Result<(), KernelError>;
    /// Called after a change has taken effect.
    fn after(&self, step: &str) -> Result<(), KernelError>;
    /// Called before an observation, and before what is one with it: rules, routes and tables that steer connections
    /// are compared and changed at once.
    fn observe(&self) -> Result<(), KernelError>;
    /// Called when a thread or a task begins that lives as long as the kernel, as a part of it: a panic is its own.
    fn resident(&self, _name: &str) {}
}

/// The gate that a kernel's operations go through; none: an open one.
#[derive(Clone, Default)]
pub(crate) struct Gates(Option<Arc<dyn Gate>>);

impl Gates {
    /// Those operations go through this one.
    pub(crate) fn through(gate: impl Gate) -> Self {
        Self(Some(Arc::new(gate)))
    }

    /// An observation begins.
    pub(crate) fn observe(&self) -> Result<(), KernelError> {
        self.0.as_ref().map_or(Ok(()), |gate| gate.observe())
    }

    /// A thread or a task begins.
    pub(crate) fn resident(&self, name: &str) {
        self.0.iter().for_each(|gate| gate.resident(name));
    }

    /// Makes one change.
    pub(crate) fn step(
        &self,
        change: &impl fmt::Debug,
        effect: impl FnOnce() -> Result<(), KernelError>,
    ) -> Result<(), KernelError> {
        tracing::debug!(?change, "kernel");
        let Some(gate) = &self.0 else { return effect() };
        let step = format!("{change:?}");
        gate.before(&step)?;
        effect()?;
        gate.after(&step)
    }
}

impl fmt::Debug for Gates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Gates(..)" } else { "Gates(open)" })
    }
}
