//! What has been good stays.

use super::*;
use crate::store::Disk;

/// What becomes of objects, kept for a restart.
fn saved(mut composer: Composer, objects: Objects) -> Desired {
    let desired = composer.compose(objects, vec![]);
    composer.unsaved().into_iter().for_each(Save::run);
    desired
}

fn good() -> Objects {
    objects([own(NODE, json!({"cidr6": ["2001:db8:b::/64"], "mtu": 1400}))])
}

fn bad() -> Objects {
    objects([own(NODE, json!({"cidr6": ["2001:db8:b::/64"], "mtu": 1000}))])
}

#[test]
fn the_last_good_plan_stays_while_what_is_written_is_refused() {
    let mut composer = Composer::new(NODE);
    let before = composer.compose(good(), vec![]);
    let during = composer.compose(bad(), vec![]);
    assert_eq!(during.node, before.node);
    assert!(during.config.refused.as_ref().unwrap().starts_with("NodeConfig node-b: spec.mtu: 1000"));
    assert_eq!(composer.compose(bad(), vec![]), during, "and again");
    assert_eq!(composer.compose(good(), vec![]), before);
}

#[test]
fn what_is_taken_away_on_purpose_does_not_stay() {
    let mut composer = Composer::new(NODE);
    composer.compose(good(), vec![]);
    assert_eq!(composer.compose(Objects::default(), vec![]), Desired::default());
    assert_eq!(composer.compose(bad(), vec![]).node, None, "it was obeyed, so nothing good is left");
}

#[test]
fn an_agent_that_starts_while_the_configuration_is_bad_goes_on_with_the_last_good_one() {
    let dir = tempfile::tempdir().unwrap();
    let open = || Composer::kept_in(NODE, Disk, dir.path());
    let before = saved(open(), good());
    let mode = std::fs::metadata(dir.path().join("node-config.json")).unwrap().permissions();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777, 0o600);
    let after = saved(open(), bad());
    assert_eq!(after.node, before.node);
    assert!(after.config.refused.is_some());
    assert_eq!(
        Composer::kept_in("node-x", Disk, dir.path()).compose(bad(), vec![]).node,
        None,
        "another node's"
    );
}

#[test]
fn pod_cidrs_are_part_of_what_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let open = || Composer::kept_in(NODE, Disk, dir.path());
    let given = |spec| with_node(objects([own(NODE, spec)]), NODE, node(&[], &["10.244.1.0/24"]));
    let _ = saved(open(), given(json!({"mtu": 1400})));
    let gone = objects([own(NODE, json!({"bgp": {}}))]);
    assert_eq!(pools(&saved(open(), gone)), ["10.244.1.0/24"]);
}

#[test]
fn a_file_that_makes_no_sense_is_as_if_there_were_none() {
    for content in
        ["{", "{}", r#"{"version":1,"node":"node-b","ofConfigs":true,"ipAlgo":null,"spec":{"mtu":1}}"#]
    {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("node-config.json"), content).unwrap();
        let mut composer = Composer::kept_in(NODE, Disk, dir.path());
        assert_eq!(composer.compose(bad(), vec![]).node, None, "{content}");
        assert!(composer.compose(good(), vec![]).node.is_some(), "{content}");
    }
}

#[test]
fn what_is_forgotten_is_forgotten_over_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let open = || Composer::kept_in(NODE, Disk, dir.path());
    saved(open(), good());
    saved(open(), Objects::default());
    assert_eq!(saved(open(), bad()).node, None);
}
