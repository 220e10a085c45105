//! Notices as Events (`events.k8s.io/v1`), on pods and on the Node: `kubectl describe` shows them.
//!
//! ```text
//!  attach -----------------------------Notice--+
//!  BGP, anycast, configuration, pools          +--> Sender: EventSeries (pure: new, again, or none) --> API server
//!    --> Watcher: EventDetector (pure: what is new) ----+
//! ```

mod detector;
mod sender;
mod series;
#[cfg(test)]
mod tests;
mod watcher;

use self::sender::Sender;
use self::watcher::Watcher;
use super::Parts;
use crate::environment::SystemClock;
use crate::notice::Notices;

/// Tells of everything that there is to tell, for ever.
pub(super) async fn send(parts: Parts) {
    let Parts { client, node, own, inputs, notices: told, .. } = parts;
    let sender = Sender::new(client, node, own.node, Box::new(SystemClock));
    let (notices, seen) = Notices::channel();
    let watcher = Watcher { inputs, notices };
    tokio::join!(sender.run(told, seen), watcher.run());
}
