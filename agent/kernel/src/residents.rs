//! What the kernel keeps at work between calls: threads and tasks that live as long as it does.

use flock_core::supervision::Failed;

/// The kernel's own threads and tasks. Without one of them calls fail, or changes are not noticed any more, and no call
/// brings it back.
pub trait Residents: Send + Sync + 'static {
    /// Waits until one of them has ended before its time.
    fn failed(&self) -> impl Future<Output = Failed> + Send;
}
