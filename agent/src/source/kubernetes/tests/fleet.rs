//! A thousand nodes: what one of them reports is delivered to no other.

use std::collections::BTreeMap;

use flock_core::bgp::config::BirdIdent;
use flock_core::bgp::control::BirdVersion;
use flock_core::bgp::observed::SessionState;
use flock_core::bgp::plan::{Asn, BGP_PORT, BgpPlan, Peer};
use flock_core::bgp::status::{BgpStatus, BirdStatus, ConfigStatus, PeerStatus};
use flock_core::desired::ConfigReport;
use flock_core::feed::Outcome;
use flock_core::ipam::PoolUsage;
use flock_core::node::NodePlan;
use tokio::sync::mpsc;

use super::api::{CONFIGS, NODES, Query, STATES};
use super::*;
use crate::bird::BgpView;
use crate::report;
use crate::source::reader::config::ConfigReader;
use crate::source::reader::node::NodeReader;

const AGENTS: usize = 1000;

const ROUTER: &str = "2001:db8:f::1";

/// An agent's whole report, of a node that is as it should be.
struct Agent {
    name: String,
    desired: watch::Sender<Arc<Desired>>,
    bgp: watch::Sender<Arc<BgpView>>,
    _tasks: Tasks,
}

fn name(number: usize) -> String {
    format!("n{number}-")
}

fn asn(number: u32) -> Asn {
    Asn(number.try_into().unwrap())
}

/// The session with the one router.
fn view(state: SessionState) -> Arc<BgpView> {
    let address = ROUTER.parse().unwrap();
    let peer = PeerStatus {
        session: BirdIdent::of_peer(&address, BGP_PORT),
        address,
        asn: asn(65000),
        internal: false,
        state,
        since: None,
        last_error: None,
        reason: None,
        families: [].into(),
        bfd: None,
    };
    let status = BgpStatus {
        bird: BirdStatus::Running(BirdVersion { major: 2, minor: 0, patch: 12 }),
        config: ConfigStatus::Applied { revision: "1".to_owned() },
        peers: vec![peer],
    };
    Arc::new(BgpView { status, ..BgpView::default() })
}

fn desired(name: &str, generation: i64) -> Arc<Desired> {
    let peers = vec![Peer::new(ROUTER.parse().unwrap(), asn(65000))];
    let bgp = BgpPlan { peers, ..BgpPlan::new(asn(65001)) };
    let plan = NodePlan { bgp: Some(bgp), ..NodePlan::new(name) };
    let config = ConfigReport { generation: Some(generation), ..ConfigReport::default() };
    Arc::new(Desired { node: Some(Arc::new(plan)), config, ..Desired::default() })
}

fn lasting<T>(value: T) -> watch::Receiver<T> {
    watch::Sender::new(value).subscribe()
}

impl Agent {
    fn start(api: &Api, name: &str, own: OwnObjects) -> Self {
        let (desired, bgp) = (watch::Sender::new(desired(name, 1)), watch::Sender::new(Arc::default()));
        let usage = PoolUsage { cidr: "203.0.113.0/26".parse().unwrap(), size: 61, used: 7, resting: 0 };
        let inputs = report::Inputs {
            desired: desired.subscribe(),
            known: lasting(true),
            not_ready: lasting(None),
            usage: lasting(vec![usage]),
            records: lasting(Default::default()),
            host: lasting(Default::default()),
            bgp: bgp.subscribe(),
            anycast: lasting(Arc::default()),
        };
        bgp.send_replace(view(SessionState::Established));
        let (tasks, notices) = (Tasks::default(), mpsc::channel(1).1);
        let (client, node, bird) = (api.client(), name.to_owned(), "/nonexistent".into());
        report::start(report::Parts { client, node, own, inputs, bird, notices }, &tasks);
        Self { name: name.to_owned(), desired, bgp, _tasks: tasks }
    }

    fn session(&self, state: SessionState) {
        self.bgp.send_replace(view(state));
    }
}

