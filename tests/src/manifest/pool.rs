//! AddressPools.

use std::fmt::Write;

/// An AddressPool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressPool {
    /// Its name.
    pub name: String,
    /// `Anycast` or `Static`.
    pub usage: String,
    /// Its prefixes.
    pub cidrs: Vec<String>,
    /// `spec.namespaceSelector`, as `{matchLabels: {team: network}}`.
    pub selector: String,
    /// `spec.maxAdvertisers`.
    pub max_advertisers: Option<u32>,
}

impl AddressPool {
    /// For every namespace.
    pub fn new(name: &str, usage: &str, cidrs: &[&str]) -> Self {
        Self {
            name: name.to_owned(),
            usage: usage.to_owned(),
            cidrs: cidrs.iter().map(|&cidr| cidr.to_owned()).collect(),
            selector: "{}".to_owned(),
            max_advertisers: None,
        }
    }

    /// For this namespace only.
    #[must_use]
    pub fn of_namespace(self, name: &str) -> Self {
        self.selecting(&format!("{{matchLabels: {{kubernetes.io/metadata.name: {name:?}}}}}"))
    }

    /// With this `spec.namespaceSelector`.
    #[must_use]
    pub fn selecting(self, selector: &str) -> Self {
        Self { selector: selector.to_owned(), ..self }
    }

    /// With this `spec.maxAdvertisers`.
    #[must_use]
    pub fn max_advertisers(self, most: u32) -> Self {
        Self { max_advertisers: Some(most), ..self }
    }

    /// The document.
    pub fn yaml(&self) -> String {
        let Self { name, usage, cidrs, selector, max_advertisers } = self;
        let mut text = format!(
            "apiVersion: flock.fritzlab.net/v1alpha1\nkind: AddressPool\nmetadata:\n  name: {name}\nspec:\n"
        );
        writeln!(text, "  cidrs: {cidrs:?}\n  use: {usage}\n  namespaceSelector: {selector}").ok();
        if let Some(most) = max_advertisers {
            writeln!(text, "  maxAdvertisers: {most}").ok();
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use flock_agent::source::document::Object;
    use flock_core::claim::Use;
    use flock_core::selector::Labels;

    use super::super::tests::read;
    use super::*;

    fn pool(yaml: &str) -> flock_core::claim::AddressPool {
        match read(yaml) {
            Object::AddressPool(pool) => pool,
            other => panic!("{yaml}{other:?}"),
        }
    }

    #[test]
    fn a_pool_says_what_it_holds_and_for_whom() {
        let written = AddressPool::new("dns", "Anycast", &["2001:db8:53::/64", "198.51.100.53/32"]);
        let read = pool(&written.clone().of_namespace("dns").max_advertisers(2).yaml());
        assert_eq!((read.name.as_str(), read.usage, read.cidrs.len()), ("dns", Use::Anycast, 2));
        assert_eq!(read.max_advertisers.map(|most| most.get()), Some(2));
        let labels = |name: &str| Labels::from([("kubernetes.io/metadata.name".to_owned(), name.to_owned())]);
        assert!(read.namespaces.admits(&labels("dns")) && !read.namespaces.admits(&labels("web")));
        assert!(pool(&written.yaml()).namespaces.admits(&labels("web")));
        let team = written.selecting("{matchExpressions: [{key: team, operator: Exists}]}");
        assert!(!pool(&team.yaml()).namespaces.admits(&labels("dns")));
    }
}
