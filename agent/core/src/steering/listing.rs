//! What is there of the nftables table.
//!
//! A listing is compared by its revision, a chain whose name is a hash of the whole text, and by how many rules each
//! chain and how many elements each set has. That notices everything that flock writes, and what people do to a table:
//! delete or flush it, one of its chains or sets, add or delete a rule or an address. It does not notice a rule that was
//! replaced by another, an address by another, a chain's changed policy or "dormant": listed rules are never what was
//! written, letter by letter, and differ between versions of nft.

use std::collections::BTreeMap;

use serde::Deserialize;

/// A table, as far as it is looked at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Shape {
    /// How many rules each chain has.
    pub rules: BTreeMap<String, usize>,
    /// How many elements each set has.
    pub elements: BTreeMap<String, usize>,
}

/// This is not what `nft -j list table` writes.
#[derive(Debug, thiserror::Error)]
#[error("nft's listing cannot be read: {0}")]
pub struct ListingError(#[from] serde_json::Error);

/// `libnftables-json(5)`: a list of objects with one key each, which says what they are.
#[derive(Deserialize)]
struct Listing {
    nftables: Vec<Object>,
}

#[derive(Deserialize)]
struct Object {
    chain: Option<Named>,
    rule: Option<RuleOf>,
    set: Option<SetOf>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
struct RuleOf {
    chain: String,
}

#[derive(Deserialize)]
struct SetOf {
    name: String,
    #[serde(default)]
    elem: Vec<serde_json::Value>,
}

impl Shape {
    /// Reads what `nft -j list table` writes of a single table.
    ///
    /// # Errors
    /// The text is something else.
    pub fn of_listing(json: &str) -> Result<Self, ListingError> {
        let listing: Listing = serde_json::from_str(json)?;
        let mut shape = Shape::default();
        for object in listing.nftables {
            shape.elements.extend(object.set.map(|set| (set.name, set.elem.len())));
            if let Some(chain) = object.chain {
                shape.rules.entry(chain.name).or_default();
            }
            if let Some(rule) = object.rule {
                *shape.rules.entry(rule.chain).or_default() += 1;
            }
        }
        Ok(shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What nft 1.0.6 writes, without expressions.
    const LISTING: &str = r#"{"nftables": [
        {"metainfo": {"version": "1.0.6", "release_name": "Lester Gooch #5", "json_schema_version": 1}},
        {"table": {"family": "inet", "name": "flock-anycast", "handle": 2}},
        {"set": {"family": "inet", "name": "addresses4", "table": "flock-anycast", "type": "ipv4_addr", "handle": 7, "elem": ["198.51.100.53"]}},
        {"set": {"family": "inet", "name": "addresses6", "table": "flock-anycast", "type": "ipv6_addr", "handle": 8}},
        {"chain": {"family": "inet", "table": "flock-anycast", "name": "revision-0123456789abcdef", "handle": 1}},
        {"chain": {"family": "inet", "table": "flock-anycast", "name": "steer", "handle": 3, "type": "filter", "hook": "prerouting", "prio": -99, "policy": "accept"}},
        {"rule": {"family": "inet", "table": "flock-anycast", "chain": "steer", "handle": 12, "expr": [{"accept": null}]}},
        {"rule": {"family": "inet", "table": "flock-anycast", "chain": "steer", "handle": 13, "expr": []}}
    ]}"#;

    fn counts(pairs: &[(&str, usize)]) -> BTreeMap<String, usize> {
        pairs.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
    }

    #[test]
    fn rules_and_elements_are_counted() {
        let shape = Shape::of_listing(LISTING).unwrap();
        assert_eq!(shape.rules, counts(&[("revision-0123456789abcdef", 0), ("steer", 2)]));
        assert_eq!(shape.elements, counts(&[("addresses4", 1), ("addresses6", 0)]));
    }

    #[test]
    fn something_else_is_told() {
        for text in ["", "table inet flock-anycast {\n}", "{}"] {
            assert!(Shape::of_listing(text).is_err(), "{text}");
        }
    }
}
