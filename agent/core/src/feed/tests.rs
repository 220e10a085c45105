use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::desired::Place;

type Numbers = Store<&'static str, u64>;

fn problem(reason: u64) -> Problem {
    Problem { place: Place::Composition(String::new()), reason: reason.to_string() }
}

/// Numbers up to 99 are values, up to 199 cannot be read, all others are irrelevant; from 90 to 99 there is a problem beside
/// the value.
fn parse(number: u64) -> impl FnOnce(Option<&u64>) -> Parsed<u64> {
    move |_| {
        let outcome = match number {
            0..100 => Outcome::Value(number),
            100..200 => Outcome::Unreadable,
            _ => Outcome::Irrelevant,
        };
        let problems = if (90..200).contains(&number) { vec![problem(number)] } else { Vec::new() };
        Parsed { outcome, problems }
    }
}

fn all(store: &Numbers) -> Vec<(&str, u64)> {
    store.iter().map(|(key, value)| (*key, **value)).collect()
}

fn reasons(store: &Numbers) -> Vec<&str> {
    store.problems().map(|problem| problem.reason.as_str()).collect()
}

/// With `a` of version 5, seen up to 10.
fn store() -> Numbers {
    let mut store = Store::default();
    store.begin();
    store.listed("a", 5, parse(1));
    assert_eq!(store.complete(10), Update::Changed);
    store
}

