//! The controller against a BIRD that is a script.

mod announcing;
mod fake;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv6Addr;

use flock_core::bgp::control::BirdVersion;
use flock_core::bgp::pipeline::COALESCE;
use flock_core::bgp::plan::{Aggregation, Asn, BgpPlan, Peer};
use flock_core::bgp::status::{BgpStatus, BirdStatus, ConfigStatus};
use flock_core::host::addresses::{NodeAddress, Subnets};
use flock_core::node::{NodePlan, Pools};
use flock_core::prefix::{Family, PodAddresses};

use self::fake::{FakeBird, Script};
use super::*;
use crate::store::Disk;
use flock_core::anycast::Announcement;
use flock_core::bgp::secrets::Secrets;
use flock_core::desired::Desired;
use flock_core::host::NodeView;

fn plan(asn: u32) -> BgpPlan {
    let peer = Peer::new("2001:db8::1".parse().unwrap(), Asn(asn.try_into().unwrap()));
    BgpPlan {
        peers: vec![peer],
        aggregation: Aggregation::Pods,
        ..BgpPlan::new(Asn(65001.try_into().unwrap()))
    }
}

fn desired(asn: u32) -> Arc<Desired> {
    let v6: ipnet::Ipv6Net = "2001:db8:a:1::/64".parse().unwrap();
    let node = NodePlan {
        pools: Pools { v6: vec![v6.try_into().unwrap()], v4: Vec::new() },
        bgp: Some(plan(asn)),
        ..NodePlan::new("node-a")
    };
    Arc::new(Desired { node: Some(Arc::new(node)), ..Desired::default() })
}

/// A node with its controller.
struct Node {
    dir: tempfile::TempDir,
    desired: watch::Sender<Arc<Desired>>,
    pods: watch::Sender<BTreeSet<PodAddresses>>,
    announced: watch::Sender<Arc<Announcement>>,
    _host: watch::Sender<NodeView>,
    view: watch::Receiver<Arc<BgpView>>,
    controller: tokio::task::JoinHandle<()>,
    _secrets: watch::Sender<Secrets>,
}

impl Node {
    fn start(dir: tempfile::TempDir) -> Self {
        Self::announcing(dir, Announcement::default())
    }

    fn announcing(dir: tempfile::TempDir, announcement: Announcement) -> Self {
        let ifname: flock_core::attachment::IfName = "eth0".parse().unwrap();
        let address = NodeAddress { ifname, net: "2001:db8::2/64".parse().unwrap(), secondary: false };
        let subnets = Subnets { addresses: BTreeSet::from([address]), on_link: BTreeSet::new() };
        let (desired, desired_seen) = watch::channel(desired(65000));
        let (pods, pods_seen) = watch::channel(BTreeSet::new());
        let (host, host_seen) = watch::channel(NodeView { subnets, ..NodeView::default() });
        let (announced, announced_seen) = watch::channel(Arc::new(announcement));
        let secrets = watch::Sender::default();
        let inputs = Inputs {
            desired: desired_seen,
            host: host_seen,
            pods: pods_seen,
            announced: announced_seen,
            secrets: secrets.subscribe(),
        };
        let files = ConfFiles::open(Disk, dir.path()).unwrap();
        let (told, view) = watch::channel(Arc::default());
        let controller = Controller::new(inputs, files, dir.path(), BirdCommands::default(), told);
        let controller = tokio::spawn(controller.run(std::future::pending()));
        Self { dir, desired, pods, announced, _host: host, view, controller, _secrets: secrets }
    }

    /// The agent dies; what it has written stays.
    fn die(self) -> tempfile::TempDir {
        self.controller.abort();
        self.dir
    }

    async fn eventually(&mut self, desired: impl Fn(&BgpStatus) -> bool) -> Arc<BgpView> {
        for _ in 0..400 {
            let view = self.view.borrow_and_update().clone();
            if desired(&view.status) {
                return view;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("still {:?}", self.view.borrow())
    }

    fn bird_conf(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("bird/bird.conf")).unwrap()
    }
}

fn applied(status: &BgpStatus) -> bool {
    matches!(status.config, ConfigStatus::Applied { .. })
}

fn bird(dir: &tempfile::TempDir, script: Script) -> FakeBird {
    FakeBird::start(&bird::socket(dir.path()), script)
}

fn all_is_well() -> Script {
    Script { sessions: BTreeMap::from([(65000, ("Established", ""))]), ..Script::default() }
}

#[tokio::test]
async fn the_first_configuration_is_checked_applied_confirmed_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let bird = bird(&dir, all_is_well());
    let mut node = Node::start(dir);
    let view = node.eventually(applied).await;
    assert_eq!(bird.commands(), ["configure check", "configure timeout", "configure confirm"]);
    assert!(node.bird_conf().contains("neighbor 2001:db8::1"));
    assert_eq!(view.counters.applied, 1);
    let view = node.eventually(|status| status.peers[0].is_established()).await;
    assert_eq!(view.status.bird, BirdStatus::Running(BirdVersion::OLDEST));
}

