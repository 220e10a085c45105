use std::time::Duration;

use super::*;

fn address(text: &str) -> Result<PeerAddress, String> {
    text.parse().map_err(|error: PeerAddressError| error.to_string())
}

#[test]
fn peer_addresses_are_read_and_written_back() {
    for text in ["192.0.2.1", "2001:db8::1", "fe80::1%eth0", "fe80::1%eth0.100"] {
        assert_eq!(address(text).unwrap().to_string(), text);
    }
}

#[test]
fn what_no_router_can_have_is_refused_with_advice() {
    let cases = [
        ("", "is not an address"),
        ("router", "is not an address"),
        ("192.0.2.1;", "is not an address"),
        ("fe80::1", "say on which interface"),
        ("2001:db8::1%eth0", "leave out %eth0"),
        ("fe80::1%eth0\"", "is not an interface"),
        ("fe80::1%", "is not an interface"),
        ("fe80::1%e}th0\n", "is not an interface"),
        ("::", "the unspecified address"),
        ("127.0.0.1", "a loopback address"),
        ("ff02::1", "a multicast address"),
        ("255.255.255.255", "the broadcast address"),
        ("::ffff:192.0.2.1", "an IPv4-mapped address"),
    ];
    for (text, reason) in cases {
        let error = address(text).unwrap_err();
        assert!(error.contains(reason), "{text}: {error}");
    }
    assert!(address(&"x".repeat(1 << 20)).unwrap_err().len() < 300);
}

#[test]
fn keepalive_is_a_third_of_hold_unless_said_and_never_longer_than_hold() {
    let seconds = |s| Some(Duration::from_secs(s));
    assert_eq!(Timers::new(seconds(9), None, None).unwrap().keepalive(), 3);
    assert_eq!(Timers::new(None, None, None).unwrap().hold(), 30);
    let cases = [
        (seconds(2), None, None, "holdTime"),
        (seconds(65536), None, None, "holdTime"),
        (Some(Duration::from_millis(3500)), None, None, "holdTime"),
        (seconds(9), seconds(10), None, "keepaliveTime"),
        (None, seconds(0), None, "keepaliveTime"),
        (None, None, seconds(0), "connectRetryTime"),
        (None, None, seconds(3601), "connectRetryTime"),
    ];
    for (hold, keepalive, retry, field) in cases {
        assert_eq!(Timers::new(hold, keepalive, retry).unwrap_err().0, field);
    }
}

#[test]
fn prefix_ranges_are_what_routers_mean_by_ge_and_le() {
    let range = |net: &str, ge, le| PrefixRange::new(net.parse().unwrap(), ge, le);
    assert_eq!(range("2001:db8::/32", None, None).unwrap().to_string(), "2001:db8::/32");
    assert_eq!(range("2001:db8::/32", None, Some(64)).unwrap().to_string(), "2001:db8::/32{32,64}");
    assert_eq!(range("10.0.0.0/8", Some(16), None).unwrap().to_string(), "10.0.0.0/8{16,32}");
    assert_eq!(range("::/0", None, Some(0)).unwrap().to_string(), "::/0");
    assert_eq!(range("10.1.2.3/8", None, None).unwrap().to_string(), "10.0.0.0/8");
    for (net, ge, le) in
        [("10.0.0.0/8", Some(7), None), ("10.0.0.0/8", Some(24), Some(16)), ("10.0.0.0/8", None, Some(33))]
    {
        assert!(range(net, ge, le).is_err());
    }
    let allowed = range("10.0.0.0/8", Some(16), Some(24)).unwrap();
    for (net, admitted) in
        [("10.1.0.0/16", true), ("10.0.0.0/8", false), ("10.1.1.1/32", false), ("11.0.0.0/16", false)]
    {
        assert_eq!(allowed.admits(&net.parse().unwrap()), admitted, "{net}");
    }
}
