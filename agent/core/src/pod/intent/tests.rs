use super::*;
use crate::node::{FamilyDefaults, Pools};
use crate::pod::Controller;
use crate::pod::annotation::PREFIX;

fn plan(cidr6: &[&str], cidr4: &[&str]) -> NodePlan {
    NodePlan {
        pools: Pools {
            v6: cidr6.iter().map(|net| Cidr6::try_from(net.parse::<Ipv6Net>().unwrap()).unwrap()).collect(),
            v4: cidr4.iter().map(|net| Cidr4::try_from(net.parse::<Ipv4Net>().unwrap()).unwrap()).collect(),
        },
        ..NodePlan::new("node-a")
    }
}

fn dual() -> NodePlan {
    plan(&["2001:db8:a:1::/64"], &["203.0.113.0/26"])
}

fn pod(annotations: &[(&str, &str)]) -> Pod {
    let annotations = annotations.iter().map(|(key, value)| (format!("{PREFIX}{key}"), (*value).to_owned()));
    Pod {
        controller: Some(Controller { kind: "StatefulSet".to_owned(), name: "web".to_owned() }),
        image: Some("registry.example/web:1".to_owned()),
        ..Pod::new(PodName::new("default", "web-0").unwrap())
    }
    .annotated(&annotations.collect())
}

fn families(plan: &NodePlan, annotations: &[(&str, &str)]) -> Result<(bool, bool), String> {
    let intent = resolve(plan, &pod(annotations)).map_err(|error| error.to_string())?.0;
    Ok((intent.wants(Family::IPv6), intent.wants(Family::IPv4)))
}

/// The effective ranges of either family.
fn ranges(plan: &NodePlan, key: &str, value: &str) -> Result<Vec<String>, String> {
    let (intent, _) = resolve(plan, &pod(&[(key, value)])).map_err(|error| error.to_string())?;
    Ok(match key {
        "cidr6" => intent.v6().iter().map(Cidr6::to_string).collect(),
        _ => intent.v4().iter().map(Cidr4::to_string).collect(),
    })
}

#[test]
fn families_are_the_pods_word_then_the_nodes_then_dual_stack() {
    let cases = [
        ((None, None), (None, None), (true, true)),
        ((None, None), (None, Some(false)), (true, false)),
        ((None, None), (Some(true), Some(true)), (true, true)),
        ((None, Some("true")), (None, Some(false)), (true, true)),
        ((Some("false"), None), (Some(true), None), (false, true)),
        ((Some("false"), Some("true")), (Some(true), Some(false)), (false, true)),
    ];
    for ((ipv6, ipv4), (v6, v4), expected) in cases {
        let mut plan = dual();
        plan.defaults = FamilyDefaults { v6, v4 };
        let said = [("ipv6", ipv6), ("ipv4", ipv4)];
        let said: Vec<_> =
            said.into_iter().filter_map(|(key, value)| value.map(|value| (key, value))).collect();
        assert_eq!(families(&plan, &said), Ok(expected), "{said:?} {:?}", plan.defaults);
    }
}

#[test]
fn a_family_that_nobody_asked_for_and_the_node_lacks_is_left_out() {
    assert_eq!(families(&plan(&["2001:db8::/64"], &[]), &[]), Ok((true, false)));
    assert_eq!(families(&plan(&[], &["203.0.113.0/26"]), &[]), Ok((false, true)));
}

#[test]
fn a_family_that_was_asked_for_and_the_node_lacks_is_an_error() {
    let v6_only = plan(&["2001:db8::/64"], &[]);
    assert_eq!(
        families(&v6_only, &[("ipv4", "true")]).unwrap_err(),
        "pod default/web-0: annotation flock.fritzlab.net/ipv4 asks for IPv4, but node node-a has no IPv4 prefix: fill spec.cidr4 of NodeConfig node-a, or set annotation flock.fritzlab.net/ipv4 to false"
    );
    let mut asked = v6_only;
    asked.defaults.v4 = Some(true);
    assert_eq!(
        families(&asked, &[]).unwrap_err(),
        "pod default/web-0: NodeConfig's spec.defaults.ipv4 asks for IPv4, but node node-a has no IPv4 prefix: fill spec.cidr4 of NodeConfig node-a, or set NodeConfig's spec.defaults.ipv4 to false"
    );
    assert_eq!(families(&asked, &[("ipv4", "false")]), Ok((true, false)));
}

