use super::*;

#[test]
fn the_lowest_free_address_is_given() {
    let mut node = Node::new(&["203.0.113.0/29"]);
    let given: Vec<_> = (0..6).map(|number| node.v4(number, 0)).collect();
    let expected = [2, 3, 4, 5, 6].map(|host| Some(format!("203.0.113.{host}")));
    assert_eq!(given, [&expected[..], &[None]].concat());
}

#[test]
fn the_smallest_block_has_one_address() {
    let mut node = Node::new(&["203.0.113.4/30"]);
    assert_eq!(node.v4(0, 0).as_deref(), Some("203.0.113.6"));
    assert_eq!(
        node.ask(1, 0, &[]).unwrap_err().to_string(),
        "pod default/web-0: no IPv4 address is free (203.0.113.4/30: 1 usable, 1 in use, 0 resting): delete pods, add a prefix to NodeConfig's spec.cidr4, or widen the pod's annotation flock.fritzlab.net/cidr4 if it has one"
    );
}

#[test]
fn the_largest_block_is_not_walked() {
    let mut node = Node::new(&["10.0.0.0/8"]);
    assert_eq!(node.v4(0, 0).as_deref(), Some("10.0.0.2"));
    let narrowed = node.ask(1, 0, &[("cidr4", "10.255.0.0/16")]).unwrap();
    assert_eq!(narrowed, addresses(&["10.255.0.2"]));
}

#[test]
fn a_narrowed_range_skips_its_own_and_the_nodes_special_addresses() {
    let mut node = Node::new(&["198.51.100.0/24"]);
    for (number, (range, address)) in [
        ("198.51.100.0/30", "198.51.100.2"),
        ("198.51.100.4/30", "198.51.100.6"),
        ("198.51.100.252/30", "198.51.100.254"),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(node.ask(number, 0, &[("cidr4", range)]), Ok(addresses(&[address])));
        assert!(node.ask(9, 0, &[("cidr4", range)]).is_err(), "{range}");
    }
}

#[test]
fn the_next_range_serves_before_a_rest_is_cut_short() {
    let mut node = Node::new(&["203.0.113.0/30", "203.0.113.8/30"]);
    node.v4(0, 0);
    node.ipam.release(&id(0), at(0));
    assert_eq!(node.v4(1, 1).as_deref(), Some("203.0.113.10"));
    assert_eq!(node.v4(2, 1).as_deref(), Some("203.0.113.2"));
    assert_eq!(node.v4(3, 1), None);
}

#[test]
fn a_released_address_rests_for_the_cooldown() {
    let mut node = Node::new(&["203.0.113.0/28"]);
    node.v4(0, 0);
    node.ipam.release(&id(0), at(10));
    assert_eq!(node.v4(1, 39).as_deref(), Some("203.0.113.3"));
    assert_eq!(node.v4(2, 40).as_deref(), Some("203.0.113.2"));
}

#[test]
fn with_nothing_else_left_the_longest_resting_address_is_used_early() {
    let mut node = Node::new(&["203.0.113.0/29"]);
    for number in 0..5 {
        node.v4(number, 0);
    }
    for (second, number) in [(1, 3), (2, 0), (2, 4)] {
        node.ipam.release(&id(number), at(second));
    }
    let given: Vec<_> = (5..9).map(|number| node.v4(number, 3)).collect();
    assert_eq!(
        given,
        [Some("203.0.113.5"), Some("203.0.113.2"), Some("203.0.113.6"), None].map(|a| a.map(str::to_owned))
    );
}

#[test]
fn an_early_use_that_is_rolled_back_leaves_the_rest_as_it_was() {
    let mut node = Node::new(&["203.0.113.0/30"]);
    node.v4(0, 0);
    node.ipam.release(&id(0), at(0));
    let before = node.ipam.clone();
    assert!(node.v4(1, 1).is_some());
    assert_eq!(node.ipam.resting().count(), 0);
    node.ipam.forget(&id(1));
    assert_eq!(node.ipam, before);
    // A use that was real begins a rest of its own.
    node.v4(2, 2);
    node.ipam.release(&id(2), at(20));
    assert_eq!(node.ipam.resting().collect::<Vec<_>>(), [("203.0.113.2".parse().unwrap(), at(20))]);
}

#[test]
fn a_forgotten_address_does_not_rest() {
    let mut node = Node::new(&["203.0.113.0/28"]);
    let given = node.ask(0, 0, &[]).unwrap();
    assert_eq!(node.ipam.forget(&id(0)), Some(given));
    assert_eq!(node.ipam, Allocator::default());
    assert_eq!(node.v4(1, 0).as_deref(), Some("203.0.113.2"));
}

#[test]
fn ended_rests_are_dropped_once() {
    let mut node = Node::new(&["203.0.113.0/28"]);
    for number in 0..3 {
        node.v4(number, 0);
        node.ipam.release(&id(number), at(10 * number as i64));
    }
    assert_eq!(node.ipam.expire(at(29), COOLDOWN), Vec::<Ipv4Addr>::new());
    // The second pod got the lowest address that did not rest, and so did the third.
    let ended: Vec<Ipv4Addr> =
        ["203.0.113.2", "203.0.113.3"].map(|address| address.parse().unwrap()).to_vec();
    assert_eq!(node.ipam.expire(at(40), COOLDOWN), ended);
    assert_eq!(node.ipam.expire(at(40), COOLDOWN), Vec::<Ipv4Addr>::new());
    assert_eq!(node.ipam.resting().count(), 1);
}

#[test]
fn a_clock_set_back_does_not_make_a_rest_endless() {
    let mut node = Node::new(&["203.0.113.0/28"]);
    node.v4(0, 1_000_000);
    node.ipam.release(&id(0), at(1_000_000));
    node.ipam.restore_cool_down("203.0.113.3".parse().unwrap(), at(2_000_000));
    assert_eq!(node.v4(1, 0).as_deref(), Some("203.0.113.4"));
    assert_eq!(node.v4(2, 29).as_deref(), Some("203.0.113.5"));
    assert_eq!(node.v4(3, 30).as_deref(), Some("203.0.113.2"));
    assert_eq!(node.ipam.expire(at(30), COOLDOWN).len(), 2);
    // Expiry alone sees it too.
    node.ipam.restore_cool_down("203.0.113.9".parse().unwrap(), at(1_000_000));
    assert_eq!(node.ipam.expire(at(40), COOLDOWN).len(), 0);
    assert_eq!(node.ipam.expire(at(70), COOLDOWN).len(), 1);
}

#[test]
fn without_a_cooldown_nothing_rests() {
    let mut node = Node::new(&["203.0.113.0/28"]);
    node.v4(0, 0);
    node.ipam.release(&id(0), at(0));
    let intent = intent(&node.pools, &[]);
    let draw = Draw { random: &mut node.random, now: at(0), cooldown: Duration::ZERO };
    assert_eq!(node.ipam.allocate(&id(1), &intent, draw), Ok(addresses(&["203.0.113.2"])));
}

#[test]
fn rests_go_on_after_a_restart() {
    let mut node = Node::new(&["203.0.113.0/29"]);
    for host in [4, 3, 2] {
        node.ipam.restore_cool_down(Ipv4Addr::new(203, 0, 113, host), at(i64::from(host)));
    }
    assert_eq!(node.v4(0, 10).as_deref(), Some("203.0.113.5"));
    assert_eq!(node.v4(1, 10).as_deref(), Some("203.0.113.6"));
    assert_eq!(node.v4(2, 10).as_deref(), Some("203.0.113.2"));
    assert_eq!(node.v4(3, 33).as_deref(), Some("203.0.113.3"));
}
