//! What is against the layers, and what to do about it.

use std::collections::BTreeSet;

use crate::page::Layers;
use crate::sources::{Arrow, Modules};

/// Every objection, one line each.
pub(crate) fn objections(layers: &Layers, modules: &Modules) -> Vec<String> {
    let listed: BTreeSet<&str> = layers.modules().collect();
    let there: BTreeSet<&str> = modules.names.iter().map(String::as_str).collect();
    let missing = there.difference(&listed).map(|name| {
        format!("module {name} is in no layer of docs/ARCHITECTURE.md: add it to the table, in the lowest layer that holds")
    });
    let gone = listed.difference(&there).map(|name| {
        format!("docs/ARCHITECTURE.md has a module {name} that does not exist: take it out of the table")
    });
    let against = modules.arrows.iter().filter_map(|arrow| objection(layers, arrow));
    missing.chain(gone).chain(against).collect()
}

fn objection(layers: &Layers, arrow: &Arrow) -> Option<String> {
    let Arrow { file, line, from, to } = arrow;
    // A module that is in no layer is an objection of its own.
    let above = layers.layer(from)?;
    let Some(below) = layers.layer(to) else {
        return Some(format!(
            "agent/src/{file}:{line}: {from} names {to} of the crate's root: name the module"
        ));
    };
    let names = format!("agent/src/{file}:{line}: {from} (layer {above}) names {to} (layer {below})");
    if let Some(users) = layers.users(to).filter(|users| !users.contains(from)) {
        let users: Vec<&str> = users.iter().map(String::as_str).collect();
        return Some(format!(
            "{names}, which only {} may: take receivers and the one capability that is needed as arguments",
            users.join(", ")
        ));
    }
    (below >= above).then(|| {
        format!(
            "{names}, which is not below it: move what both use into a lower layer, or let app hand it over \
             (a receiver, a value, a trait of {from})"
        )
    })
}
