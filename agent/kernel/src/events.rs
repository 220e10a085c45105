//! The kernel's events.

use crate::KernelError;

/// What the kernel tells by itself.
pub trait Events: Send + Sync + 'static {
    /// Follows the kernel from now on.
    fn watch(&self) -> Result<Changes, KernelError>;
}

/// Says that something flock may care about has changed: a flock link, a route, an address or a neighbour on one
/// went away; an uplink or a default route changed; or messages were lost. What has changed is to be observed anew.
#[derive(Debug)]
pub struct Changes {
    receiver: tokio::sync::mpsc::Receiver<()>,
}

impl Changes {
    /// The receiving end for a sender of capacity one: many changes while nobody looks are one.
    pub fn channel() -> (tokio::sync::mpsc::Sender<()>, Self) {
        let (sender, receiver) = tokio::sync::mpsc::channel(1);
        (sender, Self { receiver })
    }

    /// Waits for the next change; false when the kernel cannot be followed any more.
    pub async fn changed(&mut self) -> bool {
        self.receiver.recv().await.is_some()
    }
}
