//! Routes and policy rules that lead to pods.

use std::future::Future;

use flock_core::anycast::{self, RouteChange};
use flock_core::steering::Routing;

use crate::KernelError;

/// Routes to anycast addresses, and the rules and routes that keep established connections with their pod.
pub trait Routes: Send + Sync + 'static {
    /// The routes to anycast addresses: host routes of ours that lead through a gateway.
    fn anycast_routes(&self) -> impl Future<Output = Result<anycast::Routes, KernelError>> + Send;

    /// Makes the changes in order. One that fails does not keep the others from being made; the first failure is
    /// returned. Removing a route that is not there succeeds.
    fn change_anycast_routes(
        &self,
        changes: &[RouteChange],
    ) -> impl Future<Output = Result<(), KernelError>> + Send;

    /// Makes those rules and routes for established connections that are missing; what is right already is not
    /// touched. One that fails does not keep the others from being made; the first failure is returned.
    fn add_steering(&self, desired: &Routing) -> impl Future<Output = Result<(), KernelError>> + Send;

    /// Removes the rules and routes for established connections that are not desired. One that fails does not keep
    /// the others from being removed; the first failure is returned.
    fn remove_steering(&self, desired: &Routing) -> impl Future<Output = Result<(), KernelError>> + Send;
}
