//! Routes and rules that lead to pods.

use std::sync::Arc;

use flock_core::anycast::{self, RouteChange};
use flock_core::steering::Routing;

use super::{LinuxKernel, anycast as form, steering};
use crate::{KernelError, Routes};

impl Routes for LinuxKernel {
    async fn anycast_routes(&self) -> Result<anycast::Routes, KernelError> {
        let multipath = self.multipath;
        self.observe("observe the routes to anycast addresses", move |socket| {
            form::observe(socket, multipath)
        })
        .await
    }

    async fn change_anycast_routes(&self, changes: &[RouteChange]) -> Result<(), KernelError> {
        if changes.is_empty() {
            return Ok(());
        }
        let (multipath, gates, changes) = (self.multipath, self.gates.clone(), changes.to_vec());
        let held = Arc::clone(&self.anycast).lock_owned().await;
        self.on_node(move |socket| {
            let _held = held;
            form::apply(socket, multipath, &gates, &changes)
        })
        .await
    }

    async fn add_steering(&self, desired: &Routing) -> Result<(), KernelError> {
        self.gates.observe()?;
        let (sysctls, desired) = (self.sysctls.clone(), desired.clone());
        self.on_node(move |socket| steering::add(socket, &sysctls, &desired)).await
    }

    async fn remove_steering(&self, desired: &Routing) -> Result<(), KernelError> {
        self.gates.observe()?;
        let desired = desired.clone();
        self.on_node(move |socket| steering::remove(socket, &desired)).await
    }
}
