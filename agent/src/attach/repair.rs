//! Keeping the kernel as it should be: drift, MTU, node-wide settings, orphans.

use std::collections::BTreeSet;

use flock_core::attachment::{AttachmentId, IfName};
use flock_core::host::{self, HostState};
use flock_core::lifecycle::recovery::owns;
use flock_core::lifecycle::sweep::{Suspect, suspects};
use flock_core::link::{Fact, LinkAlias, LinkChange, Observed, PodObserved, Scope, plan};
use flock_core::record::{Phase, Record};
use flock_kernel::{Links, Node};

use super::{AttachError, Attachments, NodeView};
use crate::source::Source;

/// What one reconcile found.
#[derive(Debug, Default)]
pub struct Reconciled {
    /// Somebody was busy with an attachment that looked wrong: look again soon.
    pub again: bool,
    /// What looks like an orphan.
    pub suspects: BTreeSet<Suspect>,
}

/// How the repair of one attachment ended.
enum Repair {
    Done,
    Busy,
    /// Its link and its namespace are gone.
    Vanished,
}

impl<K: Links + Node, S: Source> Attachments<K, S> {
    /// One full look at the kernel, and what follows from it. Repairs; never flushes.
    pub async fn reconcile(&self) -> Result<Reconciled, AttachError> {
        self.replay_tombstones().await;
        let state = self.kernel.host().await?;
        self.reconcile_host(&state).await?;
        let mut reconciled = Reconciled::default();
        let mut vanished = BTreeSet::new();
        let mtu = self.host_view().mtu;
        for record in self.records() {
            let is_right = self.is_admitted(&record.id) && !drifted(&record, &state, mtu);
            if record.phase == Phase::Ready && is_right {
                continue;
            }
            match self.repair(&record.id).await {
                Ok(Repair::Done) => {}
                // An ADD or DEL that is under way looks wrong until it is done: that is nothing to hurry for.
                Ok(Repair::Busy) => reconciled.again |= record.phase == Phase::Ready,
                Ok(Repair::Vanished) => vanished.extend([record.id]),
                Err(error) => {
                    tracing::warn!(attachment = %record.id, pod = %record.pod, %error, "cannot repair; will try again");
                }
            }
        }
        let recorded = self.records().into_iter().map(|record| record.id).collect();
        reconciled.suspects = suspects(&recorded, &vanished, &state.flock_links);
        Ok(reconciled)
    }

    /// Node-wide settings, and the MTU for pods to come.
    async fn reconcile_host(&self, state: &HostState) -> Result<(), AttachError> {
        let Some(node) = self.desired().node.clone() else { return Ok(()) };
        let (mtu, uplinks) = (host::pod_mtu(&node, state), host::uplinks(&node, state));
        let view = NodeView { mtu, uplinks, subnets: state.subnets.clone(), prepared: true };
        let changes = host::plan(&node, state);
        for change in &changes {
            tracing::info!(%change, "node");
        }
        self.kernel.change_host(&changes).await?;
        self.host.send_if_modified(|former| {
            if (former.mtu, &former.uplinks) != (view.mtu, &view.uplinks) {
                let names: Vec<&str> = view.uplinks.iter().map(IfName::as_str).collect();
                tracing::info!(mtu = view.mtu, uplinks = names.join(","), "uplinks");
            }
            let changed = *former != view;
            *former = view;
            changed
        });
        Ok(())
    }

    async fn repair(&self, id: &AttachmentId) -> Result<Repair, AttachError> {
        let Some(_lock) = self.locks.try_lock(id) else { return Ok(Repair::Busy) };
        match self.record(id) {
            None => Ok(Repair::Done),
            Some(record) if record.phase == Phase::Ready => self.repair_ready(&record).await,
            // Its ADD could not be undone or its DEL not finished; nobody is busy with it any more.
            Some(record) => self.remove(&record).await.map(|()| Repair::Done),
        }
    }

    async fn repair_ready(&self, record: &Record) -> Result<Repair, AttachError> {
        let pod = match &record.netns {
            Some(netns) => self.kernel.pod(netns, &record.id.ifname).await?,
            None => PodObserved::Unknown,
        };
        let observed = Observed { host: self.own_host_link(record).await?, pod };
        let spec = record.link(self.host_view().mtu);
        let changes = plan(&spec, &observed, Scope::HostRepair);
        if changes.is_empty() {
            self.admit(record).await?;
            return Ok(if observed.host.is_none() { Repair::Vanished } else { Repair::Done });
        }
        tracing::warn!(attachment = %record.id, pod = %record.pod, drift = summary(&changes), "repairing");
        self.bring_up(record, &spec, &changes).await?;
        Ok(Repair::Done)
    }

    /// Lets addresses go whose rest has ended.
    pub fn end_cool_downs(&self) {
        let Some(node) = self.desired().node.clone() else { return };
        let rested = self.table().allocator.expire(self.clock.now(), node.cooldown);
        for address in rested {
            self.store
                .end_cool_down(address)
                .unwrap_or_else(|error| tracing::warn!(%address, %error, "cannot note the end of a rest"));
        }
        self.publish();
    }

    /// Removes an orphan, after a last look.
    pub async fn remove_orphan(&self, orphan: &Suspect) -> Result<(), AttachError> {
        match orphan {
            Suspect::Record(id) => {
                let Some(_lock) = self.locks.try_lock(id) else { return Ok(()) };
                let Some(record) = self.record(id) else { return Ok(()) };
                if matches!(self.repair_ready(&record).await?, Repair::Vanished) {
                    tracing::warn!(attachment = %id, pod = %record.pod, "its sandbox is gone without a DEL; releasing it");
                    self.remove(&record).await?;
                }
                Ok(())
            }
            Suspect::Link(name) => self.remove_orphan_link(name).await,
        }
    }

    async fn remove_orphan_link(&self, name: &IfName) -> Result<(), AttachError> {
        let link = self.kernel.host_link(name).await?;
        let alias = link.as_ref().and_then(|link| link.alias.as_deref()?.parse::<LinkAlias>().ok());
        let (Some(link), Some(LinkAlias { id, pod })) = (link, alias) else { return Ok(()) };
        let Some(_lock) = self.locks.try_lock(&id) else { return Ok(()) };
        if self.record(&id).is_none() && owns(&id, &link) {
            tracing::warn!(link = %name, attachment = %id, %pod, "nobody knows this link any more; removing it");
            self.kernel.delete_link(name).await?;
        }
        Ok(())
    }
}

/// Whether a look at the host side shows that something is wrong.
fn drifted(record: &Record, state: &HostState, mtu: u32) -> bool {
    let link = state.flock_links.get(&record.host_link).filter(|link| owns(&record.id, link));
    let Some(link) = link else { return true };
    let observed = Observed { host: Some(link.facts.clone()), pod: PodObserved::Unknown };
    !plan(&record.link(mtu), &observed, Scope::HostRepair).is_empty()
}

/// What is repaired, on one line.
fn summary(changes: &[LinkChange]) -> String {
    let words = changes.iter().map(|change| match change {
        LinkChange::DeletePair => "delete the pair".to_owned(),
        LinkChange::CreatePair => "the pair is missing".to_owned(),
        LinkChange::Set(fact @ (Fact::Link { .. } | Fact::Mac { .. } | Fact::Mtu { .. })) => {
            format!("set {fact}")
        }
        LinkChange::Set(fact) => format!("missing {fact}"),
        LinkChange::Unset(fact) => format!("surplus {fact}"),
    });
    words.take(8).collect::<Vec<_>>().join(", ")
}
