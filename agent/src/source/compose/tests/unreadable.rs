//! What cannot be read and may be the node's configuration.

use super::*;

fn unreadable(nodes: Audience) -> Objects {
    let unreadable = Unreadable {
        place: place("x"),
        reason: "spec.mtu: no number".to_owned(),
        nodes,
        fallback: Fallback::Nothing,
    };
    with_node(
        Objects { unreadable: vec![unreadable], ..Objects::default() },
        NODE,
        node(&[], &["10.244.1.0/24"]),
    )
}

fn of_config() -> Objects {
    objects([own(NODE, json!({"cidr6": ["2001:db8:b::/64"]}))])
}

#[test]
fn a_node_whose_own_config_cannot_be_read_gets_no_other_addresses_instead() {
    for nodes in [Audience::Named(NODE.to_owned()), Audience::Selected(LabelSelector::default())] {
        let mut composer = Composer::new(NODE);
        let desired = composer.compose(unreadable(nodes.clone()), vec![]);
        assert_eq!(desired.node, None);
        let refused = desired.config.refused.unwrap();
        assert_eq!(refused, "NodeConfig x cannot be read: spec.mtu: no number");
        let good = composer.compose(of_config(), vec![]).node;
        assert_eq!(composer.compose(unreadable(nodes), vec![]).node, good);
    }
}

#[test]
fn that_of_another_node_does_not_matter() {
    let rack = for_rack("1", template("t", 0, json!({}))).template.unwrap().nodes;
    for nodes in [Audience::Named("node-a".to_owned()), Audience::Selected(rack)] {
        let desired = compose(unreadable(nodes));
        assert_eq!((pools(&desired), desired.config.refused), (vec!["10.244.1.0/24".to_owned()], None));
    }
}

#[test]
fn when_nobody_can_say_whose_it_is_the_last_good_plan_stays_if_configs_had_a_part_in_it() {
    let mut composer = Composer::new(NODE);
    let from_pod_cidrs = composer.compose(unreadable(Audience::Unknown), vec![]);
    assert_eq!((pools(&from_pod_cidrs), from_pod_cidrs.problems), (vec!["10.244.1.0/24".to_owned()], vec![]));
    let good = composer.compose(of_config(), vec![]).node;
    let desired = composer.compose(unreadable(Audience::Unknown), vec![]);
    assert_eq!(desired.node, good);
    assert!(desired.config.refused.is_some());
    let beside = Objects { configs: of_config().configs, ..unreadable(Audience::Unknown) };
    assert_eq!(composer.compose(beside, vec![]).config.refused, None, "the node's is another one");
}

#[test]
fn an_earlier_version_counts_and_what_is_written_is_reported_as_not_obeyed() {
    let unreadable = Unreadable {
        fallback: Fallback::Earlier,
        ..unreadable(Audience::Named(NODE.to_owned())).unreadable.remove(0)
    };
    let desired = compose(Objects { unreadable: vec![unreadable], ..of_config() });
    assert_eq!(pools(&desired), ["2001:db8:b::/64"]);
    assert_eq!(desired.config.refused.unwrap(), "NodeConfig x cannot be read: spec.mtu: no number");
    assert_eq!(desired.problems, [], "the object itself is named already");
}
