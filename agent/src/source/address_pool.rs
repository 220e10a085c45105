//! From AddressPool, as people write it, to core's.

use flock_core::claim::{self, Use};
use flock_crds::address_pool::{AddressPoolSpec, PoolUse};
use ipnet::IpNet;

use super::field::{Path, at_most, positive, quoted};
use super::node_config::FieldError;
use super::selector::label_selector;

/// More are better written as one prefix around them.
const MOST_CIDRS: usize = 256;

/// Validates the `spec` of the AddressPool of this name.
pub(super) fn address_pool(name: String, spec: AddressPoolSpec) -> Result<claim::AddressPool, FieldError> {
    let AddressPoolSpec { cidrs, usage, namespace_selector, max_advertisers } = spec;
    let at = Path::new("spec");
    let limit = at.field("maxAdvertisers");
    let selector = namespace_selector.ok_or_else(|| {
        at.field("namespaceSelector")
            .refuse("missing: say whose pods may claim the addresses; {} is every namespace")
    })?;
    Ok(claim::AddressPool {
        name,
        cidrs: self::cidrs(&at.field("cidrs"), &cidrs)?,
        namespaces: label_selector(&at.field("namespaceSelector"), selector)?,
        usage: match usage {
            PoolUse::Anycast => Use::Anycast,
            PoolUse::Static => Use::Static,
        },
        max_advertisers: max_advertisers
            .map(|most| positive(&limit, most, 1..=i64::from(u32::MAX)))
            .transpose()?,
    })
}

fn cidrs(at: &Path, given: &[String]) -> Result<Vec<IpNet>, FieldError> {
    if given.is_empty() {
        return Err(at.refuse("a pool without a prefix holds nothing: write one, as 2001:db8:53::/64"));
    }
    at_most(at, given.len(), MOST_CIDRS)?;
    let mut cidrs: Vec<IpNet> = Vec::with_capacity(given.len());
    for (index, text) in given.iter().enumerate() {
        let at = at.index(index);
        let wrong = |_| {
            at.refuse(format_args!(
                "{} is no prefix: write 2001:db8:53::/64 or 198.51.100.53/32",
                quoted(text)
            ))
        };
        let cidr = text.trim().parse::<IpNet>().map_err(wrong)?.trunc();
        if let Some(other) = cidrs.iter().find(|other| other.contains(&cidr) || cidr.contains(*other)) {
            return Err(at.refuse(format_args!("{cidr} overlaps {other}: name each address once")));
        }
        cidrs.push(cidr);
    }
    Ok(cidrs)
}

#[cfg(test)]
mod tests {
    use flock_core::selector::Labels;
    use flock_crds::address_pool::AddressPool;

    use super::*;

    fn read(spec: &str) -> Result<claim::AddressPool, FieldError> {
        let text = format!(
            "apiVersion: flock.fritzlab.net/v1alpha1\nkind: AddressPool\nmetadata: {{name: dns}}\nspec: {spec}\n"
        );
        let AddressPool { metadata, spec, .. } = serde_saphyr::from_str(&text).unwrap();
        address_pool(metadata.name, spec)
    }

    #[test]
    fn a_full_document_becomes_the_pool() {
        let pool = read(
            r#"{cidrs: ["2001:db8:53::7/64", "198.51.100.53/32"], use: Anycast, maxAdvertisers: 3,
                namespaceSelector: {matchLabels: {team: dns}, matchExpressions: [{key: tier, operator: NotIn, values: [test]}]}}"#,
        )
        .unwrap();
        assert_eq!((pool.name.as_str(), pool.usage), ("dns", Use::Anycast));
        assert_eq!(pool.cidrs[0].to_string(), "2001:db8:53::/64");
        assert_eq!(pool.max_advertisers.map(|most| most.get()), Some(3));
        let labels = |tier: &str| {
            Labels::from([("team".to_owned(), "dns".to_owned()), ("tier".to_owned(), tier.to_owned())])
        };
        assert!(pool.namespaces.admits(&labels("production")) && !pool.namespaces.admits(&labels("test")));
    }

    #[test]
    fn a_refusal_names_the_field() {
        let cases = [
            ("{cidrs: [], use: Static, namespaceSelector: {}}", "spec.cidrs: a pool without a prefix"),
            ("{cidrs: [x], use: Static, namespaceSelector: {}}", "spec.cidrs[0]: \"x\" is no prefix"),
            (
                r#"{cidrs: ["10.0.0.0/8", "10.1.0.0/16"], use: Static, namespaceSelector: {}}"#,
                "spec.cidrs[1]: 10.1.0.0/16 overlaps 10.0.0.0/8",
            ),
            (
                r#"{cidrs: ["10.0.0.0/8"], use: Static, maxAdvertisers: 0, namespaceSelector: {}}"#,
                "spec.maxAdvertisers: ",
            ),
            (r#"{cidrs: ["10.0.0.0/8"], use: Static}"#, "spec.namespaceSelector: missing"),
            (
                r#"{cidrs: ["10.0.0.0/8"], use: Static, namespaceSelector: }"#,
                "spec.namespaceSelector: missing",
            ),
            (
                r#"{cidrs: ["10.0.0.0/8"], use: Static, namespaceSelector: {matchExpressions: [{key: a, operator: In}]}}"#,
                "spec.namespaceSelector.matchExpressions[0].values: operator In needs at least one value",
            ),
            (
                r#"{cidrs: ["10.0.0.0/8"], use: Static, namespaceSelector: {matchExpressions: [{key: a, operator: Exists, values: [b]}]}}"#,
                "spec.namespaceSelector.matchExpressions[0].values: operator Exists takes no values",
            ),
        ];
        for (spec, words) in cases {
            let error = read(spec).unwrap_err().to_string();
            assert!(error.starts_with(words), "{spec}: {error}");
        }
    }
}
