//! From a label selector, as people write it, to core's.

use std::collections::BTreeSet;

use flock_core::selector::{LabelSelector, Operator, Requirement};
use flock_crds::selector::{
    LabelSelector as Selector, LabelSelectorOperator as Asked, LabelSelectorRequirement,
};

use super::field::Path;
use super::node_config::FieldError;

/// Validates a label selector.
pub(super) fn label_selector(at: &Path, given: Selector) -> Result<LabelSelector, FieldError> {
    let Selector { match_labels, match_expressions } = given;
    let labels = match_labels
        .into_iter()
        .map(|(key, value)| Ok(Requirement { key, operator: Operator::In(BTreeSet::from([value])) }));
    let at = at.field("matchExpressions");
    let expressions =
        match_expressions.into_iter().enumerate().map(|(index, asked)| requirement(&at.index(index), asked));
    let requirements = labels.chain(expressions).collect::<Result<_, _>>()?;
    Ok(LabelSelector { requirements })
}

fn requirement(at: &Path, given: LabelSelectorRequirement) -> Result<Requirement, FieldError> {
    let LabelSelectorRequirement { key, operator, values } = given;
    let at = at.field("values");
    let needs_values = matches!(operator, Asked::In | Asked::NotIn);
    if needs_values == values.is_empty() {
        let rule = if needs_values { "needs at least one value" } else { "takes no values" };
        return Err(at.refuse(format_args!("operator {operator:?} {rule}")));
    }
    let values: BTreeSet<String> = values.into_iter().collect();
    let operator = match operator {
        Asked::In => Operator::In(values),
        Asked::NotIn => Operator::NotIn(values),
        Asked::Exists => Operator::Exists,
        Asked::DoesNotExist => Operator::DoesNotExist,
    };
    Ok(Requirement { key, operator })
}
