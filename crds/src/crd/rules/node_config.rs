//! NodeConfig and label selectors.

use serde_json::Value;

use super::{Rule, list};

pub(crate) fn node_config_spec() -> Value {
    list([
        Rule::new(
            "!has(self.priority) || has(self.nodeSelector)",
            "only templates have a priority: add nodeSelector, or leave it out",
        )
        .field(".priority")
        .forbidden(),
        Rule::new(
            "!has(self.mtu) || !has(self.cidr6) || self.cidr6.size() == 0 || self.mtu >= 1280",
            "must be at least 1280 where pods get IPv6 (RFC 8200, section 5)",
        )
        .field(".mtu"),
    ])
}

/// `ge` and `le` as routers know them.
pub(crate) fn import_prefix() -> Value {
    let (own, wrong) = ("cidr(self.cidr).prefixLength()", "!isCIDR(self.cidr)");
    let full = "(cidr(self.cidr).ip().family() == 6 ? 128 : 32)";
    let length = |field: &str| {
        let value = format!("self.{field}");
        Rule::new(
            format!("{wrong} || !has({value}) || ({value} >= {own} && {value} <= {full})"),
            "must be from the prefix's own length to full length, 32 or 128",
        )
        .field(&format!(".{field}"))
    };
    let order = Rule::new(
        "!has(self.ge) || !has(self.le) || self.ge <= self.le",
        "must not be less than ge: no prefix has such a length",
    );
    list([length("ge"), length("le"), order.field(".le")])
}

/// The rules of `metav1.LabelSelectorRequirement`.
pub(crate) fn label_requirement() -> Value {
    let values = "has(self.values) && self.values.size() > 0";
    list([
        Rule::new(
            "!format.qualifiedName().validate(self.key).hasValue()",
            "must be a label's key, as app or kubernetes.io/metadata.name",
        )
        .field(".key"),
        Rule::new(
            format!("!(self.operator in ['In', 'NotIn']) || ({values})"),
            "operators In and NotIn need at least one value",
        )
        .field(".values"),
        Rule::new(
            format!("self.operator in ['In', 'NotIn'] || !({values})"),
            "operators Exists and DoesNotExist take no values",
        )
        .field(".values")
        .forbidden(),
    ])
}

/// Keys of labels.
pub(crate) fn labels() -> Value {
    list([Rule::new(
        "self.all(key, !format.qualifiedName().validate(key).hasValue())",
        "keys must be those of labels, as app or kubernetes.io/metadata.name",
    )])
}
