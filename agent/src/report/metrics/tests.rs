use std::collections::BTreeMap;

use flock_core::bgp::config::BirdIdent;
use flock_core::bgp::control::BirdVersion;
use flock_core::bgp::observed::{ObservedChannel, SessionState};
use flock_core::bgp::plan::{Asn, BGP_PORT};
use flock_core::bgp::status::{BgpStatus, PeerStatus};

use super::*;
use crate::bird::Counters;
use crate::supervision::turn;

fn peer() -> PeerStatus {
    let channel = ObservedChannel { up: true, imported: 3, filtered: 1, exported: 2, ..Default::default() };
    PeerStatus {
        address: "2001:db8::1".parse().unwrap(),
        session: BirdIdent::of_peer(&"2001:db8::1".parse().unwrap(), BGP_PORT),
        asn: Asn(65000.try_into().unwrap()),
        internal: false,
        state: SessionState::Established,
        since: None,
        last_error: None,
        reason: None,
        families: BTreeMap::from([(AddressFamily::IPv6, channel)]),
        bfd: None,
    }
}

#[test]
fn sessions_and_pools_are_told() {
    let status = BgpStatus {
        bird: BirdStatus::Running(BirdVersion::OLDEST),
        config: ConfigStatus::Applied { revision: "1".to_owned() },
        peers: vec![peer()],
    };
    let mut counters = Counters { applied: 1, rolled_back: 2, ..Counters::default() };
    counters.anycast.withdrawn = 3;
    let anycast = [(AddressFamily::IPv6, 4)].into();
    let view = BgpView { status, counters, anycast, ..BgpView::default() };
    let cidr = "203.0.113.0/26".parse().unwrap();
    let pools = vec![PoolUsage { cidr, size: 61, used: 2, resting: 1 }];
    let text = exposition(&Snapshot {
        attachments: 2,
        pools,
        bgp: Arc::new(view),
        not_ready: None,
        loopback_waits: Latencies::default(),
        counted: Metrics::default(),
    })
    .unwrap();
    for line in [
        "flock_attachments 2",
        "flock_ipam_pool_used_addresses{cidr=\"203.0.113.0/26\"} 2",
        "flock_bird_up 1",
        "flock_bgp_config_changes_total{outcome=\"rolled_back\"} 2",
        "flock_anycast_advertised{address_family=\"ipv6\"} 4",
        "flock_anycast_changes_total{change=\"withdrawn\"} 3",
        "flock_anycast_withdraw_seconds_bucket{le=\"0.025\"} 0",
        "flock_anycast_withdraw_seconds_bucket{le=\"+Inf\"} 0",
        "flock_bgp_session_up{peer=\"2001:db8::1\",asn=\"65000\"} 1",
        "flock_bgp_imported_prefixes{peer=\"2001:db8::1\",asn=\"65000\",family=\"ipv6\"} 3",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
}

/// Status and body of `GET path` from an agent of which this is known.
async fn asked(path: &str, not_ready: Option<&str>) -> (String, String) {
    asked_with(path, not_ready, &Tasks::default()).await
}

async fn asked_with(path: &str, not_ready: Option<&str>, tasks: &Tasks) -> (String, String) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let known = Snapshot {
        attachments: 0,
        pools: vec![],
        bgp: Arc::default(),
        not_ready: not_ready.map(str::to_owned),
        loopback_waits: Latencies::default(),
        counted: Metrics::default(),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving =
        tokio::spawn(axum::serve(listener, router(move || known.clone(), tasks.clone())).into_future());
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    serving.abort();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

#[tokio::test(start_paused = true)]
async fn an_agent_lives_as_long_as_its_tasks_turn() {
    let tasks = Tasks::default();
    tasks.spawn("reconciler", async {
        let _turn = turn();
        std::future::pending().await
    });
    tokio::task::yield_now().await;
    let ok = ("HTTP/1.1 200 OK".to_owned(), "ok\n".to_owned());
    assert_eq!(asked_with("/livez", None, &tasks).await, ok);
    tokio::time::advance(Duration::from_secs(60)).await;
    let stuck = "task reconciler is stuck: it has been at one thing for 60 s\n".to_owned();
    let unavailable = "HTTP/1.1 503 Service Unavailable".to_owned();
    assert_eq!(asked_with("/livez", None, &tasks).await, (unavailable, stuck));
    assert_eq!(asked_with("/readyz", None, &tasks).await, ok, "pods can come");
}

#[tokio::test]
async fn an_agent_lives_as_long_as_it_answers_and_is_ready_when_pods_can_come() {
    let (ok, unavailable) = ("HTTP/1.1 200 OK".to_owned(), "HTTP/1.1 503 Service Unavailable".to_owned());
    for not_ready in [None, Some("there is no NodeConfig for this node")] {
        assert_eq!(asked("/livez", not_ready).await, (ok.clone(), "ok\n".to_owned()));
        assert_eq!(asked("/metrics", not_ready).await.0, ok);
    }
    assert_eq!(asked("/readyz", None).await, (ok, "ok\n".to_owned()));
    let reason = "there is no NodeConfig for this node\n".to_owned();
    assert_eq!(asked("/readyz", Some(reason.trim_end())).await, (unavailable, reason));
}
