//! The agent's own Node.

use serde::Deserialize;

use super::super::shelf::{Kind, Meta, Reading};
use super::{named, read};
use crate::source::document::NodeManifest;
use crate::source::objects::NodeObject;
use crate::source::own::{OwnNode, SeenCondition};

/// Nodes.
#[derive(Debug, Default)]
pub(in crate::source::kubernetes) struct Nodes;

/// What is kept of a Node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::source::kubernetes) struct Node {
    /// What configuration asks about.
    pub(in crate::source::kubernetes) node: NodeObject,
    /// What those ask about who write to it.
    pub(in crate::source::kubernetes) own: OwnNode,
}

#[derive(Deserialize)]
struct Extra {
    metadata: Identity,
    #[serde(default)]
    status: Status,
}

#[derive(Deserialize)]
struct Identity {
    #[serde(default)]
    uid: String,
}

#[derive(Deserialize, Default)]
struct Status {
    #[serde(default)]
    conditions: Vec<Condition>,
}

#[derive(Deserialize)]
struct Condition {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    reason: String,
}

impl Kind for Nodes {
    type Key = String;
    type Value = Node;

    fn key(&self, meta: &Meta) -> Option<String> {
        named(meta)
    }

    fn read(&mut self, text: &str, former: Option<&Node>) -> Reading<Node> {
        read(text, "Node", former, |NodeManifest { node, .. }| {
            let Extra { metadata, status } = super::whole(text)?;
            let mut conditions = status.conditions.into_iter();
            let network = conditions.find(|condition| condition.kind == "NetworkUnavailable");
            let network_unavailable =
                network.map(|Condition { status, reason, .. }| SeenCondition { status, reason });
            Ok(Some(Node { node, own: OwnNode { uid: metadata.uid, network_unavailable } }))
        })
    }
}