/// The nodes' own objects of a kind, as their sources show them, by name. One watch does for all.
fn own<R: Reader, T: Send + Sync + 'static>(
    api: &Api,
    collection: &str,
    of: fn(&R::Value) -> Option<Arc<T>>,
) -> BTreeMap<String, watch::Receiver<Option<Arc<T>>>> {
    let mut lines = api.lines(collection, &Query::of(&collection.parse().unwrap()));
    let senders = (0..AGENTS).map(|number| (name(number), watch::Sender::default()));
    let senders: BTreeMap<String, watch::Sender<Option<Arc<T>>>> = senders.collect();
    let receivers = senders.iter().map(|(name, sender)| (name.clone(), sender.subscribe())).collect();
    tokio::spawn(async move {
        while let Some(Ok(line)) = lines.recv().await {
            let event: Value = serde_json::from_str(&line).unwrap();
            let Some(name) = event["object"]["metadata"]["name"].as_str() else { continue };
            if let Outcome::Value(value) = R::of_node(name).read(&event["object"].to_string(), None).outcome {
                senders[name].send_replace(of(&value));
            }
        }
    });
    receivers
}

/// Opens the watches of `one` for another agent.
fn watch_as(api: &Api, watches: &[String], one: &str, other: &str) {
    for request in watches {
        let uri = request.parse().unwrap();
        let query = Query::of(&uri).of_another((one, other), api.version());
        let mut lines = api.lines(uri.path(), &query);
        tokio::spawn(async move { while lines.recv().await.is_some() {} });
    }
}

/// How many writes have these words.
fn count(writes: &[String], words: &str) -> usize {
    writes.iter().filter(|write| write.contains(words)).count()
}

async fn pass(seconds: u64) {
    sleep(Duration::from_secs(seconds)).await;
}

/// All agents, of nodes that the API server knows.
fn agents(api: &Api) -> Vec<Agent> {
    for number in 0..AGENTS {
        let metadata = json!({"name": name(number), "uid": format!("node-{number}")});
        api.put(NODES, json!({"metadata": metadata}));
        api.put(CONFIGS, config(&name(number), json!({})));
    }
    let mut nodes = own::<NodeReader, _>(api, NODES, |node| Some(Arc::new(node.own.clone())));
    let mut configs = own::<ConfigReader, _>(api, CONFIGS, |config| config.own.clone());
    let mut start = |name: String| {
        let (node, config) = (nodes.remove(&name).unwrap(), configs.remove(&name).unwrap());
        Agent::start(api, &name, OwnObjects { node, config })
    };
    (0..AGENTS).map(|number| start(name(number))).collect()
}

/// The watches of an agent's source, which goes on.
async fn watches_of(api: &Api, name: &str) -> Vec<String> {
    let run_dir = tempfile::tempdir().unwrap();
    let before = api.requests().len();
    let composer = Composer::kept_in(name, Disk, run_dir.path());
    Cluster::start(api.client(), name, composer, &timing(), &Tasks::default()).known().await;
    let watches = api.requests().split_off(before);
    assert_eq!((watches.len(), count(&watches, "watch=")), (Kind::ALL.len(), Kind::ALL.len()), "{watches:?}");
    watches
}

#[tokio::test(start_paused = true)]
async fn a_routers_reboot_is_delivered_to_no_other_agent() {
    let api = Api::default();
    let agents = agents(&api);
    pass(8).await;
    let writes = api.writes();
    for words in [&format!("POST {STATES}"), "/nodestates/", "/nodeconfigs/", "/nodes/"] {
        assert_eq!(count(&writes, words), AGENTS, "{words}");
    }

    let one = &agents[0].name;
    let watches = watches_of(&api, one).await;
    assert_eq!(count(&watches, "nodestates"), 0, "{watches:?}");
    agents[1..].iter().for_each(|other| watch_as(&api, &watches, one, &other.name));
    pass(1).await;
    api.writes();
    api.delivered();

    for state in [SessionState::Active, SessionState::Established] {
        agents.iter().for_each(|agent| agent.session(state));
        pass(4).await;
        let writes = api.writes();
        assert_eq!(count(&writes, "/nodestates/"), AGENTS);
        assert_eq!(count(&writes, "/nodeconfigs"), 0, "nobody's status");
        assert_eq!(api.delivered(), [], "nothing, to nobody");
    }

    // What is counted: a configuration that is written is delivered to all, and so is that it is obeyed.
    let mut changed = config(one, json!({"mtu": 1400}));
    changed["metadata"]["generation"] = json!(2);
    api.put(CONFIGS, changed);
    agents[0].desired.send_replace(desired(one, 2));
    pass(4).await;
    let of_the_test = 1;
    assert_eq!(api.delivered(), [(CONFIGS.to_owned(), 2 * (AGENTS + of_the_test))]);
}
