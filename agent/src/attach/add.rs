//! ADD.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use flock_core::attachment::{AttachmentId, IfName, PodName};
use flock_core::ipam::Draw;
use flock_core::lifecycle::recovery::owns;
use flock_core::link::{Observed, PodObserved, Scope, host_link_name, plan};
use flock_core::node::NodePlan;
use flock_core::pod::Pod;
use flock_core::pod::intent::{self, PodIntent};
use flock_core::prefix::Family;
use flock_core::record::{NewRecord, Phase, Record};
use flock_kernel::{Links, Node};

use super::{AttachError, Attachments, Loopback, notices};
use crate::environment::SystemRandom;
use crate::source::Source;

/// What the runtime asks for.
#[derive(Debug, Clone)]
pub struct AddCall {
    pub id: AttachmentId,
    /// The pod's network namespace.
    pub netns: PathBuf,
    pub pod: PodName,
    /// Its UID, where the runtime sends it.
    pub uid: Option<String>,
    pub network: String,
    /// What is known of the runtime's plugin for `lo`.
    pub loopback: Loopback,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attached {
    pub record: Record,
    /// The link's MTU in bytes.
    pub mtu: u32,
    /// The family to be listed first.
    pub primary: Family,
}

/// A host link's name that may be used, and whether something of an earlier attempt still bears it.
struct HostLinkName {
    name: IfName,
    remnant: bool,
}

/// Names are tried this often; each further one is a re-hash, so that even the second is hardly ever taken.
const NAME_TRIES: u32 = 16;

impl<K: Links + Node, S: Source> Attachments<K, S> {
    /// Gives a container its interface. For one that has it already, the same answer, after a repair if need be.
    pub async fn add(&self, call: AddCall) -> Result<Attached, AttachError> {
        let _lock = self.locks.lock(&call.id).await;
        tracing::debug!(netns = %call.netns.display(), uid = call.uid, "nobody else works on the attachment");
        self.replay_tombstone(&call.id).await?;
        let added = match self.record(&call.id) {
            Some(record) if record.phase == Phase::Ready => self.add_again(&call, record).await,
            Some(record) => {
                self.remove(&record).await?;
                self.add_new(&call).await
            }
            None => self.add_new(&call).await,
        };
        let failure = added.as_ref().err();
        let notices = failure.map(|error| notices::of_failure(&call, self.uid(&call), error));
        notices.into_iter().flatten().for_each(|notice| self.notices.tell(notice));
        added
    }

    /// The pod's UID, where anybody knows it.
    fn uid(&self, call: &AddCall) -> Option<String> {
        let known = || self.desired().own_pod(&call.pod)?.uid.clone();
        call.uid.clone().or_else(known)
    }

    async fn add_again(&self, call: &AddCall, record: Record) -> Result<Attached, AttachError> {
        let record = self.adopt_namespace(record, &call.netns)?;
        let observed = Observed {
            host: self.own_host_link(&record).await?,
            pod: self.kernel.pod(&call.netns, &call.id.ifname).await?,
        };
        let attached = self.answer(record);
        let spec = attached.record.link(attached.mtu);
        self.bring_up(&attached.record, &spec, &plan(&spec, &observed, Scope::Attach)).await?;
        Ok(attached)
    }

    async fn add_new(&self, call: &AddCall) -> Result<Attached, AttachError> {
        let node = self.node_plan()?;
        let pod = self.find_pod(call).await?;
        let (intent, warnings) = intent::resolve(&node, &pod)?;
        for warning in warnings {
            tracing::warn!(pod = %pod.name, "{warning}");
            self.notices.tell(notices::of_warning(call, self.uid(call), warning.to_string()));
        }
        let (record, remnant) = self.reserve(call, &node, &intent).await?;
        tracing::debug!(link = %record.host_link, addresses = %record.addresses, remnant, "reserved");
        match self.establish(&record, remnant, call.loopback).await {
            Ok(ready) => {
                tracing::info!(attachment = %ready.id, pod = %ready.pod, link = %ready.host_link, addresses = %ready.addresses, "attached");
                Ok(self.answer(ready))
            }
            Err(error) => {
                tracing::warn!(attachment = %record.id, pod = %record.pod, %error, "ADD failed; undoing it");
                self.undo(&record).await;
                Err(error)
            }
        }
    }

    pub(super) fn node_plan(&self) -> Result<Arc<NodePlan>, AttachError> {
        match (self.not_ready(), &self.desired().node) {
            (None, Some(plan)) => Ok(Arc::clone(plan)),
            (reason, _) => Err(AttachError::NotReady(reason.unwrap_or_default())),
        }
    }

