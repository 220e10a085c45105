//! What the store remembers of an attachment: one JSON document, with a version.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::attachment::{AttachmentId, IfName, PodName};
use crate::claim::Claimed;
use crate::link::LinkSpec;
use crate::prefix::PodAddresses;

/// The version that this release writes.
pub const RECORD_VERSION: u32 = 1;

/// One attachment, as remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Record {
    version: u32,
    /// The attachment.
    pub id: AttachmentId,
    /// How far it is.
    pub phase: Phase,
    /// Name of the network that it belongs to; GC is scoped to it.
    pub network: String,
    /// The pod.
    pub pod: PodName,
    /// The pod's UID, where the runtime sent it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub uid: Option<String>,
    /// Path of the pod's network namespace; none after a rebuild from the kernel.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub netns: Option<PathBuf>,
    /// The host veth's name.
    pub host_link: IfName,
    /// Its addresses.
    pub addresses: PodAddresses,
    /// What its pod has claimed.
    #[serde(skip_serializing_if = "Claimed::is_empty", default)]
    pub claimed: Claimed,
    /// When the ADD came.
    pub created: Timestamp,
}

/// All attachments of a node.
pub type Records = BTreeMap<AttachmentId, Arc<Record>>;

/// The attachments that are ready and have addresses which their pods have named.
pub type Claimants = BTreeMap<AttachmentId, Record>;

/// How far an attachment is. Only a `Ready` one has been answered for; the other two are intents, finished by
/// removal after a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// ADD has begun.
    Adding,
    /// ADD is complete.
    Ready,
    /// DEL has begun.
    Deleting,
}

impl Phase {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Adding => "Adding",
            Phase::Ready => "Ready",
            Phase::Deleting => "Deleting",
        }
    }
}

/// Everything of a [`Record`] but its version.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are Record's")]
pub struct NewRecord {
    pub id: AttachmentId,
    pub network: String,
    pub pod: PodName,
    pub uid: Option<String>,
    pub netns: Option<PathBuf>,
    pub host_link: IfName,
    pub addresses: PodAddresses,
    pub claimed: Claimed,
    pub created: Timestamp,
}

/// A document that is not a record of ours.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Not JSON, or not of this shape.
    #[error("not an attachment record: {0}")]
    Malformed(#[from] serde_json::Error),
    /// Written by a later release.
    #[error("attachment record of version {0}, this release reads {RECORD_VERSION}")]
    Version(u32),
}

impl Record {
    /// A record of today's version.
    pub fn new(phase: Phase, new: NewRecord) -> Self {
        let NewRecord { id, network, pod, uid, netns, host_link, addresses, claimed, created } = new;
        let version = RECORD_VERSION;
        Self { version, id, phase, network, pod, uid, netns, host_link, addresses, claimed, created }
    }

    /// The same attachment in another phase.
    pub fn in_phase(&self, phase: Phase) -> Self {
        Self { phase, ..self.clone() }
    }

    /// The same attachment, in the network namespace at this path.
    pub fn in_namespace(self, netns: PathBuf) -> Self {
        Self { netns: Some(netns), ..self }
    }

    /// Reads a document.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let record: Self = serde_json::from_slice(bytes)?;
        if record.version == RECORD_VERSION { Ok(record) } else { Err(RecordError::Version(record.version)) }
    }

    /// Writes a document, ending in a newline.
    pub fn encode(&self) -> Result<Vec<u8>, RecordError> {
        let mut bytes = serde_json::to_vec_pretty(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// What its link must be like, at today's MTU.
    pub fn link(&self, mtu: u32) -> LinkSpec {
        LinkSpec {
            id: self.id.clone(),
            pod: self.pod.clone(),
            netns: self.netns.clone(),
            host: self.host_link.clone(),
            mtu,
            addresses: self.addresses,
            claimed: self.claimed.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        let new = NewRecord {
            id: "0f3c@eth0".parse().unwrap(),
            network: "flock".to_owned(),
            pod: "default/web-0".parse().unwrap(),
            uid: Some("u-1".to_owned()),
            netns: Some("/run/netns/web".into()),
            host_link: "flock0a1b2c3d".parse().unwrap(),
            addresses: PodAddresses { v6: Some("2001:db8::5".parse().unwrap()), v4: None },
            claimed: Claimed::default(),
            created: Timestamp::UNIX_EPOCH,
        };
        Record::new(Phase::Ready, new)
    }

    /// The document of version 1. It must stay readable for as long as nodes are upgraded from a release that wrote it.
    const DOCUMENT: &str = r#"{
  "version": 1,
  "id": "0f3c@eth0",
  "phase": "Ready",
  "network": "flock",
  "pod": "default/web-0",
  "uid": "u-1",
  "netns": "/run/netns/web",
  "hostLink": "flock0a1b2c3d",
  "addresses": {
    "v6": "2001:db8::5"
  },
  "created": "1970-01-01T00:00:00Z"
}
"#;

    #[test]
    fn a_record_survives_its_document() {
        assert_eq!(String::from_utf8(record().encode().unwrap()).unwrap(), DOCUMENT);
        assert_eq!(Record::decode(DOCUMENT.as_bytes()).unwrap(), record());
    }

    #[test]
    fn a_damaged_document_is_never_a_record() {
        for end in 0..DOCUMENT.len() - 2 {
            assert!(Record::decode(&DOCUMENT.as_bytes()[..end]).is_err(), "cut at {end}");
        }
        for (from, to) in
            [("0f3c@eth0", "a/b@eth0"), ("Ready", "Gone"), ("\"uid\"", "\"gid\""), ("2001:db8::5", "x")]
        {
            assert!(Record::decode(DOCUMENT.replace(from, to).as_bytes()).is_err(), "{to}");
        }
    }

    #[test]
    fn a_later_release_is_told_apart_from_damage() {
        let later = DOCUMENT.replace("\"version\": 1", "\"version\": 2");
        assert!(matches!(Record::decode(later.as_bytes()), Err(RecordError::Version(2))));
    }
}
