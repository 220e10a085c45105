use super::*;

fn requests(annotations: &[(&str, &str)]) -> Result<(PodRequests, Vec<Warning>), AnnotationError> {
    let annotations = annotations.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    PodRequests::parse(&PodName::new("default", "web-0").unwrap(), &annotations.collect())
}

fn parse(key: &str, value: &str) -> Result<PodRequests, String> {
    let parsed = requests(&[(&format!("{PREFIX}{key}"), value)]);
    parsed.map(|(requests, _)| requests).map_err(|error| error.to_string())
}

fn warnings_of(annotations: &[(&str, &str)]) -> Vec<String> {
    let (_, warnings) = requests(annotations).unwrap();
    warnings.iter().map(Warning::to_string).collect()
}

#[test]
fn a_pod_that_says_nothing_asks_for_nothing() {
    let (annotations, warnings) = requests(&[("other.example/ipv6", "maybe")]).unwrap();
    assert_eq!((annotations, warnings), (PodRequests::default(), Vec::new()));
}

#[test]
fn families_are_true_or_false() {
    for (value, expected) in [("true", true), (" False\n", false), ("TRUE", true)] {
        assert_eq!(parse("ipv6", value).unwrap().ipv6, Some(expected), "{value}");
        assert_eq!(parse("ipv4", value).unwrap().ipv4, Some(expected), "{value}");
    }
    for value in ["", "yes", "1", "true,false"] {
        assert!(parse("ipv4", value).is_err(), "{value}");
    }
}

#[test]
fn prefixes_are_lists_with_host_bits_masked() {
    let cidr6 = parse("cidr6", " 2001:db8::5/64 ,\n2001:db8:1::/80").unwrap().cidr6;
    assert_eq!(cidr6, ["2001:db8::/64", "2001:db8:1::/80"].map(|prefix| prefix.parse().unwrap()));
    let cidr4 = parse("cidr4", "203.0.113.77/26").unwrap().cidr4;
    assert_eq!(cidr4, ["203.0.113.64/26"].map(|prefix| prefix.parse().unwrap()));
}

#[test]
fn ip_algo_is_kept_as_written() {
    assert_eq!(parse("ip-algo", " app,nonsense").unwrap().ip_algo.as_deref(), Some(" app,nonsense"));
}

#[test]
fn an_error_names_pod_key_and_value_and_what_is_accepted() {
    let cases = [
        (
            "ipv6",
            "maybe",
            r#"pod default/web-0: annotation flock.fritzlab.net/ipv6="maybe": only "true" and "false" are accepted"#,
        ),
        (
            "cidr6",
            "10.0.0.0/8",
            r#"pod default/web-0: annotation flock.fritzlab.net/cidr6="10.0.0.0/8": 10.0.0.0/8 is an IPv4 prefix, which belongs in flock.fritzlab.net/cidr4; accepted are IPv6 prefixes such as 2001:db8:a:1:5::/80, separated by commas"#,
        ),
        (
            "cidr4",
            "2001:db8::/64",
            r#"pod default/web-0: annotation flock.fritzlab.net/cidr4="2001:db8::/64": 2001:db8::/64 is an IPv6 prefix, which belongs in flock.fritzlab.net/cidr6; accepted are IPv4 prefixes such as 203.0.113.16/28, separated by commas"#,
        ),
        (
            "cidr4",
            "10.0.0.0/8, 10.0.0.1",
            r#"pod default/web-0: annotation flock.fritzlab.net/cidr4="10.0.0.0/8, 10.0.0.1": "10.0.0.1" is no IPv4 prefix; accepted are IPv4 prefixes such as 203.0.113.16/28, separated by commas"#,
        ),
        (
            "cidr6",
            " ",
            r#"pod default/web-0: annotation flock.fritzlab.net/cidr6=" ": a prefix is empty; accepted are IPv6 prefixes such as 2001:db8:a:1:5::/80, separated by commas; without the annotation the node's prefixes are used"#,
        ),
    ];
    for (key, value, expected) in cases {
        assert_eq!(parse(key, value).unwrap_err(), expected);
    }
    for value in ["2001:db8::/64,", ",", "2001:db8::/64,,2001:db8:1::/64", "2001:db8::/129", "x\0y"] {
        assert!(parse("cidr6", value).is_err(), "{value}");
    }
}

#[test]
fn an_error_is_one_line_of_sane_length() {
    let error = parse("ipv6", &"\n\u{1b}[31m".repeat(1000)).unwrap_err();
    assert!(!error.contains(['\n', '\u{1b}']), "{error}");
    let error = parse("cidr6", &"ü".repeat(10_000)).unwrap_err();
    assert!(error.chars().count() < 500, "{error}");
}

#[test]
fn keys_of_ours_that_are_not_served_do_not_vanish_silently() {
    assert_eq!(
        warnings_of(&[("flock.fritzlab.net/ip6", "true"), ("flock.fritzlab.net/ipv6", "true")]),
        [
            "pod default/web-0: annotation \"flock.fritzlab.net/ip6\" is unknown and ignored: there are ipv6, ipv4, cidr6, cidr4, ip-algo, addresses, anycast"
        ]
    );
}

#[test]
fn addresses_are_lists_in_order() {
    let listed = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpAddr>>();
    let both = ["2001:db8:53::1", "198.51.100.53"];
    assert_eq!(parse("anycast", " 2001:db8:53::1,\n198.51.100.53 ").unwrap().anycast, listed(&both));
    assert_eq!(
        parse("addresses", "198.51.100.53,2001:db8:53::1").unwrap().addresses,
        listed(&[both[1], both[0]])
    );
}

#[test]
fn a_list_that_holds_something_else_is_refused() {
    let many: Vec<String> = (1..=33).map(|number| format!("192.0.2.{number}")).collect();
    let cases = [
        ("", "an address is empty; accepted are addresses such as 2001:db8:53::1 and 198.51.100.53"),
        ("192.0.2.1,", "an address is empty"),
        ("192.0.2.0/24", r#""192.0.2.0/24" is no address"#),
        ("dns.example", r#""dns.example" is no address"#),
        ("192.0.2.1, 192.0.2.1", "192.0.2.1 is there twice: name it once"),
        (&many.join(","), "33 addresses are too many: at most 32"),
    ];
    for (value, words) in cases {
        for key in ["anycast", "addresses"] {
            let error = parse(key, value).unwrap_err();
            assert!(error.contains(words) && error.contains(key), "{error}");
        }
    }
}
