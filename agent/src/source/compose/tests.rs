mod last_good;
mod merging;
mod others;
mod pod_cidrs;
mod properties;
mod unreadable;

use flock_core::selector::{LabelSelector, Operator, Requirement};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::source::objects::Template;
use flock_core::desired::Conflict;

/// The node that everything is composed for.
const NODE: &str = "node-b";

fn place(name: &str) -> Place {
    Place::Object { kind: "NodeConfig", name: name.to_owned() }
}

fn own(name: &str, spec: Value) -> ConfigObject {
    ConfigObject::new(name, place(name), spec)
}

fn template(name: &str, priority: i32, spec: Value) -> ConfigObject {
    let template = Template { nodes: LabelSelector::default(), priority };
    ConfigObject { template: Some(template), ..own(name, spec) }
}

fn for_rack(rack: &str, config: ConfigObject) -> ConfigObject {
    let values = BTreeSet::from([rack.to_owned()]);
    let requirement = Requirement { key: "rack".to_owned(), operator: Operator::In(values) };
    let nodes = LabelSelector { requirements: vec![requirement] };
    let priority = config.template.as_ref().map_or(0, |template| template.priority);
    ConfigObject { template: Some(Template { nodes, priority }), ..config }
}

fn node(labels: &[(&str, &str)], pod_cidrs: &[&str]) -> NodeObject {
    let labels: Labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    NodeObject { labels, pod_cidrs: nets(pod_cidrs), addresses: Vec::new() }
}

fn nets(texts: &[&str]) -> Vec<IpNet> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn objects(configs: impl IntoIterator<Item = ConfigObject>) -> Objects {
    let configs = configs.into_iter().map(|config| (config.name.clone(), Arc::new(config)));
    Objects { configs: configs.collect(), ..Objects::default() }
}

fn with_node(objects: Objects, name: &str, node: NodeObject) -> Objects {
    let mut nodes = objects.nodes;
    nodes.insert(name.to_owned(), node);
    Objects { nodes, ..objects }
}

fn compose(objects: Objects) -> Desired {
    Composer::new(NODE).compose(objects, Vec::new())
}

fn pools(desired: &Desired) -> Vec<String> {
    desired.node.iter().flat_map(|plan| plan.pools.iter()).map(|net| net.to_string()).collect()
}

fn reasons(desired: &Desired) -> Vec<String> {
    desired.problems.iter().map(ToString::to_string).collect()
}

/// At so many seconds after the epoch.
fn at(seconds: i64) -> Option<Timestamp> {
    Some(Timestamp::from_second(seconds).unwrap())
}
