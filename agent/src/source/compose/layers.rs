//! Which NodeConfigs are a node's, and which of them goes before which.

use std::cmp::Reverse;
use std::sync::Arc;

use flock_core::selector::Labels;

use super::Inputs;
use crate::source::objects::{ConfigObject, Template};
use flock_core::desired::Place;

/// The NodeConfigs of a node: its own, then the templates that select it, by priority and name.
#[derive(Debug, Default)]
pub(super) struct Layers<'a>(Vec<&'a ConfigObject>);

impl<'a> Layers<'a> {
    pub(super) fn of(inputs: &'a Inputs, node: &str) -> Self {
        let nothing = Labels::new();
        let labels = inputs.nodes.get(node).map_or(&nothing, |node| &node.labels);
        let own = inputs.configs.get(node).filter(|config| config.template.is_none());
        let selects = |template: &Template| template.nodes.admits(labels);
        let templates =
            inputs.configs.values().filter(|config| config.template.as_ref().is_some_and(selects));
        let mut templates: Vec<&ConfigObject> = templates.map(Arc::as_ref).collect();
        templates.sort_by_key(|template| (Reverse(priority(template)), &template.name));
        Self(own.map(Arc::as_ref).into_iter().chain(templates).collect())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &'a ConfigObject> {
        self.0.iter().copied()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn own(&self) -> Option<&'a ConfigObject> {
        self.iter().find(|config| config.template.is_none())
    }

    pub(super) fn templates(&self) -> impl Iterator<Item = &'a ConfigObject> {
        self.iter().filter(|config| config.template.is_some())
    }

    /// A layer's name for people, with its place where that says more.
    pub(super) fn title(&self, layer: usize) -> Option<String> {
        let config = self.0.get(layer)?;
        Some(match &config.place {
            place @ Place::File { .. } => format!("NodeConfig {} ({place})", config.name),
            _ => format!("NodeConfig {}", config.name),
        })
    }
}

/// That of a template; none: it is the node's own.
pub(super) fn priority(config: &ConfigObject) -> Option<i32> {
    config.template.as_ref().map(|template| template.priority)
}