    pub(super) async fn find_pod(&self, call: &AddCall) -> Result<Arc<Pod>, AttachError> {
        let lookup = || self.desired().own_pod(&call.pod).cloned();
        let current = |pod: &Arc<Pod>| match (&pod.uid, &call.uid) {
            (Some(known), Some(asked)) => known == asked,
            _ => true,
        };
        if let Some(pod) = lookup().filter(current) {
            return Ok(pod);
        }
        tracing::debug!("the pod is not known yet: asking for it");
        self.source.refresh(&call.pod, call.uid.as_deref()).await;
        match lookup() {
            Some(pod) if current(&pod) => Ok(pod),
            Some(pod) => Err(AttachError::OtherPod {
                pod: call.pod.clone(),
                known: pod.uid.clone().unwrap_or_default(),
                asked: call.uid.clone().unwrap_or_default(),
            }),
            None => Err(AttachError::UnknownPod {
                pod: call.pod.clone(),
                advice: self.source.advice("a manifest of it"),
            }),
        }
    }

    /// Takes a host link name and addresses. Both are taken in the table at once, so that no other ADD takes them.
    async fn reserve(
        &self,
        call: &AddCall,
        node: &NodePlan,
        intent: &PodIntent,
    ) -> Result<(Record, bool), AttachError> {
        for attempt in 0..NAME_TRIES {
            let Some(HostLinkName { name, remnant }) = self.host_link_name(&call.id, attempt).await? else {
                continue;
            };
            if let Some(record) = self.enter(call, node, intent, &name)? {
                return Ok((record, remnant));
            }
        }
        Err(AttachError::NoHostLinkName(call.id.clone(), host_link_name(&call.id, 0).to_string()))
    }

    async fn host_link_name(
        &self,
        id: &AttachmentId,
        attempt: u32,
    ) -> Result<Option<HostLinkName>, AttachError> {
        let name = host_link_name(id, attempt);
        let link = self.kernel.host_link(&name).await?;
        Ok(match link {
            None => Some(HostLinkName { name, remnant: false }),
            Some(link) if owns(id, &link) => Some(HostLinkName { name, remnant: true }),
            Some(_) => None,
        })
    }

    fn enter(
        &self,
        call: &AddCall,
        node: &NodePlan,
        intent: &PodIntent,
        name: &IfName,
    ) -> Result<Option<Record>, AttachError> {
        let now = self.clock.now();
        let mut table = self.table();
        if table.records.all().values().any(|record| record.host_link == *name) {
            return Ok(None);
        }
        let claimed = self.claim(intent, &mut table)?;
        let draw = Draw { random: &mut SystemRandom, now, cooldown: node.cooldown };
        let addresses = table.allocator.allocate(&call.id, intent, draw)?;
        let new = NewRecord {
            id: call.id.clone(),
            network: call.network.clone(),
            pod: call.pod.clone(),
            uid: call.uid.clone(),
            netns: Some(call.netns.clone()),
            host_link: name.clone(),
            addresses,
            claimed,
            created: now,
        };
        let record = Record::new(Phase::Adding, new);
        table.records.insert(record.clone());
        Ok(Some(record))
    }

    async fn establish(
        &self,
        record: &Record,
        remnant: bool,
        loopback: Loopback,
    ) -> Result<Record, AttachError> {
        self.store.save(record)?;
        let spec = record.link(self.host_view().mtu);
        if loopback != Loopback::Settled && !record.claimed.anycast.is_empty() {
            self.await_loopback(&record.id, record.netns.as_deref()).await?;
        }
        let nothing = PodObserved::Facts(BTreeSet::new());
        let observed = Observed { host: remnant.then(BTreeSet::new), pod: nothing };
        self.bring_up(record, &spec, &plan(&spec, &observed, Scope::Attach)).await?;
        let ready = record.in_phase(Phase::Ready);
        self.store.save(&ready)?;
        self.table().records.insert(ready.clone());
        Ok(ready)
    }

    fn answer(&self, record: Record) -> Attached {
        let primary = self.desired().node.as_ref().map_or(Family::IPv6, |plan| plan.primary);
        Attached { record, mtu: self.host_view().mtu, primary }
    }

    /// The record with the namespace that the runtime names: a record rebuilt from the kernel does not know it.
    pub(super) fn adopt_namespace(
        &self,
        record: Record,
        netns: &std::path::Path,
    ) -> Result<Record, AttachError> {
        if record.netns.as_deref() == Some(netns) {
            return Ok(record);
        }
        let record = record.in_namespace(netns.to_owned());
        self.store.save(&record)?;
        self.table().records.insert(record.clone());
        Ok(record)
    }
}
