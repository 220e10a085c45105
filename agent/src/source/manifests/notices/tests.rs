use std::path::Path;
use std::sync::Arc;

use notify::event::{CreateKind, DataChange, RemoveKind};

use super::*;

const CREATED: EventKind = EventKind::Create(CreateKind::File);
const WRITTEN: EventKind = EventKind::Modify(ModifyKind::Data(DataChange::Any));
const CLOSED: EventKind = EventKind::Access(AccessKind::Close(AccessMode::Write));
const READ: EventKind = EventKind::Access(AccessKind::Close(AccessMode::Read));
const REMOVED: EventKind = EventKind::Remove(RemoveKind::File);

const fn renamed(mode: RenameMode) -> EventKind {
    EventKind::Modify(ModifyKind::Name(mode))
}

/// The readings of a folder, at which time each in milliseconds.
struct Trial {
    notices: Arc<Notices>,
    begun: Instant,
    readings: Arc<Mutex<Vec<(u128, Scope)>>>,
}

impl Trial {
    /// Each reading takes so long.
    fn new(takes: Duration) -> Self {
        let (notices, readings, begun) = (Arc::<Notices>::default(), Arc::default(), Instant::now());
        let (theirs, log) = (Arc::clone(&notices), Arc::<Mutex<Vec<_>>>::clone(&readings));
        let read = move |scope| {
            log.lock().unwrap().push((begun.elapsed().as_millis(), scope));
            tokio::time::sleep(takes)
        };
        tokio::spawn(async move { theirs.readings(read).await });
        Self { notices, begun, readings }
    }

    fn say(&self, kind: EventKind, paths: &[&str]) {
        let event = Event { paths: paths.iter().map(PathBuf::from).collect(), ..Event::new(kind) };
        self.notices.take(Ok(event));
    }

    async fn at(&self, millis: u64) {
        sleep_until(self.begun + Duration::from_millis(millis)).await;
    }

    fn times(&self) -> Vec<u128> {
        self.readings.lock().unwrap().iter().map(|(time, _)| *time).collect()
    }

    fn unfinished(&self, reading: usize) -> Vec<PathBuf> {
        self.readings.lock().unwrap()[reading].1.unfinished.iter().cloned().collect()
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_change_is_read_at_once() {
    let ends = [
        (CLOSED, vec!["/m/a.yaml"]),
        (renamed(RenameMode::To), vec!["/m/a.yaml"]),
        (renamed(RenameMode::From), vec!["/m/a.yaml"]),
        (renamed(RenameMode::To), vec!["/m/..data"]),
        (REMOVED, vec!["/m/a.yaml"]),
        (EventKind::Other, vec![]),
    ];
    for (kind, paths) in ends {
        let trial = Trial::new(Duration::ZERO);
        trial.at(1000).await;
        trial.say(kind, &paths);
        trial.at(2000).await;
        assert_eq!(trial.times(), [1000], "{kind:?} {paths:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_is_left_alone_until_it_is_closed_but_not_for_long() {
    let trial = Trial::new(Duration::ZERO);
    trial.at(1000).await;
    trial.say(CREATED, &["/m/a.yaml"]);
    trial.say(WRITTEN, &["/m/a.yaml"]);
    trial.at(1020).await;
    trial.say(CLOSED, &["/m/a.yaml"]);
    trial.at(2000).await;
    trial.say(WRITTEN, &["/m/a.yaml"]);
    trial.at(2040).await;
    trial.say(WRITTEN, &["/m/a.yaml"]);
    trial.at(3000).await;
    assert_eq!(trial.times(), [1020, 2050]);
    assert!((0..2).all(|reading| trial.unfinished(reading).is_empty()));
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_being_written_does_not_keep_another_waiting() {
    let trial = Trial::new(Duration::ZERO);
    trial.at(1000).await;
    trial.say(WRITTEN, &["/m/slow.yaml"]);
    trial.at(1010).await;
    trial.say(renamed(RenameMode::To), &["/m/a.yaml"]);
    trial.at(1020).await;
    trial.say(CLOSED, &["/m/slow.yaml"]);
    trial.at(2000).await;
    assert_eq!(trial.times(), [1010, 1060]);
    assert_eq!(trial.unfinished(0), [Path::new("/m/slow.yaml")]);
    assert!(trial.unfinished(1).is_empty());
}

#[tokio::test(start_paused = true)]
async fn writing_under_another_name_and_renaming_is_one_reading() {
    let trial = Trial::new(Duration::ZERO);
    trial.at(1000).await;
    trial.say(CREATED, &["/m/.a.yaml.new"]);
    trial.say(WRITTEN, &["/m/.a.yaml.new"]);
    trial.say(CLOSED, &["/m/.a.yaml.new"]);
    trial.at(1001).await;
    trial.say(renamed(RenameMode::From), &["/m/.a.yaml.new"]);
    trial.say(renamed(RenameMode::To), &["/m/a.yaml"]);
    trial.say(renamed(RenameMode::Both), &["/m/.a.yaml.new", "/m/a.yaml"]);
    trial.at(2000).await;
    assert_eq!(trial.times(), [1001]);
}

#[tokio::test(start_paused = true)]
async fn what_only_reads_and_what_is_no_manifest_is_not_news() {
    let trial = Trial::new(Duration::ZERO);
    trial.say(READ, &["/m/a.yaml"]);
    trial.say(WRITTEN, &["/m/.a.yaml.swp"]);
    trial.say(CLOSED, &["/m/notes.txt"]);
    trial.at(2000).await;
    assert_eq!(trial.times(), [0_u128; 0]);
}

#[tokio::test(start_paused = true)]
async fn many_events_are_few_readings_and_the_last_one_is_not_lost() {
    let trial = Trial::new(Duration::from_millis(10));
    for millis in 1000..1125 {
        trial.at(millis).await;
        trial.say(CLOSED, &["/m/a.yaml"]);
    }
    trial.at(5000).await;
    assert_eq!(trial.times(), [1000, 1050, 1100, 1150]);
}

#[tokio::test(start_paused = true)]
async fn an_event_during_a_reading_is_followed_by_another_one() {
    let trial = Trial::new(Duration::from_millis(200));
    trial.at(1000).await;
    trial.say(CLOSED, &["/m/a.yaml"]);
    trial.at(1199).await;
    trial.say(CLOSED, &["/m/a.yaml"]);
    trial.at(5000).await;
    assert_eq!(trial.times(), [1000, 1200]);
}

#[tokio::test(start_paused = true)]
async fn everything_is_read_every_half_minute_however_busy_the_folder_is() {
    let trial = Trial::new(Duration::ZERO);
    for second in 0..70 {
        trial.at(second * 1000 + 500).await;
        trial.say(CLOSED, &["/m/a.yaml"]);
    }
    let readings = trial.readings.lock().unwrap();
    let all = readings.iter().filter(|(_, scope)| scope.which == Which::All);
    assert_eq!(all.map(|(time, _)| *time).collect::<Vec<_>>(), [30_000, 60_000]);
}
