//! How the node is (NodeState), and whether it obeys its configuration (NodeConfig `status`).
//!
//! ```text
//!  Desired, readiness, pools, BGP, anycast --> Observer --Observed--+--> compose --> ConfigPublisher --> NodeConfig status
//!                                                                   |                  ^ own NodeConfig, own Node (watched)
//!                                                                   +--> compose --> StatePublisher --> NodeState
//!                                                                                      ^ own Node (watched)
//! ```
//!
//! All agents watch all NodeConfigs, so that every write of one is delivered to every node. No agent watches NodeStates.

mod compose;
mod conditions;
mod config_publisher;
mod observed;
mod observer;
mod outline;
mod state_publisher;
#[cfg(test)]
mod tests;

use std::time::Duration;

use tokio::sync::watch;

pub(super) use self::conditions::shortage;
use self::config_publisher::ConfigPublisher;
use self::observer::Observer;
use self::state_publisher::StatePublisher;
use super::Parts;
use crate::environment::SystemClock;

const API_VERSION: &str = "flock.fritzlab.net/v1alpha1";

/// Anycast addresses; `Ready` says so when there are more.
const ANYCAST_LISTED: usize = 100;

/// The longest text, in bytes.
const LONGEST_TEXT: usize = 1024;

/// Between two writes of what matters.
const APART: Duration = Duration::from_secs(2);

/// Keeps both as they should be, for ever.
pub(super) fn keep(parts: &Parts) -> impl Future<Output = ()> + use<> {
    let observed = watch::channel(None).0;
    let (client, node, own) = (&parts.client, &parts.node, &parts.own);
    let clock = || Box::new(SystemClock);
    let config = ConfigPublisher::new(client.clone(), node, own.clone(), observed.subscribe(), clock());
    let state = StatePublisher::new(client.clone(), node, own.node.clone(), observed.subscribe(), clock());
    let observer = Observer {
        inputs: parts.inputs.clone(),
        node: node.clone(),
        bird: parts.bird.clone(),
        own: own.clone(),
        observed,
        advertised: None,
    };
    async move {
        tokio::join!(observer.run(), config.run(), state.run());
    }
}

/// A text that is not too long.
fn cut(text: String) -> String {
    super::cut(text, LONGEST_TEXT)
}
