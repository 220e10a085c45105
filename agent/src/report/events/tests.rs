//! Events as they arrive, and what is worth one.

use std::time::Duration;

use flock_core::anycast::{Group, Groups, Member, MemberState};
use flock_core::bgp::config::BirdIdent;
use flock_core::bgp::control::BirdVersion;
use flock_core::bgp::observed::SessionState;
use flock_core::bgp::plan::{Asn, BGP_PORT};
use flock_core::bgp::status::{BgpStatus, BirdStatus, ConfigStatus, PeerStatus};
use flock_core::claim::ClaimProblem;
use flock_core::ipam::PoolUsage;
use serde_json::json;
use tokio::sync::mpsc;

use super::detector::EventDetector;
use super::sender::Sender;
use crate::notice::{About, Notice, Notices, Severity};
use crate::source::fake::{Failure, FakeApi, NODE, NODE_PATH, TestClock, node};
use flock_core::desired::{ConfigReport, Conflict};

const IN_WEB: &str = "/apis/events.k8s.io/v1/namespaces/web/events";
const IN_DEFAULT: &str = "/apis/events.k8s.io/v1/namespaces/default/events";

fn about_pod() -> Notice {
    Notice {
        about: About::Pod { name: "web/web-0".parse().unwrap(), uid: Some("u-1".to_owned()) },
        severity: Severity::Warning,
        reason: "AddressRefused",
        action: "Attaching",
        note: "write a pool".to_owned(),
    }
}

fn about_node(note: &str) -> Notice {
    Notice { about: About::Node, note: note.to_owned(), ..about_pod() }
}

/// A sender, and where it takes notices.
fn sender(api: &FakeApi) -> Notices {
    let (notices, told) = Notices::channel();
    let sender = Sender::new(api.client(), NODE.to_owned(), api.own().node, TestClock::boxed());
    // Nothing comes from the other side.
    let (other, seen) = mpsc::channel(1);
    tokio::spawn(async move {
        sender.run(told, seen).await;
        drop(other);
    });
    notices
}

async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    tokio::time::sleep(Duration::from_millis(10)).await;
}

#[tokio::test(start_paused = true)]
async fn a_notice_about_a_pod_is_an_event_in_its_namespace() {
    let api = FakeApi::default();
    sender(&api).tell(about_pod());
    pass(0).await;
    let asked = api.asked().remove(0);
    assert_eq!(asked.what, format!("POST {IN_WEB}"));
    let name = asked.body["metadata"]["name"].as_str().unwrap();
    assert!(name.starts_with("web-0.") && name.len() == "web-0.".len() + 16, "{name}");
    assert_eq!(
        asked.body,
        json!({
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": "web"},
            "eventTime": "2026-11-21T12:00:00.500000Z",
            "type": "Warning",
            "reason": "AddressRefused",
            "action": "Attaching",
            "note": "write a pool",
            "regarding": {"apiVersion": "v1", "kind": "Pod", "namespace": "web", "name": "web-0", "uid": "u-1"},
            "reportingController": "flock-agent",
            "reportingInstance": "node-a",
        })
    );
}

