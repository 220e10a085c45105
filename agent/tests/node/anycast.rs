//! What is announced, routed and steered for anycast addresses, over a node in memory.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use flock_agent::anycast::{Announcer, AnnouncerInputs, AnycastView, Programmer, Steerer, Withheld};
use flock_agent::attach::AddCall;
use flock_core::anycast::Announcement;
use flock_core::claim::{AddressPool, Use};
use flock_core::desired::Desired;
use flock_core::node::{AnycastPlan, EstablishedConnections};
use flock_core::pod::{Pod, Readiness};
use flock_core::selector::LabelSelector;
use flock_core::steering::{FlowSlot, Routing, table_id};
use flock_kernel::fake::{FailMode, FakeKernel};
use tokio::sync::watch;

use crate::support::{Agent, World, call, node_plan};

const V6: &str = "2001:db8:53::1";
const V4: &str = "198.51.100.53";

/// A node whose pods all claim both addresses.
fn world(pods: &[&str]) -> World {
    let world = World::new(pods, node_plan("2001:db8:a:1::/64", "192.0.2.0/28"));
    change(&world, |desired| {
        desired.pools = vec![AddressPool {
            name: "dns".to_owned(),
            cidrs: vec!["2001:db8:53::/64".parse().unwrap(), "198.51.100.53/32".parse().unwrap()],
            namespaces: LabelSelector::default(),
            usage: Use::Anycast,
            max_advertisers: None,
        }];
    });
    for pod in pods {
        tell(&world, pod, |pod| {
            claim(pod, &format!("{V6}, {V4}"));
            pod.readiness = Readiness::Ready;
        });
    }
    world
}

fn claim(pod: &mut Pod, addresses: &str) {
    let annotations = [("flock.fritzlab.net/anycast".to_owned(), addresses.to_owned())];
    *pod = pod.clone().annotated(&annotations.into());
}

fn change(world: &World, change: impl FnOnce(&mut Desired)) {
    world.told.0.send_modify(|desired| change(Arc::make_mut(desired)));
}

fn tell(world: &World, name: &str, tell: impl FnOnce(&mut Pod)) {
    let name = call(name).pod;
    change(world, |desired| tell(Arc::make_mut(desired.pods.get_mut(&name).unwrap())));
}

fn readiness(world: &World, name: &str, readiness: Readiness) {
    tell(world, name, |pod| pod.readiness = readiness);
}

/// The two who work on it.
struct Anycast {
    announcer: Announcer,
    programmer: Programmer<FakeKernel>,
    steerer: Steerer<FakeKernel>,
    view: watch::Sender<Arc<AnycastView>>,
}

impl Anycast {
    fn new(world: &World, agent: &Arc<Agent>) -> Self {
        let kernel = || world.kernel.clone();
        let programmer = Programmer::new(kernel());
        let inputs = AnnouncerInputs {
            desired: agent.follow_desired(),
            claimants: agent.follow_claimants(),
            records: agent.follow_records(),
            host: agent.follow_host(),
            programmed: programmer.follow(),
        };
        let (view, problem) = (watch::Sender::default(), watch::Sender::default());
        let announcer = Announcer::new("node-a".to_owned(), inputs, view.clone());
        let steerer = Steerer::new(kernel(), agent.follow_desired(), agent.follow_claimants(), problem);
        Self { announcer, programmer, steerer, view }
    }

    async fn program(&mut self) -> bool {
        let groups = self.announcer.follow_groups().borrow().clone();
        let wanted = self.steerer.wanted();
        let (routed, steered) = (self.programmer.program(&groups).await, self.steerer.steer(&wanted).await);
        routed && steered
    }

    /// Until nothing is to be done.
    async fn settle(&mut self) -> BTreeSet<String> {
        self.announcer.settle();
        assert!(self.program().await);
        self.announced()
    }

    /// What is announced after one more look, the kernel being as it is.
    fn announced(&mut self) -> BTreeSet<String> {
        self.announcer.settle();
        self.announcement().announced.anycast.keys().map(IpAddr::to_string).collect()
    }

    fn announcement(&self) -> Arc<Announcement> {
        self.announcer.follow().borrow().clone()
    }

    fn withheld(&self) -> Vec<Withheld> {
        self.view.borrow().withheld.values().cloned().collect()
    }

    fn cause(&self) -> String {
        self.announcement().causes[&V6.parse::<IpAddr>().unwrap()].text.clone()
    }
}

fn both() -> BTreeSet<String> {
    [V4, V6].map(str::to_owned).into()
}