#[tokio::test]
async fn a_bird_that_runs_it_already_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let first = bird(&dir, all_is_well());
    let mut node = Node::start(dir);
    node.eventually(applied).await;
    let mut second = Node::start(node.die());
    second.eventually(applied).await;
    assert_eq!(first.commands().len(), 3, "{:?}", first.commands());
}

#[tokio::test]
async fn what_bird_does_not_take_is_not_tried_and_not_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let bird = bird(&dir, Script { objection: Some("line 7: syntax error".to_owned()), ..all_is_well() });
    let mut node = Node::start(dir);
    let refused = |status: &BgpStatus| matches!(status.config, ConfigStatus::Refused { .. });
    let view = node.eventually(refused).await;
    let reason = "BIRD does not take it: line 7: syntax error".to_owned();
    assert_eq!(view.status.config, ConfigStatus::Refused { reason });
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(bird.commands(), ["configure check"]);
    assert!(!node.bird_conf().contains("neighbor"));
}

#[tokio::test]
async fn a_configuration_that_takes_sessions_down_is_taken_back_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let mut script = all_is_well();
    script.sessions.insert(65009, ("Idle", "Bad peer AS: 65000"));
    let bird = bird(&dir, script);
    let mut node = Node::start(dir);
    node.eventually(|status| applied(status) && status.peers[0].is_established()).await;
    node.desired.send_replace(desired(65009));
    let view = node.eventually(|status| matches!(status.config, ConfigStatus::RolledBack { .. })).await;
    let ConfigStatus::RolledBack { reason, .. } = &view.status.config else { unreachable!() };
    assert!(reason.contains("Bad peer AS: 65000") && reason.contains("as 65009;"), "{reason}");
    assert_eq!(view.status.peers[0].asn.to_string(), "65000", "the peers are those in force");
    assert_eq!(bird.commands().last().unwrap(), "configure");
    assert_eq!(bird.script(|script| script.asn), Some(65000));
    assert!(node.bird_conf().contains("as 65000"));
    let commands = bird.commands().len();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(bird.commands().len(), commands, "it is not tried again while the sessions are up");
    bird.script(|script| script.sessions.insert(65010, ("Established", "")));
    node.desired.send_replace(desired(65010));
    node.eventually(applied).await;
}

#[tokio::test]
async fn many_changes_are_few_configurations() {
    let dir = tempfile::tempdir().unwrap();
    let bird = bird(&dir, all_is_well());
    let mut node = Node::start(dir);
    node.eventually(applied).await;
    for host in 1..=50_u128 {
        let v6 = Ipv6Addr::from_bits(0x2001_0db8_000a_0001_u128 << 64 | host);
        node.pods.send_if_modified(|pods| pods.insert(PodAddresses { v6: Some(v6), v4: None }));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let last = "2001:db8:a:1::32/128";
    for _ in 0..100 {
        if node.bird_conf().contains(last) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(node.bird_conf().contains(last));
    let configured = bird.commands().iter().filter(|command| *command == "configure timeout").count();
    assert!((2..=6).contains(&configured), "{configured} for 50 changes within a second");
}

#[tokio::test]
async fn nonsense_is_said_to_be_nonsense_and_survived() {
    let dir = tempfile::tempdir().unwrap();
    let bird = bird(&dir, all_is_well());
    let mut node = Node::start(dir);
    node.eventually(applied).await;
    bird.script(|script| script.nonsense = true);
    let view = node.eventually(|status| matches!(status.bird, BirdStatus::Away(_))).await;
    let BirdStatus::Away(reason) = &view.status.bird else { unreachable!() };
    assert!(reason.contains("makes no sense"), "{reason}");
    bird.script(|script| script.nonsense = false);
    node.eventually(|status| matches!(status.bird, BirdStatus::Running(_))).await;
}

#[tokio::test]
async fn without_a_bird_the_status_says_how_to_start_one() {
    let mut node = Node::start(tempfile::tempdir().unwrap());
    let view = node.eventually(|status| matches!(status.bird, BirdStatus::Away(_))).await;
    let BirdStatus::Away(reason) = &view.status.bird else { unreachable!() };
    assert!(reason.contains("is BIRD running?"), "{reason}");
    assert_eq!(view.status.config, ConfigStatus::Pending);
    assert!(!node.bird_conf().is_empty(), "a BIRD that is started now has something to start with");
}
