//! CHECK, and what people are shown of one attachment.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;

use flock_core::attachment::AttachmentId;
use flock_core::link::{Comparison, Observed, PodObserved, compare};
use flock_core::record::{Phase, Record};
use flock_kernel::{Links, Node};

use super::{AttachError, Attachments};
use crate::source::Source;

/// What the runtime wants checked.
#[derive(Debug, Clone)]
pub struct CheckCall {
    pub id: AttachmentId,
    /// The pod's network namespace.
    pub netns: PathBuf,
    /// The addresses that prevResult gives it.
    pub addresses: BTreeSet<IpAddr>,
    /// The names of prevResult's interfaces of ours on the host.
    pub host_links: BTreeSet<String>,
}

/// An attachment, desired beside observed.
#[derive(Debug, Clone)]
pub struct Inspection {
    pub record: Record,
    /// The MTU that it should have, in bytes.
    pub mtu: u32,
    pub facts: Vec<Comparison>,
}

impl<K: Links + Node, S: Source> Attachments<K, S> {
    /// Compares prevResult with the record, and the record with the kernel (CNI spec 1.1, "CHECK").
    pub async fn check(&self, call: CheckCall) -> Result<(), AttachError> {
        let _lock = self.locks.lock(&call.id).await;
        let record = self.record(&call.id).filter(|record| record.phase == Phase::Ready);
        let record = record.ok_or_else(|| AttachError::Unknown(call.id.clone()))?;
        let record = match &record.netns {
            Some(known) if *known != call.netns => {
                return Err(AttachError::OtherNamespace { given: call.netns, known: known.clone() });
            }
            _ => self.adopt_namespace(record, &call.netns)?,
        };
        let mut drift = contradictions(&call, &record);
        let inspection = self.inspect(record).await?;
        drift.extend(inspection.facts.iter().filter(|row| row.verdict.is_drift()).map(describe));
        if drift.is_empty() { Ok(()) } else { Err(AttachError::Drift { id: call.id, drift }) }
    }

    /// Looks at the kernel for one attachment.
    pub async fn inspect(&self, record: Record) -> Result<Inspection, AttachError> {
        let mtu = self.host_view().mtu;
        let pod = match &record.netns {
            Some(netns) => self.kernel.pod(netns, &record.id.ifname).await?,
            None => PodObserved::Unknown,
        };
        let observed = Observed { host: self.own_host_link(&record).await?, pod };
        let facts = compare(&record.link(mtu), &observed);
        Ok(Inspection { record, mtu, facts })
    }

    /// The one attachment that a person means: by container ID or a beginning of it, by `CONTAINER_ID@IFNAME`, by
    /// `NAMESPACE/POD`, or by the host link's name.
    pub fn select(&self, selector: &str) -> Result<Record, AttachError> {
        let ambiguous = |found: String| AttachError::Ambiguous { selector: selector.to_owned(), found };
        let records = self.records();
        let exact = |record: &&Record| {
            record.id.to_string() == selector
                || record.pod.to_string() == selector
                || record.host_link.as_str() == selector
        };
        let by_beginning =
            |record: &&Record| !selector.is_empty() && record.id.to_string().starts_with(selector);
        let mut found: Vec<&Record> = records.iter().filter(exact).collect();
        if found.is_empty() {
            found = records.iter().filter(by_beginning).collect();
        }
        match found.as_slice() {
            [record] => Ok((*record).clone()),
            [] => Err(ambiguous("no attachment of this node".to_owned())),
            several => {
                let ids: Vec<String> = several.iter().map(|record| record.id.to_string()).collect();
                Err(ambiguous(format!("several attachments: {}", ids.join(", "))))
            }
        }
    }
}

/// What prevResult says and the record does not.
fn contradictions(call: &CheckCall, record: &Record) -> Vec<String> {
    let held: BTreeSet<IpAddr> = record.addresses.iter().collect();
    let mut contradictions = Vec::new();
    for address in call.addresses.difference(&held) {
        contradictions.push(format!("prevResult has address {address}, the attachment does not"));
    }
    for address in held.difference(&call.addresses) {
        contradictions.push(format!("the attachment has address {address}, prevResult does not"));
    }
    if !call.host_links.is_empty() && !call.host_links.contains(record.host_link.as_str()) {
        contradictions.push(format!(
            "the attachment's host interface is {}, prevResult does not have it",
            record.host_link
        ));
    }
    contradictions
}

fn describe(row: &Comparison) -> String {
    let Comparison { side, subject, desired, observed, verdict } = row;
    match (desired, observed) {
        (Some(desired), Some(observed)) => format!("{side} {subject} is {observed}, should be {desired}"),
        (Some(desired), None) => format!("{side} {subject} ({desired}) is missing"),
        (None, observed) => {
            format!("{side} {subject} ({}) is {}", observed.as_deref().unwrap_or_default(), verdict.as_str())
        }
    }
}