/// How many pods' connections to how many addresses are steered, by rules, routes and table alike.
fn steered(world: &World) -> (usize, usize) {
    let Routing { rules, paths } = world.kernel.steering();
    let table = world.kernel.tables().tables.remove(&table_id());
    assert_eq!((rules.is_empty(), table.is_none()), (paths.is_empty(), paths.is_empty()));
    let pods: BTreeSet<FlowSlot> = paths.iter().map(|path| path.slot).collect();
    let addresses: BTreeSet<IpAddr> = paths.iter().map(|path| path.to).collect();
    (pods.len(), addresses.len())
}

async fn attached(world: &World, pods: &[&str]) -> Arc<Agent> {
    let agent = world.recovered().await;
    for pod in pods {
        agent.add(call(pod)).await.unwrap();
    }
    agent
}

#[tokio::test]
async fn an_address_is_announced_when_its_route_is_there() {
    let world = world(&["a", "b"]);
    let agent = attached(&world, &["a", "b"]).await;
    let mut anycast = Anycast::new(&world, &agent);
    assert_eq!(anycast.announced(), BTreeSet::new());
    assert_eq!(anycast.withheld(), [Withheld::NoRoute, Withheld::NoRoute]);
    assert_eq!(anycast.settle().await, both());
    assert_eq!(anycast.withheld(), []);
    assert!(world.kernel.anycast().values().all(|hops| hops.len() == 2));
    assert!(anycast.announcement().announced.anycast.values().all(|pods| pods.get() == 2));
}

#[tokio::test]
async fn a_withdrawal_waits_for_nothing() {
    for (readiness, words) in [
        (Readiness::NotReady, "pod default/a is not ready"),
        (Readiness::Terminating, "pod default/a is terminating"),
    ] {
        let world = world(&["a"]);
        let mut anycast = Anycast::new(&world, &attached(&world, &["a"]).await);
        anycast.settle().await;
        tell(&world, "a", |pod| pod.readiness = readiness);
        assert_eq!(anycast.announced(), BTreeSet::new());
        assert_eq!(anycast.cause(), words);
        assert_eq!(world.kernel.anycast().len(), 2, "the kernel comes later");
        anycast.settle().await;
        assert_eq!(world.kernel.anycast().len(), 0);
    }
}

#[tokio::test]
async fn a_pod_that_goes_in_any_way_is_withdrawn() {
    let world = world(&["a"]);
    let agent = attached(&world, &["a"]).await;
    let mut anycast = Anycast::new(&world, &agent);
    anycast.settle().await;
    change(&world, |desired| desired.pods.clear());
    assert_eq!(
        (anycast.announced(), anycast.cause()),
        (BTreeSet::new(), "pod default/a is not known any more".into())
    );
    agent.del(&call("a").id).await.unwrap();
    anycast.settle().await;
    assert_eq!(anycast.cause(), "pod default/a was detached");
    assert_eq!(steered(&world), (0, 0));
}

#[tokio::test]
async fn a_pool_that_goes_takes_its_addresses_along() {
    let world = world(&["a"]);
    let mut anycast = Anycast::new(&world, &attached(&world, &["a"]).await);
    anycast.settle().await;
    let pools = world.told.0.borrow().pools.clone();
    change(&world, |desired| desired.pools.clear());
    assert_eq!(anycast.settle().await, BTreeSet::new());
    assert_eq!(anycast.cause(), "pod default/a may not have it any more");
    assert!(anycast.announcement().claimable.is_empty());
    change(&world, |desired| desired.pools = pools);
    assert_eq!(anycast.settle().await, both());
}

/// A StatefulSet's pod comes back under its name: the new one's readiness is not the old sandbox's.
#[tokio::test]
async fn another_pod_of_the_same_name_does_not_count() {
    let world = world(&["a"]);
    tell(&world, "a", |pod| pod.uid = Some("u-1".to_owned()));
    let agent = world.recovered().await;
    agent.add(AddCall { uid: Some("u-1".to_owned()), ..call("a") }).await.unwrap();
    let mut anycast = Anycast::new(&world, &agent);
    assert_eq!(anycast.settle().await, both());
    tell(&world, "a", |pod| pod.uid = Some("u-2".to_owned()));
    assert_eq!(anycast.settle().await, BTreeSet::new());
}

#[tokio::test]
async fn a_sandbox_that_was_replaced_does_not_count() {
    let world = world(&["a"]);
    let agent = attached(&world, &["a"]).await;
    world.kernel.add_namespace(std::path::Path::new("/run/netns/again"));
    world.wait(5);
    let again = AddCall { pod: call("a").pod, ..call("again") };
    let second = agent.add(again).await.unwrap().record;
    let mut anycast = Anycast::new(&world, &agent);
    assert_eq!(anycast.settle().await, both());
    let hops = world.kernel.anycast();
    assert!(hops.values().all(|hops| hops.iter().all(|hop| hop.link == second.host_link) && hops.len() == 1));
}

