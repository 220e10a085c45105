use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use flock_core::desired::Place;

/// Objects with a number; one that is too large cannot be read.
struct Numbers;

impl Kind for Numbers {
    type Key = String;
    type Value = u64;

    fn key(&self, meta: &Meta) -> Option<String> {
        Some(meta.name.clone())
    }

    fn read(&mut self, text: &str, former: Option<&u64>) -> Reading<u64> {
        let number = serde_json::from_str::<serde_json::Value>(text).unwrap()["number"].as_u64().unwrap();
        if number < 100 {
            return Reading { value: Some(number), problems: Vec::new() };
        }
        let problem = Problem { place: Place::Composition(String::new()), reason: number.to_string() };
        Reading { value: former.copied(), problems: vec![problem] }
    }
}

fn object(name: &str, version: u64, number: u64) -> Box<RawValue> {
    let text = json!({"metadata": {"name": name, "resourceVersion": version.to_string()}, "number": number});
    serde_json::value::to_raw_value(&text).unwrap()
}

fn all(shelf: &Shelf<Numbers>) -> Vec<(&str, u64)> {
    shelf.iter().map(|(key, value)| (key.as_str(), *value)).collect()
}

/// With `a` of version 5, seen up to 10.
fn shelf() -> Shelf<Numbers> {
    let mut shelf = Shelf::new(Numbers);
    shelf.begin();
    shelf.listed(&object("a", 5, 1));
    assert_eq!(shelf.complete("10"), Change::Other);
    shelf
}

#[test]
fn a_list_counts_when_it_is_complete() {
    let mut shelf = Shelf::new(Numbers);
    assert!(!shelf.is_complete());
    shelf.begin();
    shelf.listed(&object("a", 1, 1));
    assert_eq!((shelf.is_complete(), all(&shelf)), (false, vec![]));
    assert_eq!(shelf.complete("7"), Change::Other);
    assert_eq!((shelf.is_complete(), all(&shelf)), (true, vec![("a", 1)]));
    shelf.begin();
    shelf.listed(&object("b", 8, 2));
    assert_eq!(all(&shelf), [("a", 1)], "as long as another list is being read");
    shelf.complete("9");
    assert_eq!(all(&shelf), [("b", 2)], "what was not in it is not there");
}

#[test]
fn the_first_list_is_news_even_if_it_is_empty_and_an_equal_one_is_none() {
    let mut shelf = Shelf::new(Numbers);
    shelf.begin();
    assert_eq!(shelf.complete("1"), Change::Other);
    shelf.begin();
    assert_eq!(shelf.complete("2"), Change::Same);
}

#[test]
fn a_list_that_was_cut_off_leaves_nothing() {
    let mut shelf = shelf();
    shelf.begin();
    shelf.listed(&object("b", 11, 2));
    shelf.begin();
    shelf.listed(&object("a", 5, 1));
    assert_eq!(shelf.complete("12"), Change::Same);
    assert_eq!(all(&shelf), [("a", 1)]);
}

#[test]
fn a_change_that_changes_nothing_that_is_kept_is_no_news() {
    let mut shelf = shelf();
    assert_eq!(shelf.applied(&object("a", 11, 1)), Change::Same);
    assert_eq!(shelf.applied(&object("a", 12, 2)), Change::Other);
    assert_eq!(shelf.deleted(&object("b", 13, 2)), Change::Same);
    assert_eq!(shelf.deleted(&object("a", 14, 2)), Change::Other);
    assert_eq!(all(&shelf), []);
}

#[test]
fn one_that_cannot_be_read_keeps_what_was_read_before_and_is_reported() {
    let mut shelf = shelf();
    assert_eq!(shelf.applied(&object("a", 11, 100)), Change::Other);
    shelf.applied(&object("b", 12, 101));
    assert_eq!(all(&shelf), [("a", 1)]);
    assert_eq!(shelf.problems().map(|p| p.reason.as_str()).collect::<Vec<_>>(), ["100", "101"]);
    shelf.begin();
    shelf.listed(&object("a", 11, 100));
    shelf.complete("13");
    assert_eq!(all(&shelf), [("a", 1)], "over another list, too");
    shelf.applied(&object("a", 14, 3));
    assert_eq!((all(&shelf), shelf.problems().count()), (vec![("a", 3)], 0));
}

#[test]
fn a_refresh_counts_only_if_it_has_seen_more_than_the_watch() {
    let cases = [
        // Another version of the one that is known, or one that is not.
        (object("a", 11, 2), vec![("a", 2)]),
        (object("b", 11, 2), vec![("a", 1), ("b", 2)]),
        // The watch is as far: it would be known, so it is not there any more, or is another by now.
        (object("b", 10, 2), vec![("a", 1)]),
        (object("a", 5, 9), vec![("a", 1)]),
    ];
    for (answer, expected) in cases {
        let mut shelf = shelf();
        shelf.refreshed(&answer);
        assert_eq!(all(&shelf), expected, "{answer}");
    }
}

