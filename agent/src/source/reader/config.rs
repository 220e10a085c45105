//! NodeConfigs.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use flock_crds::selector::LabelSelector as Selector;
use flock_crds::status::NodeConfigStatus;
use flock_crds::{Kind as Schema, unknown_fields};
use ipnet::IpNet;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::{Meta, ReadError, Reader, problem, shaped, unknown};
use crate::source::field::Path;
use crate::source::node_config::{part, without_nulls};
use crate::source::objects::{Audience, ConfigObject, Fallback, Unreadable};
use crate::source::own::OwnConfig;
use crate::source::selector::label_selector;
use flock_core::desired::{Place, Problem};
use flock_core::feed::{Outcome, Parsed};

/// What is kept of a NodeConfig.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::source) struct Config {
    pub(in crate::source) config: Option<Arc<ConfigObject>>,
    /// Why what is written now cannot be read.
    pub(in crate::source) unreadable: Option<Unreadable>,
    /// What those ask about who write to it; only of the one that is named like the node.
    pub(in crate::source) own: Option<Arc<OwnConfig>>,
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

/// Reads a NodeConfig by itself, with the fields that this release does not serve. A field that the schema does not know
/// is refused.
///
/// # Errors
/// The first field that cannot be read, and why.
pub(in crate::source) fn node_config(text: &str) -> Result<(ConfigObject, Vec<&'static str>), ReadError> {
    let mut document: Document = shaped(text)?;
    without_nulls(&mut document.spec);
    part(document.object())
}

/// NodeConfigs, as one node reads them: another node's own are that node's to judge.
#[derive(Debug)]
pub(in crate::source) struct ConfigReader {
    node: String,
}

impl Reader for ConfigReader {
    type Key = String;
    type Value = Config;

    fn of_node(node: &str) -> Self {
        Self { node: node.to_owned() }
    }

    fn key(&mut self, meta: &Meta) -> Option<String> {
        meta.cluster_scoped()
    }

    fn read(&mut self, text: &str, former: Option<&Config>) -> Parsed<Config> {
        match shaped::<Document>(text) {
            Ok(document) => self.document(document, former),
            Err(error) => {
                let problems = vec![problem("NodeConfig", &Meta::of(text).name, &error.to_string())];
                Parsed { outcome: Outcome::Unreadable, problems }
            }
        }
    }
}

impl ConfigReader {
    /// A newer release's fields are told and have no effect.
    fn document(&self, mut document: Document, former: Option<&Config>) -> Parsed<Config> {
        let name = document.metadata.name.clone();
        without_nulls(&mut document.spec);
        let others_own = name != self.node && document.spec.get("nodeSelector").is_none();
        let mut problems = Vec::new();
        if others_own {
            keep_only(&mut document.spec, &["cidr6", "cidr4"]);
        } else {
            let unknown_fields = unknown_fields(Schema::NodeConfig, &mut document.spec).into_iter();
            problems.extend(unknown_fields.map(|field| problem("NodeConfig", &name, &unknown(&field))));
        }
        let own = (name == self.node).then(|| Arc::new(document.own()));
        let object = document.object();
        let value = match part(object.clone()) {
            Ok((config, unsupported)) => {
                problems.extend(unsupported.into_iter().map(|field| self::unsupported(&name, field)));
                Config { config: Some(Arc::new(config)), unreadable: None, own }
            }
            Err(error) => {
                problems.push(problem("NodeConfig", &name, &error.to_string()));
                unreadable(&object, &error, former, own)
            }
        };
        Parsed { outcome: Outcome::Value(value), problems }
    }
}

fn unsupported(name: &str, field: &str) -> Problem {
    problem("NodeConfig", name, &format!("spec.{field} is not served by this release: it has no effect"))
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
    error: &ReadError,
    former: Option<&Config>,
    own: Option<Arc<OwnConfig>>,
) -> Config {
    let former = former.and_then(|former| former.config.as_ref());
    let fallback = if former.is_some() { Fallback::Earlier } else { Fallback::Nothing };
    let unreadable = Unreadable {
        place: object.place.clone(),
        reason: error.to_string(),
        nodes: audience(object),
        fallback,
    };
    let config = former.map(|former| {
        Arc::new(ConfigObject {
            generation: object.generation,
            pools_in_use: object.pools_in_use.clone(),
            addresses: object.addresses.clone(),
            ..(**former).clone()
        })
    });
    Config { config, unreadable: Some(unreadable), own }
}

/// The nodes that it is for, as far as that can be read.
fn audience(object: &ConfigObject) -> Audience {
    let Some(selector) = object.spec.get("nodeSelector") else { return Audience::Named(object.name.clone()) };
    let selector = Selector::deserialize(selector).ok();
    let selector = selector.and_then(|given| label_selector(&Path::new("spec"), given).ok());
    selector.map_or(Audience::Unknown, Audience::Selected)
}

fn keep_only(spec: &mut Value, fields: &[&str]) {
    if let Value::Object(spec) = spec {
        spec.retain(|field, _| fields.contains(&field.as_str()));
    }
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
