//! Where pods' addresses come from when no NodeConfig says.

use super::*;

const POD_CIDRS: [&str; 2] = ["10.244.1.0/24", "fd00:1::/64"];

fn with_pod_cidrs(configs: impl IntoIterator<Item = ConfigObject>) -> Objects {
    with_node(objects(configs), NODE, node(&[], &POD_CIDRS))
}

#[test]
fn without_a_config_pods_get_addresses_of_the_nodes_pod_cidrs() {
    let desired = compose(with_pod_cidrs([]));
    assert_eq!(pools(&desired), ["fd00:1::/64", "10.244.1.0/24"]);
    let plan = desired.node.unwrap();
    assert_eq!((plan.bgp.clone(), plan.mtu), (None, None));
    assert_eq!((desired.problems, desired.config), (vec![], ConfigReport::default()));
}

#[test]
fn pod_cidrs_count_only_when_no_config_says_a_prefix_of_any_family() {
    let desired = compose(with_pod_cidrs([template("t", 0, json!({"mtu": 1400}))]));
    assert_eq!(pools(&desired), ["fd00:1::/64", "10.244.1.0/24"]);
    assert_eq!(desired.node.unwrap().mtu, Some(1400));
    let desired = compose(with_pod_cidrs([template("t", 0, json!({"cidr4": ["192.0.2.0/26"]}))]));
    assert_eq!(pools(&desired), ["192.0.2.0/26"]);
}

#[test]
fn without_either_there_is_no_plan() {
    let desired = compose(with_node(objects([own("node-a", json!({}))]), NODE, node(&[], &[])));
    assert_eq!((desired.node, desired.problems), (None, vec![]));
}

#[test]
fn pod_cidrs_that_are_no_pool_are_refused_as_the_nodes() {
    let desired = compose(with_node(Objects::default(), NODE, node(&[], &["2001:db8::/32"])));
    let refused = desired.config.refused.unwrap();
    assert!(refused.starts_with("Node node-b spec.podCIDRs: spec.cidr6[0]: 2001:db8::/32"), "{refused}");
}

#[test]
fn pod_cidrs_are_the_nodes_whatever_the_status_of_one_that_is_gone_still_says() {
    let gone =
        ConfigObject { pools_in_use: nets(&["10.244.1.0/24"]), created: at(1), ..own("gone", json!({})) };
    let desired = compose(with_pod_cidrs([gone]));
    assert_eq!(pools(&desired), ["fd00:1::/64", "10.244.1.0/24"]);
    assert_eq!(desired.config.refused, None);
    let told = ConfigObject { created: at(1), ..own("told", json!({"cidr4": ["10.244.0.0/16"]})) };
    let refused = compose(with_pod_cidrs([told])).config.refused.unwrap();
    assert!(refused.contains("overlaps 10.244.0.0/16 of node told"), "{refused}");
}
