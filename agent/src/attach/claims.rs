//! Who may have the addresses that pods name themselves: asked at ADD, and again whenever AddressPools change.

use std::collections::BTreeSet;
use std::net::IpAddr;

use flock_core::claim::{Claimed, Ownership};
use flock_core::pod::intent::{self, PodIntent};
use flock_core::record::Record;
use flock_core::steering::FlowSlot;
use flock_kernel::{Links, Node};

use super::{AttachError, Attachments, Table};
use crate::source::Source;

impl<K: Links + Node, S: Source> Attachments<K, S> {
    /// Judges all claims of a pod that is to be attached, and gives its connections a mark.
    pub(super) fn claim(&self, intent: &PodIntent, table: &mut Table) -> Result<Claimed, AttachError> {
        let addresses: BTreeSet<IpAddr> = intent.static_addresses().iter().collect();
        let anycast = intent.anycast().clone();
        if addresses.is_empty() && anycast.is_empty() {
            return Ok(Claimed::default());
        }
        Ownership::new(&self.desired(), &self.host_view(), &table.records.all()).admit_all(
            intent.pod(),
            &addresses,
            &anycast,
        )?;
        let slot = if anycast.is_empty() { None } else { Some(table.slot()?) };
        Ok(Claimed { static_addresses: addresses, anycast, slot })
    }

    /// The record of a link without one, with the anycast addresses that its pod's annotation names today: the kernel
    /// knows of them in the pod alone.
    pub(super) fn reclaim(&self, mut record: Record) -> Record {
        let desired = self.desired();
        let pod = desired.own_pod(&record.pod);
        let intent = pod.zip(desired.node.as_deref()).and_then(|(pod, node)| intent::resolve(node, pod).ok());
        record.claimed.anycast = intent.map(|(intent, _)| intent.anycast().clone()).unwrap_or_default();
        if !record.claimed.anycast.is_empty() {
            record.claimed.slot = self.table().slot().ok();
        }
        record
    }
}

impl Table {
    /// A mark that no other attachment's connections have.
    fn slot(&mut self) -> Result<FlowSlot, AttachError> {
        let taken = self.records.all().values().filter_map(|record| record.claimed.slot).collect();
        let slot = FlowSlot::next(&taken, self.last_slot).ok_or(AttachError::NoSlot)?;
        self.last_slot = Some(slot);
        Ok(slot)
    }
}
