//! What others are told about the node.
//!
//! * [`status`]: NodeState, in the words of [`bgp`] and [`anycast`], and NodeConfig `status`.
//! * [`condition`]: the Node's condition `NetworkUnavailable`.
//! * [`events`]: notices as Events.
//! * [`metrics`]: counters and gauges.
//!
//! Each of them is a task of its own: what one waits for keeps nobody else waiting, and pods least of all.

pub mod anycast;
pub mod bgp;
pub mod condition;
pub mod events;
pub mod metrics;
pub(crate) mod pending_write;
pub mod status;

use std::path::PathBuf;
use std::sync::Arc;

use flock_core::desired::Desired;
use flock_core::host::NodeView;
use flock_core::ipam::PoolUsage;
use flock_core::record::Records;
use jiff::Timestamp;
use tokio::sync::{mpsc, watch};

use crate::anycast::AnycastView;
use crate::bird::BgpView;
use crate::notice::Notice;
use crate::source::own::OwnObjects;
use crate::supervision::Tasks;

/// What reports are made of.
#[derive(Debug, Clone)]
pub struct Inputs {
    /// What is wanted of the node.
    pub desired: watch::Receiver<Arc<Desired>>,
    /// Whether that is known.
    pub known: watch::Receiver<bool>,
    /// Why the node cannot take pods; none: it can.
    pub not_ready: watch::Receiver<Option<String>>,
    /// How full its pools are.
    pub usage: watch::Receiver<Vec<PoolUsage>>,
    pub records: watch::Receiver<Records>,
    /// Its uplinks and addresses.
    pub host: watch::Receiver<NodeView>,
    pub bgp: watch::Receiver<Arc<BgpView>>,
    pub anycast: watch::Receiver<Arc<AnycastView>>,
}

/// What the API server is told of.
pub struct Parts {
    pub client: kube::Client,
    pub node: String,
    /// The node's own objects.
    pub own: OwnObjects,
    pub inputs: Inputs,
    pub bird: PathBuf,
    pub notices: mpsc::Receiver<Notice>,
}

/// Starts all that speaks with the API server. Nothing of it is left half done at shutdown: each call of the API server
/// stands for itself.
pub fn start(parts: Parts, tasks: &Tasks) {
    tasks.spawn("status", status::keep(&parts));
    tasks.spawn("condition", condition::keep(&parts));
    tasks.spawn("events", events::send(parts));
}

/// A text of at most so many bytes.
fn cut(mut text: String, longest: usize) -> String {
    const ELLIPSIS: &str = "...";
    if text.len() > longest {
        let fits = (0..=longest - ELLIPSIS.len()).rev().find(|end| text.is_char_boundary(*end));
        text.truncate(fits.unwrap_or_default());
        text.push_str(ELLIPSIS);
    }
    text
}

/// As Kubernetes writes times: RFC 3339 in UTC, whole seconds.
fn seconds(time: Timestamp) -> String {
    Timestamp::from_second(time.as_second()).unwrap_or(time).to_string()
}
