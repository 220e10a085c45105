//! Which NodeConfig says what.

use super::*;

#[test]
fn a_nodes_own_config_goes_before_templates_field_by_field() {
    let desired = compose(objects([
        own(NODE, json!({"cidr6": ["2001:db8:b::/64"], "anycast": {"holdDown": "5s"}})),
        template(
            "everywhere",
            9,
            json!({"mtu": 1400, "cidr6": ["2001:db8:f::/64"], "anycast": {"holdDown": "9s", "establishedConnections": "Move"}}),
        ),
    ]));
    let plan = desired.node.as_ref().unwrap();
    assert_eq!(pools(&desired), ["2001:db8:b::/64"], "a list counts whole");
    assert_eq!((plan.name.as_str(), plan.mtu), (NODE, Some(1400)));
    assert_eq!(plan.anycast.hold_down.as_secs(), 5);
    assert_eq!(plan.anycast.established, flock_core::node::EstablishedConnections::Move);
    assert_eq!(desired.config.templates, ["everywhere"]);
    assert_eq!((reasons(&desired), desired.config.refused), (vec![], None));
}

#[test]
fn templates_go_by_priority_then_by_name_and_only_those_that_select_the_node() {
    let configs = [
        template("b", 0, json!({"mtu": 1402, "claims": "Any"})),
        template("a", 0, json!({"mtu": 1401})),
        for_rack("1", template("c", 5, json!({"mtu": 1405}))),
        for_rack("2", template("d", 9, json!({"mtu": 1409}))),
        template("e", -1, json!({"cooldown": "7s"})),
        own("node-a", json!({"mtu": 1500, "cidr4": ["192.0.2.0/26"]})),
    ];
    let desired = compose(with_node(objects(configs), NODE, node(&[("rack", "1")], &[])));
    assert_eq!(desired.config.templates, ["c", "a", "b", "e"]);
    let plan = desired.node.unwrap();
    assert_eq!((plan.mtu, plan.cooldown.as_secs()), (Some(1405), 7));
    assert_eq!(plan.claims, flock_core::claim::Claims::Any);
    assert_eq!(desired.config.conflicts, [], "a higher one decides about mtu");
}

#[test]
fn templates_of_the_same_priority_that_disagree_are_reported_and_the_first_by_name_counts() {
    let configs = || {
        [
            template("b", 3, json!({"mtu": 1402, "claims": "Any", "defaults": {"ipv6": true}})),
            template("a", 3, json!({"mtu": 1401, "claims": "Any", "defaults": {"ipv4": true}})),
            template("c", 2, json!({"mtu": 1403})),
        ]
    };
    let desired = compose(objects(configs()));
    let conflict = Conflict { field: "spec.mtu".to_owned(), used: "a".to_owned(), ignored: "b".to_owned() };
    assert_eq!(desired.node.as_ref().unwrap().mtu, Some(1401));
    assert_eq!(desired.config.conflicts, [conflict]);
    let [reason] = reasons(&desired).try_into().unwrap();
    let words = "configuration of node node-b: NodeConfigs a and b of the same priority say different things of spec.mtu";
    assert!(reason.starts_with(words), "{reason}");
    let desired = compose(objects(configs().into_iter().chain([own(NODE, json!({"mtu": 1500}))])));
    assert_eq!((desired.config.conflicts, desired.problems), (vec![], vec![]), "the node's own decides");
}

#[test]
fn a_template_named_like_the_node_is_a_template() {
    let desired = compose(objects([for_rack("9", own(NODE, json!({"mtu": 1400})))]));
    assert_eq!((desired.node, desired.config), (None, ConfigReport::default()));
}

#[test]
fn null_is_not_said() {
    let desired = compose(objects([
        own(NODE, json!({"mtu": null, "anycast": {"holdDown": null}})),
        template("t", 0, json!({"mtu": 1400, "anycast": {"holdDown": "5s"}})),
    ]));
    let plan = desired.node.unwrap();
    assert_eq!((plan.mtu, plan.anycast.hold_down.as_secs()), (Some(1400), 5));
}

#[test]
fn an_empty_mapping_says_that_it_is_there() {
    let bgp = |required: Value| json!({"bgp": {"asn": 65001, "requireEstablished": required}});
    for (own_spec, template_spec) in [(bgp(json!({})), json!({})), (json!({}), bgp(json!({})))] {
        let desired = compose(objects([own(NODE, own_spec), template("t", 0, template_spec)]));
        assert!(desired.node.unwrap().bgp.as_ref().unwrap().require_established.is_some());
    }
}

#[test]
fn the_annotation_ip_algo_goes_by_the_same_precedence() {
    let with = |algo: &str, config: ConfigObject| ConfigObject {
        annotations: BTreeMap::from([("flock.fritzlab.net/ip-algo".to_owned(), algo.to_owned())]),
        ..config
    };
    let templates = || [with("pod", template("a", 0, json!({}))), with("app", template("b", 0, json!({})))];
    let desired = compose(objects(templates()));
    assert_eq!(desired.node.unwrap().ip_algo.as_deref(), Some("pod"));
    assert_eq!(desired.config.conflicts[0].field, "metadata.annotations[flock.fritzlab.net/ip-algo]");
    let desired = compose(objects(templates().into_iter().chain([with("namespace", own(NODE, json!({})))])));
    assert_eq!(desired.node.unwrap().ip_algo.as_deref(), Some("namespace"));
}

#[test]
fn a_refusal_names_the_objects_that_the_field_is_of() {
    let cases = [
        (json!({"mtu": 1000}), json!({"cidr6": ["2001:db8:b::/64"]}), "NodeConfig node-b: spec.mtu: 1000"),
        (json!({"cidr6": ["2001:db8:b::/64"]}), json!({"mtu": 1000}), "NodeConfig t: spec.mtu: 1000"),
        (
            json!({"bgp": {"peers": []}}),
            json!({"bgp": {"listenPort": 1179}}),
            "NodeConfig node-b and NodeConfig t: spec.bgp.asn: missing",
        ),
        (
            json!({"bgp": {"asn": 65001}}),
            json!({"bgp": {"peers": [{"address": "192.0.2.1", "asn": 65000, "localPref": 7}]}}),
            "NodeConfig t: spec.bgp.peers[0].localPref: a router of another autonomous system",
        ),
    ];
    for (own_spec, template_spec, words) in cases {
        let desired = compose(objects([own(NODE, own_spec), template("t", 0, template_spec)]));
        assert_eq!(desired.node, None);
        let refused = desired.config.refused.as_ref().unwrap();
        assert!(refused.starts_with(words), "{refused}");
        assert_eq!(reasons(&desired), [format!("configuration of node node-b: {refused}")]);
    }
}

#[test]
fn an_object_in_a_folder_is_named_with_its_place() {
    let at = Place::File { path: "racks.yaml".into(), line: Some(7) };
    let config = ConfigObject { place: at, ..template("t", 0, json!({"bgp": {}})) };
    let refused = compose(objects([config])).config.refused.unwrap();
    assert!(refused.starts_with("NodeConfig t (racks.yaml:7): spec.bgp.asn: missing"), "{refused}");
}

#[test]
fn the_generation_is_that_of_the_nodes_own_config() {
    let of = |generation, config: ConfigObject| ConfigObject { generation: Some(generation), ..config };
    let desired = compose(objects([of(3, own(NODE, json!({}))), of(8, template("t", 0, json!({})))]));
    assert_eq!(desired.config.generation, Some(3));
    assert_eq!(compose(objects([of(8, template("t", 0, json!({})))])).config.generation, None);
}
