//! CustomResourceDefinitions, generated from the types.
//!
//! The API server refuses what can be told wrong from one object alone: ranges, syntax, and by CEL rules what fields say
//! together. What takes more than the object, such as a template and the node's own NodeConfig together, the agent
//! checks.
//!
//! Defaults: a NodeConfig is put together field by field out of a node's own and the templates for it. A default that
//! the API server wrote into the node's own would hide the template's value for ever. So there are defaults only where
//! nothing is merged: in the entries of lists, which are taken whole.

pub(crate) mod rules;
mod structural;
pub(crate) mod text;
mod wire;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use crate::address_pool::{AddressPool, AddressPoolSpec};
use crate::node_config::{NodeConfig, NodeConfigSpec};
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

/// The CustomResourceDefinition of a kind (`apiextensions.k8s.io/v1`).
pub fn custom_resource_definition(kind: Kind) -> Value {
    let names = match kind {
        Kind::NodeConfig => NODE_CONFIG,
        Kind::AddressPool => ADDRESS_POOL,
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
        "additionalPrinterColumns": columns(kind),
    });
    if kind == Kind::NodeConfig {
        version["subresources"] = json!({"status": {}});
    }
    version
}

/// The structural schema of a whole object.
pub fn object_schema(kind: Kind) -> Value {
    let mut properties = json!({
        "apiVersion": {"type": "string", "description": format!("`{}`.", crate::API_VERSION)},
        "metadata": {"type": "object"},
        "spec": spec_schema(kind),
    });
    let described = |about: &Value| json!({"type": "object", "description": about});
    let mut object = match kind {
        Kind::NodeConfig => {
            properties["kind"] = json!({"type": "string", "description": "`NodeConfig`."});
            // A NodeConfig that says nothing is a good one: everything has a default, or comes from templates.
            properties["spec"]["default"] = json!({});
            properties["status"] = status_schema();
            described(&schema_of::<NodeConfig>()["description"])
        }
        Kind::AddressPool => {
            properties["kind"] = json!({"type": "string", "description": "`AddressPool`."});
            let mut object = described(&schema_of::<AddressPool>()["description"]);
            object["required"] = json!(["spec"]);
            object
        }
    };
    object["properties"] = properties;
    object
}

/// The structural schema of `spec`.
pub fn spec_schema(kind: Kind) -> Value {
    match kind {
        Kind::NodeConfig => schema_of::<NodeConfigSpec>(),
        Kind::AddressPool => schema_of::<AddressPoolSpec>(),
    }
}

/// An agent of another release may leave fields out: better a status without them than none.
fn status_schema() -> Value {
    let mut schema = schema_of::<NodeConfigStatus>();
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

/// What `kubectl get` shows; with `-o wide` also columns of priority 1.
fn columns(kind: Kind) -> Value {
    let condition = |name: &str| format!(".status.conditions[?(@.type==\"{name}\")].status");
    let age = json!({"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"});
    match kind {
        Kind::NodeConfig => json!([
            {"name": "Ready", "type": "string", "jsonPath": condition("Ready"),
             "description": "Whether the node gives pods what this object and its templates say."},
            {"name": "Config", "type": "string", "jsonPath": condition("ConfigValid"),
             "description": "Whether the node's configuration makes sense."},
            {"name": "Sessions", "type": "string", "jsonPath": ".status.bgp.established",
             "description": "BGP sessions that are up, of those that are configured."},
            {"name": "Pool low", "type": "string", "jsonPath": condition("PoolLow"), "priority": 1,
             "description": "Whether the node is running out of addresses."},
            {"name": "Priority", "type": "integer", "jsonPath": ".spec.priority", "priority": 1,
             "description": "Of a template: which one counts when several say different things."},
            {"name": "Version", "type": "string", "jsonPath": ".status.version", "priority": 1,
             "description": "The agent's version."},
            age,
        ]),
        Kind::AddressPool => json!([
            {"name": "CIDRs", "type": "string", "jsonPath": ".spec.cidrs", "description": "The addresses."},
            {"name": "Use", "type": "string", "jsonPath": ".spec.use", "description": "What they are for."},
            {"name": "Advertisers", "type": "integer", "jsonPath": ".spec.maxAdvertisers", "priority": 1,
             "description": "How many nodes advertise an anycast address at most."},
            age,
        ]),
    }
}
