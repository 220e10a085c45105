use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

use super::*;

/// What a BIRD does when it is told something.
enum Act {
    Say(String),
    /// Says it and ends.
    End(&'static str),
    /// Ends without a word.
    Vanish,
}

/// A BIRD that does what `script` says; `script` sees the command and how often it was asked before.
struct FakeBird {
    run_dir: tempfile::TempDir,
    asked: Arc<Mutex<Vec<String>>>,
}

type Script = fn(&str, usize) -> Act;

impl FakeBird {
    fn start(script: Script) -> Self {
        let run_dir = tempfile::tempdir().unwrap();
        let socket = crate::bird::socket(run_dir.path());
        let listener = UnixListener::bind(&socket).unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (end, mut ends) = watch::channel(false);
        let bird = Self { run_dir, asked: Arc::clone(&asked) };
        let marker = Marker::within(bird.run_dir.path());
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = ends.wait_for(|end| *end) => break,
                    Ok((stream, _)) = listener.accept() => {
                        assert!(marker.present(), "the marker comes before the first word to BIRD");
                        tokio::spawn(speak(stream, script, Arc::clone(&asked), end.clone()));
                    }
                }
            }
            std::fs::remove_file(socket).unwrap();
        });
        bird
    }

    async fn stop(&self, purpose: Purpose) -> Result<Report, StopError> {
        stop(&Stop { run_dir: self.run_dir.path().to_owned(), purpose, wait: Duration::from_millis(1500) })
            .await
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    fn marker(&self) -> String {
        std::fs::read_to_string(Marker::within(self.run_dir.path()).path()).unwrap()
    }
}

async fn speak(stream: UnixStream, script: Script, asked: Arc<Mutex<Vec<String>>>, end: watch::Sender<bool>) {
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader).lines();
    let mut say = String::from("0001 BIRD 2.0.12 ready.\n");
    loop {
        if writer.write_all(say.as_bytes()).await.is_err() {
            return;
        }
        let Ok(Some(command)) = lines.next_line().await else { return };
        let before = asked.lock().unwrap().iter().filter(|it| **it == command).count();
        asked.lock().unwrap().push(command.clone());
        match script(&command, before) {
            Act::Say(text) => say = text,
            Act::End(text) => {
                writer.write_all(text.as_bytes()).await.unwrap();
                end.send_replace(true);
                return;
            }
            Act::Vanish => {
                end.send_replace(true);
                return;
            }
        }
    }
}

/// `show protocols all` of a BIRD that originates IPv6 and has one session, which advertises so many routes.
fn protocols(exported: usize) -> Act {
    Act::Say(format!(
        "2002-Name       Proto      Table      State  Since         Info\n\
         1002-own6       Static     master6    up     2026-11-21T09:44:11+0000  \n\
         1006-  Channel ipv6\n     Routes:         1 imported, 0 exported, 1 preferred\n \n\
         1002-peer_2001_db8__1 BGP        ---        up     2026-11-21T09:44:12+0000  Established   \n\
         1006-  BGP state:          Established\n   Channel ipv6\n     State:          UP\n     \
         Routes:         3 imported, {exported} exported, 3 preferred\n \n0000 \n"
    ))
}

fn well(command: &str, before: usize) -> Act {
    match command {
        "graceful restart" => Act::End("0025 Graceful restart requested\n"),
        "down" => Act::End("0007 Shutdown requested\n"),
        "disable own6" => Act::Say("0009-own6: disabled\n0000 \n".to_owned()),
        "show protocols all" => protocols(2_usize.saturating_sub(before)),
        _ => Act::Say("9001 syntax error\n".to_owned()),
    }
}

#[tokio::test]
async fn a_rollout_is_a_graceful_restart() {
    let bird = FakeBird::start(well);
    let report = bird.stop(Purpose::Rollout).await.unwrap();
    assert_eq!(report.steps, [Step::Told("graceful restart"), Step::Ended]);
    assert_eq!((bird.asked(), bird.marker().as_str()), (vec!["graceful restart".to_owned()], "rollout\n"));
    assert_eq!(report.to_string(), "told BIRD to restart gracefully: peers keep its routes\nBIRD has ended");
}

#[tokio::test]
async fn a_shutdown_is_down() {
    let bird = FakeBird::start(well);
    let report = bird.stop(Purpose::Shutdown).await.unwrap();
    assert_eq!(report.steps, [Step::Told("down"), Step::Ended]);
    assert_eq!((bird.asked(), bird.marker().as_str()), (vec!["down".to_owned()], "shutdown\n"));
}

#[tokio::test(start_paused = true)]
async fn a_drain_withdraws_waits_and_ends() {
    let bird = FakeBird::start(well);
    let report = bird.stop(Purpose::Drain).await.unwrap();
    let wait = Duration::from_millis(1500);
    let steps = [Step::Withdrawn(vec!["own6"]), Step::Waited(wait), Step::Told("down"), Step::Ended];
    assert_eq!(report.steps, steps);
    let looks = "show protocols all";
    assert_eq!(bird.asked(), [looks, "disable own6", looks, looks, "down"]);
    let words = "withdrawn from all peers: everything of own6\nwaited 1.5s for the routers to act on it\n\
                 told BIRD to end: down\nBIRD has ended";
    assert_eq!(report.to_string(), words);
}

