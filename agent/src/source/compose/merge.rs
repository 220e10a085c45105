//! Several NodeConfigs as one: mappings field by field, lists and scalars whole, each from the highest that says it.

use std::collections::BTreeSet;

use ipnet::IpNet;
use serde_json::{Map, Value};

use super::layers::{Layers, priority};
use crate::source::node_config::IP_ALGO;
use crate::source::objects::ConfigObject;
use flock_core::desired::Conflict;

/// What several NodeConfigs say together.
#[derive(Debug, Clone, Default)]
pub(super) struct Merged {
    /// `spec`.
    pub(super) spec: Map<String, Value>,
    /// The annotation `ip-algo`.
    pub(super) ip_algo: Option<String>,
    /// Fields of which templates of the same priority say different things.
    pub(super) conflicts: Vec<Conflict>,
    /// Each field, and a layer that it is of.
    origins: Vec<(String, usize)>,
}

/// What a layer says of a field.
#[derive(Clone, Copy)]
struct Said<'a> {
    layer: usize,
    config: &'a ConfigObject,
    value: &'a Value,
}

/// Merges a node's NodeConfigs.
pub(super) fn merge(layers: &Layers<'_>) -> Merged {
    let mut merged = Merged::default();
    let said = layers.iter().enumerate();
    let said = said.map(|(layer, config)| Said { layer, config, value: &config.spec }).collect::<Vec<_>>();
    merged.spec = merged.mapping("spec", &said);
    let algos: Vec<(&ConfigObject, &String)> =
        layers.iter().filter_map(|config| Some((config, config.annotations.get(IP_ALGO)?))).collect();
    merged.contradictions(&format!("metadata.annotations[{IP_ALGO}]"), &algos);
    merged.ip_algo = algos.first().map(|(_, algo)| (*algo).clone());
    merged
}

impl Merged {
    /// `said` is not empty, the highest first.
    fn value(&mut self, field: &str, said: &[Said<'_>]) -> Value {
        let Some(highest) = said.first() else { return Value::Null };
        if highest.value.is_object() {
            return Value::Object(self.mapping(field, said));
        }
        self.origins.push((field.to_owned(), highest.layer));
        let values: Vec<_> = said.iter().map(|said| (said.config, said.value)).collect();
        self.contradictions(field, &values);
        highest.value.clone()
    }

    fn mapping<'a>(&mut self, field: &str, said: &[Said<'a>]) -> Map<String, Value> {
        let mappings: Vec<_> = said.iter().map_while(|said| Some((said, said.value.as_object()?))).collect();
        self.origins.extend(mappings.iter().map(|(said, _)| (field.to_owned(), said.layer)));
        let keys: BTreeSet<&String> = mappings.iter().flat_map(|(_, mapping)| mapping.keys()).collect();
        let mut merged = Map::new();
        for key in keys {
            let below = |(said, mapping): &(&Said<'a>, &'a Map<String, Value>)| {
                let value = mapping.get(key).filter(|value| !value.is_null())?;
                Some(Said { value, ..**said })
            };
            let said: Vec<Said<'a>> = mappings.iter().filter_map(below).collect();
            if !said.is_empty() {
                merged.insert(key.clone(), self.value(&format!("{field}.{key}"), &said));
            }
        }
        merged
    }

    /// Templates of the same priority as the one that counts, which say something else.
    fn contradictions<T: PartialEq>(&mut self, field: &str, said: &[(&ConfigObject, T)]) {
        let Some(((used, value), below)) = said.split_first() else { return };
        if priority(used).is_none() {
            return;
        }
        let equals = below.iter().filter(|(config, _)| priority(config) == priority(used));
        let others = equals.filter(|(_, other)| other != value);
        self.conflicts.extend(others.map(|(config, _)| Conflict {
            field: field.to_owned(),
            used: used.name.clone(),
            ignored: config.name.clone(),
        }));
    }

    /// Whether anybody says where pods' addresses come from.
    pub(super) fn says_prefixes(&self) -> bool {
        self.spec.contains_key("cidr6") || self.spec.contains_key("cidr4")
    }

    /// What nobody has said, from the Node.
    pub(super) fn set_prefixes(&mut self, prefixes: &[IpNet]) {
        for net in prefixes {
            let field = if net.addr().is_ipv6() { "cidr6" } else { "cidr4" };
            let list = self.spec.entry(field).or_insert_with(|| Value::Array(Vec::new()));
            if let Value::Array(list) = list {
                list.push(net.to_string().into());
            }
        }
    }

    /// The layers that a field is of; of one that nobody says, those of the innermost field around it.
    pub(super) fn origins(&self, field: &str) -> BTreeSet<usize> {
        // Prefixes that no layer says are the Node's.
        let of_node = ["spec.cidr6", "spec.cidr4"].iter().any(|prefixes| field.starts_with(prefixes));
        let mut field = field;
        loop {
            let found = self.origins.iter().filter(|(of, _)| of == field).map(|(_, layer)| *layer);
            let found: BTreeSet<usize> = found.collect();
            match field.rfind(['.', '[']) {
                Some(end) if found.is_empty() && !(of_node && field[..end] == *"spec") => {
                    field = &field[..end];
                }
                _ => return found,
            }
        }
    }
}
