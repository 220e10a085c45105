//! CustomResourceDefinitions, generated from the types.
//!
//! The API server refuses what can be told wrong from one object alone: ranges, syntax, and by CEL rules what fields say
//! together. What takes more than the object, such as a template and the node's own NodeConfig together, the agent
//! checks.
//!
//! Defaults: a NodeConfig is put together field by field out of a node's own and the templates for it. A default that
//! the API server wrote into the node's own would hide the template's value for ever. So there are defaults only where
//! nothing is merged: in the entries of lists, which are taken whole.

mod columns;
pub(crate) mod rules;
mod structural;
pub(crate) mod text;
mod wire;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use crate::address_pool::{AddressPool, AddressPoolSpec};
use crate::node_config::{NodeConfig, NodeConfigSpec};
use crate::node_state::{NodeState, NodeStateStatus};
use crate::prune::Kind;
use crate::status::NodeConfigStatus;

/// The API group of all kinds.
pub const GROUP: &str = "flock.fritzlab.net";

/// The version of all kinds.
pub const VERSION: &str = "v1alpha1";

/// How a kind is called.
struct Names {
    kind: &'static str,
    plural: &'static str,
    singular: &'static str,
    short: &'static [&'static str],
}

const NODE_CONFIG: Names =
    Names { kind: "NodeConfig", plural: "nodeconfigs", singular: "nodeconfig", short: &["nc", "nodeconf"] };

const ADDRESS_POOL: Names =
    Names { kind: "AddressPool", plural: "addresspools", singular: "addresspool", short: &["apool"] };

const NODE_STATE: Names =
    Names { kind: "NodeState", plural: "nodestates", singular: "nodestate", short: &["fns"] };

/// The CustomResourceDefinition of a kind (`apiextensions.k8s.io/v1`).
pub fn custom_resource_definition(kind: Kind) -> Value {
    let names = match kind {
        Kind::NodeConfig => NODE_CONFIG,
        Kind::AddressPool => ADDRESS_POOL,
        Kind::NodeState => NODE_STATE,
    };
    let Names { kind: name, plural, singular, short } = names;
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{GROUP}")},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": name,
                "listKind": format!("{name}List"),
                "plural": plural,
                "singular": singular,
                "shortNames": short,
                "categories": ["flock"],
            },
            "scope": "Cluster",
            "versions": [version(kind)],
        },
    })
}

fn version(kind: Kind) -> Value {
    let mut version = json!({
        "name": VERSION,
        "served": true,
        "storage": true,
        "schema": {"openAPIV3Schema": object_schema(kind)},
        "additionalPrinterColumns": columns::of(kind),
    });
    if let Kind::NodeConfig | Kind::NodeState = kind {
        version["subresources"] = json!({"status": {}});
    }
    version
}

/// The structural schema of a whole object.
pub fn object_schema(kind: Kind) -> Value {
    let mut object = match kind {
        Kind::NodeConfig => node_config_schema(),
        Kind::AddressPool => address_pool_schema(),
        Kind::NodeState => node_state_schema(),
    };
    object["type"] = json!("object");
    object["properties"]["apiVersion"] =
        json!({"type": "string", "description": format!("`{}`.", crate::API_VERSION)});
    object["properties"]["metadata"] = json!({"type": "object"});
    object
}

fn node_config_schema() -> Value {
    let mut spec = schema_of::<NodeConfigSpec>();
    // A NodeConfig that says nothing is a good one: everything has a default, or comes from templates.
    spec["default"] = json!({});
    json!({
        "description": schema_of::<NodeConfig>()["description"],
        "properties": {"kind": named("NodeConfig"), "spec": spec, "status": status_schema::<NodeConfigStatus>()},
    })
}

fn address_pool_schema() -> Value {
    json!({
        "description": schema_of::<AddressPool>()["description"],
        "properties": {"kind": named("AddressPool"), "spec": schema_of::<AddressPoolSpec>()},
        "required": ["spec"],
    })
}

fn node_state_schema() -> Value {
    json!({
        "description": schema_of::<NodeState>()["description"],
        "properties": {"kind": named("NodeState"), "status": status_schema::<NodeStateStatus>()},
    })
}

fn named(kind: &str) -> Value {
    json!({"type": "string", "description": format!("`{kind}`.")})
}

/// The structural schema of `spec`; none: the kind has none.
pub fn spec_schema(kind: Kind) -> Option<Value> {
    match kind {
        Kind::NodeConfig => Some(schema_of::<NodeConfigSpec>()),
        Kind::AddressPool => Some(schema_of::<AddressPoolSpec>()),
        Kind::NodeState => None,
    }
}

/// An agent of another release may leave fields out: better a status without them than none.
fn status_schema<T: JsonSchema>() -> Value {
    let mut schema = schema_of::<T>();
    if let Some(Value::Object(fields)) = schema.get_mut("properties") {
        fields.iter_mut().filter(|(name, _)| *name != "conditions").for_each(|(_, field)| ask_nothing(field));
    }
    schema
}

fn ask_nothing(schema: &mut Value) {
    if let Value::Object(map) = schema {
        map.remove("required");
        map.values_mut().for_each(ask_nothing);
    }
}

fn schema_of<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::openapi3().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    structural::make(&mut schema);
    schema
}
