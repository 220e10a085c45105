//! The pipeline against a BIRD that is a model.

mod bird;
mod configs;
mod sequences;
mod world;

use self::bird::Fate;
use self::configs::BASES;
use self::world::World;
use super::super::status::ConfigStatus;
use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// A node whose BIRD runs its first configuration, with these addresses.
fn up(mask: u8) -> World {
    let mut world = World::new();
    world.want(Ok((0, mask)));
    world.pass(2 * SECOND);
    assert_eq!(config(&world), "Applied");
    world
}

fn config(world: &World) -> String {
    let config = format!("{:?}", world.pipeline.status().config);
    config.split([' ', '{']).next().unwrap_or_default().to_owned()
}

fn count(world: &World, is_meant: impl Fn(&Note) -> bool) -> usize {
    world.notes.iter().filter(|note| is_meant(note)).count()
}

#[test]
fn the_first_configuration_is_checked_tried_and_confirmed_and_kept() {
    let mut world = World::new();
    world.tell(Event::Tick);
    world.pass(SECOND);
    assert_eq!(world.since(0), ["connect", "check 0 0", "try 0 0", "confirm"]);
    assert_eq!(world.file, world.bird.running);
    assert_eq!(count(&world, |note| matches!(note, Note::Applied(_))), 1);
}

#[test]
fn a_bird_that_runs_it_already_is_left_alone() {
    let mut world = up(3);
    let known = world.log.len();
    world.restart_agent();
    world.pass(10 * SECOND);
    assert_eq!(world.since(known), ["connect"]);
    assert_eq!(config(&world), "Applied");
}

#[test]
fn what_bird_would_not_take_is_not_tried_and_asked_again_after_a_minute() {
    let mut world = up(0);
    let known = world.log.len();
    world.bird.refuses_check = true;
    world.want(Ok((1, 0)));
    world.pass(59 * SECOND);
    assert_eq!(world.since(known), ["check 1 0"]);
    assert_eq!(config(&world), "Refused");
    world.bird.refuses_check = false;
    world.pass(3 * SECOND);
    assert_eq!(world.since(known), ["check 1 0", "check 1 0", "try 1 0", "confirm"]);
}

#[test]
fn a_peer_that_refuses_a_configuration_has_it_taken_back_at_once() {
    let mut world = up(1);
    let (known, before) = (world.log.len(), world.now);
    world.bird.fates[1] = Fate::BadAs;
    world.want(Ok((1, 1)));
    world.pass(SECOND);
    assert_eq!(world.since(known), ["check 1 1", "try 1 1", "revert 0 1"]);
    assert!(world.now - before <= SECOND);
    let ConfigStatus::RolledBack { reason, .. } = world.pipeline.status().config else { panic!() };
    assert!(reason.starts_with("shared says: Bad peer AS: 65009; taken back: "), "{reason}");
    world.pass(600 * SECOND);
    assert_eq!(world.since(known).len(), 3, "it is not tried again while the sessions are up");
}

#[test]
fn sessions_that_stay_down_have_it_taken_back_after_25_seconds() {
    let mut world = up(0);
    let known = world.log.len();
    world.bird.fates[1] = Fate::Down;
    world.want(Ok((1, 0)));
    world.pass(24 * SECOND);
    assert_eq!((world.since(known).len(), config(&world).as_str()), (2, "OnTrial"));
    world.pass(2 * SECOND);
    assert_eq!(world.since(known), ["check 1 0", "try 1 0", "revert 0 0"]);
    let ConfigStatus::RolledBack { reason, .. } = world.pipeline.status().config else { panic!() };
    assert!(reason.starts_with("shared did not come up again within 25 s"), "{reason}");
}

#[test]
fn where_no_session_is_up_it_is_tried_again_after_a_minute() {
    let mut world = up(0);
    world.bird.fates[1] = Fate::BadAs;
    world.want(Ok((1, 0)));
    world.pass(SECOND);
    let known = world.log.len();
    world.bird.fates = [Fate::Down; BASES];
    world.pass(58 * SECOND);
    assert!(world.since(known).is_empty());
    world.pass(3 * SECOND);
    assert_eq!(world.since(known), ["check 1 0", "try 1 0", "confirm"]);
}

#[test]
fn a_withdrawal_goes_before_everything_else() {
    let mut world = up(3);
    let known = world.log.len();
    world.bird.fates[1] = Fate::Down;
    world.want(Ok((1, 3)));
    world.want(Ok((1, 2)));
    world.pass(SECOND);
    // Nothing is asked twice at once: the check was under way already.
    assert_eq!(world.since(known), ["check 1 2", "update 0 1", "try 1 1"]);
    world.want(Ok((1, 0)));
    world.answer();
    assert_eq!(world.since(known).last(), Some(&"update 1 0"));
    world.pass(30 * SECOND);
    assert_eq!(world.since(known).last(), Some(&"revert 0 0"));
}

