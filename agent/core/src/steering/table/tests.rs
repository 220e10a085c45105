use super::super::tests::{steering, with};
use super::*;
use crate::nft::{Batch, Op, Ruleset, delta};

fn change(old: &Steering, new: &Steering) -> Batch {
    delta(&table_id(), table(old).as_ref(), table(new).as_ref())
}

/// `nft` reads the same text among the kernel trials.
#[test]
fn the_table_is_the_golden_one() {
    let text = change(&Steering::default(), &steering()).to_string();
    let golden = include_str!("../golden.nft");
    assert!(text == golden, "agent/core/src/steering/golden.nft is stale; now it would be:\n{text}");
}

#[test]
fn the_table_can_be_made() {
    let mut ruleset = Ruleset::default();
    ruleset.commit(&change(&Steering::default(), &steering())).unwrap();
    assert_eq!(ruleset.tables.get(&table_id()), table(&steering()).as_ref());
    assert_eq!(table_id().to_string(), TABLE);
}

#[test]
fn nothing_to_steer_is_no_table() {
    for nothing in [Steering::default(), with(BTreeSet::clear)] {
        assert_eq!(table(&nothing), None);
    }
}

#[test]
fn every_difference_is_a_change() {
    let other = with(|anycast| anycast.extend([IpAddr::from([198, 51, 100, 54])]));
    assert_eq!(
        change(&steering(), &other).to_string(),
        "add element inet flock-anycast addresses4 { 198.51.100.54 }\n"
    );
    assert!(change(&steering(), &steering()).is_empty());
}

#[test]
fn a_pod_is_two_chains_and_three_elements() {
    let mut one = steering();
    one.pods.remove(&FlowSlot::LAST);
    let of_table = |batch: Batch| batch.to_string().replace("inet flock-anycast ", "");
    assert_eq!(
        of_table(change(&one, &steering())),
        "add chain save-mark-4095\n\
         add chain set-mark-4095\n\
         add rule save-mark-4095 ct mark set ct mark & 0x000fffff | 0xfff00000\n\
         add rule set-mark-4095 meta mark set meta mark & 0x000fffff | 0xfff00000\n\
         add element pod-by-iifname { \"flock0000000b\" : goto set-mark-4095 }\n\
         add element pod-by-mark { 0xfff00000 : goto set-mark-4095 }\n\
         add element pod-by-oifname { \"flock0000000b\" : goto save-mark-4095 }\n"
    );
    let gone = change(&steering(), &one);
    assert_eq!(gone.ops.len(), 7, "{gone}");
    assert!(gone.ops.iter().all(|(_, op)| !matches!(op, Op::DeleteTable | Op::AddRule(..))), "{gone}");
}

/// To netlink a name is bytes, whatever it would be to a reader of text.
#[test]
fn a_link_is_named_as_it_is() {
    for name in ["a*", "\"", "x\"y", "a\\b", "{", "ä"] {
        let mut other = steering();
        other.pods.values_mut().for_each(|pod| pod.link = name.parse().unwrap());
        let table = table(&other).unwrap();
        let key: Key = Value::Ifname(name.parse().unwrap()).into();
        assert!(table.sets[POD_BY_IIFNAME].elements.keys().eq([&key]), "{name}");
    }
}

#[test]
fn a_link_is_named_once() {
    let mut other = steering();
    other.pods.values_mut().for_each(|pod| pod.link = "flock0000000a".parse().unwrap());
    let table = table(&other).unwrap();
    for map in [POD_BY_MARK, POD_BY_IIFNAME, POD_BY_OIFNAME] {
        assert_eq!(table.sets[map].elements.len(), 1, "{map}");
    }
    assert!(!table.chains.contains_key("set-mark-4095"));
}
