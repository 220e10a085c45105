//! Telling those who follow, if there is something to tell.

use tokio::sync::watch;

/// Publishes `value` if it differs from what was published last.
pub fn publish_change<T: PartialEq>(to: &watch::Sender<T>, value: T) {
    to.send_if_modified(|published| {
        let changed = *published != value;
        *published = value;
        changed
    });
}
