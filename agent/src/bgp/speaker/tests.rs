//! The speaker against a BIRD that is a script.

use std::collections::BTreeMap;
use std::net::Ipv6Addr;
use std::sync::{Mutex, PoisonError};

use flock_core::bgp::control::BirdVersion;
use flock_core::bgp::plan::{Aggregation, Asn, BgpPlan, Peer};
use flock_core::bgp::subnet::{NodeAddress, Subnets};
use flock_core::node::{FamilyDefaults, NodePlan, Pools, Uplinks};
use flock_core::prefix::{Family, PodAddresses};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};

use super::*;
use crate::attach::HostView;
use crate::source::Desired;
use crate::store::Disk;

/// What the script does and has seen.
#[derive(Debug, Default)]
struct Script {
    /// The revision that it runs.
    running: Option<String>,
    /// What an undo would bring back.
    before: Option<String>,
    /// Every command but `show` and `eval`, without file names.
    commands: Vec<String>,
    /// What `configure check` fails with.
    objection: Option<String>,
    /// The session's state and last error, by the AS number that the configuration expects of the peer.
    sessions: BTreeMap<u32, (&'static str, &'static str)>,
    /// The AS number in the running configuration.
    asn: Option<u32>,
    /// Instead of any answer.
    nonsense: bool,
}

impl Script {
    fn answer(&mut self, command: &str) -> String {
        if self.nonsense {
            return "HTTP/1.1 400 Bad Request\n".to_owned();
        }
        let (verb, file) = command.split_once('"').unwrap_or((command, ""));
        let verb = verb.trim();
        if !verb.starts_with("show") && !verb.starts_with("eval") {
            self.commands.push(verb.to_owned());
        }
        match verb {
            "show protocols all" => self.protocols(),
            "configure check" => match &self.objection {
                Some(objection) => format!("8002 {objection}\n"),
                None => "0020 Configuration OK\n".to_owned(),
            },
            "configure" => self.configure(file.split('"').next().unwrap_or_default()),
            "configure confirm" => "0018 Reconfiguration confirmed\n".to_owned(),
            "configure undo" => {
                self.running = self.before.take();
                self.asn = Some(65000);
                "0021-Undo requested\n0003 Reconfigured\n".to_owned()
            }
            _ if verb.starts_with("eval") => match &self.running {
                Some(revision) => format!("0023 {revision}\n"),
                None => "9001 syntax error\n".to_owned(),
            },
            _ => "9001 syntax error\n".to_owned(),
        }
    }

    fn configure(&mut self, file: &str) -> String {
        let text = std::fs::read_to_string(file).unwrap();
        let revision = text.split("define flock_revision = \"").nth(1).unwrap().split('"').next().unwrap();
        self.before = self.running.replace(revision.to_owned());
        let asn = text.lines().find(|line| line.trim().starts_with("neighbor "));
        self.asn =
            asn.map(|line| line.split(" as ").nth(1).unwrap().split(';').next().unwrap().parse().unwrap());
        "0002-Reading\n0003 Reconfigured\n".to_owned()
    }

    fn protocols(&self) -> String {
        let Some(asn) = self.asn else { return "0000 \n".to_owned() };
        let (state, error) = self.sessions.get(&asn).copied().unwrap_or(("Active", ""));
        let up = if state == "Established" { "up" } else { "start" };
        format!(
            "2002-Name       Proto      Table      State  Since         Info
1002-peer_2001_db8__1 BGP        ---        {up}     2026-11-21T09:26:46+0000  {state}  {error}
1006-  BGP state:          {state}
     Neighbor address: 2001:db8::1
     Last error:       {error}
 
0000 
"
        )
    }
}

/// The script as a program behind a socket.
#[derive(Clone)]
struct FakeBird(Arc<Mutex<Script>>);

impl FakeBird {
    fn start(socket: &Path, script: Script) -> Self {
        let bird = Self(Arc::new(Mutex::new(script)));
        let listener = UnixListener::bind(socket).unwrap();
        let serving = bird.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serving.clone().serve(stream));
            }
        });
        bird
    }

    async fn serve(self, stream: UnixStream) {
        let (read, mut write) = stream.into_split();
        write.write_all(b"0001 BIRD 2.0.12 ready.\n").await.unwrap();
        let mut lines = BufReader::new(read).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let answer = self.script(|script| script.answer(&line));
            if write.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    }

    fn script<T>(&self, look: impl FnOnce(&mut Script) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn commands(&self) -> Vec<String> {
        self.script(|script| script.commands.clone())
    }
}

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
        name: "node-a".to_owned(),
        pools: Pools { v6: vec![v6.try_into().unwrap()], v4: Vec::new() },
        defaults: FamilyDefaults::default(),
        primary: Family::IPv6,
        uplinks: Uplinks::OfDefaultRoutes,
        mtu: None,
        cooldown: Duration::from_secs(30),
        ip_algo: None,
        bgp: Some(plan(asn)),
    };
    Arc::new(Desired { node: Some(Arc::new(node)), ..Desired::default() })
}

/// A node with its speaker.
struct Node {
    dir: tempfile::TempDir,
    desired: watch::Sender<Arc<Desired>>,
    pods: watch::Sender<BTreeSet<PodAddresses>>,
    _host: watch::Sender<HostView>,
    view: watch::Receiver<Arc<BgpView>>,
}

impl Node {
    fn start(dir: tempfile::TempDir) -> Self {
        let ifname: flock_core::attachment::IfName = "eth0".parse().unwrap();
        let address = NodeAddress { ifname, net: "2001:db8::2/64".parse().unwrap(), secondary: false };
        let subnets = Subnets { addresses: BTreeSet::from([address]), on_link: BTreeSet::new() };
        let (desired, desired_seen) = watch::channel(desired(65000));
        let (pods, pods_seen) = watch::channel(BTreeSet::new());
        let (host, host_seen) = watch::channel(HostView { subnets, ..HostView::default() });
        let inputs = Inputs { desired: desired_seen, host: host_seen, pods: pods_seen };
        let files = ConfFiles::open(Disk, dir.path()).unwrap();
        let speaker = Speaker::new(inputs, files, dir.path());
        let view = speaker.follow();
        tokio::spawn(speaker.run(std::future::pending()));
        Self { dir, desired, pods, _host: host, view }
    }

    async fn eventually(&mut self, wanted: impl Fn(&BgpStatus) -> bool) -> Arc<BgpView> {
        for _ in 0..400 {
            let view = self.view.borrow_and_update().clone();
            if wanted(&view.status) {
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
    assert_eq!(bird.commands(), ["configure check", "configure", "configure confirm"]);
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
    let Node { dir, .. } = node;
    let mut second = Node::start(dir);
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
    assert_eq!(bird.commands().last().unwrap(), "configure undo");
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
    let configured = bird.commands().iter().filter(|command| *command == "configure").count();
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
