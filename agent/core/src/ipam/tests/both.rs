use super::*;

#[test]
fn dual_stack_is_all_or_nothing() {
    let mut node = Node::new(&["2001:db8::/120", "203.0.113.0/30"]);
    assert_eq!(node.ask(0, 0, &[]), Ok(addresses(&["2001:db8::1", "203.0.113.2"])));
    let before = node.ipam.clone();
    assert!(matches!(node.ask(1, 0, &[]), Err(IpamError::V4Full { .. })));
    assert_eq!(node.ipam, before);
    assert!(node.ask(1, 0, &[("ipv4", "false")]).is_ok());
}

#[test]
fn a_pod_gets_the_families_that_it_wants() {
    let mut node = Node::new(&["2001:db8::/64", "203.0.113.0/26"]);
    assert_eq!(node.ask(0, 0, &[("ipv4", "false")]), Ok(addresses(&["2001:db8::1"])));
    assert_eq!(node.ask(1, 0, &[("ipv6", "false")]), Ok(addresses(&["203.0.113.2"])));
}

#[test]
fn an_attachment_that_has_addresses_gets_no_others() {
    let mut node = Node::new(&["2001:db8::/64", "203.0.113.0/26"]);
    node.ask(0, 0, &[]).unwrap();
    assert_eq!(
        node.ask(0, 0, &[]).unwrap_err().to_string(),
        "attachment c0@eth0 has addresses already (2001:db8::1; 203.0.113.2): release these first"
    );
    assert_eq!(node.ipam.addresses(&id(0)), Some(addresses(&["2001:db8::1", "203.0.113.2"])));
}

#[test]
fn release_and_forget_are_idempotent() {
    let mut node = Node::new(&["2001:db8::/64", "203.0.113.0/26"]);
    let given = node.ask(0, 0, &[]).unwrap();
    assert_eq!(node.ipam.release(&id(0), at(0)), Some(given));
    assert_eq!(node.ipam.release(&id(0), at(9)), None);
    assert_eq!(node.ipam.forget(&id(0)), None);
    assert_eq!(node.ipam.resting().collect::<Vec<_>>(), [("203.0.113.2".parse().unwrap(), at(0))]);
}

#[test]
fn every_address_has_one_owner() {
    let mut node = Node::new(&["2001:db8::/64", "203.0.113.0/26"]);
    let given = node.ask(0, 0, &[]).unwrap();
    for address in given.iter() {
        assert_eq!(node.ipam.owner(address), Some(&id(0)));
    }
    assert_eq!(node.ipam.owner("203.0.113.3".parse().unwrap()), None);
    assert_eq!(node.ipam.attachments().collect::<Vec<_>>(), [(&id(0), given)]);
}

#[test]
fn a_restored_address_is_not_given_again_whatever_the_pools_are() {
    let mut node = Node::new(&["2001:db8::/64", "203.0.113.0/26"]).drawing(&[1, 1, 2]);
    let (inside, outside) =
        (addresses(&["2001:db8::1", "203.0.113.2"]), addresses(&["2001:db8:9::1", "10.0.0.1"]));
    node.ipam.restore(&id(0), inside, &BTreeSet::new()).unwrap();
    node.ipam.restore(&id(1), outside, &BTreeSet::new()).unwrap();
    assert_eq!(node.ask(2, 0, &[]), Ok(addresses(&["2001:db8::2", "203.0.113.3"])));
    assert_eq!(node.ipam.release(&id(1), at(0)), Some(outside));
}

#[test]
fn restoring_twice_changes_nothing() {
    let mut ipam = Allocator::default();
    ipam.restore(&id(0), addresses(&["2001:db8::1"]), &BTreeSet::new()).unwrap();
    let once = ipam.clone();
    ipam.restore(&id(0), addresses(&["2001:db8::1"]), &BTreeSet::new()).unwrap();
    ipam.restore(&id(1), PodAddresses::default(), &BTreeSet::new()).unwrap();
    assert_eq!(ipam, once);
}

