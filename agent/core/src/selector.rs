//! Kubernetes' label selectors (`metav1.LabelSelector`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Labels of an object, sorted by key. A clone shares them: the pods of a Deployment have the same ones.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Labels(Arc<[(Arc<str>, Arc<str>)]>);

impl Labels {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// A label's value.
    pub fn get(&self, key: &str) -> Option<&str> {
        let index = self.0.binary_search_by(|(known, _)| (**known).cmp(key)).ok()?;
        self.0.get(index).map(|(_, value)| &**value)
    }

    /// Keys and values, sorted by key.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<str>)> {
        self.0.iter().map(|(key, value)| (key, value))
    }

    /// How many owners these labels have.
    pub fn owners(&self) -> usize {
        Arc::strong_count(&self.0)
    }
}

/// Of two values of a key the later one counts.
impl<K: Into<Arc<str>>, V: Into<Arc<str>>> FromIterator<(K, V)> for Labels {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let sorted: BTreeMap<Arc<str>, Arc<str>> =
            pairs.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
        Self(sorted.into_iter().collect())
    }
}

impl<K: Into<Arc<str>>, V: Into<Arc<str>>, const N: usize> From<[(K, V); N]> for Labels {
    fn from(pairs: [(K, V); N]) -> Self {
        pairs.into_iter().collect()
    }
}

/// What labels an object must have. The empty selector admits every object.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LabelSelector {
    /// All of them must hold. `matchLabels` are requirements of one value each.
    pub requirements: Vec<Requirement>,
}

/// One of `matchExpressions`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// The label's key.
    pub key: String,
    /// What is asked of its value.
    pub operator: Operator,
}

/// What is asked of a label's value. As in Kubernetes, an object without the label passes `NotIn` and `DoesNotExist`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the API's")]
pub enum Operator {
    In(BTreeSet<String>),
    NotIn(BTreeSet<String>),
    Exists,
    DoesNotExist,
}

impl LabelSelector {
    /// Whether an object with these labels is meant.
    pub fn admits(&self, labels: &Labels) -> bool {
        self.requirements.iter().all(|requirement| requirement.holds(labels.get(&requirement.key)))
    }
}

impl Requirement {
    fn holds(&self, value: Option<&str>) -> bool {
        match &self.operator {
            Operator::In(values) => value.is_some_and(|value| values.contains(value)),
            Operator::NotIn(values) => value.is_none_or(|value| !values.contains(value)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn selector(key: &str, operator: Operator) -> LabelSelector {
        LabelSelector { requirements: vec![Requirement { key: key.to_owned(), operator }] }
    }

    #[test]
    fn operators_mean_what_they_mean_in_kubernetes() {
        let values = || BTreeSet::from(["a".to_owned(), "b".to_owned()]);
        let cases = [
            (Operator::In(values()), [true, false, false]),
            (Operator::NotIn(values()), [false, true, true]),
            (Operator::Exists, [true, true, false]),
            (Operator::DoesNotExist, [false, false, true]),
        ];
        for (operator, expected) in cases {
            let selector = selector("k", operator);
            let found = [labels(&[("k", "a")]), labels(&[("k", "c")]), labels(&[("x", "a")])]
                .map(|labels| selector.admits(&labels));
            assert_eq!(found, expected, "{selector:?}");
        }
    }

    #[test]
    fn labels_are_sorted_by_key_and_the_later_value_counts() {
        let labels = labels(&[("b", "1"), ("a", "2"), ("b", "3")]);
        let pairs: Vec<_> = labels.iter().map(|(key, value)| (&**key, &**value)).collect();
        assert_eq!(pairs, [("a", "2"), ("b", "3")]);
        assert_eq!((labels.get("a"), labels.get("b"), labels.get("c")), (Some("2"), Some("3"), None));
    }

    #[test]
    fn all_requirements_must_hold_and_none_is_no_requirement() {
        let mut both = selector("a", Operator::Exists);
        both.requirements.extend(selector("b", Operator::Exists).requirements);
        assert!(both.admits(&labels(&[("a", ""), ("b", "")])) && !both.admits(&labels(&[("a", "")])));
        assert!(LabelSelector::default().admits(&Labels::new()));
    }
}
