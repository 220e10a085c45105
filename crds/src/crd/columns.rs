//! What `kubectl get` shows; with `-o wide` also columns of priority 1.

use serde_json::{Value, json};

use crate::prune::Kind;

pub(super) fn of(kind: Kind) -> Value {
    match kind {
        Kind::NodeConfig => node_config(),
        Kind::AddressPool => address_pool(),
        Kind::NodeState => node_state(),
    }
}

fn condition(name: &str) -> String {
    format!(".status.conditions[?(@.type==\"{name}\")].status")
}

fn age() -> Value {
    json!({"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"})
}

fn node_config() -> Value {
    json!([
        {"name": "Config", "type": "string", "jsonPath": condition("ConfigValid"),
         "description": "Whether the node's configuration makes sense."},
        {"name": "Rolled back", "type": "string", "jsonPath": condition("ConfigRolledBack"),
         "description": "Whether BIRD's configuration was taken back, since sessions did not come up again with it."},
        {"name": "Priority", "type": "integer", "jsonPath": ".spec.priority", "priority": 1,
         "description": "Of a template: which one counts when several say different things."},
        age(),
    ])
}

fn address_pool() -> Value {
    json!([
        {"name": "CIDRs", "type": "string", "jsonPath": ".spec.cidrs", "description": "The addresses."},
        {"name": "Use", "type": "string", "jsonPath": ".spec.use", "description": "What they are for."},
        {"name": "Advertisers", "type": "integer", "jsonPath": ".spec.maxAdvertisers", "priority": 1,
         "description": "How many nodes advertise an anycast address at most."},
        age(),
    ])
}

fn node_state() -> Value {
    json!([
        {"name": "Ready", "type": "string", "jsonPath": condition("Ready"),
         "description": "Whether the node can take pods."},
        {"name": "Config", "type": "string", "jsonPath": ".status.config",
         "description": "What becomes of the configuration that is written for the node."},
        {"name": "Sessions", "type": "string", "jsonPath": ".status.bgp.established",
         "description": "BGP sessions that are up, of those that are configured."},
        {"name": "Seen", "type": "date", "jsonPath": ".status.heartbeat",
         "description": "How long ago the agent has reported: more than 60 s is too long."},
        {"name": "Pool low", "type": "string", "jsonPath": condition("PoolLow"), "priority": 1,
         "description": "Whether the node is running out of addresses."},
        {"name": "Agent", "type": "string", "jsonPath": ".status.versions.agent", "priority": 1,
         "description": "The agent's version."},
        {"name": "BIRD", "type": "string", "jsonPath": ".status.versions.bird", "priority": 1,
         "description": "BIRD's version."},
    ])
}
