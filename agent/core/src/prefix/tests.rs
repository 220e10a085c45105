use super::*;

fn cidr6(text: &str) -> Result<Cidr6, PrefixError> {
    Cidr6::try_from(text.parse::<Ipv6Net>().unwrap())
}

fn cidr4(text: &str) -> Result<Cidr4, PrefixError> {
    Cidr4::try_from(text.parse::<Ipv4Net>().unwrap())
}

#[test]
fn host_bits_are_masked() {
    assert_eq!(cidr6("2001:db8::5/64").unwrap().to_string(), "2001:db8::/64");
    assert_eq!(cidr4("203.0.113.77/26").unwrap().to_string(), "203.0.113.64/26");
}

#[test]
fn lengths_have_bounds() {
    for (text, ok) in [("2001:db8::/47", false), ("2001:db8::/48", true), ("2001:db8::/120", true)] {
        assert_eq!(cidr6(text).is_ok(), ok, "{text}");
    }
    for (text, ok) in [("10.0.0.0/7", false), ("10.0.0.0/8", true), ("10.0.0.0/30", true)] {
        assert_eq!(cidr4(text).is_ok(), ok, "{text}");
    }
    let error = cidr6("2001:db8::/121").unwrap_err();
    assert_eq!(error.to_string(), "2001:db8::/121: the prefix length must be from /48 to /120");
    let error = cidr4("10.0.0.0/31").unwrap_err();
    assert_eq!(error.to_string(), "10.0.0.0/31: the prefix length must be from /8 to /30");
}

#[test]
fn ranges_that_no_pod_can_have_are_refused() {
    let isatap = "2001:db8::5efe:0:0/96";
    for text in ["::/64", "::ffff:0:0/96", "64:ff9b::/96", "fe80::/64", "ff02::/64", isatap] {
        assert!(matches!(cidr6(text), Err(PrefixError::Unusable { .. })), "{text}");
    }
    for text in ["0.0.0.0/8", "127.1.0.0/16", "169.254.7.0/24", "169.0.0.0/8", "224.0.0.0/24", "239.0.0.0/8"]
    {
        assert!(matches!(cidr4(text), Err(PrefixError::Unusable { .. })), "{text}");
    }
    let error = cidr4("127.1.0.0/16").unwrap_err();
    assert_eq!(error.to_string(), "127.1.0.0/16: overlaps 127.0.0.0/8, loopback addresses (RFC 1122)");
}

#[test]
fn an_address_is_prefix_and_host_bits() {
    let cidr = cidr6("2001:db8::aa00/120").unwrap();
    assert_eq!(cidr.address(0x1234), "2001:db8::aa34".parse::<Ipv6Addr>().unwrap());
    assert_eq!(cidr6("2001:db8::/48").unwrap().host_bits(), 80);
}

#[test]
fn network_gateway_and_broadcast_are_for_no_pod() {
    let cases = [
        ("198.51.100.0/30", vec![2]),
        ("198.51.100.0/29", vec![2, 3, 4, 5, 6]),
        ("198.51.100.4/30", vec![6]),
        ("198.51.100.248/29", vec![250, 251, 252, 253, 254]),
        ("198.51.100.252/30", vec![254]),
    ];
    let around = cidr4("198.51.100.0/24").unwrap();
    for (text, hosts) in cases {
        let cidr = cidr4(text).unwrap();
        let all = (0..=255).map(|host| Ipv4Addr::new(198, 51, 100, host));
        let granted: Vec<Ipv4Addr> = all.filter(|address| cidr.grants(*address)).collect();
        assert_eq!(granted.iter().map(|address| address.octets()[3]).collect::<Vec<_>>(), hosts, "{text}");
        assert_eq!(cidr.usable(), hosts.len() as u64, "{text}");
        assert!(granted.iter().all(|address| around.grants(*address)), "{text} in {around}");
    }
}
