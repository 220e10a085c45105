use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;
use tokio::time::{Instant, advance, sleep, timeout};

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

/// How the first task that failed did; none: all are at work.
async fn failure(tasks: &Tasks) -> Option<String> {
    timeout(Duration::from_secs(1), tasks.failed()).await.ok().map(|failed| failed.to_string())
}

#[tokio::test(start_paused = true)]
async fn a_task_that_ends_before_the_shutdown_has_failed() {
    let tasks = Tasks::default();
    tasks.spawn("idle", pending());
    assert_eq!(failure(&tasks).await, None);
    tasks.spawn("announcer", sleep(MINUTE));
    assert_eq!(failure(&tasks).await, None);
    advance(MINUTE).await;
    assert_eq!(failure(&tasks).await.unwrap(), "task announcer has ended");
}

#[tokio::test(start_paused = true)]
async fn a_task_that_panics_has_failed_with_its_message() {
    for spawn in [
        |tasks: &Tasks| tasks.spawn("announcer", async { panic!("at {}", 7) }),
        |tasks: &Tasks| tasks.spawn_graceful("announcer", async { panic!("at {}", 7) }),
        |tasks: &Tasks| tasks.spawn("announcer", blocking(|| panic!("at {}", 7))),
    ] {
        let tasks = Tasks::default();
        spawn(&tasks);
        assert_eq!(tasks.failed().await.to_string(), "task announcer has panicked: at 7");
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_failure_counts() {
    let tasks = Tasks::default();
    tasks.fail(Failed { task: "flock-nft".to_owned(), ending: Ending::Ended });
    tasks.spawn("announcer", async {});
    tokio::task::yield_now().await;
    assert_eq!(failure(&tasks).await.unwrap(), "task flock-nft has ended");
}

#[tokio::test(start_paused = true)]
async fn a_gates_panic_is_the_tasks() {
    struct Planted;
    impl Gate for Planted {
        fn poll(&self, task: &str) {
            assert_ne!(task, "announcer", "planted");
        }
    }
    let tasks = Tasks::through(Planted);
    tasks.spawn("programmer", pending());
    assert_eq!(failure(&tasks).await, None);
    tasks.spawn("announcer", pending());
    let failed = failure(&tasks).await.unwrap();
    assert!(failed.starts_with("task announcer has panicked: ") && failed.contains("planted"), "{failed}");
}

#[tokio::test(start_paused = true)]
async fn shutdown_ends_all_tasks_and_is_no_failure() {
    let tasks = Tasks::default();
    let finished = Arc::new(AtomicBool::new(false));
    let (cancelled, done) = (tasks.cancelled(), Arc::clone(&finished));
    tasks.spawn_graceful("reconciler", async move {
        cancelled.await;
        sleep(Duration::from_millis(5)).await;
        done.store(true, Ordering::SeqCst);
    });
    tasks.spawn("lister", pending());
    tokio::task::yield_now().await;
    assert!(!finished.load(Ordering::SeqCst));
    timeout(GRACE, tasks.shut_down()).await.unwrap();
    assert!(finished.load(Ordering::SeqCst), "what it was at is finished");
    assert_eq!(failure(&tasks).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_failure_at_shutdown_too() {
    let tasks = Tasks::default();
    let cancelled = tasks.cancelled();
    tasks.spawn_graceful("reconciler", async move {
        cancelled.await;
        panic!("late");
    });
    tasks.shut_down().await;
    assert_eq!(failure(&tasks).await.unwrap(), "task reconciler has panicked: late");
}

#[tokio::test(start_paused = true)]
async fn shutdown_waits_for_calls_but_not_for_ever() {
    let tasks = Tasks::default();
    let call = tasks.spawn_call(async {
        sleep(Duration::from_secs(5)).await;
        7
    });
    tasks.shut_down().await;
    assert_eq!(timeout(Duration::ZERO, call).await.unwrap().unwrap(), 7);
    tasks.spawn_graceful("stubborn", pending());
    let begun = Instant::now();
    tasks.shut_down().await;
    assert_eq!(begun.elapsed(), GRACE);
}

#[tokio::test(start_paused = true)]
async fn a_calls_end_and_its_panic_are_its_callers_alone() {
    let tasks = Tasks::default();
    tasks.spawn_call(async {}).await.unwrap();
    tasks.spawn_call(async { panic!("of a call") }).await.unwrap_err();
    assert_eq!(failure(&tasks).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_waits_is_well_and_one_that_does_not_end_its_turn_is_stuck() {
    let (tasks, work, done) = (Tasks::default(), Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (woken, ended) = (Arc::clone(&work), Arc::clone(&done));
    tasks.spawn("programmer", async move {
        loop {
            woken.notified().await;
            let _turn = turn();
            ended.notified().await;
        }
    });
    for _ in 0..2 {
        tokio::task::yield_now().await;
        advance(10 * MINUTE).await;
        assert_eq!(tasks.stuck(), None, "nothing wakes it");
        work.notify_one();
        tokio::task::yield_now().await;
        advance(MINUTE - Duration::from_millis(1)).await;
        assert_eq!(tasks.stuck(), None);
        advance(Duration::from_millis(1)).await;
        let stuck = "task programmer is stuck: it has been at one thing for 60 s";
        assert_eq!(tasks.stuck().as_deref(), Some(stuck));
        done.notify_one();
        tokio::task::yield_now().await;
        assert_eq!(tasks.stuck(), None);
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_rounds_at_once_the_older_one_counts() {
    let tasks = Tasks::default();
    tasks.spawn("status", async {
        let round = |length: Duration| async move {
            loop {
                let _turn = turn();
                sleep(length).await;
            }
        };
        tokio::join!(round(Duration::from_secs(7)), round(10 * MINUTE));
    });
    tokio::task::yield_now().await;
    for _ in 0..59 {
        advance(Duration::from_secs(1)).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(tasks.stuck(), None);
    advance(Duration::from_secs(1)).await;
    assert!(tasks.stuck().is_some());
}

/// The worker of this one is blocked; another one asks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poll_is_a_turn() {
    let (tasks, (release, released)) = (Tasks::default(), std::sync::mpsc::channel::<()>());
    tasks.spawn("announcer", async move {
        let _ = released.recv();
        pending().await
    });
    let open = || tasks.heartbeats().iter().filter(|heartbeat| heartbeat.is_in_turn()).count();
    while open() == 0 {
        sleep(Duration::from_millis(1)).await;
    }
    drop(release);
    while open() == 1 {
        sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn outside_of_tasks_a_turn_says_nothing() {
    drop(turn());
}
