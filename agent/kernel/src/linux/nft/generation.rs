//! Others' commits, as the kernel tells of them.

use std::sync::Arc;

use tokio::sync::mpsc::WeakUnboundedSender;
use tokio::sync::oneshot;

use super::actor::{Asked, Request};
use super::message::{Netfilter, kind};
use crate::linux::multicast::{Listener, Notification};
use crate::linux::netns::Namespace;
use crate::linux::residents::Watcher;

/// `NFNLGRP_NFTABLES`.
const GROUPS: &[u32] = &[7];

/// Lets the thread check its tables whenever a generation has begun, until it ends. Must be called in a tokio runtime.
pub(super) fn follow(
    node: &Arc<Namespace>,
    residents: &Watcher,
    notices: WeakUnboundedSender<Asked>,
    end: oneshot::Receiver<()>,
) {
    match Listener::open::<Netfilter>(Arc::clone(node), GROUPS) {
        Ok(listener) => {
            residents.spawn("nft-generations", async move {
                let following = listener.follow(|notification| {
                    if begins_generation(&notification) {
                        // Who cannot be told does not work any more.
                        let _ = notices.upgrade().map(|notices| notices.send(Request::Check.into()));
                    }
                });
                tokio::select! {
                    _ = end => {}
                    () = following => {}
                }
            });
        }
        // What others do is noticed with the next change.
        Err(error) => tracing::warn!(%error, "others' changes to nftables cannot be followed"),
    }
}

/// Whether somebody has committed something, or may have. What they have changed is told before that, one by one.
fn begins_generation(notification: &Notification<'_>) -> bool {
    match notification {
        Notification::Message(message) => message.kind() == Some(kind::NEW_GENERATION),
        Notification::Lost(_) => true,
    }
}
