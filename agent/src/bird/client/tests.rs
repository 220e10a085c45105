use std::os::unix::ffi::OsStrExt as _;

use flock_core::bgp::config::BirdIdent;
use flock_core::bgp::plan::BGP_PORT;
use tokio::net::UnixListener;

use super::*;

/// One connection to a BIRD that says `script[0]`, and for each line that it is sent the next one; `None` means that
/// it closes the connection, the script's end that it says nothing more.
fn fake(socket: &Path, script: Vec<Option<&'static [u8]>>) -> tokio::task::JoinHandle<Vec<String>> {
    let listener = UnixListener::bind(socket).unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = Vec::new();
        for answer in script {
            let Some(answer) = answer else { return asked };
            // Byte by byte: reads end anywhere.
            for byte in answer {
                stream.write_all(&[*byte]).await.unwrap();
                stream.flush().await.unwrap();
            }
            let mut line = Vec::new();
            while line.last() != Some(&b'\n') {
                if stream.read_buf(&mut line).await.unwrap() == 0 {
                    return asked;
                }
            }
            asked.push(String::from_utf8(line).unwrap());
        }
        std::future::pending().await
    })
}

const GREETING: Option<&[u8]> = Some(b"0001 BIRD 2.0.12 ready.\n");

struct Fake {
    _dir: tempfile::TempDir,
    socket: PathBuf,
    bird: tokio::task::JoinHandle<Vec<String>>,
}

fn bird(script: Vec<Option<&'static [u8]>>) -> Fake {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("bird.ctl");
    let bird = fake(&socket, script);
    Fake { _dir: dir, socket, bird }
}

/// The error of connecting, in words.
async fn refusal(script: Vec<Option<&'static [u8]>>) -> String {
    let bird = bird(script);
    let error = Client::connect(&bird.socket).await.unwrap_err();
    assert!(!error.absent(), "{error}");
    error.to_string().replace(&bird.socket.display().to_string(), "SOCKET")
}

#[tokio::test]
async fn commands_are_asked_in_bird_s_words() {
    let ok: Option<&[u8]> = Some(b"0000 \n");
    let bird = bird([vec![GREETING], vec![ok; 14], vec![None]].concat());
    let (mut client, version) = Client::connect(&bird.socket).await.unwrap();
    assert_eq!(version.to_string(), "2.0.12");
    let path = PathBuf::from("/run/fl ock/bird.conf");
    for command in [
        Command::CheckConfig(path.clone()),
        Command::Try { path: path.clone(), undo_after: Duration::from_millis(29_001) },
        Command::Try { path: path.clone(), undo_after: Duration::ZERO },
        Command::Configure(path),
        Command::Confirm,
        Command::Undo,
        Command::ShowProtocols,
        Command::ShowBfd,
        Command::ShowRoutes("anycast6"),
        Command::ShowExported(BirdIdent::of_peer(&"192.0.2.1".parse().unwrap(), BGP_PORT)),
        Command::Eval("flock_revision"),
        Command::Disable("own6"),
        Command::ShowStatus,
        Command::GracefulRestart,
    ] {
        assert_eq!(client.ask(&command).await.unwrap().code(), 0);
    }
    let _ = client.ask(&Command::Down).await.unwrap_err();
    let expected = [
        "configure check \"/run/fl ock/bird.conf\"\n",
        "configure \"/run/fl ock/bird.conf\" timeout 30\n",
        "configure \"/run/fl ock/bird.conf\" timeout 1\n",
        "configure \"/run/fl ock/bird.conf\"\n",
        "configure confirm\n",
        "configure undo\n",
        "show protocols all\n",
        "show bfd sessions\n",
        "show route protocol anycast6\n",
        "show route exported peer_192_0_2_1 where proto ~ \"anycast*\"\n",
        "eval flock_revision\n",
        "disable own6\n",
        "show status\n",
        "graceful restart\n",
        "down\n",
    ];
    assert_eq!(bird.bird.await.unwrap(), expected);
}

#[tokio::test]
async fn an_answer_may_be_a_failure() {
    let bird = bird(vec![
        GREETING,
        Some(b"0002-Reading configuration from /x\n8002 /x: No such file or directory\n"),
    ]);
    let (mut client, _) = Client::connect(&bird.socket).await.unwrap();
    let reply = client.ask(&Command::CheckConfig("/x".into())).await.unwrap();
    assert_eq!(reply.failure(), Some("/x: No such file or directory"));
}

#[tokio::test]
async fn a_path_that_bird_cannot_be_told_is_refused_and_the_connection_stays() {
    let bird = bird(vec![GREETING, Some(b"0020 Configuration OK\n")]);
    let (mut client, _) = Client::connect(&bird.socket).await.unwrap();
    for path in [&b"/a\"b"[..], b"/a\nb", b"/a\x7fb", b"/a\xc2\x85b", b"/a\xffb"] {
        let path = PathBuf::from(std::ffi::OsStr::from_bytes(path));
        let error = client.ask(&Command::CheckConfig(path.clone())).await.unwrap_err();
        assert!(matches!(&error, BirdError::Path(refused) if *refused == path), "{error}");
        let configure = Command::Try { path, undo_after: Duration::from_secs(30) };
        assert!(matches!(client.ask(&configure).await, Err(BirdError::Path(_))));
    }
    assert_eq!(client.ask(&Command::CheckConfig("/a\\n$b".into())).await.unwrap().code(), 20);
}