fn applied(key: &'static str, value: u64) -> Change<&'static str, u64> {
    Change::Applied(key, Arc::new(value))
}

/// A consumer that has read everything.
fn reader(store: &Numbers) -> Cursor {
    let mut cursor = Cursor::default();
    assert_eq!(store.changes(&mut cursor), Changes::Relisted);
    cursor
}

#[test]
fn a_list_counts_when_it_is_complete() {
    let mut store = Numbers::default();
    assert!(!store.is_listed());
    store.begin();
    store.listed("a", 1, parse(1));
    assert_eq!((store.is_listed(), all(&store)), (false, vec![]));
    assert_eq!(store.complete(7), Update::Changed);
    assert_eq!((store.is_listed(), all(&store)), (true, vec![("a", 1)]));
    store.begin();
    store.listed("b", 8, parse(2));
    assert_eq!(all(&store), [("a", 1)], "as long as another list is being read");
    assert_eq!(store.complete(9), Update::Changed);
    assert_eq!(all(&store), [("b", 2)], "what was not in it is not there");
    assert_eq!((store.get(&"b").map(|value| **value), store.get(&"a")), (Some(2), None));
}

#[test]
fn the_first_list_is_news_even_if_it_is_empty_and_an_equal_one_is_none() {
    let mut store = Numbers::default();
    store.begin();
    assert_eq!(store.complete(1), Update::Changed);
    store.begin();
    assert_eq!(store.complete(2), Update::Unchanged);
}

#[test]
fn a_kind_that_does_not_exist_counts_as_listed_and_keeps_what_there_is() {
    let mut store = Numbers::default();
    let mut cursor = reader(&store);
    assert_eq!((store.give_up(), store.is_listed()), (Update::Changed, true));
    assert_eq!(store.changes(&mut cursor), Changes::Relisted);
    assert_eq!(store.give_up(), Update::Unchanged);
    assert_eq!(store.changes(&mut cursor), Changes::Since(vec![]));
    let mut store = self::store();
    assert_eq!((store.give_up(), all(&store)), (Update::Unchanged, vec![("a", 1)]));
}

#[test]
fn a_list_that_was_cut_off_leaves_nothing() {
    let mut store = store();
    store.begin();
    store.listed("b", 11, parse(2));
    store.begin();
    store.listed("a", 5, parse(1));
    assert_eq!(store.complete(12), Update::Unchanged);
    assert_eq!(all(&store), [("a", 1)]);
}

#[test]
fn a_change_that_changes_nothing_that_is_kept_is_no_news() {
    let mut store = store();
    assert_eq!(store.applied("a", 11, parse(1)), Update::Unchanged);
    assert_eq!(store.applied("a", 12, parse(2)), Update::Changed);
    assert_eq!(store.deleted(&"b", 13), Update::Unchanged);
    assert_eq!(store.deleted(&"a", 14), Update::Changed);
    assert_eq!(all(&store), []);
    assert_eq!(store.applied("c", 15, parse(200)), Update::Unchanged, "nobody asks about it");
    assert_eq!(store.deleted(&"c", 16), Update::Unchanged);
}

#[test]
fn one_that_cannot_be_read_keeps_what_was_read_before_and_is_reported() {
    let mut store = store();
    let mut cursor = reader(&store);
    assert_eq!(store.applied("a", 11, parse(100)), Update::Changed);
    assert_eq!(store.applied("a", 12, parse(100)), Update::Unchanged);
    assert_eq!(store.applied("b", 12, parse(101)), Update::Changed);
    assert_eq!((all(&store), reasons(&store)), (vec![("a", 1)], vec!["100", "101"]));
    assert_eq!(store.changes(&mut cursor), Changes::Since(vec![]), "no value is another");
    store.begin();
    store.listed("a", 11, parse(100));
    assert_eq!(store.complete(13), Update::Changed, "b and its problem are gone");
    assert_eq!((all(&store), reasons(&store)), (vec![("a", 1)], vec!["100"]), "over another list, too");
    assert_eq!(store.applied("a", 14, parse(3)), Update::Changed);
    assert_eq!((all(&store), reasons(&store)), (vec![("a", 3)], vec![]));
    assert_eq!(store.changes(&mut cursor), Changes::Since(vec![applied("a", 3)]));
    assert_eq!(store.applied("b", 15, parse(101)), Update::Changed);
    assert_eq!(store.deleted(&"b", 16), Update::Changed, "its problem is gone");
    assert_eq!(reasons(&store), [] as [&str; 0]);
    assert_eq!(store.changes(&mut cursor), Changes::Since(vec![]), "it never had a value");
}

#[test]
fn a_problem_beside_a_value_is_news_and_no_change() {
    let mut store = store();
    let mut cursor = reader(&store);
    let beside = |_: Option<&u64>| Parsed { outcome: Outcome::Value(1), problems: vec![problem(7)] };
    assert_eq!(store.applied("a", 11, beside), Update::Changed);
    assert_eq!((all(&store), reasons(&store)), (vec![("a", 1)], vec!["7"]));
    assert_eq!(store.changes(&mut cursor), Changes::Since(vec![]));
    store.begin();
    store.listed("a", 11, parse(1));
    assert_eq!(store.complete(12), Update::Changed);
    assert_eq!(store.changes(&mut cursor), Changes::Since(vec![]));
}

#[test]
fn a_reader_is_given_the_value_that_is_there() {
    let mut store = store();
    let seen = |expected: Option<u64>| {
        move |former: Option<&u64>| {
            assert_eq!(former.copied(), expected);
            Parsed { outcome: Outcome::Value(former.map_or(10, |former| former + 1)), problems: Vec::new() }
        }
    };
    assert_eq!(store.applied("a", 11, seen(Some(1))), Update::Changed);
    assert_eq!(store.refreshed("b", 12, seen(None)), Update::Changed);
    store.begin();
    store.listed("a", 13, seen(Some(2)));
    assert_eq!(store.complete(13), Update::Changed);
    assert_eq!(all(&store), [("a", 3)]);
}

#[test]
fn an_equal_value_stays_where_it_is() {
    let mut store = store();
    let before = Arc::clone(store.get(&"a").unwrap());
    let stays = |store: &Numbers| Arc::ptr_eq(&before, store.get(&"a").unwrap());
    assert_eq!(store.applied("a", 11, parse(1)), Update::Unchanged);
    assert!(stays(&store));
    store.begin();
    store.listed("a", 12, parse(1));
    assert_eq!(store.complete(12), Update::Unchanged);
    assert!(stays(&store));
}

#[test]
fn a_refresh_counts_only_if_it_has_seen_more_than_the_watch() {
    let cases = [
        // Another version of the one that is known, or one that is not.
        ("a", 11, 2, vec![("a", 2)]),
        ("b", 11, 2, vec![("a", 1), ("b", 2)]),
        // The watch is as far: it would be known, so it is not there any more, or is another by now.
        ("b", 10, 2, vec![("a", 1)]),
        ("a", 5, 9, vec![("a", 1)]),
    ];
    for (key, version, number, expected) in cases {
        let mut store = store();
        let update = store.refreshed(key, version, parse(number));
        assert_eq!(all(&store), expected, "{key} {version}");
        assert_eq!(update, Update::when(expected != [("a", 1)]), "{key} {version}");
    }
}

#[test]
fn of_two_refreshes_the_later_version_counts() {
    let mut store = store();
    assert_eq!(store.refreshed("a", 20, parse(2)), Update::Changed);
    assert_eq!(store.refreshed("a", 20, parse(3)), Update::Unchanged);
    assert_eq!(store.refreshed("a", 15, parse(3)), Update::Unchanged);
    assert_eq!(store.refreshed("a", 21, parse(3)), Update::Changed);
    assert_eq!(all(&store), [("a", 3)]);
}

#[test]
fn a_refresh_before_the_first_list_is_too_early() {
    let mut store = Numbers::default();
    assert_eq!(store.refreshed("a", 1, parse(1)), Update::Unchanged);
    assert_eq!(all(&store), []);
}

#[test]
fn what_the_watch_has_seen_is_what_a_refresh_is_judged_by() {
    for see in [
        |store: &mut Numbers| store.applied("b", 30, parse(2)),
        |store: &mut Numbers| store.deleted(&"b", 30),
    ] {
        let mut store = store();
        let _ = see(&mut store);
        assert_eq!(store.refreshed("c", 30, parse(3)), Update::Unchanged);
        assert_eq!(store.refreshed("c", 31, parse(3)), Update::Changed);
        assert_eq!(store.applied("d", 25, parse(3)), Update::Changed, "the order of the watch counts");
        assert_eq!(store.refreshed("e", 30, parse(3)), Update::Unchanged);
    }
}

#[test]
fn what_the_watch_sees_later_counts_more_than_a_refresh() {
    let mut store = store();
    assert_eq!(store.refreshed("b", 20, parse(2)), Update::Changed);
    assert_eq!(store.applied("b", 15, parse(9)), Update::Unchanged, "the watch is not as far yet");
    assert_eq!(store.deleted(&"b", 16), Update::Unchanged, "that was one of the same name");
    assert_eq!(all(&store), [("a", 1), ("b", 2)]);
    store.begin();
    assert_eq!(store.complete(17), Update::Changed);
    assert_eq!(all(&store), [("b", 2)], "the list is older");
    assert_eq!(store.applied("b", 20, parse(2)), Update::Unchanged);
    assert_eq!(store.deleted(&"b", 21), Update::Changed);
    assert_eq!(all(&store), []);
}

#[test]
fn a_list_that_is_as_new_as_a_refresh_counts_more() {
    let mut store = store();
    assert_eq!(store.refreshed("b", 20, parse(95)), Update::Changed);
    store.begin();
    store.listed("b", 19, parse(3));
    assert_eq!(store.complete(19), Update::Changed, "a is gone");
    assert_eq!((all(&store), reasons(&store)), (vec![("b", 95)], vec!["95"]), "with its problem");
    store.begin();
    store.listed("b", 19, parse(3));
    assert_eq!(store.complete(20), Update::Changed);
    assert_eq!((all(&store), reasons(&store)), (vec![("b", 3)], vec![]));
    assert_eq!(store.applied("a", 4, parse(8)), Update::Changed, "what a list brought is not ahead");
}

#[test]
fn an_old_backup_of_the_api_servers_storage_is_believed() {
    let mut store = store();
    assert_eq!(store.applied("a", 1000, parse(50)), Update::Changed);
    store.begin();
    store.listed("a", 3, parse(7));
    assert_eq!(store.complete(4), Update::Changed);
    assert_eq!(all(&store), [("a", 7)]);
    assert_eq!(store.applied("a", 5, parse(8)), Update::Changed);
    assert_eq!(all(&store), [("a", 8)]);
}

#[test]
fn a_consumer_is_told_each_change_once_and_in_order() {
    let mut store = store();
    let (mut one, mut other) = (reader(&store), reader(&store));
    let _ = store.applied("b", 11, parse(2));
    let _ = store.applied("a", 12, parse(3));
    assert_eq!(store.changes(&mut one), Changes::Since(vec![applied("b", 2), applied("a", 3)]));
    let _ = store.deleted(&"b", 13);
    assert_eq!(store.changes(&mut one), Changes::Since(vec![Change::Deleted("b")]));
    assert_eq!(store.changes(&mut one), Changes::Since(vec![]));
    let all = vec![applied("b", 2), applied("a", 3), Change::Deleted("b")];
    assert_eq!(store.changes(&mut other), Changes::Since(all), "at its own pace");
}

#[test]
fn a_list_is_told_as_what_it_changes() {
    let mut store = store();
    let _ = store.applied("b", 11, parse(2));
    let mut cursor = reader(&store);
    store.begin();
    store.listed("b", 11, parse(2));
    store.listed("c", 12, parse(3));
    assert_eq!(store.complete(12), Update::Changed);
    assert_eq!(store.changes(&mut cursor), Changes::Since(vec![applied("c", 3), Change::Deleted("a")]));
}

#[test]
fn one_that_nobody_asks_about_any_more_is_told_as_deleted() {
    let mut store = store();
    let mut cursor = reader(&store);
    assert_eq!(store.applied("a", 11, parse(200)), Update::Changed);
    assert_eq!(store.changes(&mut cursor), Changes::Since(vec![Change::Deleted("a")]));
    assert_eq!(store.get(&"a"), None);
}

#[test]
fn a_consumer_that_lags_reads_the_store_again() {
    let mut store = Store::<u64, u64>::remembering(2);
    let mut cursor = Cursor::default();
    assert_eq!(store.changes(&mut cursor), Changes::Relisted);
    let put = |store: &mut Store<u64, u64>, key: u64| {
        let _ = store.applied(key, key, parse(key));
    };
    put(&mut store, 1);
    put(&mut store, 2);
    let told = |key: u64| Change::Applied(key, Arc::new(key));
    assert_eq!(
        store.changes(&mut cursor),
        Changes::Since(vec![told(1), told(2)]),
        "as much as is remembered"
    );
    (3..6).for_each(|key| put(&mut store, key));
    assert_eq!(store.changes(&mut cursor), Changes::Relisted, "one more");
    put(&mut store, 6);
    assert_eq!(store.changes(&mut cursor), Changes::Since(vec![told(6)]), "and on from there");
    assert_eq!(store.log_length(), 2);
}

impl<K: Ord + Clone, V: Eq> Store<K, V> {
    fn log_length(&self) -> usize {
        self.log.length()
    }
}

#[derive(Debug, Clone)]
enum Event {
    Begin,
    Listed(u8, u64, u64),
    Complete(u64),
    Applied(u8, u64, u64),
    Deleted(u8, u64),
    Refreshed(u8, u64, u64),
    GiveUp,
    /// A consumer looks.
    Look(usize),
}

/// A value, one with a problem, one that cannot be read, or one that nobody asks about.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![4 => 0..4u64, 1 => 95..97u64, 2 => 100..102u64, 1 => Just(200u64)]
}

