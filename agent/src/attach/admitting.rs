//! Links come up for attachments that are admitted, and for no others.

use flock_core::attachment::AttachmentId;
use flock_core::link::{LinkChange, LinkSpec};
use flock_core::record::Record;
use flock_kernel::{Links, Node};

use super::{AttachError, Attachments};
use crate::source::Source;

impl<K: Links + Node, S: Source> Attachments<K, S> {
    /// Makes the changes that give an attachment its link, once it is admitted. Nothing else in the agent brings a pod's
    /// link up.
    pub(super) async fn bring_up(
        &self,
        record: &Record,
        spec: &LinkSpec,
        changes: &[LinkChange],
    ) -> Result<(), AttachError> {
        self.admit(record).await?;
        tracing::debug!(changes = changes.len(), "admitted; the link is next");
        Ok(self.kernel.change_link(spec, changes).await?)
    }

    /// Puts in force what the attachment needs.
    pub(super) async fn admit(&self, record: &Record) -> Result<(), AttachError> {
        self.admission.admit(record).await?;
        self.table().admitted.insert(record.id.clone());
        Ok(())
    }

    /// Whether the attachment was admitted since the agent was started.
    pub(super) fn is_admitted(&self, id: &AttachmentId) -> bool {
        self.table().admitted.contains(id)
    }

    /// Takes that back. The attachment's link is gone.
    pub(super) async fn release(&self, id: &AttachmentId) {
        self.table().admitted.remove(id);
        self.admission.release(id).await;
    }
}
