use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::{Pid, Signal, getpgid, kill_process};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixListener;
use tokio::sync::oneshot;

use super::*;
use crate::bird::marker::Purpose;

/// A script in BIRD's place. Each start leaves a line of its arguments in the file `starts`.
struct Stage {
    dir: TempDir,
}

impl Stage {
    fn new(script: &str) -> Self {
        let stage = Self { dir: tempfile::tempdir().unwrap() };
        let program = stage.path("program");
        let dir = stage.dir.path().display();
        fs::write(&program, format!("#!/bin/sh\ncd '{dir}' || exit 9\necho \"$*\" >> starts\n{script}\n"))
            .unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
        stage
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn supervisor(&self) -> Supervisor {
        Supervisor {
            program: self.path("program"),
            conf: self.path("bird/bird.conf"),
            socket: self.path("bird.ctl"),
            run_dir: self.dir.path().to_owned(),
        }
    }

    fn supervise(&self) -> Supervised {
        let (stop, stopped) = oneshot::channel::<()>();
        let running = self.supervisor().run(async {
            let _ = stopped.await;
        });
        Supervised { stop, task: tokio::spawn(running) }
    }

    fn starts(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("starts")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    async fn started(&self, times: usize) {
        until(|| self.starts().len() >= times).await;
    }

    fn marker(&self) -> Marker {
        Marker::within(self.dir.path())
    }
}

struct Supervised {
    stop: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<io::Result<()>>,
}

impl Supervised {
    async fn end(self) {
        self.stop.send(()).unwrap();
        self.task.await.unwrap().unwrap();
    }
}

async fn until(mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "it has not come about");
        sleep(Duration::from_millis(10)).await;
    }
}

/// Says `greeting` to everybody who connects, and counts them.
fn listen(socket: &Path, greeting: &'static str) -> (tokio::task::JoinHandle<()>, Arc<AtomicUsize>) {
    let listener = UnixListener::bind(socket).unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let task = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(greeting.as_bytes()).await.unwrap();
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    (task, count)
}

#[tokio::test]
async fn bird_is_started_in_the_foreground_with_recovery_from_a_graceful_restart() {
    let stage = Stage::new("exec sleep 0.1");
    let supervised = stage.supervise();
    stage.started(1).await;
    let dir = stage.dir.path().display();
    let expected = format!("-f -R -c {dir}/bird/bird.conf -s {dir}/bird.ctl -P {dir}/bird/bird.pid");
    assert_eq!(stage.starts()[0], expected);
    supervised.end().await;
}

#[tokio::test]
async fn a_bird_that_ends_is_started_again_and_what_it_said_is_kept() {
    let stage = Stage::new("echo out; echo err >&2; exit 3");
    let supervised = stage.supervise();
    stage.started(3).await;
    supervised.end().await;
    assert!(fs::read_to_string(stage.path("bird/bird.log")).unwrap().starts_with("out\nerr\nout\nerr\n"));
}

#[tokio::test]
async fn a_program_that_is_not_there_is_tried_again() {
    let stage = Stage::new("exit 0");
    fs::rename(stage.path("program"), stage.path("later")).unwrap();
    let supervised = stage.supervise();
    sleep(Duration::from_millis(150)).await;
    fs::rename(stage.path("later"), stage.path("program")).unwrap();
    stage.started(1).await;
    supervised.end().await;
}

#[tokio::test]
async fn a_bird_that_was_stopped_on_purpose_is_not_started_again() {
    let stage = Stage::new("test -e bird/once || { touch bird/once; echo rollout > bird/stopped; }; exit 0");
    let supervised = stage.supervise();
    stage.started(1).await;
    sleep(Duration::from_millis(600)).await;
    assert_eq!(stage.starts().len(), 1);
    stage.marker().clear().unwrap();
    stage.started(2).await;
    supervised.end().await;
}

#[tokio::test]
async fn a_new_supervisor_starts_a_bird_that_was_stopped() {
    let stage = Stage::new("exec sleep 0.1");
    stage.marker().set(Purpose::Rollout).unwrap();
    let supervised = stage.supervise();
    stage.started(1).await;
    assert!(!stage.marker().present());
    supervised.end().await;
}

#[tokio::test]
async fn a_bird_that_answers_is_adopted_until_it_is_gone() {
    for greeting in ["0001 BIRD 2.0.12 ready.\n", "HTTP/1.1 400 Bad Request\r\n"] {
        let stage = Stage::new("exec sleep 0.1");
        let (bird, looks) = listen(&stage.path("bird.ctl"), greeting);
        let supervised = stage.supervise();
        until(|| looks.load(Ordering::SeqCst) >= 2).await;
        assert_eq!(stage.starts(), [""; 0], "{greeting}");
        bird.abort();
        stage.started(1).await;
        supervised.end().await;
    }
}

#[tokio::test]
async fn bird_goes_on_when_the_agent_ends() {
    let stage = Stage::new("echo $$ > child; exec sleep 60");
    let supervised = stage.supervise();
    let child = || fs::read_to_string(stage.path("child")).ok().filter(|text| text.ends_with('\n'));
    until(|| child().is_some()).await;
    supervised.end().await;
    let pid = Pid::from_raw(child().unwrap().trim().parse().unwrap()).unwrap();
    // Its own group: it is not interrupted together with the agent.
    let group = getpgid(Some(pid));
    kill_process(pid, Signal::KILL).unwrap();
    assert_eq!(group.unwrap(), pid);
}

#[tokio::test]
async fn a_process_that_has_lost_its_socket_is_still_bird() {
    let stage = Stage::new("exec sleep 60");
    let (file, socket) = (stage.path("pid"), stage.path("bird.ctl"));
    assert_eq!(running(&file, &socket), None);
    let mut child = Command::new("sleep").arg("60").kill_on_drop(true).spawn().unwrap();
    let mut bird = Command::new("sh");
    let mut bird = bird
        .args(["-c", "read forever", "sh"])
        .arg(&socket)
        .stdin(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let text = |child: &Child| format!("{}\n", child.id().unwrap());
    fs::write(&file, text(&child)).unwrap();
    assert_eq!(running(&file, &socket), None, "another process with the number of an old BIRD");
    fs::write(&file, text(&bird)).unwrap();
    until(|| running(&file, &socket) == bird.id()).await;
    bird.kill().await.unwrap();
    child.kill().await.unwrap();
    assert_eq!(running(&file, &socket), None);
    for nonsense in ["", "x", "-1", "../self"] {
        fs::write(&file, nonsense).unwrap();
        assert_eq!(running(&file, &socket), None, "{nonsense}");
    }
}

#[test]
fn the_pause_between_two_starts_doubles_until_bird_is_well() {
    let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
    let pauses: Vec<u128> =
        (0..9).map(|_| pause(&mut backoff, Duration::from_secs(29)).as_millis()).collect();
    assert_eq!(pauses, [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
    assert_eq!(pause(&mut backoff, Duration::from_secs(30)).as_millis(), 100);
    assert_eq!(pause(&mut backoff, Duration::ZERO).as_millis(), 200);
}