fn event() -> impl Strategy<Value = Event> {
    let version = 0..30u64;
    prop_oneof![
        1 => Just(Event::Begin),
        4 => (0..4u8, version.clone(), number()).prop_map(|(key, version, number)| Event::Listed(key, version, number)),
        1 => version.clone().prop_map(Event::Complete),
        4 => (0..4u8, version.clone(), number()).prop_map(|(key, version, number)| Event::Applied(key, version, number)),
        2 => (0..4u8, version.clone()).prop_map(|(key, version)| Event::Deleted(key, version)),
        3 => (0..4u8, version, number()).prop_map(|(key, version, number)| Event::Refreshed(key, version, number)),
        1 => Just(Event::GiveUp),
        3 => (0..2usize).prop_map(Event::Look),
    ]
}

/// What a consumer has made of what it was told.
#[derive(Default)]
struct Mirror {
    cursor: Cursor,
    values: BTreeMap<u8, u64>,
}

impl Mirror {
    fn look(&mut self, store: &Store<u8, u64>) -> Result<(), TestCaseError> {
        match store.changes(&mut self.cursor) {
            Changes::Relisted => self.values = values(store),
            Changes::Since(changes) => {
                for change in changes {
                    self.apply(change)?;
                }
            }
        }
        prop_assert_eq!(&self.values, &values(store));
        Ok(())
    }