#[test]
fn a_pod_without_any_family_is_an_error() {
    let error = families(&dual(), &[("ipv6", "false"), ("ipv4", "false")]).unwrap_err();
    assert!(
        error.starts_with("pod default/web-0: neither IPv6 nor IPv4 is left for it on node node-a"),
        "{error}"
    );
    for (plan, said) in [
        (plan(&[], &[]), vec![]),
        (plan(&["2001:db8::/64"], &[]), vec![("ipv6", "false")]),
        (plan(&[], &["203.0.113.0/26"]), vec![("ipv4", "false")]),
    ] {
        assert!(matches!(resolve(&plan, &pod(&said)), Err(IntentError::NoFamily { .. })), "{said:?}");
    }
}

#[test]
fn without_an_annotation_all_of_the_nodes_prefixes_serve() {
    let plan = plan(&["2001:db8:2::/64", "2001:db8:1::/64"], &["203.0.113.0/26", "198.51.100.0/24"]);
    let (intent, warnings) = resolve(&plan, &pod(&[])).unwrap();
    assert_eq!(intent.v6(), plan.pools.v6);
    assert_eq!(intent.v4(), plan.pools.v4);
    assert_eq!(warnings, []);
}

#[test]
fn annotations_narrow_the_choice() {
    let plan = plan(&["2001:db8:0:1::/64", "2001:db8:0:2::/64"], &["203.0.113.0/26", "198.51.100.0/24"]);
    let cases = [
        ("cidr6", "2001:db8:0:2::/64", vec!["2001:db8:0:2::/64"]),
        ("cidr6", "2001:db8::/32", vec!["2001:db8:0:1::/64", "2001:db8:0:2::/64"]),
        ("cidr6", "::/0", vec!["2001:db8:0:1::/64", "2001:db8:0:2::/64"]),
        ("cidr6", "2001:db8:0:2:5::/80", vec!["2001:db8:0:2:5::/80"]),
        ("cidr6", "2001:db8:0:2:5::7/80", vec!["2001:db8:0:2:5::/80"]),
        ("cidr6", "2001:db8:9::/64, 2001:db8:0:2:5::/80, ::/0", vec!["2001:db8:0:2:5::/80"]),
        ("cidr4", "203.0.113.0/26", vec!["203.0.113.0/26"]),
        ("cidr4", "0.0.0.0/0", vec!["203.0.113.0/26", "198.51.100.0/24"]),
        ("cidr4", "10.0.0.0/8,198.51.100.16/28", vec!["198.51.100.16/28"]),
        ("cidr4", "198.51.100.252/30", vec!["198.51.100.252/30"]),
    ];
    for (key, value, expected) in cases {
        assert_eq!(ranges(&plan, key, value).unwrap(), expected, "{key} {value}");
    }
}

#[test]
fn disjoint_prefixes_are_an_error_that_shows_both_sides() {
    assert_eq!(
        ranges(&dual(), "cidr4", "10.0.0.0/8, 192.0.2.0/24").unwrap_err(),
        "pod default/web-0: annotation flock.fritzlab.net/cidr4=10.0.0.0/8, 192.0.2.0/24 has nothing in common with the prefixes of node node-a (203.0.113.0/26): name one of these, or a part of one"
    );
    assert!(ranges(&dual(), "cidr6", "2001:db8:a:2::/64").is_err());
    let long = vec!["10.0.0.0/8"; 1000].join(",");
    assert!(ranges(&dual(), "cidr4", &long).unwrap_err().len() < 500);
}

#[test]
fn a_narrowed_prefix_that_is_too_long_is_an_error_that_says_the_longest() {
    assert_eq!(
        ranges(&dual(), "cidr6", "2001:db8:a:1::/124").unwrap_err(),
        "pod default/web-0: annotation flock.fritzlab.net/cidr6: 2001:db8:a:1::/124: the prefix length must be from /48 to /120"
    );
    assert_eq!(
        ranges(&dual(), "cidr4", "203.0.113.4/32").unwrap_err(),
        "pod default/web-0: annotation flock.fritzlab.net/cidr4: 203.0.113.4/32: the prefix length must be from /8 to /30"
    );
}

