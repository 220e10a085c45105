//! The node's own objects, as last seen.

use std::sync::Arc;

use flock_crds::status::NodeConfigStatus;
use tokio::sync::watch;

/// The Node of this name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OwnNode {
    /// `metadata.uid`.
    pub uid: String,
    /// Its condition `NetworkUnavailable`; none: it has none.
    pub network_unavailable: Option<SeenCondition>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SeenCondition {
    /// `True`, `False` or `Unknown`.
    pub status: String,
    pub reason: String,
}

/// The NodeConfig of this node's name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OwnConfig {
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.generation`.
    pub generation: i64,
    /// Its status, as far as it can be read.
    pub status: Option<NodeConfigStatus>,
}

/// The node's own objects, followed; none: there is no such object, or nobody knows yet.
#[derive(Debug, Clone)]
pub struct OwnObjects {
    pub node: watch::Receiver<Option<Arc<OwnNode>>>,
    /// The NodeConfig of its name, be it a template or not.
    pub config: watch::Receiver<Option<Arc<OwnConfig>>>,
}