    /// Each change is one: a value becomes another, or goes.
    fn apply(&mut self, change: Change<u8, u64>) -> Result<(), TestCaseError> {
        match change {
            Change::Applied(key, value) => prop_assert_ne!(self.values.insert(key, *value), Some(*value)),
            Change::Deleted(key) => prop_assert!(self.values.remove(&key).is_some()),
        }
        Ok(())
    }
}

fn values(store: &Store<u8, u64>) -> BTreeMap<u8, u64> {
    store.iter().map(|(key, value)| (*key, **value)).collect()
}

fn everything(store: &Store<u8, u64>) -> (bool, BTreeMap<u8, u64>, BTreeMap<u8, Vec<Problem>>) {
    (store.is_listed(), values(store), store.table.problems.clone())
}

fn happen(store: &mut Store<u8, u64>, event: &Event) -> Option<Update> {
    match *event {
        Event::Begin => store.begin(),
        Event::Listed(key, version, number) => store.listed(key, version, parse(number)),
        Event::Complete(version) => return Some(store.complete(version)),
        Event::Applied(key, version, number) => return Some(store.applied(key, version, parse(number))),
        Event::Deleted(key, version) => return Some(store.deleted(&key, version)),
        Event::Refreshed(key, version, number) => return Some(store.refreshed(key, version, parse(number))),
        Event::GiveUp => return Some(store.give_up()),
        Event::Look(_) => {}
    }
    None
}