#[test]
fn additions_are_collected_and_the_first_does_not_wait() {
    let mut world = up(0);
    world.pass(SECOND);
    let known = world.log.len();
    world.want(Ok((0, 1)));
    world.answer();
    assert_eq!(world.since(known), ["update 0 1"]);
    world.want(Ok((0, 3)));
    world.want(Ok((0, 7)));
    world.pass(COALESCE / 2);
    assert_eq!(world.since(known), ["update 0 1"]);
    world.pass(COALESCE);
    assert_eq!(world.since(known), ["update 0 1", "update 0 3"]);
}

#[test]
fn routes_that_bird_does_not_take_are_told_again_after_five_seconds() {
    let mut world = up(3);
    let known = world.log.len();
    world.bird.refuses_configure = true;
    world.want(Ok((0, 1)));
    world.pass(4 * SECOND);
    assert_eq!((world.since(known), config(&world).as_str()), (vec!["update 0 1"], "Refused"));
    assert_eq!(world.file.as_ref().unwrap().routes.addresses().count(), 1, "a BIRD that starts has none");
    world.bird.refuses_configure = false;
    world.pass(2 * SECOND);
    assert_eq!((world.since(known).len(), config(&world).as_str()), (2, "Applied"));
}

#[test]
fn an_agent_that_died_during_a_trial_has_what_was_good_brought_back() {
    let mut world = up(3);
    world.bird.fates[1] = Fate::Down;
    world.want(Ok((1, 3)));
    world.pass(SECOND);
    world.want(Ok((0, 1)));
    world.answer();
    let known = world.log.len();
    world.restart_agent();
    world.pass(SECOND);
    assert_eq!(world.since(known), ["connect", "revert 0 1"]);
    assert_eq!(config(&world), "Applied");
}

#[test]
fn a_bird_that_dies_of_a_configuration_is_not_given_it_again_at_once() {
    let mut world = up(0);
    world.want(Ok((1, 0)));
    while !world.log.last().unwrap().starts_with("try") {
        assert!(world.answer_one(), "{:?}", world.log);
    }
    world.stop_bird();
    world.answer_one();
    world.start_bird();
    let known = world.log.len();
    world.pass(50 * SECOND);
    assert_eq!(world.since(known), ["connect"]);
    assert_eq!(config(&world), "RolledBack");
}

#[test]
fn a_configuration_of_somebody_else_is_replaced_within_two_seconds() {
    let mut world = up(1);
    let known = world.log.len();
    world.bird.configure(None, None);
    world.pass(2 * SECOND);
    assert_eq!(world.since(known), ["check 0 1", "try 0 1", "confirm"]);
}

#[test]
fn a_bird_that_is_being_drained_is_told_nothing_but_its_file_is_kept_in_step() {
    let mut world = up(3);
    let known = world.log.len();
    world.drain(true);
    world.want(Ok((1, 1)));
    world.pass(100 * SECOND);
    assert!(world.since(known).is_empty());
    assert_eq!(world.file.as_ref().unwrap().routes.addresses().count(), 1);
}

#[test]
fn a_bird_that_nobody_needs_may_be_away_without_a_word() {
    let mut world = World::new();
    world.stop_bird();
    world.want(Err(None));
    world.pass(10 * SECOND);
    assert_eq!(count(&world, |note| matches!(note, Note::Away(_))), 0);
    world.want(Ok((0, 0)));
    world.restart_agent();
    world.pass(10 * SECOND);
    assert_eq!(count(&world, |note| matches!(note, Note::Away(_))), 1, "once");
    let attempts = world.log.iter().filter(|entry| *entry == "connect").count();
    assert!((8..=24).contains(&attempts), "{attempts} attempts in 20 seconds");
}

#[test]
fn a_file_that_could_not_be_written_is_written_again() {
    let mut world = up(0);
    world.disk_is_full = true;
    world.want(Ok((0, 1)));
    world.pass(SECOND);
    world.disk_is_full = false;
    world.pass(3 * SECOND);
    assert_eq!(world.file.as_ref().unwrap().routes.addresses().count(), 0);
    world.pass(2 * SECOND);
    assert_eq!(world.file.as_ref().unwrap().routes.addresses().count(), 1);
}

#[test]
fn a_withdrawal_reaches_bird_also_while_there_is_no_configuration_to_run() {
    let mut world = up(3);
    let known = world.log.len();
    world.want(Err(Some(1)));
    world.pass(SECOND);
    assert_eq!(world.since(known), ["update 0 1"]);
    assert_eq!(world.file.as_ref().unwrap().routes.addresses().count(), 1);
    world.want(Err(Some(3)));
    world.pass(10 * SECOND);
    assert_eq!(world.since(known), ["update 0 1"], "how it would be announced is not known");
}
