//! The runtime's own plugin for `lo`.
//!
//! containerd runs the reference plugin `loopback` beside ours, in the same sandbox and at the same time. It sets `lo` up,
//! then looks at its addresses and fails when one is not a loopback address. So anycast addresses, which are on `lo`, come
//! after it has ended. That `lo` is up shows that it runs; that it has ended only our plugin can see, which is executed by
//! the runtime as that one is. A runtime without such a plugin sets `lo` up itself, before it calls us.

use std::path::Path;
use std::time::Duration;

use flock_core::attachment::AttachmentId;
use flock_core::link::{Fact, PodObserved};
use flock_core::pod::intent;
use flock_core::record::Phase;
use flock_kernel::{Links, Node};
use tokio::time::{Instant, sleep};

use super::{AddCall, AttachError, Attachments};
use crate::source::Source;

/// How long `lo` may take: longer than a program takes to start on a busy node. A runtime that never sets it up is waited
/// for in vain.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Between two looks at `lo`.
const INTERVAL: Duration = Duration::from_millis(10);

/// What our plugin knows of the runtime's plugin for `lo`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loopback {
    /// Nothing: it is of an earlier release.
    Unknown,
    /// It can find out when that one has ended.
    Unsettled,
    /// That one has ended, or there is none.
    Settled,
}

impl<K: Links + Node, S: Source> Attachments<K, S> {
    /// Whether our plugin has to wait for the runtime's plugin for `lo` before this ADD; then `lo` is up, so that one runs
    /// or has ended. An ADD that cannot be carried out anyway says so itself.
    pub async fn awaits_loopback(&self, call: &AddCall) -> Result<bool, AttachError> {
        let is_ready = || self.record(&call.id).is_some_and(|record| record.phase == Phase::Ready);
        if call.loopback != Loopback::Unsettled || is_ready() || !self.asks_for_anycast(call).await {
            return Ok(false);
        }
        self.await_loopback(&call.id, Some(&call.netns)).await?;
        Ok(true)
    }

    async fn asks_for_anycast(&self, call: &AddCall) -> bool {
        let (Ok(node), Ok(pod)) = (self.node_plan(), self.find_pod(call).await) else { return false };
        intent::resolve(&node, &pod).is_ok_and(|(intent, _)| !intent.anycast().is_empty())
    }

    /// Waits until `lo` is up.
    pub(super) async fn await_loopback(
        &self,
        id: &AttachmentId,
        netns: Option<&Path>,
    ) -> Result<(), AttachError> {
        let Some(netns) = netns else { return Ok(()) };
        let start = Instant::now();
        let mut is_up = self.is_loopback_up(netns, id).await?;
        while !is_up && start.elapsed() < TIMEOUT {
            sleep(INTERVAL).await;
            is_up = self.is_loopback_up(netns, id).await?;
        }
        let waited = start.elapsed();
        self.loopback_waits.send_modify(|waits| waits.observe(waited));
        if !is_up {
            tracing::warn!(
                attachment = %id,
                ?waited,
                "the runtime has not set lo up; going on: its plugin for lo may fail, and the runtime tries again"
            );
        } else if waited >= INTERVAL {
            tracing::info!(attachment = %id, ?waited, "waited for the runtime to set lo up: anycast addresses come after that");
        }
        Ok(())
    }

    async fn is_loopback_up(&self, netns: &Path, id: &AttachmentId) -> Result<bool, AttachError> {
        let pod = self.kernel.pod(netns, &id.ifname).await?;
        Ok(matches!(pod, PodObserved::Facts(facts) if facts.contains(&Fact::LoopbackUp)))
    }
}
