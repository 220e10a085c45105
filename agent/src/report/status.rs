//! NodeConfig `status`: what becomes of the node's configuration.
//!
//! ```text
//!  Desired, readiness, pools, BGP, anycast --> Observer --Observed--> compose (pure) --> NodeConfigStatus
//!                                                                                        | outline: does it matter?
//!  own NodeConfig, own Node (watched) ---------------------> Publisher <-----------------+
//!                                                                +--> API server (server-side apply)
//! ```

mod compose;
mod conditions;
mod observed;
mod observer;
mod outline;
mod publisher;
#[cfg(test)]
mod tests;

use tokio::sync::watch;

pub(super) use self::conditions::shortage;
use self::observer::Observer;
use self::publisher::Publisher;
use super::Parts;
use crate::environment::SystemClock;

/// Anycast addresses; `Ready` says so when there are more.
const ANYCAST_LISTED: usize = 100;

/// The longest text, in bytes.
const LONGEST_TEXT: usize = 1024;

/// Keeps the status as it should be, for ever.
pub(super) fn keep(parts: &Parts) -> impl Future<Output = ()> + use<> {
    let observed = watch::channel(None).0;
    let publisher = Publisher::new(
        parts.client.clone(),
        &parts.node,
        parts.own.clone(),
        observed.subscribe(),
        Box::new(SystemClock),
    );
    let observer = Observer {
        inputs: parts.inputs.clone(),
        node: parts.node.clone(),
        bird: parts.bird.clone(),
        own: parts.own.clone(),
        observed,
        advertised: None,
    };
    async move {
        tokio::join!(observer.run(), publisher.run());
    }
}

/// A text that is not too long.
fn cut(text: String) -> String {
    super::cut(text, LONGEST_TEXT)
}
