//! Where the agent learns what is wanted: the node's configuration and its pods.
//!
//! ```text
//!  folder      --> manifests  --+
//!                               +--> Objects --> compose (templates, podCIDRs, last good) --> Desired
//!  API server  --> kubernetes --+
//! ```
//!
//! A [`Source`] publishes a whole [`Desired`] at every change; nobody else knows whether it came from a folder of
//! manifests or from Kubernetes.

mod address_pool;
mod bgp;
mod compose;
pub mod document;
#[cfg(test)]
pub(crate) mod fake;
mod field;
pub mod kubernetes;
pub mod manifests;
mod node_config;
pub mod objects;
pub mod own;
mod reader;
pub mod secrets;
mod selector;
mod stores;

pub use self::reader::peer::PeerPod;
pub use self::stores::Feed;

use std::future::Future;
use std::sync::Arc;

use flock_core::attachment::PodName;
use flock_core::desired::{Desired, Problem};
use tokio::sync::watch;

/// A source of what is wanted.
pub trait Source: Send + Sync + 'static {
    /// Follows what is wanted. Until [`Source::known`] is done it is empty and means nothing.
    fn desired(&self) -> watch::Receiver<Arc<Desired>>;

    /// Follows whether what is wanted is known as a whole. Nothing may be programmed, or taken away, before.
    fn follow_known(&self) -> watch::Receiver<bool>;

    /// Follows why nothing is known yet, or why what is known may be old; none: it is known and fresh. For people.
    fn follow_trouble(&self) -> watch::Receiver<Option<String>>;

    /// Waits until what is wanted is known as a whole.
    fn known(&self) -> impl Future<Output = ()> + Send {
        until(self.follow_known())
    }

    /// Why nothing is known yet, or why what is known may be old, as of now.
    fn trouble(&self) -> Option<String> {
        self.follow_trouble().borrow().clone()
    }

    /// Looks again now, because `pod` was asked for and is not known; where the runtime says its UID, for that one.
    fn refresh(&self, pod: &PodName, uid: Option<&str>) -> impl Future<Output = ()> + Send;

    /// What a person does to make `object` known, for the error of one that is not.
    fn advice(&self, object: &str) -> String;
}

/// Waits until it is so. A sender that is gone says nothing any more: then for ever.
pub async fn until(mut known: watch::Receiver<bool>) {
    if known.wait_for(|known| *known).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// How much a source has done for consumers of what is wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Work {
    /// How often it was composed.
    pub compositions: u64,
    /// How often it was published: each wakes all consumers.
    pub publications: u64,
    /// How many objects were looked at, one by one.
    pub objects: u64,
}

/// Says what was obeyed before, or never was.
fn log_new_problems(before: &[Problem], now: &[Problem]) {
    for problem in now.iter().filter(|problem| !before.contains(problem)) {
        tracing::error!(
            place = %problem.place,
            reason = problem.reason,
            "not obeyed; where it said something else before, that stays"
        );
    }
}
