//! Routes that come and go in a configuration that stays.

use super::*;

#[test]
fn anycast_routes_leave_the_revision_as_it_is_and_have_one_of_their_own() {
    let with = |config: &BirdConfig| {
        let text = render(config).unwrap().text;
        let (base, routes) = Base::read(&text).unwrap();
        assert!(text.contains(&format!("\ndefine flock_anycast = \"{}\";\n", routes.revision())));
        (base, routes)
    };
    let one = anycast(AnycastWeight::None);
    let mut other = one.clone();
    other.anycast.pop_first();
    assert_eq!(with(&one).0, with(&other).0);
    assert_ne!(with(&one).1.revision(), with(&other).1.revision());
}

#[test]
fn a_base_is_found_again_in_what_was_written_and_takes_other_routes() {
    for weight in [AnycastWeight::None, AnycastWeight::LinkBandwidth, AnycastWeight::Med] {
        let config = anycast(weight);
        let conf = render(&config).unwrap();
        let (found, routes) = Base::read(&conf.text).unwrap();
        assert_eq!((&found, &routes), (&base(&config).unwrap(), &AnycastRoutes::of(&config)));
        let without = BirdConfig { anycast: BTreeMap::new(), ..config };
        assert_eq!(found.with(&AnycastRoutes::default()), render(&without).unwrap());
        assert_eq!(Base::read(&render(&without).unwrap().text).unwrap().0.with(&routes), conf);
    }
}

#[test]
fn what_has_no_place_for_anycast_routes_is_no_base() {
    let before = render(&dual_stack()).unwrap().text.replace("define flock_anycast", "define other");
    for text in ["", "router id 192.0.2.1;\n", &bootstrap().unwrap().text, &before] {
        assert_eq!(Base::read(text), None);
    }
}

#[test]
fn another_number_of_pods_is_a_change_only_where_it_is_told() {
    let routes = |weight, pods: u32| {
        let mut config = anycast(weight);
        config.anycast.insert(parsed("2001:db8:53::1"), pods.try_into().unwrap());
        AnycastRoutes::of(&config)
    };
    let changes = |weight, from, to| routes(weight, from).changes(&routes(weight, to));
    let weighed = BTreeMap::from([(parsed("2001:db8:53::1"), Change::Weight)]);
    assert_eq!(changes(AnycastWeight::None, 3, 2), BTreeMap::new());
    assert_eq!(changes(AnycastWeight::LinkBandwidth, 3, 2), weighed);
    assert_eq!(changes(AnycastWeight::Med, 3, 2), weighed);
    assert_eq!(changes(AnycastWeight::Med, 1000, 4000), BTreeMap::new(), "the MED is 0 with a thousand");
    let none = AnycastRoutes::default();
    let all = routes(AnycastWeight::Med, 3);
    assert!(none.changes(&all).values().all(|change| *change == Change::Announced));
    assert!(all.changes(&none).values().all(|change| *change == Change::Withdrawn));
    assert_eq!(all.only_of(&none), none);
    assert_eq!(all.only_of(&routes(AnycastWeight::None, 3)), all);
}

#[test]
fn weights_stay_within_what_they_are_told_in() {
    let text = |asn_of_node: u32, weight, pods: u32, med| {
        let mut config = anycast(weight);
        config.asn = asn(asn_of_node);
        config.anycast = BTreeMap::from([(parsed("2001:db8:53::1"), pods.try_into().unwrap())]);
        config.sessions[0].peer.attributes.med = med;
        render(&config).unwrap().text
    };
    for (asn, pods, expected) in [
        (65001, 1, "(generic, 0x0004fde9, 0x4cee6b28)"),
        (65001, 3, "(generic, 0x0004fde9, 0x4db2d05e)"),
        (4_200_000_000, 3, "(generic, 0x00045ba0, 0x4db2d05e)"),
        (65001, u32::MAX, "(generic, 0x0004fde9, 0x54ee6a3a)"),
    ] {
        let text = text(asn, AnycastWeight::LinkBandwidth, pods, None);
        assert!(text.contains(&format!("bgp_ext_community.add({expected});")), "{text}");
    }
    let highest = text(65001, AnycastWeight::Med, u32::MAX, Some(u32::MAX));
    assert!(highest.contains("blackhole { bgp_med = 0; };"), "{highest}");
    assert!(highest.contains("bgp_med = bgp_med + 4294966295;\n  else bgp_med = 4294967295;"), "{highest}");
}
