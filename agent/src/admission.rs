//! What must be in force for a pod before a packet of its passes: network policy and anti-spoofing.
//!
//! [`crate::attach`] asks before it brings a link up, whatever it does that for: ADD, repair or recovery.

use std::future::Future;
use std::pin::Pin;

use flock_core::attachment::AttachmentId;
use flock_core::record::Record;

/// A future that a trait object can return.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a pod needs is not in force. Its link stays down.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AdmissionError(pub String);

/// Admits attachments to the network. All of it is idempotent.
pub trait Admission: Send + Sync + 'static {
    /// Puts in force what holds for every pod, known or not: at boot, before anything is attached or repaired.
    fn prepare(&self) -> Pending<'_, Result<(), AdmissionError>>;

    /// Puts in force what holds for one attachment. Its link comes up afterwards, and only if this succeeds.
    fn admit<'a>(&'a self, record: &'a Record) -> Pending<'a, Result<(), AdmissionError>>;

    /// Takes back what `admit` has put in force: the attachment's link is gone. What cannot be taken back now is taken
    /// back later: a DEL does not wait for it.
    fn release<'a>(&'a self, id: &'a AttachmentId) -> Pending<'a, ()>;
}

/// A node without any policy: everybody is admitted.
#[derive(Debug, Clone, Copy, Default)]
pub struct AdmitAll;

impl Admission for AdmitAll {
    fn prepare(&self) -> Pending<'_, Result<(), AdmissionError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn admit<'a>(&'a self, _: &'a Record) -> Pending<'a, Result<(), AdmissionError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn release<'a>(&'a self, _: &'a AttachmentId) -> Pending<'a, ()> {
        Box::pin(std::future::ready(()))
    }
}