#[test]
fn conflicting_records_are_told_and_change_nothing() {
    let mut ipam = Allocator::default();
    ipam.restore(&id(0), addresses(&["2001:db8::1", "203.0.113.2"]), &BTreeSet::new()).unwrap();
    let before = ipam.clone();
    assert_eq!(
        ipam.restore(&id(1), addresses(&["2001:db8::2", "203.0.113.2"]), &BTreeSet::new())
            .unwrap_err()
            .to_string(),
        "address 203.0.113.2 of attachment c1@eth0 belongs to attachment c0@eth0: delete the pod of one of them"
    );
    assert_eq!(
        ipam.restore(&id(0), addresses(&["2001:db8::2"]), &BTreeSet::new()).unwrap_err().to_string(),
        "attachment c0@eth0 has 2001:db8::1; 203.0.113.2, not 2001:db8::2: delete its pod"
    );
    assert_eq!(ipam, before);
}

#[test]
fn fullness_counts_what_rests_as_taken() {
    let mut node = Node::new(&["2001:db8::/120", "2001:db8:1::/48", "203.0.113.0/29"]);
    for number in 0..3 {
        node.ask(number, 0, &[]).unwrap();
    }
    node.ipam.release(&id(0), at(0));
    // Neither is what was restored from outside of the pools counted, nor what pods never get.
    node.ipam.restore(&id(9), addresses(&["2001:db8:9::1", "203.0.113.1"]), &BTreeSet::new()).unwrap();
    let usage = node.ipam.usage(&node.pools, at(29), COOLDOWN);
    let texts: Vec<String> = usage.iter().map(PoolUsage::to_string).collect();
    assert_eq!(
        texts,
        [
            "2001:db8::/120: 255 usable, 2 in use, 0 resting",
            "2001:db8:1::/48: at least 18446744073709551615 usable, 0 in use, 0 resting",
            "203.0.113.0/29: 5 usable, 2 in use, 1 resting",
        ]
    );
    assert_eq!((usage[2].fullness(), usage[2].free()), (0.6, 2));
    assert_eq!(node.ipam.usage(&node.pools, at(30), COOLDOWN)[2].resting, 0);
}

#[test]
fn an_address_that_the_pod_names_takes_the_place_of_a_drawn_one() {
    let mut node = Node::new(&["2001:db8::/64", "203.0.113.0/26"]);
    let named = [("addresses", "2001:db8:9::80, 203.0.113.9, 203.0.113.2")];
    assert_eq!(node.ask(0, 0, &named), Ok(addresses(&["2001:db8:9::80", "203.0.113.9"])));
    assert_eq!(node.ipam.owner("203.0.113.2".parse().unwrap()), Some(&id(0)));
    assert_eq!(node.ask(1, 0, &[]), Ok(addresses(&["2001:db8::1", "203.0.113.3"])));
    node.ipam.release(&id(0), at(0));
    assert_eq!(node.ipam.owner("203.0.113.2".parse().unwrap()), None);
}

#[test]
fn an_address_that_another_pod_has_is_refused_and_nothing_is_held() {
    let mut node = Node::new(&["2001:db8::/64", "203.0.113.0/26"]);
    node.ask(0, 0, &[]).unwrap();
    let before = node.ipam.clone();
    let error = node.ask(1, 0, &[("addresses", "2001:db8:9::80, 203.0.113.2")]).unwrap_err().to_string();
    assert!(error.contains("names 203.0.113.2, which attachment c0@eth0 has"), "{error}");
    assert_eq!(node.ipam, before);
}

#[test]
fn a_failed_draw_gives_named_addresses_back() {
    let mut node = Node::new(&["2001:db8::/64", "203.0.113.0/30"]);
    node.ask(0, 0, &[]).unwrap();
    let before = node.ipam.clone();
    assert!(node.ask(1, 0, &[("addresses", "2001:db8:9::80, 2001:db8:9::81")]).is_err());
    assert_eq!(node.ipam, before);
}