#[tokio::test]
async fn nobody_at_the_socket_is_told_with_the_option_that_bird_needs() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("bird.ctl");
    let missing = Client::connect(&socket).await.unwrap_err();
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let refused = Client::connect(&socket).await.unwrap_err();
    for error in [missing, refused] {
        assert!(error.absent());
        assert!(
            error.to_string().ends_with(&format!("must be started with -s {}", socket.display())),
            "{error}"
        );
    }
}

#[tokio::test]
async fn what_is_not_bird_is_told_as_such() {
    let http = refusal(vec![Some(b"HTTP/1.1 400 Bad Request\r\n")]).await;
    assert!(http.starts_with("what listens on SOCKET is not BIRD: it says"), "{http}");
    assert!(http.contains("HTTP"), "{http}");
    let frr = refusal(vec![Some(b"0001 FRR 8.4 ready.\n")]).await;
    assert!(frr.starts_with("what listens on SOCKET is not BIRD: it says \"FRR 8.4 ready.\""), "{frr}");
}

#[tokio::test]
async fn a_connection_that_is_closed_early_is_told() {
    let closed = refusal(vec![None]).await;
    assert!(closed.starts_with("BIRD closed SOCKET before it answered \"the connection\""), "{closed}");

    let bird = bird(vec![GREETING, Some(b"0002-Reading"), None]);
    let (mut client, _) = Client::connect(&bird.socket).await.unwrap();
    let asking = client.ask(&Command::Confirm);
    bird.bird.abort();
    assert!(matches!(asking.await, Err(BirdError::Closed { asked, .. }) if asked == "configure confirm"));
    assert!(matches!(client.ask(&Command::Confirm).await, Err(BirdError::Spent(_))));
}

#[tokio::test(start_paused = true)]
async fn silence_has_an_end() {
    let silent = refusal(vec![]).await;
    assert!(silent.starts_with("BIRD on SOCKET did not answer \"the connection\" within 5s"), "{silent}");

    let configure = Command::Try { path: "/x".into(), undo_after: Duration::from_secs(5) };
    for (command, deadline) in [(Command::ShowProtocols, ANSWER), (configure, CONFIGURE)] {
        let bird = bird(vec![GREETING, Some(b"1002-half an answer\n")]);
        let (mut client, _) = Client::connect(&bird.socket).await.unwrap();
        let started = tokio::time::Instant::now();
        assert!(
            matches!(client.ask(&command).await, Err(BirdError::Silent { after, .. }) if after == deadline)
        );
        assert!(started.elapsed() >= deadline);
        assert!(matches!(client.ask(&command).await, Err(BirdError::Spent(_))));
    }
}

#[tokio::test]
async fn nonsense_spends_the_connection() {
    for nonsense in [&b"what?\n"[..], b" continued\n"] {
        let bird = bird(vec![GREETING, Some(nonsense)]);
        let (mut client, _) = Client::connect(&bird.socket).await.unwrap();
        let result = client.ask(&Command::Confirm).await;
        assert!(matches!(result, Err(BirdError::Protocol { asked, .. }) if asked == "configure confirm"));
        assert!(matches!(client.ask(&Command::Confirm).await, Err(BirdError::Spent(_))));
    }
}

#[tokio::test]
async fn an_answer_that_nobody_asked_for_is_never_taken_for_one() {
    let bird = bird(vec![GREETING, Some(b"0018 Reconfiguration confirmed\n0003 Reconfigured\n"), None]);
    let (mut client, _) = Client::connect(&bird.socket).await.unwrap();
    // It depends on the reads whether the first or the second question meets it.
    let mut result = client.ask(&Command::Confirm).await;
    if result.is_ok() {
        tokio::time::sleep(Duration::from_millis(50)).await;
        result = client.ask(&Command::ShowStatus).await;
    }
    assert!(matches!(&result, Err(BirdError::Protocol { .. })), "{result:?}");
    assert!(matches!(client.ask(&Command::Confirm).await, Err(BirdError::Spent(_))));
}

#[tokio::test]
async fn a_question_that_nobody_waits_for_spends_the_connection() {
    let bird = bird(vec![GREETING]);
    let (mut client, _) = Client::connect(&bird.socket).await.unwrap();
    let waiting = tokio::time::timeout(Duration::from_millis(20), client.ask(&Command::Confirm)).await;
    assert!(waiting.is_err());
    assert!(matches!(client.ask(&Command::ShowStatus).await, Err(BirdError::Spent(_))));
}