#[tokio::test]
async fn a_kernel_that_refuses_is_asked_again_and_nothing_is_announced_meanwhile() {
    let world = world(&["a"]);
    let mut anycast = Anycast::new(&world, &attached(&world, &["a"]).await);
    anycast.announcer.settle();
    world.kernel.fail_at(world.kernel.steps(), FailMode::Error);
    assert!(!anycast.program().await);
    assert!(anycast.announced().len() < 2);
    assert_eq!(anycast.settle().await, both());
}

#[tokio::test]
async fn a_kernel_that_does_not_answer_has_not_lost_its_routes() {
    let world = world(&["a"]);
    let mut anycast = Anycast::new(&world, &attached(&world, &["a"]).await);
    assert_eq!(anycast.settle().await, both());
    world.kernel.fail_at(world.kernel.steps(), FailMode::DieBefore);
    change(&world, |desired| {
        let node = Arc::make_mut(desired.node.as_mut().unwrap());
        node.anycast.established = EstablishedConnections::Move;
    });
    assert!(!anycast.program().await && !anycast.program().await);
    assert_eq!(anycast.announced(), both());
}

#[tokio::test]
async fn every_pod_with_an_address_is_steered_ready_or_not_unless_connections_move() {
    let world = world(&["a", "b"]);
    let mut anycast = Anycast::new(&world, &attached(&world, &["a", "b"]).await);
    anycast.settle().await;
    readiness(&world, "b", Readiness::NotReady);
    anycast.settle().await;
    assert_eq!(steered(&world), (2, 2));
    change(&world, |desired| {
        let node = Arc::make_mut(desired.node.as_mut().unwrap());
        node.anycast = AnycastPlan { established: EstablishedConnections::Move, ..AnycastPlan::default() };
    });
    anycast.settle().await;
    assert_eq!(steered(&world), (0, 0));
}

/// An agent that comes back must not withdraw anything before it knows better.
#[tokio::test]
async fn a_restart_announces_the_same_at_once() {
    let world = world(&["a", "b"]);
    let mut before = Anycast::new(&world, &attached(&world, &["a", "b"]).await);
    before.settle().await;
    let steering = || (world.kernel.steering(), world.kernel.tables());
    let (routes, before_steering) = (world.kernel.anycast(), steering());
    let steps = world.kernel.steps();
    let mut after = Anycast::new(&world, &world.recovered().await);
    assert_eq!(after.settle().await, both());
    assert_eq!(after.announcement().announced, before.announcement().announced);
    assert_eq!((world.kernel.anycast(), steering()), (routes, before_steering));
    assert_eq!(world.kernel.steps(), steps, "nothing in the kernel was touched");
}

#[tokio::test]
async fn a_lost_record_is_rebuilt_with_its_claims() {
    let world = world(&["a"]);
    attached(&world, &["a"]).await;
    world.files.lock().unwrap().clear();
    let agent = world.recovered().await;
    assert!(agent.records()[0].claimed.slot.is_some());
    assert_eq!(Anycast::new(&world, &agent).settle().await, both());
}

/// What is refused at ADD leaves nothing, whatever the other claims are.
#[tokio::test]
async fn one_bad_claim_refuses_the_pod() {
    let world = world(&["a"]);
    tell(&world, "a", |pod| {
        claim(pod, &format!("{V6}, 10.96.0.1"));
    });
    let agent = world.recovered().await;
    let error = agent.add(call("a")).await.unwrap_err();
    assert_eq!(error.code(), flock_rpc::error::CniCode::InvalidPod);
    assert!(error.to_string().contains("10.96.0.1 is in no AddressPool for Anycast"), "{error}");
    assert!(agent.records().is_empty() && world.kernel.links().is_empty());
    assert_eq!(Anycast::new(&world, &agent).settle().await, BTreeSet::new());
}

/// Where the runtime sends no UID, another node's pod of the same name must not be taken for the one that is meant.
#[tokio::test]
async fn a_pod_of_another_node_is_not_attached_here() {
    let world = world(&["a"]);
    tell(&world, "a", |pod| pod.node = Some("node-b".into()));
    let agent = world.recovered().await;
    let error = agent.add(call("a")).await.unwrap_err();
    assert!(matches!(error, flock_agent::attach::AttachError::UnknownPod { .. }), "{error}");
    tell(&world, "a", |pod| pod.node = None);
    agent.add(call("a")).await.unwrap();
}
