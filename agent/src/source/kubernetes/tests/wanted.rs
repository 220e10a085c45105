//! What is read becomes what is wanted.

use super::api::{CONFIGS, Mood, NAMESPACES, NODES, PODS, POOLS};
use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_followed() {
    let api = Api::start().await;
    api.put(NODES, node());
    api.put(CONFIGS, config(NODE, json!({"mtu": 1400})));
    api.put(
        CONFIGS,
        config("rack-1", json!({"nodeSelector": {"matchLabels": {"rack": "1"}}, "cooldown": "9s"})),
    );
    api.put(CONFIGS, config("node-b", json!({"cidr6": ["2001:db8:b::/64"], "mtu": 9000})));
    api.put(POOLS, json!({"metadata": {"name": "dns"}, "spec": {"cidrs": ["2001:db8:53::/64"], "use": "Anycast", "namespaceSelector": {}}}));
    api.put(
        NAMESPACES,
        json!({"metadata": {"name": "default", "labels": {"kubernetes.io/metadata.name": "default"}}}),
    );
    api.put(PODS, pod("web-0", NODE));
    let following = follow(&api);
    let desired = following.known().await;
    let plan = desired.node.as_ref().unwrap();
    assert_eq!((plan.mtu, plan.cooldown.as_secs()), (Some(1400), 9));
    assert_eq!(plan.pools.iter().map(|net| net.to_string()).collect::<Vec<_>>(), ["10.244.1.0/24"]);
    assert_eq!(
        (desired.config.generation, &desired.config.templates[..]),
        (Some(1), &["rack-1".to_owned()][..])
    );
    assert_eq!(desired.cluster.iter().map(ToString::to_string).collect::<Vec<_>>(), ["2001:db8:b::/64"]);
    assert_eq!(desired.pods[&pod_name("web-0")].uid.as_deref(), Some("uid-web-0"));
    assert_eq!((desired.pools[0].name.as_str(), desired.namespaces.len()), ("dns", 1));
    assert_eq!((problems(&desired), following.cluster.trouble()), (vec![], None));
    api.delete(PODS, "web-0");
    api.put(CONFIGS, config(NODE, json!({"mtu": 1300})));
    let gone =
        |desired: &Desired| desired.pods.is_empty() && desired.node.as_ref().unwrap().mtu == Some(1300);
    following.until(gone).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_known_before_every_list_is_complete() {
    for late in [NODES, CONFIGS, POOLS, NAMESPACES, PODS] {
        let api = Api::start().await;
        api.put(NODES, node());
        api.mood(late, Mood::Refuses(503));
        let following = follow(&api);
        following
            .until_trouble(|trouble| trouble.is_some_and(|text| text.contains("refused with 503")))
            .await;
        assert_eq!(**following.cluster.desired().borrow(), Desired::default(), "{late}");
        api.mood(late, Mood::Good);
        assert!(following.known().await.node.is_some(), "{late}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_cannot_be_read_stops_nobody_and_is_named_by_its_field() {
    let api = Api::start().await;
    api.put(NODES, node());
    api.put(CONFIGS, config(NODE, json!({"mtu": 1400})));
    api.put(CONFIGS, config("rack", json!({"nodeSelector": {"matchLabels": {"rack": "2"}}, "mtu": "wide"})));
    api.put(CONFIGS, config("node-b", json!({"cidr6": "none", "bgp": 7})));
    api.put(POOLS, json!({"metadata": {"name": "dns"}, "spec": {"cidrs": ["x"], "use": "Anycast", "namespaceSelector": {}}}));
    api.put(POOLS, json!({"metadata": {"name": "odd"}, "spec": 7}));
    let following = follow(&api);
    let desired = following.known().await;
    assert_eq!(desired.node.as_ref().unwrap().mtu, Some(1400));
    let named = problems(&desired);
    let expected = [
        "NodeConfig node-b: spec.cidr6: invalid type: string \"none\"",
        "NodeConfig rack: spec.mtu: invalid type: string \"wide\"",
        "AddressPool dns: spec.cidrs[0]: \"x\" is no prefix",
        "AddressPool odd: spec: invalid type",
    ];
    assert_eq!(named.len(), expected.len(), "{named:?}");
    for (named, expected) in named.iter().zip(expected) {
        assert!(named.starts_with(expected), "{named}");
    }
    api.put(CONFIGS, config(NODE, json!({"mtu": 1300})));
    following.until(|desired| desired.node.as_ref().unwrap().mtu == Some(1300)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_readable_version_stays_and_the_new_one_is_reported_as_refused() {
    let api = Api::start().await;
    api.put(NODES, node());
    api.put(CONFIGS, config(NODE, json!({"mtu": 1400})));
    let following = follow(&api);
    following.known().await;
    api.put(CONFIGS, config(NODE, json!({"mtu": 7})));
    let desired = following.until(|desired| desired.config.refused.is_some()).await;
    assert_eq!(desired.node.as_ref().unwrap().mtu, Some(1400));
    let words = "NodeConfig node-a cannot be read: spec.mtu: 7 is out of range";
    assert!(desired.config.refused.as_ref().unwrap().starts_with(words), "{desired:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_newer_release_has_is_remarked_upon() {
    let api = Api::start().await;
    api.put(NODES, node());
    api.put(CONFIGS, config(NODE, json!({"mtu": 1400, "mood": "good", "masquerade": {}})));
    let desired = follow(&api).known().await;
    assert_eq!(desired.node.as_ref().unwrap().mtu, Some(1400));
    assert_eq!(
        problems(&desired),
        [
            "NodeConfig node-a: spec.mood is not known to this release: it has no effect",
            "NodeConfig node-a: spec.masquerade is not served by this release: it has no effect",
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_nodes_own_objects_are_told_to_those_who_write_to_them() {
    let api = Api::start().await;
    api.put(NODES, node());
    let following = follow(&api);
    following.known().await;
    let mut own = following.cluster.own();
    let network =
        crate::source::own::SeenCondition { status: "True".to_owned(), reason: "NoRoute".to_owned() };
    let expected = OwnNode { uid: "node-uid".to_owned(), network_unavailable: Some(network) };
    assert_eq!(own.node.borrow().as_deref(), Some(&expected));
    assert_eq!(*own.config.borrow_and_update(), None);
    let mut written = config(NODE, json!({"mtu": "wide"}));
    written["status"] = json!({"templates": ["all"], "version": "of an earlier release"});
    api.put(CONFIGS, written);
    tokio::time::timeout(PATIENCE, own.config.changed()).await.unwrap().unwrap();
    let config = own.config.borrow().clone().unwrap();
    assert_eq!((config.uid.as_str(), config.generation), ("config-node-a", 1), "even if it cannot be obeyed");
    assert_eq!(config.status.as_ref().unwrap().templates, ["all"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_in_other_nodes_status_matters_only_as_far_as_it_is_asked_about() {
    let api = Api::start().await;
    api.put(NODES, node());
    let with_status = |used: u64, cidr: &str| {
        let mut config = config("node-b", json!({}));
        let pool = json!({"cidr": cidr, "used": used, "size": 9, "resting": 0});
        config["status"] = json!({"pools": [pool], "addresses": ["192.0.2.2"], "version": used.to_string()});
        config
    };
    api.put(CONFIGS, with_status(1, "10.0.2.0/24"));
    let following = follow(&api);
    let desired = following.known().await;
    assert_eq!(desired.cluster.len() + desired.machines.len(), 2);
    let mut changes = following.cluster.desired();
    changes.borrow_and_update();
    for used in 2..20 {
        api.put(CONFIGS, with_status(used, "10.0.2.0/24"));
    }
    api.put(CONFIGS, with_status(20, "10.0.3.0/24"));
    tokio::time::timeout(PATIENCE, changes.changed()).await.unwrap().unwrap();
    let cluster: Vec<String> = changes.borrow_and_update().cluster.iter().map(ToString::to_string).collect();
    assert_eq!(cluster, ["10.0.3.0/24"], "the first change that was published");
}
