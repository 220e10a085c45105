//! NodeConfigs.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use flock_crds::node_config::NodeConfigSpec;
use flock_crds::selector::LabelSelector as Selector;
use flock_crds::status::NodeConfigStatus;
use flock_crds::{Kind as Schema, unknown_fields};
use ipnet::IpNet;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::super::shelf::{Kind, Meta, Reading};
use super::pod::same;
use super::{named, problem, unknown, whole};
use crate::source::field::Path;
use crate::source::node_config::{FieldError, part, typed, without_nulls};
use crate::source::objects::{ConfigObject, Instead, Unread, Whom};
use crate::source::own::OwnConfig;
use crate::source::selector::label_selector;
use flock_core::desired::{Place, Problem};

/// NodeConfigs, as one node reads them: another node's own are that node's to judge.
#[derive(Debug)]
pub(in crate::source::kubernetes) struct Configs {
    pub(in crate::source::kubernetes) node: String,
}

/// What is kept of a NodeConfig.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::source::kubernetes) struct Config {
    /// As last read.
    pub(in crate::source::kubernetes) config: Option<Arc<ConfigObject>>,
    /// Why what is written now cannot be read.
    pub(in crate::source::kubernetes) unread: Option<Unread>,
    /// What those ask about who write to it; only of the one that is named like the node.
    pub(in crate::source::kubernetes) own: Option<Arc<OwnConfig>>,
}

/// An object, as far as it is asked about. Nothing that people write can make it unreadable.
#[derive(Deserialize)]
struct Document {
    metadata: Metadata,
    #[serde(default)]
    spec: Value,
    #[serde(default)]
    status: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: String,
    #[serde(default)]
    uid: String,
    #[serde(default)]
    generation: i64,
    creation_timestamp: Option<Timestamp>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

impl Kind for Configs {
    type Key = String;
    type Value = Config;

    fn key(&self, meta: &Meta) -> Option<String> {
        named(meta)
    }

    fn read(&mut self, text: &str, former: Option<&Config>) -> Reading<Config> {
        match whole::<Document>(text) {
            Ok(document) => self.document(document, former),
            Err(error) => {
                let problems = vec![problem("NodeConfig", &super::name(text), &error.to_string())];
                Reading { value: former.cloned(), problems }
            }
        }
    }
}

impl Configs {
    fn document(&self, mut document: Document, former: Option<&Config>) -> Reading<Config> {
        let name = document.metadata.name.clone();
        without_nulls(&mut document.spec);
        let others_own = name != self.node && document.spec.get("nodeSelector").is_none();
        let mut problems = Vec::new();
        if others_own {
            keep_only(&mut document.spec, &["cidr6", "cidr4"]);
        } else {
            problems.extend(remarks(&name, &mut document.spec));
        }
        let own = (name == self.node).then(|| Arc::new(document.own()));
        let object = document.object();
        let nodes = whom(&object);
        let mut value = match part(object.clone()) {
            Ok(config) => Config { config: Some(same(config, former_config(former))), unread: None, own },
            Err(error) => {
                problems.push(problem("NodeConfig", &name, &error.to_string()));
                unreadable(&object, nodes, &error, former, own)
            }
        };
        value.own = value.own.map(|own| same(Arc::unwrap_or_clone(own), former.and_then(|f| f.own.as_ref())));
        Reading { value: Some(value), problems }
    }
}

impl Document {
    fn own(&self) -> OwnConfig {
        let status = Some(&self.status).filter(|status| !status.is_null());
        OwnConfig {
            uid: self.metadata.uid.clone(),
            generation: self.metadata.generation,
            status: status.and_then(|status| NodeConfigStatus::deserialize(status).ok()),
        }
    }

    fn object(self) -> ConfigObject {
        let Self { metadata, spec, status } = self;
        let Metadata { name, generation, creation_timestamp, annotations, .. } = metadata;
        let place = Place::Object { kind: "NodeConfig", name: name.clone() };
        ConfigObject {
            annotations: annotations
                .into_iter()
                .filter(|(key, _)| key.starts_with("flock.fritzlab.net/"))
                .collect(),
            generation: Some(generation),
            created: creation_timestamp,
            pools_in_use: pools_in_use(&status),
            addresses: addresses(&status),
            ..ConfigObject::new(&name, place, spec)
        }
    }
}

/// What was read before stands in for it, with what is not written but observed.
fn unreadable(
    object: &ConfigObject,
    nodes: Whom,
    error: &FieldError,
    former: Option<&Config>,
    own: Option<Arc<OwnConfig>>,
) -> Config {
    let former = former_config(former).cloned();
    let instead = if former.is_some() { Instead::Earlier } else { Instead::Nothing };
    let unread = Unread { place: object.place.clone(), reason: error.to_string(), nodes, instead };
    let config = former.map(|former| {
        Arc::new(ConfigObject {
            generation: object.generation,
            pools_in_use: object.pools_in_use.clone(),
            addresses: object.addresses.clone(),
            ..(*former).clone()
        })
    });
    Config { config, unread: Some(unread), own }
}

fn former_config(former: Option<&Config>) -> Option<&Arc<ConfigObject>> {
    former.and_then(|former| former.config.as_ref())
}

/// The nodes that it is for, as far as that can be read.
fn whom(object: &ConfigObject) -> Whom {
    let Some(selector) = object.spec.get("nodeSelector") else { return Whom::Named(object.name.clone()) };
    let selector = Selector::deserialize(selector).ok();
    let selector = selector.and_then(|given| label_selector(&Path::new("spec"), given).ok());
    selector.map_or(Whom::Unknown, Whom::Selected)
}

fn keep_only(spec: &mut Value, fields: &[&str]) {
    if let Value::Object(spec) = spec {
        spec.retain(|field, _| fields.contains(&field.as_str()));
    }
}

/// What is accepted but has no effect; what no schema knows is taken out.
fn remarks(name: &str, spec: &mut Value) -> Vec<Problem> {
    let unknown = unknown_fields(Schema::NodeConfig, spec).into_iter().map(|field| unknown(&field));
    let unserved = typed::<NodeConfigSpec>(spec).map(|spec| spec.unserved()).unwrap_or_default();
    let unserved = unserved
        .into_iter()
        .map(|field| format!("spec.{field} is not served by this release: it has no effect"));
    unknown.chain(unserved).map(|reason| problem("NodeConfig", name, &reason)).collect()
}

/// Agents of other releases write it: what cannot be read is left out.
fn pools_in_use(status: &Value) -> Vec<IpNet> {
    let pools = status.get("pools").and_then(Value::as_array).into_iter().flatten();
    let cidrs = pools.filter_map(|pool| pool.get("cidr")?.as_str());
    cidrs.filter_map(|cidr| cidr.parse().ok()).map(|net: IpNet| net.trunc()).collect()
}

fn addresses(status: &Value) -> Vec<IpAddr> {
    let addresses = status.get("addresses").and_then(Value::as_array).into_iter().flatten();
    addresses.filter_map(Value::as_str).filter_map(|address| address.parse().ok()).collect()
}