#[tokio::test(start_paused = true)]
async fn a_drain_withdraws_anycast_before_the_nodes_own_prefixes() {
    let bird = FakeBird::start(|command, before| match (command, protocols(0)) {
        ("show protocols all", Act::Say(text)) => {
            let row = "1002-own6       Static     master6    up     2026-11-21T09:44:11+0000  \n";
            let rows = ["own4", "anycast4", "own6", "anycast6"].map(|name| row.replace("own6", name));
            Act::Say(text.replace(row, &rows.concat()))
        }
        (disable, _) if disable.starts_with("disable ") => Act::Say("0009-disabled\n0000 \n".to_owned()),
        _ => well(command, before),
    });
    let steps = bird.stop(Purpose::Drain).await.unwrap().steps;
    assert_eq!(steps[0], Step::Withdrawn(vec!["anycast6", "anycast4", "own6", "own4"]));
    assert_eq!(bird.asked()[1..3], ["disable anycast6", "disable anycast4"]);
    assert!(steps[0].to_string().ends_with("everything of anycast6, anycast4, own6, own4"), "{}", steps[0]);
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_bird_though_routes_stay() {
    let bird = FakeBird::start(|command, before| match command {
        "show protocols all" => protocols(7),
        other => well(other, before),
    });
    let steps = bird.stop(Purpose::Drain).await.unwrap().steps;
    assert!(matches!(&steps[0], Step::NotWithdrawn(why) if why.contains("peer_2001_db8__1")), "{steps:?}");
    assert_eq!(steps[2..], [Step::Told("down"), Step::Ended]);
}

#[tokio::test]
async fn a_drain_ends_bird_though_it_cannot_be_asked() {
    let refusing: Script = |command, before| match command {
        "disable own6" => Act::Say("8007 Access denied\n".to_owned()),
        other => well(other, before),
    };
    let nonsense: Script = |command, before| match command {
        "show protocols all" => Act::Say("what?\n".to_owned()),
        other => well(other, before),
    };
    for script in [refusing, nonsense] {
        let steps = FakeBird::start(script).stop(Purpose::Drain).await.unwrap().steps;
        assert!(matches!(&steps[0], Step::NotWithdrawn(_)), "{steps:?}");
        assert_eq!(steps[1..], [Step::Told("down"), Step::Ended]);
    }
}

#[tokio::test]
async fn a_drain_of_a_bird_that_originates_nothing_does_not_wait() {
    let bird = FakeBird::start(|command, before| match command {
        "show protocols all" => Act::Say("2002-Name\n1002-device1 Device --- up x\n0000 \n".to_owned()),
        other => well(other, before),
    });
    let steps = bird.stop(Purpose::Drain).await.unwrap().steps;
    assert_eq!(steps, [Step::NothingToWithdraw, Step::Told("down"), Step::Ended]);
}

#[tokio::test]
async fn a_bird_that_is_not_running_is_a_success() {
    let run_dir = tempfile::tempdir().unwrap();
    let request = Stop { run_dir: run_dir.path().to_owned(), purpose: Purpose::Drain, wait: Duration::ZERO };
    let report = stop(&request).await.unwrap();
    assert_eq!(report.to_string(), "BIRD is not running: nothing to stop");
    assert!(Marker::within(run_dir.path()).present());
}

#[tokio::test]
async fn a_marker_that_cannot_be_written_is_told_and_bird_stopped() {
    let run_dir = tempfile::tempdir().unwrap();
    std::fs::write(crate::bird::dir(run_dir.path()), "a file").unwrap();
    let request =
        Stop { run_dir: run_dir.path().to_owned(), purpose: Purpose::Shutdown, wait: Duration::ZERO };
    let steps = stop(&request).await.unwrap().steps;
    assert!(matches!(&steps[..], [Step::Unmarked(_), Step::NotRunning]), "{steps:?}");
}

#[tokio::test]
async fn an_end_without_an_answer_is_an_end() {
    let bird = FakeBird::start(|_, _| Act::Vanish);
    let steps = bird.stop(Purpose::Rollout).await.unwrap().steps;
    assert_eq!(steps, [Step::Told("graceful restart"), Step::Ended]);
}

#[tokio::test(start_paused = true)]
async fn a_bird_that_does_not_end_is_an_error() {
    let bird = FakeBird::start(|_, _| Act::Say("0007 Shutdown requested\n".to_owned()));
    let error = bird.stop(Purpose::Shutdown).await.unwrap_err();
    assert!(matches!(error, StopError::Remains(_)), "{error}");
    assert!(error.to_string().contains("10s after it was told to end"), "{error}");

    let refusing = FakeBird::start(|_, _| Act::Say("8007 Access denied\n".to_owned()));
    let error = refusing.stop(Purpose::Shutdown).await.unwrap_err();
    assert!(error.to_string().starts_with("BIRD refuses \"down\": Access denied"), "{error}");
}