#[tokio::test(start_paused = true)]
async fn a_notice_about_the_node_is_found_by_its_uid_or_its_name() {
    let api = FakeApi::default();
    let notices = sender(&api);
    notices.tell(about_node("one"));
    pass(0).await;
    api.put(NODE_PATH, Some(node()));
    notices.tell(about_node("two"));
    pass(0).await;
    for (asked, uid) in api.asked().into_iter().zip(["node-a", "node-uid"]) {
        assert_eq!(asked.what, format!("POST {IN_DEFAULT}"));
        assert_eq!(
            asked.body["regarding"],
            json!({"apiVersion": "v1", "kind": "Node", "name": NODE, "uid": uid})
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_note_that_is_too_long_is_cut() {
    let api = FakeApi::default();
    sender(&api).tell(about_node(&"é".repeat(2000)));
    pass(0).await;
    let note = api.asked()[0].body["note"].as_str().unwrap().to_owned();
    assert!(note.len() <= 1024 && note.ends_with("é..."), "{note}");
}

#[tokio::test(start_paused = true)]
async fn equal_notices_are_counted_in_one_event() {
    let api = FakeApi::default();
    let notices = sender(&api);
    for _ in 0..40 {
        notices.tell(about_pod());
        pass(10).await;
    }
    let events = api.below(IN_WEB);
    let [event] = events.as_slice() else { panic!("{events:?}") };
    // Made, counted ten seconds later, and five minutes after that.
    assert_eq!(event["series"]["count"], 32);
    assert!(event["series"]["lastObservedTime"].as_str().unwrap().starts_with("2026-11-21T12:05:1"));
    assert_eq!(api.calls().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_the_api_server_has_forgotten_is_made_again() {
    let api = FakeApi::default();
    let notices = sender(&api);
    notices.tell(about_pod());
    pass(400).await;
    let path = format!("{IN_WEB}/{}", api.below(IN_WEB)[0]["metadata"]["name"].as_str().unwrap());
    api.put(&path, None);
    notices.tell(about_pod());
    pass(1).await;
    assert_eq!(api.below(IN_WEB).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn failures_are_tried_again_but_not_for_ever() {
    for (failure, calls) in [
        (Failure::Status(500, "InternalError"), 3),
        (Failure::Silence, 3),
        (Failure::Status(403, "Forbidden"), 1),
        (Failure::Status(404, "NotFound"), 1),
    ] {
        let api = FakeApi::default();
        api.fail(&[failure; 2]);
        let notices = sender(&api);
        notices.tell(about_pod());
        pass(60).await;
        assert_eq!(api.calls().len(), calls, "{failure:?}");
    }
    let api = FakeApi::default();
    api.fail(&[Failure::Status(500, "InternalError"); 4]);
    let notices = sender(&api);
    notices.tell(about_pod());
    pass(60).await;
    assert_eq!((api.calls().len(), api.below(IN_WEB).len()), (4, 0));
    // It was never told: the next one is not suppressed.
    notices.tell(about_pod());
    pass(1).await;
    assert_eq!(api.below(IN_WEB).len(), 1);
}

/// `Reason: note` of each.
fn words(news: Vec<Notice>) -> Vec<String> {
    news.into_iter().map(|notice| format!("{}: {}", notice.reason, notice.note)).collect()
}

fn reasons(news: Vec<Notice>) -> Vec<&'static str> {
    news.into_iter().map(|notice| notice.reason).collect()
}

fn bgp(bird: &str, state: SessionState) -> BgpStatus {
    let address = "192.0.2.1".parse().unwrap();
    let peer = PeerStatus {
        session: BirdIdent::of_peer(&address, BGP_PORT),
        address,
        asn: Asn(65000.try_into().unwrap()),
        internal: false,
        state,
        since: None,
        last_error: None,
        reason: Some("the router has fallen silent".to_owned()),
        families: [].into(),
        bfd: None,
    };
    let bird = match bird {
        "" => BirdStatus::Running(BirdVersion { major: 2, minor: 0, patch: 12 }),
        reason => BirdStatus::Away(reason.to_owned()),
    };
    BgpStatus { bird, config: ConfigStatus::Applied { revision: "1".to_owned() }, peers: vec![peer] }
}

#[test]
fn a_session_that_is_lost_and_comes_back_is_news_but_not_its_first_time() {
    use SessionState::{Active, Established, Idle, Unknown};
    let mut news = EventDetector::default();
    let mut see = |bird: &str, state| words(news.of_bgp(&bgp(bird, state), false));
    assert_eq!(see("", Active), [""; 0]);
    assert_eq!(see("", Established), [""; 0]);
    let down = "SessionDown: the BGP session with 192.0.2.1 (AS 65000) is down: the router has fallen silent";
    assert_eq!(see("", Idle), [down]);
    assert_eq!(see("", Active), [""; 0]);
    assert_eq!(see("", Established), ["SessionUp: the BGP session with 192.0.2.1 (AS 65000) is up again"]);
    // Sessions go with BIRD: that is one piece of news.
    assert_eq!(see("no socket", Unknown), ["BirdAway: BIRD is away: no socket"]);
    assert_eq!(see("no socket at all", Unknown), [""; 0]);
    assert_eq!(see("", Active), ["BirdBack: BIRD 2.0.12 answers again"]);
    assert_eq!(see("", Established), [""; 0]);
}

#[test]
fn a_bird_that_is_still_starting_is_no_news() {
    let mut news = EventDetector::default();
    let away = bgp("no socket", SessionState::Unknown);
    assert_eq!(reasons(news.of_bgp(&away, true)), [""; 0]);
    assert_eq!(reasons(news.of_bgp(&away, false)), ["BirdAway"]);
    assert_eq!(reasons(news.of_bgp(&bgp("", SessionState::Active), false)), ["BirdBack"]);
}

#[test]
fn a_session_that_is_not_configured_any_more_is_not_lost() {
    let mut news = EventDetector::default();
    news.of_bgp(&bgp("", SessionState::Established), false);
    let without = BgpStatus { peers: Vec::new(), ..bgp("", SessionState::Idle) };
    assert_eq!(reasons(news.of_bgp(&without, false)), [""; 0]);
    assert_eq!(reasons(news.of_bgp(&bgp("", SessionState::Idle), false)), [""; 0]);
}

#[test]
fn what_becomes_of_the_configuration_is_told_once() {
    let mut news = EventDetector::default();
    let conflict =
        |field: &str| Conflict { field: field.to_owned(), used: "a".to_owned(), ignored: "b".to_owned() };
    let report = |refused: Option<&str>, fields: &[&str]| ConfigReport {
        refused: refused.map(str::to_owned),
        conflicts: fields.iter().map(|field| conflict(field)).collect(),
        ..ConfigReport::default()
    };
    assert_eq!(words(news.of_config(&report(Some("spec.mtu: 9"), &[]))), ["ConfigRefused: spec.mtu: 9"]);
    assert_eq!(reasons(news.of_config(&report(Some("spec.mtu: 9"), &["spec.mtu"]))), ["TemplateConflict"]);
    assert_eq!(reasons(news.of_config(&report(None, &["spec.mtu"]))), [""; 0]);
    assert_eq!(reasons(news.of_config(&report(None, &["spec.mtu", "spec.bgp.asn"]))), ["TemplateConflict"]);
    let with = |config| BgpStatus { config, ..bgp("", SessionState::Idle) };
    let refused = with(ConfigStatus::Refused { reason: "syntax".to_owned() });
    let (revision, reason) = ("2".to_owned(), "it took sessions down".to_owned());
    let back = with(ConfigStatus::RolledBack { revision, reason, at: jiff::Timestamp::UNIX_EPOCH });
    assert_eq!(words(news.of_bgp(&refused, false)), ["ConfigRefused: syntax"]);
    assert_eq!(words(news.of_bgp(&back, false)), ["ConfigRolledBack: it took sessions down"]);
    assert_eq!(reasons(news.of_bgp(&back, false)), [""; 0]);
}

#[test]
fn a_claim_is_told_of_when_it_is_not_admitted_any_more() {
    let groups = |state| {
        let member = Member { pod: "dns/resolver-0".parse().unwrap(), state };
        let members = [("0f3c@eth0".parse().unwrap(), member)].into();
        Groups::from([("198.51.100.53".parse().unwrap(), Group { members, ..Group::default() })])
    };
    let refused = groups(MemberState::Refused(ClaimProblem::Infrastructure));
    let mut news = EventDetector::default();
    let mut see = |groups: &Groups| news.of_anycast(groups, |_| Some("u-1".to_owned()));
    assert_eq!(see(&groups(MemberState::Serving)), []);
    let told = see(&refused);
    assert_eq!(
        told[0].about,
        About::Pod { name: "dns/resolver-0".parse().unwrap(), uid: Some("u-1".to_owned()) }
    );
    assert_eq!(
        words(told),
        [
            "AddressWithdrawn: annotation flock.fritzlab.net/anycast: 198.51.100.53 belongs to a node or a router"
        ]
    );
    assert_eq!(see(&refused), []);
    assert_eq!(see(&groups(MemberState::Serving)), []);
    assert_eq!(reasons(see(&refused)), ["AddressWithdrawn"]);
}

#[test]
fn a_pool_that_becomes_low_is_told_of() {
    let mut news = EventDetector::default();
    let mut see = |used| {
        let cidr = "203.0.113.0/26".parse().unwrap();
        reasons(news.of_pools(&[PoolUsage { cidr, size: 61, used, resting: 0 }]))
    };
    assert_eq!(see(7), [""; 0]);
    assert_eq!(see(58), ["PoolLow"]);
    assert_eq!(see(61), [""; 0]);
    assert_eq!(see(7), [""; 0]);
    assert_eq!(see(58), ["PoolLow"]);
}
