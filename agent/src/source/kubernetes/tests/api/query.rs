//! What a request asks for.

use std::collections::BTreeMap;

use axum::http::Uri;
use serde_json::Value;

/// The query of a request.
#[derive(Debug, Clone)]
pub(in super::super) struct Query(BTreeMap<String, String>);

impl Query {
    pub(in super::super) fn of(uri: &Uri) -> Self {
        let pairs = uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
        Self(pairs.map(|(key, value)| (key.to_owned(), decoded(value))).collect())
    }

    /// The same of another agent, from a version on.
    pub(in super::super) fn of_another(&self, (one, other): (&str, &str), version: u64) -> Self {
        let pairs = self.0.iter().filter(|(key, _)| *key != "sendInitialEvents");
        let mut pairs: BTreeMap<_, _> =
            pairs.map(|(key, value)| (key.clone(), value.replace(one, other))).collect();
        pairs.insert("resourceVersion".to_owned(), version.to_string());
        Self(pairs)
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// Tells own pods' requests from those of others.
    pub(super) fn kind(&self) -> &str {
        let own = self.get("fieldSelector").is_some_and(|fields| fields.starts_with("spec.nodeName="));
        if own { " own" } else { "" }
    }

    pub(super) fn selects(&self, object: &Value) -> bool {
        let fields = self.get("fieldSelector").into_iter().flat_map(|fields| fields.split(','));
        fields.filter(|field| !field.is_empty()).all(|field| match field.split_once("!=") {
            Some((path, value)) => at(object, path) != value,
            None => field.split_once('=').is_some_and(|(path, value)| at(object, path) == value),
        })
    }
}

pub(super) fn at<'a>(object: &'a Value, path: &str) -> &'a str {
    path.split('.').fold(object, |value, field| &value[field]).as_str().unwrap_or_default()
}

fn decoded(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        out.push(u8::from_str_radix(&after[..2], 16).unwrap() as char);
        rest = &after[2..];
    }
    out + rest
}
