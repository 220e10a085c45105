use super::*;
use crate::selector::{Operator, Requirement};

fn pool(name: &str, cidr: &str, namespace: &str, usage: Use) -> AddressPool {
    let values = BTreeSet::from([namespace.to_owned()]);
    let requirement =
        Requirement { key: "kubernetes.io/metadata.name".to_owned(), operator: Operator::In(values) };
    AddressPool {
        name: name.to_owned(),
        cidrs: vec![cidr.parse().unwrap()],
        namespaces: LabelSelector { requirements: vec![requirement] },
        usage,
        max_advertisers: None,
    }
}

fn judged(claims: Claims, usage: Use, address: &str) -> String {
    let pools = [
        pool("dns", "2001:db8:53::/64", "dns", Use::Anycast),
        pool("web", "2001:db8:80::/64", "web", Use::Anycast),
        pool("plex", "198.51.100.32/32", "dns", Use::Static),
    ];
    let namespace = Labels::from([("kubernetes.io/metadata.name".to_owned(), "dns".to_owned())]);
    let registry = Registry {
        claims,
        pools: &pools,
        namespace: &namespace,
        infrastructure: &BTreeSet::from(["192.0.2.1".parse().unwrap()]),
        own: &BTreeSet::from(["2001:db8:a:1::/64".parse().unwrap()]),
        others: &BTreeSet::from(["2001:db8:a:2::/64".parse().unwrap()]),
        taken: &BTreeMap::from([
            ("198.51.100.40".parse().unwrap(), (Use::Static, PodName::new("web", "plex").unwrap())),
            ("198.51.100.41".parse().unwrap(), (Use::Anycast, PodName::new("web", "dns").unwrap())),
        ]),
    };
    let pod = PodName::new("dns", "resolver-0").unwrap();
    match admit(&pod, usage, address.parse().unwrap(), &registry) {
        Ok(()) => String::new(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_claim_is_admitted_from_a_pool_for_its_use_and_namespace_only() {
    let cases = [
        (Use::Anycast, "2001:db8:53::1", ""),
        (Use::Static, "198.51.100.32", ""),
        (Use::Anycast, "2001:db8:80::1", "whose namespaceSelector does not admit namespace dns"),
        (
            Use::Anycast,
            "198.51.100.32",
            "is for use Static: claim it by annotation flock.fritzlab.net/addresses",
        ),
        (Use::Anycast, "203.0.113.9", "is in no AddressPool for Anycast"),
    ];
    for (usage, address, words) in cases {
        let said = judged(Claims::Pools, usage, address);
        assert!(if words.is_empty() { said.is_empty() } else { said.contains(words) }, "{address}: {said}");
    }
}

#[test]
fn the_refusal_shows_the_pool_to_write() {
    let said = judged(Claims::Pools, Use::Anycast, "203.0.113.9");
    assert!(
        said.starts_with("pod dns/resolver-0: annotation flock.fritzlab.net/anycast: 203.0.113.9 "),
        "{said}"
    );
    assert!(said.contains("spec: {cidrs: [\"203.0.113.9/32\"], use: Anycast, namespaceSelector: "), "{said}");
}

#[test]
fn what_is_somebody_elses_is_refused_whatever_claims_says() {
    let cases = [
        ("192.0.2.1", "belongs to a node or a router"),
        ("2001:db8:a:1::5", "is in 2001:db8:a:1::/64"),
        ("2001:db8:a:2::5", "is in 2001:db8:a:2::/64"),
        ("198.51.100.40", "is pod web/plex's already"),
        ("::1", "a loopback address"),
        ("fe80::5", "a link-local address"),
        ("169.254.1.1", "a link-local address"),
        ("ff02::1", "a multicast address"),
        ("::", "the unspecified address"),
        ("::ffff:192.0.2.9", "an IPv4-mapped address"),
    ];
    for (address, words) in cases {
        for claims in [Claims::Pools, Claims::Any] {
            let said = judged(claims, Use::Anycast, address);
            assert!(said.contains(words), "{address}: {said}");
        }
    }
    assert_eq!(judged(Claims::Any, Use::Anycast, "203.0.113.9"), "");
    assert_eq!(judged(Claims::Any, Use::Anycast, "198.51.100.41"), "");
    assert!(judged(Claims::Any, Use::Static, "198.51.100.41").contains("is pod web/dns's already"));
    assert!(judged(Claims::Any, Use::Static, "2001:db8:a:2::5").contains("which another node gives"));
    assert_eq!(judged(Claims::Any, Use::Static, "2001:db8:a:1::5"), "");
}

#[test]
fn the_wall_holds_the_pools_prefixes_or_every_address() {
    let pools = [
        pool("dns", "2001:db8:53::/64", "dns", Use::Anycast),
        pool("plex", "198.51.100.32/32", "dns", Use::Static),
    ];
    let nets = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<BTreeSet<IpNet>>();
    assert_eq!(claimable(Claims::Pools, &pools), nets(&["2001:db8:53::/64", "198.51.100.32/32"]));
    assert_eq!(claimable(Claims::Any, &pools), nets(&["::/0", "0.0.0.0/0"]));
}

#[test]
fn the_strictest_anycast_pool_limits_the_advertisers() {
    let limited = |cidr, usage, most| AddressPool {
        max_advertisers: NonZeroU32::new(most),
        ..pool("p", cidr, "dns", usage)
    };
    let pools = [
        limited("2001:db8:53::/64", Use::Anycast, 3),
        limited("2001:db8::/32", Use::Anycast, 2),
        limited("2001:db8::/32", Use::Static, 1),
        limited("198.51.100.0/24", Use::Anycast, 0),
    ];
    let most = |address: &str| max_advertisers(&pools, address.parse().unwrap()).map(NonZeroU32::get);
    assert_eq!((most("2001:db8:53::1"), most("198.51.100.53"), most("192.0.2.1")), (Some(2), None, None));
}
