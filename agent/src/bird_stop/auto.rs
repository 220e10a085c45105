//! What BIRD is stopped for, as far as the API server can tell. What a preStop hook cannot know: it is called for a
//! rollout as for everything else.

use std::fmt;
use std::time::Duration;

use flock_core::kubernetes::stop_reason::{Node, Owner, StopReason, stop_reason};

use super::Purpose;
use crate::api::client::{self, Access};
use crate::bird_stop::stop_reason::{self, Identity};

/// An API server that is there answers at once. One that is not must not keep the hook: what is left of the pod's grace
/// period is BIRD's.
const TIMEOUT: Duration = Duration::from_secs(3);

/// A purpose, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    pub purpose: Purpose,
    pub reason: String,
}

/// Asks, and decides. It always comes to a decision, within some seconds.
pub async fn decide(access: &Access, identity: &Identity) -> Decided {
    match tokio::time::timeout(TIMEOUT, ask(access, identity)).await {
        Ok(Ok((node, owner))) => decided(stop_reason(&node, &owner)),
        Ok(Err(error)) => in_doubt(&format!("{error:#}")),
        Err(_) => in_doubt(&format!("no answer within {TIMEOUT:?}")),
    }
}

async fn ask(access: &Access, identity: &Identity) -> anyhow::Result<(Node, Owner)> {
    let client = client::connect(access).await?;
    Ok(stop_reason::ask(&client, identity).await)
}

fn decided(stop_reason: StopReason) -> Decided {
    let purpose = match stop_reason {
        StopReason::NodeGone | StopReason::NodeDeleted | StopReason::NodeShutsDown => Purpose::Shutdown,
        StopReason::DaemonSetDeleted | StopReason::NodeNotSelected | StopReason::NodeCordoned => {
            Purpose::Drain
        }
        StopReason::Replaced => Purpose::Rollout,
    };
    Decided { purpose, reason: stop_reason.to_string() }
}

fn in_doubt(why: &str) -> Decided {
    Decided { purpose: Purpose::Rollout, reason: format!("the API server cannot be asked ({why})") }
}

impl fmt::Display for Decided {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stopping for a {}: {}", self.purpose, self.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_goes_is_shut_down_one_without_flock_is_drained() {
        for (stop_reason, purpose) in [
            (StopReason::NodeGone, Purpose::Shutdown),
            (StopReason::NodeDeleted, Purpose::Shutdown),
            (StopReason::NodeShutsDown, Purpose::Shutdown),
            (StopReason::DaemonSetDeleted, Purpose::Drain),
            (StopReason::NodeNotSelected, Purpose::Drain),
            (StopReason::NodeCordoned, Purpose::Drain),
            (StopReason::Replaced, Purpose::Rollout),
        ] {
            assert_eq!(decided(stop_reason).purpose, purpose, "{stop_reason}");
        }
        assert_eq!(
            decided(StopReason::NodeCordoned).to_string(),
            "stopping for a drain: the node is cordoned"
        );
    }

    #[tokio::test]
    async fn in_doubt_the_routes_stay() {
        let nowhere = Access::Kubeconfig("/nowhere/kubeconfig".into());
        let identity = Identity { node: "a".into(), namespace: "b".into(), pod: "c".into() };
        let decided = decide(&nowhere, &identity).await;
        assert_eq!(decided.purpose, Purpose::Rollout);
        assert!(decided.reason.starts_with("the API server cannot be asked ("), "{decided}");
    }
}