#[test]
fn what_was_passed_over_is_told() {
    let mut plan = dual();
    plan.ip_algo = Some("app".to_owned());
    let pod = pod(&[("ipv4", "false"), ("cidr4", "203.0.113.0/28"), ("ip-algo", "x"), ("ip-alog", "pod")]);
    let (intent, warnings) = resolve(&plan, &pod).unwrap();
    assert_eq!(intent.algo().map(IpAlgo::to_string).as_deref(), Some("app"));
    let warnings: Vec<String> = warnings.iter().map(Warning::to_string).collect();
    assert_eq!(
        warnings,
        [
            "pod default/web-0: annotation \"flock.fritzlab.net/ip-alog\" is unknown and ignored: there are ipv6, ipv4, cidr6, cidr4, ip-algo, addresses, anycast",
            "pod default/web-0: the pod's annotation flock.fritzlab.net/ip-algo=\"x\" is ignored: field \"x\" is unknown: there are namespace, app, pod and image",
            "pod default/web-0: annotation flock.fritzlab.net/cidr4 is ignored: the pod gets no IPv4",
        ]
    );
}

#[test]
fn the_intent_knows_what_an_address_may_show() {
    let (intent, _) = resolve(&dual(), &pod(&[])).unwrap();
    let identity = intent.identity();
    assert_eq!((intent.pod(), identity.app.as_str()), (&PodName::new("default", "web-0").unwrap(), "web"));
    assert_eq!(identity.image.as_deref(), Some("registry.example/web:1"));
}

fn static_addresses(annotations: &[(&str, &str)]) -> Result<(String, usize), String> {
    let intent = resolve(&dual(), &pod(annotations)).map_err(|error| error.to_string())?.0;
    let texts: Vec<String> = intent.static_addresses().iter().map(|address| address.to_string()).collect();
    Ok((texts.join(" "), intent.v6().len() + intent.v4().len()))
}

#[test]
fn the_first_address_of_each_family_takes_the_place_of_ipams() {
    assert_eq!(static_addresses(&[]).unwrap(), (String::new(), 2));
    assert_eq!(static_addresses(&[("addresses", "2001:db8::80")]).unwrap(), ("2001:db8::80".to_owned(), 1));
    let all = "192.0.2.80, 2001:db8::81, 192.0.2.79, 2001:db8::80";
    let expected = "2001:db8::81 192.0.2.80 192.0.2.79 2001:db8::80";
    assert_eq!(static_addresses(&[("addresses", all)]).unwrap(), (expected.to_owned(), 0));
}

#[test]
fn an_address_of_ones_own_needs_no_pool_of_its_family() {
    let node = plan(&["2001:db8:a:1::/64"], &[]);
    let intent = resolve(&node, &pod(&[("addresses", "192.0.2.80")])).unwrap().0;
    assert!(intent.wants(Family::IPv4) && intent.v4().is_empty());
}

#[test]
fn an_address_of_a_family_that_the_pod_does_not_have_is_refused() {
    for key in ["anycast", "addresses"] {
        let error = static_addresses(&[("ipv4", "false"), (key, "192.0.2.80")]).unwrap_err();
        let expected = format!(
            "pod default/web-0: annotation flock.fritzlab.net/{key} names 192.0.2.80, but the pod gets no IPv4: "
        );
        assert!(error.starts_with(&expected), "{error}");
    }
    let node = plan(&["2001:db8:a:1::/64"], &[]);
    assert!(resolve(&node, &pod(&[("anycast", "198.51.100.53")])).is_err());
}

#[test]
fn an_address_is_one_pods_or_many_pods() {
    let error = static_addresses(&[("anycast", "192.0.2.80"), ("addresses", "192.0.2.80")]).unwrap_err();
    assert!(error.contains("192.0.2.80 is in annotation flock.fritzlab.net/addresses and in"), "{error}");
}
