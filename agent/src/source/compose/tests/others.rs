//! The cluster's other nodes.

use super::*;

const P: &str = "2001:db8:1::/64";

fn with(prefix: &str) -> Value {
    json!({"cidr6": [prefix]})
}

fn made(seconds: i64, config: ConfigObject) -> ConfigObject {
    ConfigObject { created: at(seconds), ..config }
}

fn using(prefix: &str, config: ConfigObject) -> ConfigObject {
    ConfigObject { pools_in_use: nets(&[prefix]), ..config }
}

#[track_caller]
fn keeps(configs: impl IntoIterator<Item = ConfigObject>) {
    let desired = compose(objects(configs));
    assert_eq!(desired.config.refused, None);
    assert!(pools(&desired)[0].starts_with("2001:db8:1:"));
    assert_eq!(desired.cluster, BTreeSet::new(), "what is its own is nobody else's");
}

#[track_caller]
fn yields(configs: impl IntoIterator<Item = ConfigObject>, words: &str) {
    let desired = compose(objects(configs));
    assert_eq!(desired.node, None);
    let refused = desired.config.refused.as_ref().unwrap();
    assert!(refused.contains(words), "{refused}");
    assert_eq!(reasons(&desired), [format!("configuration of node node-b: {refused}")]);
}

#[test]
fn of_two_nodes_with_the_same_addresses_the_one_with_the_older_config_has_them() {
    keeps([made(1, own(NODE, with(P))), made(2, own("node-a", with(P)))]);
    yields(
        [made(2, own(NODE, with(P))), made(1, own("node-c", with("2001:db8:1::/48")))],
        "NodeConfig node-b: spec.cidr6[0]: 2001:db8:1::/64 overlaps",
    );
}

#[test]
fn without_times_the_one_that_is_first_in_the_alphabet_has_them() {
    keeps([own(NODE, with(P)), own("node-c", with(P))]);
    yields([own(NODE, with(P)), own("node-a", with(P))], "of node node-a, which is first in the alphabet");
    yields([made(1, own(NODE, with(P))), made(1, own("node-a", with(P)))], "first in the alphabet");
}

#[test]
fn a_node_whose_pods_have_addresses_keeps_them_however_young_its_config_is() {
    yields(
        [made(1, own(NODE, with(P))), using(P, made(2, own("node-c", json!({}))))],
        "overlaps 2001:db8:1::/64 of node node-c, whose pods have addresses of it: two nodes must not",
    );
    keeps([using(P, made(2, own(NODE, with(P)))), made(1, own("node-a", with(P)))]);
    keeps([using(P, made(1, own(NODE, with(P)))), using(P, made(2, own("node-a", with(P))))]);
}

#[test]
fn of_any_two_nodes_exactly_one_is_refused() {
    let mut cases = 0;
    for (mine, theirs) in [(1, 1), (1, 2), (2, 1)] {
        for uses in 0..4 {
            let config = |name: &str, created, uses: bool| {
                let config = made(created, own(name, with(P)));
                if uses { using(P, config) } else { config }
            };
            let both = || objects([config("node-a", mine, uses & 1 > 0), config(NODE, theirs, uses & 2 > 0)]);
            let refused = |node| Composer::new(node).compose(both(), vec![]).config.refused.is_some();
            assert!(refused("node-a") != refused(NODE), "{mine} {theirs} {uses}");
            cases += 1;
        }
    }
    assert_eq!(cases, 12);
}

#[test]
fn a_prefix_that_a_template_gives_to_several_nodes_is_the_first_ones() {
    let folder = || {
        let objects = objects([template("t", 0, with(P))]);
        with_node(with_node(objects, NODE, node(&[], &[])), "node-a", node(&[], &[]))
    };
    assert!(compose(folder()).config.refused.unwrap().starts_with("NodeConfig t: spec.cidr6[0]"));
    assert_eq!(Composer::new("node-a").compose(folder(), vec![]).config.refused, None);
    let status = objects([template("t", 0, with(P)), using(P, made(5, own("node-c", json!({}))))]);
    assert!(compose(status).config.refused.unwrap().contains("node-c, whose pods have addresses of it"));
}

#[test]
fn the_clusters_prefixes_are_the_other_nodes_by_spec_status_and_pod_cidrs() {
    let configs = [
        own(NODE, with(P)),
        own("node-a", with("2001:db8:a::/64")),
        using("2001:db8:c::/64", own("node-c", json!({"cidr4": ["192.0.2.0/26", "bad"]}))),
        for_rack("1", template("rack-1", 0, with("2001:db8:d::/64"))),
    ];
    let objects = with_node(objects(configs), "node-d", node(&[("rack", "1")], &["10.0.4.0/24"]));
    let desired = compose(with_node(objects, "node-e", node(&[], &["10.0.5.0/24"])));
    let cluster: Vec<String> = desired.cluster.iter().map(ToString::to_string).collect();
    assert_eq!(
        cluster,
        ["10.0.5.0/24", "192.0.2.0/26", "2001:db8:a::/64", "2001:db8:c::/64", "2001:db8:d::/64"]
    );
    assert_eq!(pools(&desired), [P]);
}

#[test]
fn machines_are_the_other_nodes_and_the_api_servers() {
    let addresses = |list: &[&str]| list.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpAddr>>();
    let at = |list: &[&str]| NodeObject { addresses: addresses(list), ..NodeObject::default() };
    let status = ConfigObject { addresses: addresses(&["2001:db8::a"]), ..own("node-a", json!({})) };
    let mine = ConfigObject { addresses: addresses(&["2001:db8::b"]), ..own(NODE, json!({})) };
    let objects = with_node(objects([status, mine]), "node-c", at(&["192.0.2.3"]));
    let objects = with_node(objects, NODE, at(&["192.0.2.2"]));
    let desired = compose(Objects { servers: addresses(&["192.0.2.99"]).into_iter().collect(), ..objects });
    let expected: BTreeSet<IpAddr> =
        addresses(&["192.0.2.3", "192.0.2.99", "2001:db8::a"]).into_iter().collect();
    assert_eq!(desired.machines, expected);
}
