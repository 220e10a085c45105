use super::super::tests::{steering, with};
use super::*;

/// `nft -c` reads the same text among the kernel trials.
#[test]
fn the_table_is_the_golden_one() {
    let ruleset = Ruleset::of(&steering()).unwrap();
    let golden = include_str!("../golden.nft");
    assert!(
        ruleset.text == golden,
        "agent/core/src/steering/golden.nft is stale; now it would be:\n{}",
        ruleset.text
    );
}

#[test]
fn nothing_to_steer_is_no_table() {
    for nothing in [Steering::default(), with(BTreeSet::clear)] {
        assert_eq!(Ruleset::of(&nothing), None);
    }
}

#[test]
fn every_difference_has_its_own_revision() {
    let shape = |steering: &Steering| Ruleset::of(steering).unwrap().shape;
    let other = with(|anycast| anycast.extend([IpAddr::from([198, 51, 100, 54])]));
    assert_ne!(shape(&steering()), shape(&other));
    assert_eq!(shape(&steering()), shape(&steering()));
}

#[test]
fn a_link_that_nft_would_read_as_something_else_is_left_out() {
    for name in ["a*", "\"", "x\"y", "a\\b", "{", "ä"] {
        let mut other = steering();
        other.pods.values_mut().for_each(|pod| pod.link = name.parse().unwrap());
        assert_eq!(Ruleset::of(&other), None, "{name}");
    }
}

#[test]
fn a_link_is_named_once() {
    let mut other = steering();
    other.pods.values_mut().for_each(|pod| pod.link = "flock0000000a".parse().unwrap());
    let text = Ruleset::of(&other).unwrap().text;
    assert_eq!(text.matches("\"flock0000000a\" : goto remember-").count(), 1, "{text}");
}
