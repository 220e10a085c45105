use super::*;

#[test]
fn an_address_is_prefix_and_random_host_bits() {
    let mut node = Node::new(&["2001:db8::/64"]).drawing(&[0xffff_0000_0000_0000_1234_5678_9abc_def0]);
    assert_eq!(node.v6(0).as_deref(), Some("2001:db8::1234:5678:9abc:def0"));
}

#[test]
fn ipam_skips_reserved_iids() {
    let reserved = [0, 0x5efe_0000_0001, 0x0200_5efe_0000_0001, 0x0200_5eff_fe00_0001, 0xfdff_ffff_ffff_ff80];
    let mut node = Node::new(&["2001:db8::/64"]).drawing(&[&reserved[..], &[7]].concat());
    assert_eq!(node.v6(0).as_deref(), Some("2001:db8::7"));
}

#[test]
fn ipam_skips_the_anycast_address_of_a_narrowed_prefix() {
    let mut node = Node::new(&["2001:db8::/64"]).drawing(&[0, 9]);
    let narrowed = node.ask(0, 0, &[("cidr6", "2001:db8::5:0:0/96")]).unwrap();
    assert_eq!(narrowed, addresses(&["2001:db8::5:0:9"]));
}

#[test]
fn an_address_in_use_is_drawn_again_sixteen_times() {
    let lucky_at_the_last = [[5; 15].as_slice(), &[6]].concat();
    let mut node = Node::new(&["2001:db8::/64"]).drawing(&[&[5], &lucky_at_the_last[..], &[5]].concat());
    assert_eq!(node.v6(0).as_deref(), Some("2001:db8::5"));
    assert_eq!(node.v6(1).as_deref(), Some("2001:db8::6"));
    assert_eq!(
        node.ask(2, 0, &[]).unwrap_err().to_string(),
        "pod default/web-0: 16 random IPv6 addresses of each range were all in use or reserved (2001:db8::/64: 18446744065102839679 usable, 2 in use, 0 resting): delete pods, add a prefix to NodeConfig's spec.cidr6, or widen the pod's annotation flock.fritzlab.net/cidr6 if it has one"
    );
    assert_eq!(node.ipam.addresses(&id(2)), None);
}

#[test]
fn a_small_range_is_given_out_to_the_last_address() {
    // 127: half of its identifiers are reserved for subnet anycast.
    for (cidr, size) in
        [("2001:db8::/120", 255), ("2001:db8::aa00/119", 511), ("2001:db8::fdff:ffff:ffff:ff00/120", 127)]
    {
        let mut node = Node::new(&[cidr]).drawing(&[0xfe]);
        for number in 0..size {
            assert!(node.v6(number).is_some(), "{cidr} after {number}");
        }
        assert!(matches!(node.ask(size, 0, &[]), Err(IpamError::V6Full { .. })), "{cidr}");
        let usage = node.ipam.usage(&node.pools, at(0), COOLDOWN)[0];
        assert_eq!((usage.size, usage.used, usage.free()), (size as u64, size as u64, 0));
    }
}

#[test]
fn a_small_range_is_swept_upwards_and_around() {
    let mut node = Node::new(&["2001:db8::/120"]).drawing(&[0xfe]);
    let given: Vec<_> = (0..4).map(|number| node.v6(number).unwrap()).collect();
    assert_eq!(given, ["2001:db8::fe", "2001:db8::ff", "2001:db8::1", "2001:db8::2"]);
}

#[test]
fn the_next_range_serves_when_the_first_has_nothing() {
    let mut node = Node::new(&["2001:db8:1::/64", "2001:db8:2::/64"]).drawing(&[5]);
    assert_eq!(node.v6(0).as_deref(), Some("2001:db8:1::5"));
    assert_eq!(node.v6(1).as_deref(), Some("2001:db8:2::5"));
    assert_eq!(node.v6(2), None);
}

#[test]
fn a_released_address_does_not_rest() {
    let mut node = Node::new(&["2001:db8::/64"]).drawing(&[5]);
    node.v6(0);
    node.ipam.release(&id(0), at(0));
    assert_eq!(node.v6(1).as_deref(), Some("2001:db8::5"));
}

#[test]
fn ip_algo_counts_up_to_the_first_free_address() {
    let mut node = Node::new(&["2001:db8::/64", "2001:db8:0:1::/64"]);
    let given: Vec<String> = (0..18)
        .map(|number| node.ask(number, 0, &[("ip-algo", "pod")]).unwrap().v6.unwrap().to_string())
        .collect();
    // FNV-1a-64 of "web-0" is 666fc12e095c206c.
    assert_eq!(given[0], "2001:db8::666f:c12e:95c:2060");
    assert_eq!(given[15], "2001:db8::666f:c12e:95c:206f");
    assert_eq!(given[16], "2001:db8:0:1:666f:c12e:95c:2060");
    node.ipam.release(&id(3), at(0));
    let freed = node.ask(18, 0, &[("ip-algo", "pod")]).unwrap();
    assert_eq!(freed, addresses(&["2001:db8::666f:c12e:95c:2063"]));
}

#[test]
fn ip_algo_out_of_addresses_says_what_to_do() {
    let mut node = Node::new(&["2001:db8::/64"]);
    for number in 0..16 {
        node.ask(number, 0, &[("ip-algo", "namespace,app")]).unwrap();
    }
    assert_eq!(
        node.ask(16, 0, &[("ip-algo", "namespace,app")]).unwrap_err().to_string(),
        "pod default/web-0: flock.fritzlab.net/ip-algo=namespace,app has 16 IPv6 addresses for this pod in each range (2001:db8::/64), and all of them are in use or reserved: add `pod` to the list, or remove the annotation for random addresses"
    );
    assert!(node.ask(16, 0, &[("ip-algo", "namespace,app,pod")]).is_ok());
}

#[test]
fn ip_algo_never_makes_a_reserved_identifier() {
    // The leftover bit of the /95 stays zero, which leaves nothing but ISATAP's identifiers.
    let mut node = Node::new(&["2001:db8::5efe:0:0/95", "2001:db8:1::/64"]);
    assert_eq!(node.ask(0, 0, &[("ip-algo", "pod")]), Ok(addresses(&["2001:db8:1:0:666f:c12e:95c:2060"])));
    assert!(node.ask(1, 0, &[("ip-algo", "pod"), ("cidr6", "2001:db8::/64")]).is_err());
}