proptest! {
    #[test]
    fn a_consumer_that_applies_what_it_is_told_has_what_the_store_has(
        events in prop::collection::vec(event(), 0..60),
        remembered in 0..6usize,
    ) {
        let mut store = Store::remembering(remembered);
        let mut consumers = [Mirror::default(), Mirror::default()];
        for event in &events {
            let before = everything(&store);
            let update = happen(&mut store, event).unwrap_or(Update::Unchanged);
            prop_assert_eq!(update, Update::when(everything(&store) != before), "{:?}", event);
            prop_assert!(store.log_length() <= remembered);
            if let Event::Look(consumer) = *event {
                consumers[consumer].look(&store)?;
            }
        }
        for consumer in &mut consumers {
            consumer.look(&store)?;
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Apply(u8, u64),
    Delete(u8),
    Relist,
    /// An answer to a GET that was made so many events ago.
    Refresh(u8, usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3u8, 0..5u64).prop_map(|(key, number)| Step::Apply(key, number)),
        2 => (0..3u8).prop_map(Step::Delete),
        1 => Just(Step::Relist),
        3 => (0..3u8, 0..4usize).prop_map(|(key, ago)| Step::Refresh(key, ago)),
    ]
}

/// What the watch brings.
type Delivery = Box<dyn FnOnce(&mut Store<u8, u64>)>;

proptest! {
    /// The API server's state goes ahead of what the watch has delivered; refreshes come from any time between.
    #[test]
    fn in_the_end_it_is_what_the_api_server_has(steps in prop::collection::vec(step(), 0..40), lag in 0..4usize) {
        let mut store = Store::default();
        store.begin();
        let _ = store.complete(10);
        let mut now: BTreeMap<u8, (u64, u64)> = BTreeMap::new();
        let mut past = vec![now.clone()];
        let mut version = 10;
        let mut sent: Vec<Delivery> = Vec::new();
        for step in steps {
            match step {
                Step::Apply(key, number) => {
                    version += 1;
                    now.insert(key, (version, number));
                    sent.push(Box::new(move |store| { let _ = store.applied(key, version, parse(number)); }));
                }
                Step::Delete(key) => {
                    if now.remove(&key).is_some() {
                        version += 1;
                        sent.push(Box::new(move |store| { let _ = store.deleted(&key, version); }));
                    }
                }
                Step::Relist => {
                    sent.clear();
                    store.begin();
                    for (key, (version, number)) in &now {
                        store.listed(*key, *version, parse(*number));
                    }
                    let _ = store.complete(version);
                }
                Step::Refresh(key, ago) => {
                    let then = &past[past.len().saturating_sub(1 + ago)];
                    if let Some((version, number)) = then.get(&key) {
                        let _ = store.refreshed(key, *version, parse(*number));
                    }
                }
            }
            past.push(now.clone());
            let due = sent.len().saturating_sub(lag);
            sent.drain(..due).for_each(|deliver| deliver(&mut store));
        }
        sent.into_iter().for_each(|deliver| deliver(&mut store));
        let expected: BTreeMap<u8, u64> = now.into_iter().map(|(key, (_, number))| (key, number)).collect();
        prop_assert_eq!(values(&store), expected);
    }
}
