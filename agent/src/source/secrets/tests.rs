//! Secrets come, change and go.

use flock_core::bgp::plan::{Asn, BgpPlan, Peer};
use flock_core::node::NodePlan;
use serde_json::json;

use super::*;
use crate::source::fake::{Failure, FakeApi, NODE};

const TOR: &str = "/api/v1/namespaces/flock-system/secrets/tor";

/// Somebody who follows the Secrets of a plan.
struct Follower {
    desired: watch::Sender<Arc<Desired>>,
    read: watch::Sender<Secrets>,
}

fn source(name: &str, key: &str) -> PasswordSource {
    PasswordSource::Secret { name: name.to_owned(), key: key.to_owned() }
}

fn desired(named: &[(&str, &str)]) -> Arc<Desired> {
    let asn = |number: u32| Asn(number.try_into().unwrap());
    let peer = |(index, (name, key)): (usize, &(&str, &str))| Peer {
        password: Some(source(name, key)),
        ..Peer::new(format!("192.0.2.{index}").parse().unwrap(), asn(65000))
    };
    let peers = named.iter().enumerate().map(peer).collect();
    let bgp = Some(BgpPlan { peers, ..BgpPlan::new(asn(65001)) });
    Arc::new(Desired { node: Some(Arc::new(NodePlan { bgp, ..NodePlan::new(NODE) })), ..Desired::default() })
}

fn follower(api: &FakeApi, named: &[(&str, &str)]) -> Follower {
    let (sender, receiver) = watch::channel(desired(named));
    let read = watch::channel(none_yet()).0;
    let reader = Reader::new(api.client(), "flock-system");
    tokio::spawn(reader.run(receiver, read.clone()));
    Follower { desired: sender, read }
}

impl Follower {
    fn password(&self, name: &str, key: &str) -> String {
        match self.read.borrow().read.get(&source(name, key)) {
            Some(Ok(password)) => password.reveal().to_owned(),
            Some(Err(reason)) => format!("error: {reason}"),
            None => "-".to_owned(),
        }
    }
}

/// With `password`, in base64.
fn secret(password: &str) -> Option<serde_json::Value> {
    let bytes = ByteString(password.as_bytes().to_vec());
    Some(json!({"data": {"password": bytes}}))
}

async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_secret_is_read_at_once_and_followed() {
    let api = FakeApi::default();
    api.put(TOR, secret("hunter2\n"));
    let follower = follower(&api, &[("tor", "password")]);
    pass(0).await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(follower.password("tor", "password"), "hunter2");
    api.put(TOR, secret("hunter3"));
    pass(30).await;
    assert_eq!(follower.password("tor", "password"), "hunter3");
    api.put(TOR, None);
    pass(30).await;
    assert_eq!(
        follower.password("tor", "password"),
        "error: there is no such Secret: `kubectl -n flock-system create secret generic tor --from-file=password=FILE` makes it"
    );
    api.put(TOR, secret("hunter4"));
    pass(30).await;
    assert_eq!(follower.password("tor", "password"), "hunter4");
}

#[tokio::test(start_paused = true)]
async fn only_what_is_named_is_asked_for_each_once_and_then_forgotten() {
    let api = FakeApi::default();
    api.put(TOR, secret("hunter2"));
    let follower = follower(&api, &[]);
    pass(100).await;
    assert_eq!(api.calls(), [""; 0]);
    follower.desired.send_replace(desired(&[("tor", "password"), ("tor", "other")]));
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(api.calls(), [format!("GET {TOR}")]);
    assert!(follower.password("tor", "other").starts_with("error: Secret flock-system/tor has no key other"));
    follower.desired.send_replace(desired(&[("spine", "password"), ("tor", "password")]));
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(api.calls(), ["GET /api/v1/namespaces/flock-system/secrets/spine"]);
    assert_eq!(follower.password("tor", "other"), "-");
    assert_eq!(follower.password("tor", "password"), "hunter2");
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_says_nothing_of_a_secret_leaves_the_last_word() {
    for failure in [
        Failure::Silence,
        Failure::Status(500, "InternalError"),
        Failure::Status(403, "Forbidden"),
        Failure::Status(401, "Unauthorized"),
        Failure::Nonsense(r#"{"data": {"password": "hunter2"}"#),
        Failure::Nonsense(r#"{"data": {"password": "no base64!"}}"#),
    ] {
        let api = FakeApi::default();
        api.put(TOR, secret("hunter2"));
        let follower = follower(&api, &[("tor", "password")]);
        tokio::time::sleep(Duration::from_millis(10)).await;
        api.fail(&[failure; 100]);
        api.put(TOR, secret("hunter3"));
        pass(100).await;
        assert_eq!(follower.password("tor", "password"), "hunter2", "{failure:?}");
        api.heal();
        pass(30).await;
        assert_eq!(follower.password("tor", "password"), "hunter3", "{failure:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_says_what_to_do_and_nothing_that_is_secret() {
    for (failure, words) in [
        (
            Failure::Status(403, "Forbidden"),
            "let a Role of namespace flock-system allow its ServiceAccount `get` on `secrets` with resourceNames [tor]",
        ),
        (Failure::Silence, "no answer within 10 s"),
        (Failure::Nonsense("hunter2"), "cannot be read"),
        (Failure::Nonsense(r#"{"data": {"password": "hunter2!"}}"#), "cannot be read"),
        (Failure::Nonsense(r#"{"data": {"password": "Imh1bnRlcjIi"}}"#), "printable ASCII"),
    ] {
        let api = FakeApi::default();
        api.fail(&[failure; 100]);
        let follower = follower(&api, &[("tor", "password")]);
        pass(100).await;
        let told = follower.password("tor", "password");
        assert!(told.contains(words) && !told.contains("hunter2"), "{failure:?}: {told}");
    }
}

/// Whatever an earlier agent has told BIRD stays meanwhile.
#[tokio::test(start_paused = true)]
async fn an_api_server_that_does_not_answer_gets_half_a_minute() {
    let api = FakeApi::default();
    api.put(TOR, secret("hunter2"));
    api.fail(&[Failure::Status(500, "InternalError"); 3]);
    let follower = follower(&api, &[("tor", "password")]);
    pass(8).await;
    assert_eq!(follower.password("tor", "password"), "-");
    pass(12).await;
    assert_eq!(follower.password("tor", "password"), "hunter2");
}

#[test]
fn a_password_hides_itself() {
    let read =
        Read::from([(source("tor", "password"), Ok(Password::of_bytes(b"hunter2".to_vec()).unwrap()))]);
    let text = format!("{:?}", Secrets { read, ..none_yet() });
    assert!(text.contains("Password(..)") && !text.contains("hunter2"), "{text}");
}
