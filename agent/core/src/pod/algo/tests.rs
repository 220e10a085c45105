use super::*;

const DIGEST: &str = "0123456789abcdeffedcba98765432100123456789abcdeffedcba9876543210";

/// FNV-1a-64: prod 85729c0e3537be14, web 5ea0e11948721ef1, web-0 666fc12e095c206c, empty cbf29ce484222325,
/// registry.example/web:1 445c044f715defe6.
fn address(algo: &str, cidr: &str, image: Option<&str>, retry: u8) -> String {
    let identity = Identity {
        pod: PodName::new("prod", "web-0").unwrap(),
        app: "web".to_owned(),
        image: image.map(str::to_owned),
    };
    let cidr = Cidr6::try_from(cidr.parse::<ipnet::Ipv6Net>().unwrap()).unwrap();
    let host = algo.parse::<IpAlgo>().unwrap().host_bits(&identity, cidr, retry);
    assert!(host < 1 << cidr.host_bits(), "{host:x} is too long for {cidr}");
    cidr.address(host).to_string()
}

#[test]
fn fields_share_the_nibbles_before_the_retry_counter() {
    let cases = [
        ("namespace,app,pod", "2001:db8::/64", "2001:db8::8572:95ea:e66:6fc0"), // 5 + 5 + 5 + 1
        ("app,pod", "2001:db8::/64", "2001:db8::5ea0:e119:666f:c120"),          // 8 + 7 + 1
        ("pod,app", "2001:db8::/64", "2001:db8::666f:c12e:5ea0:e110"),
        ("pod", "2001:db8::/64", "2001:db8::666f:c12e:95c:2060"), // 15 + 1
        ("namespace,app,pod,image", "2001:db8::/64", "2001:db8::8572:5ea0:666f:cbf0"), // 4 + 4 + 4 + 3 + 1
        ("app,pod", "2001:db8::/80", "2001:db8::5ea0:e166:6fc0"), // 6 + 5 + 1
    ];
    for (algo, cidr, expected) in cases {
        assert_eq!(address(algo, cidr, None, 0), expected, "{algo} in {cidr}");
    }
}

#[test]
fn a_share_longer_than_the_hash_ends_in_zeros() {
    // 19 nibbles for one field: 16 of the hash, 3 of nothing. A digest has enough of them.
    assert_eq!(address("pod", "2001:db8::/48", None, 0xf), "2001:db8:0:666f:c12e:95c:206c:f");
    assert_eq!(address("image", "2001:db8::/48", Some(DIGEST), 0), "2001:db8:0:123:4567:89ab:cdef:fed0");
}

#[test]
fn with_fewer_nibbles_than_fields_the_later_ones_get_none() {
    assert_eq!(address("app,pod", "2001:db8::/120", None, 3), "2001:db8::53");
    assert_eq!(address("namespace,app,pod", "2001:db8::/116", None, 3), "2001:db8::853");
}

#[test]
fn bits_above_the_last_whole_nibble_are_zero() {
    assert_eq!(address("namespace", "2001:db8::/119", None, 1), "2001:db8::81");
    assert_eq!(address("namespace", "2001:db8::/117", None, 1), "2001:db8::81");
    assert_eq!(address("namespace", "2001:db8::/63", None, 1), "2001:db8::8572:9c0e:3537:be11");
}

#[test]
fn the_last_nibble_counts_retries() {
    for retry in 0..RETRIES {
        assert!(address("app", "2001:db8::/64", None, retry).ends_with(&format!("{retry:x}")));
    }
}

#[test]
fn a_pinned_image_shows_its_digest() {
    let pinned = format!("registry.example/web:1@sha256:{DIGEST}");
    for image in [DIGEST, &pinned] {
        assert_eq!(address("image", "2001:db8::/64", Some(image), 0), "2001:db8::123:4567:89ab:cde0");
    }
    let short = &DIGEST[1..];
    for (image, expected) in
        [("registry.example/web:1", "2001:db8::445c:44f:715d:efe0"), ("", "2001:db8::cbf2:9ce4:8422:2320")]
    {
        assert_eq!(address("image", "2001:db8::/64", Some(image), 0), expected);
    }
    assert_ne!(address("image", "2001:db8::/64", Some(short), 0), "2001:db8::1234:5678:9abc:def0");
    assert_eq!(address("image", "2001:db8::/64", None, 0), "2001:db8::cbf2:9ce4:8422:2320");
}

#[test]
fn an_algorithm_is_a_list_of_distinct_fields() {
    assert_eq!(" app ,\tpod ".parse::<IpAlgo>().unwrap().to_string(), "app,pod");
    let unknown = |text: &str| AlgoError::Unknown(text.to_owned());
    let cases = [
        ("", AlgoError::Empty),
        (" ", AlgoError::Empty),
        ("app,", AlgoError::Empty),
        ("app,,pod", AlgoError::Empty),
        ("App", unknown("App")),
        ("app pod", unknown("app pod")),
        ("app,pod,app", AlgoError::Duplicate(Field::App)),
    ];
    for (text, error) in cases {
        assert_eq!(text.parse::<IpAlgo>(), Err(error), "{text}");
    }
}

#[test]
fn the_pods_annotation_wins_and_invalid_ones_fall_through() {
    let cases = [
        (Some("pod"), Some("app"), Some("pod"), vec![]),
        (None, Some("app"), Some("app"), vec![]),
        (Some(""), Some("app"), Some("app"), vec![Owner::Pod]),
        (Some("pod,pod"), Some("app"), Some("app"), vec![Owner::Pod]),
        (Some("x"), Some("y"), None, vec![Owner::Pod, Owner::Node]),
        (Some("pod"), Some("y"), Some("pod"), vec![]),
        (None, Some(" "), None, vec![Owner::Node]),
        (None, None, None, vec![]),
    ];
    for (pod, node, expected, owners) in cases {
        let (algo, ignored) = resolve(pod, node);
        assert_eq!(algo.map(|algo| algo.to_string()).as_deref(), expected, "{pod:?} {node:?}");
        assert_eq!(
            ignored.iter().map(|ignored| ignored.owner).collect::<Vec<_>>(),
            owners,
            "{pod:?} {node:?}"
        );
    }
}

#[test]
fn a_warning_names_owner_value_and_reason() {
    let (_, ignored) = resolve(Some("app,host"), Some("app,app"));
    let texts: Vec<String> = ignored.iter().map(Ignored::to_string).collect();
    assert_eq!(
        texts,
        [
            "the pod's annotation flock.fritzlab.net/ip-algo=\"app,host\" is ignored: field \"host\" is unknown: there are namespace, app, pod and image",
            "NodeConfig's annotation flock.fritzlab.net/ip-algo=\"app,app\" is ignored: field `app` is there twice: name each field once",
        ]
    );
}
