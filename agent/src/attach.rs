//! Attachments: what ADD, DEL, CHECK and GC do, what a restart finds, and what is repaired in between.
//!
//! Every change of an attachment happens under its own lock and leaves a trail: intent in the store, kernel, commit
//! in the store. So a crash between any two steps is found by [`Attachments::recover`] and finished. The table in
//! memory is the store's image plus the allocator, which is rebuilt from it.

mod add;
mod admitting;
mod check;
mod claims;
mod del;
mod error;
mod loopback;
mod notices;
mod publisher;
mod reconcile;
mod records;
mod recover;
mod repair;

pub use add::{AddCall, Attached};
pub use check::{CheckCall, Inspection};
pub use error::AttachError;
pub use loopback::Loopback;
pub use publisher::Publisher;
pub use reconcile::Reconciler;
pub use repair::Reconciled;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flock_core::attachment::{AttachmentId, PodName};
use flock_core::desired::Desired;
use flock_core::host::NodeView;
use flock_core::ipam::{Allocator, PoolUsage};
use flock_core::lifecycle::recovery::owns;
use flock_core::prefix::PodAddresses;
use flock_core::record::{Claimants, Record, Records};
use flock_core::steering::FlowSlot;
use flock_kernel::{Links, Node};
use records::RecordTable;
use tokio::sync::watch;

use crate::admission::Admission;
use crate::environment::Clock;
use crate::latencies::Latencies;
use crate::locks::Locks;
use crate::notice::Notices;
use crate::source::Source;
use crate::store::Store;

/// The attachments of this node.
pub struct Attachments<K, S> {
    kernel: K,
    source: S,
    store: Store,
    clock: Box<dyn Clock>,
    /// Where the plugin leaves the DELs that the agent missed.
    tombstones: PathBuf,
    notices: Notices,
    admission: Arc<dyn Admission>,
    locks: Locks,
    table: Mutex<Table>,
    /// What the last look at the kernel said of the node.
    host: watch::Sender<NodeView>,
    /// Why the node cannot take pods; none: it can.
    not_ready: watch::Sender<Option<String>>,
    usage: watch::Sender<Vec<PoolUsage>>,
    loopback_waits: watch::Sender<Latencies>,
}

/// What is known of all attachments. Held for moments, never across an await.
#[derive(Default)]
struct Table {
    records: RecordTable,
    allocator: Allocator,
    /// The attachments that were admitted since the agent was started.
    admitted: BTreeSet<AttachmentId>,
    /// The mark that was given last.
    last_slot: Option<FlowSlot>,
}

/// What [`Attachments`] is made of.
pub struct Parts<K, S> {
    pub kernel: K,
    pub source: S,
    pub store: Store,
    pub clock: Box<dyn Clock>,
    /// Where the plugin leaves the DELs that the agent missed.
    pub tombstones: PathBuf,
    /// What people are told.
    pub notices: Notices,
    /// What must be in force for a pod before its link comes up.
    pub admission: Arc<dyn Admission>,
}

impl<K: Links + Node, S: Source> Attachments<K, S> {
    /// Knows nothing yet: [`Attachments::recover`] comes first.
    pub fn new(parts: Parts<K, S>) -> Self {
        let Parts { kernel, source, store, clock, tombstones, notices, admission } = parts;
        Self {
            kernel,
            source,
            store,
            clock,
            tombstones,
            notices,
            admission,
            locks: Locks::default(),
            table: Mutex::default(),
            host: watch::Sender::default(),
            not_ready: watch::Sender::new(Some("the agent is starting".to_owned())),
            usage: watch::Sender::default(),
            loopback_waits: watch::Sender::default(),
        }
    }

    /// What is wanted right now.
    pub fn desired(&self) -> Arc<Desired> {
        self.source.desired().borrow().clone()
    }

    /// Follows what is wanted.
    pub fn follow_desired(&self) -> watch::Receiver<Arc<Desired>> {
        self.source.desired()
    }

    pub fn now(&self) -> jiff::Timestamp {
        self.clock.now()
    }

    /// All records, by attachment.
    pub fn records(&self) -> Vec<Record> {
        self.table().records.all().values().map(|record| Record::clone(record)).collect()
    }

    /// The pod of an attachment that is recorded.
    pub fn pod(&self, id: &AttachmentId) -> Option<PodName> {
        self.record(id).map(|record| record.pod)
    }

    /// The node as last seen.
    pub fn host_view(&self) -> NodeView {
        self.host.borrow().clone()
    }

    /// Follows the node, as it is seen.
    pub fn follow_host(&self) -> watch::Receiver<NodeView> {
        self.host.subscribe()
    }

    pub fn follow_records(&self) -> watch::Receiver<Records> {
        self.table().records.follow()
    }

    /// Follows why the node cannot take pods; none: it can.
    pub fn follow_not_ready(&self) -> watch::Receiver<Option<String>> {
        self.not_ready.subscribe()
    }

    /// Follows how long ADDs have waited for `lo`.
    pub fn follow_loopback_waits(&self) -> watch::Receiver<Latencies> {
        self.loopback_waits.subscribe()
    }

    /// Follows how full the node's pools are.
    pub fn follow_usage(&self) -> watch::Receiver<Vec<PoolUsage>> {
        self.usage.subscribe()
    }

    /// Follows the addresses of the attachments that are ready.
    pub fn follow_addresses(&self) -> watch::Receiver<BTreeSet<PodAddresses>> {
        self.table().records.follow_addresses()
    }

    /// Follows the attachments that are ready and have addresses which their pods have named.
    pub fn follow_claimants(&self) -> watch::Receiver<Claimants> {
        self.table().records.follow_claimants()
    }

    /// Where what is wanted comes from.
    pub fn source(&self) -> &S {
        &self.source
    }

    pub fn kernel(&self) -> &K {
        &self.kernel
    }

    /// How full the node's pools are.
    pub fn usage(&self) -> Vec<PoolUsage> {
        let Some(plan) = self.desired().node.clone() else { return Vec::new() };
        let now = self.clock.now();
        self.table().allocator.usage(&plan.pools, now, plan.cooldown)
    }

    /// Why the node cannot take pods; none when it can. What STATUS answers with.
    pub fn not_ready(&self) -> Option<String> {
        let desired = self.desired();
        match &desired.node {
            None if self.source.trouble().is_some() => self.source.trouble(),
            None if desired.config.refused.is_some() => desired.config.refused.clone(),
            None => {
                Some(format!("there is no NodeConfig for this node: {}", self.source.advice("a NodeConfig")))
            }
            Some(plan) if plan.pools.v6.is_empty() && plan.pools.v4.is_empty() => {
                Some(format!("NodeConfig {} has neither spec.cidr6 nor spec.cidr4: add one", plan.name))
            }
            Some(_) if !self.host.borrow().prepared => {
                Some("the node's own settings are not made yet: try again in a second".to_owned())
            }
            Some(_) => None,
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // A panic while it was held would be a bug; what the table says is checked against store and kernel anyway.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self, id: &AttachmentId) -> Option<Record> {
        self.table().records.get(id)
    }

    /// The facts of a record's host link, if there is one and it is the record's.
    async fn own_host_link(
        &self,
        record: &Record,
    ) -> Result<Option<BTreeSet<flock_core::link::Fact>>, AttachError> {
        let link = self.kernel.host_link(&record.host_link).await?;
        Ok(link.filter(|link| owns(&record.id, link)).map(|link| link.facts))
    }
}