#[test]
fn a_refresh_before_the_first_list_is_too_early() {
    let mut shelf = Shelf::new(Numbers);
    assert_eq!(shelf.refreshed(&object("a", 1, 1)), Change::Same);
    assert_eq!(all(&shelf), []);
}

#[test]
fn what_the_watch_sees_later_counts_more_than_a_refresh() {
    let mut shelf = shelf();
    shelf.refreshed(&object("b", 20, 2));
    assert_eq!(shelf.applied(&object("b", 15, 9)), Change::Same, "the watch is not as far yet");
    assert_eq!(shelf.deleted(&object("b", 16, 9)), Change::Same, "that was one of the same name");
    assert_eq!(all(&shelf), [("a", 1), ("b", 2)]);
    shelf.begin();
    assert_eq!(shelf.complete("17"), Change::Other);
    assert_eq!(all(&shelf), [("b", 2)], "the list is older");
    assert_eq!(shelf.applied(&object("b", 20, 2)), Change::Same);
    shelf.deleted(&object("b", 21, 2));
    assert_eq!(all(&shelf), []);
}

#[test]
fn an_old_backup_of_the_api_servers_storage_is_believed() {
    let mut shelf = shelf();
    shelf.applied(&object("a", 1000, 50));
    shelf.begin();
    shelf.listed(&object("a", 3, 7));
    shelf.complete("4");
    assert_eq!(all(&shelf), [("a", 7)]);
    shelf.applied(&object("a", 5, 8));
    assert_eq!(all(&shelf), [("a", 8)]);
}

#[test]
fn what_is_no_object_is_left_out() {
    let mut shelf = shelf();
    for text in [r#"{"number":1}"#, r#"{"metadata":{"name":"b"},"number":1}"#, "[]"] {
        let object = RawValue::from_string(text.to_owned()).unwrap();
        assert_eq!(shelf.applied(&object), Change::Same, "{text}");
        assert_eq!(shelf.refreshed(&object), Change::Same, "{text}");
    }
    assert_eq!(all(&shelf), [("a", 1)]);
}

#[derive(Debug, Clone)]
enum Event {
    Apply(u8, u64),
    Delete(u8),
    Relist,
    /// An answer to a GET that was made so many events ago.
    Refresh(u8, usize),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0..3u8, 0..5u64).prop_map(|(name, number)| Event::Apply(name, number)),
        2 => (0..3u8).prop_map(Event::Delete),
        1 => Just(Event::Relist),
        3 => (0..3u8, 0..4usize).prop_map(|(name, ago)| Event::Refresh(name, ago)),
    ]
}

/// What the watch brings.
type Delivery = Box<dyn FnOnce(&mut Shelf<Numbers>)>;

proptest! {
    /// The API server's state goes ahead of what the watch has delivered; refreshes come from any time between.
    #[test]
    fn in_the_end_it_is_what_the_api_server_has(events in prop::collection::vec(event(), 0..40), lag in 0..4usize) {
        let mut shelf = shelf();
        let mut now: BTreeMap<u8, (u64, u64)> = BTreeMap::new();
        let mut past = vec![now.clone()];
        let mut version = 10;
        let mut sent: Vec<Delivery> = vec![Box::new(|shelf| { shelf.deleted(&object("a", 11, 1)); })];
        version += 1;
        for event in events {
            match event {
                Event::Apply(name, number) => {
                    version += 1;
                    now.insert(name, (version, number));
                    sent.push(Box::new(move |shelf| { shelf.applied(&object(&name.to_string(), version, number)); }));
                }
                Event::Delete(name) => {
                    if let Some((_, number)) = now.remove(&name) {
                        version += 1;
                        sent.push(Box::new(move |shelf| { shelf.deleted(&object(&name.to_string(), version, number)); }));
                    }
                }
                Event::Relist => {
                    let there = now.clone();
                    sent.clear();
                    shelf.begin();
                    for (name, (version, number)) in there {
                        shelf.listed(&object(&name.to_string(), version, number));
                    }
                    shelf.complete(&version.to_string());
                }
                Event::Refresh(name, ago) => {
                    let then = &past[past.len().saturating_sub(1 + ago)];
                    if let Some((version, number)) = then.get(&name) {
                        shelf.refreshed(&object(&name.to_string(), *version, *number));
                    }
                }
            }
            past.push(now.clone());
            let due = sent.len().saturating_sub(lag);
            sent.drain(..due).for_each(|deliver| deliver(&mut shelf));
        }
        sent.into_iter().for_each(|deliver| deliver(&mut shelf));
        let expected: Vec<(String, u64)> = now.into_iter().map(|(name, (_, number))| (name.to_string(), number)).collect();
        let found: Vec<(String, u64)> = shelf.iter().map(|(key, value)| (key.clone(), *value)).collect();
        prop_assert_eq!(found, expected);
    }
}
