//! The agent is cut off between any two steps of any sequence of calls; the next one finds its way.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::support::{Agent, Cut, World, call, id, netns, node_plan};
use flock_core::link::{Observed, PodObserved, compare};
use flock_core::prefix::PodAddresses;
use flock_core::record::Phase;
use flock_kernel::{Links, Node};
use proptest::prelude::*;

const PODS: [&str; 4] = ["a", "b", "c", "d"];

/// What a runtime may do.
#[derive(Debug, Clone, Copy)]
enum Op {
    Add(usize),
    Del(usize),
    Reconcile,
    Wait(i64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        5 => (0..PODS.len()).prop_map(Op::Add),
        3 => (0..PODS.len()).prop_map(Op::Del),
        1 => Just(Op::Reconcile),
        1 => (1..40_i64).prop_map(Op::Wait),
    ]
}

/// What the runtime was told: the addresses of those ADDs that were answered and not followed by a DEL.
#[derive(Debug, Default)]
struct Model {
    answered: BTreeMap<&'static str, PodAddresses>,
    /// The pod whose call was not answered.
    unanswered: Option<(&'static str, Op)>,
}

impl Model {
    async fn run(&mut self, world: &World, agent: &Agent, ops: &[Op]) {
        for op in ops {
            if !self.step(world, agent, *op).await {
                return;
            }
        }
    }

    async fn step(&mut self, world: &World, agent: &Agent, op: Op) -> bool {
        match op {
            Op::Add(pod) => match agent.add(call(PODS[pod])).await {
                Ok(attached) => {
                    let former = self.answered.insert(PODS[pod], attached.record.addresses);
                    assert!(
                        former.is_none_or(|former| former == attached.record.addresses),
                        "another answer"
                    );
                }
                Err(_) => {
                    self.unanswered = Some((PODS[pod], op));
                    return false;
                }
            },
            Op::Del(pod) => match agent.del(&id(PODS[pod])).await {
                Ok(()) => {
                    self.answered.remove(PODS[pod]);
                }
                Err(_) => {
                    self.unanswered = Some((PODS[pod], op));
                    return false;
                }
            },
            Op::Reconcile => {
                let _ = agent.reconcile().await;
            }
            Op::Wait(seconds) => world.wait(seconds),
        }
        true
    }

    /// The pods that must be there after a restart. A DEL that was cut off before its intent was written has not
    /// happened; after that it has.
    fn alive(&self, agent: &Agent) -> BTreeMap<&'static str, PodAddresses> {
        let mut alive = self.answered.clone();
        if let Some((pod, Op::Del(_))) = self.unanswered
            && agent.select(pod).is_err()
        {
            alive.remove(pod);
        }
        alive
    }
}

/// Store, kernel and table agree with the model, to the last fact.
async fn assert_is(world: &World, agent: &Agent, alive: &BTreeMap<&'static str, PodAddresses>, what: &str) {
    let records = agent.records();
    let found: BTreeMap<String, PodAddresses> =
        records.iter().map(|record| (record.pod.name.to_string(), record.addresses)).collect();
    let expected: BTreeMap<String, PodAddresses> =
        alive.iter().map(|(pod, a)| ((*pod).to_owned(), *a)).collect();
    assert_eq!(found, expected, "{what}: records");
    assert!(records.iter().all(|record| record.phase == Phase::Ready), "{what}: phases");
    let files: BTreeSet<String> = world.files_in("attachments").into_iter().collect();
    assert_eq!(files, alive.keys().map(|pod| format!("{pod}@eth0.json")).collect(), "{what}: files");
    let links = world.kernel.host().await.unwrap().flock_links;
    assert_eq!(links.len(), alive.len(), "{what}: links {:?}", links.keys());
    let addresses: BTreeSet<IpAddr> = found.values().flat_map(PodAddresses::iter).collect();
    assert_eq!(addresses.len(), alive.len() * 2, "{what}: an address twice");
    for record in records {
        let observed = Observed {
            host: links.get(&record.host_link).map(|link| link.facts.clone()),
            pod: world.kernel.pod(&netns(&record.pod.name), &record.id.ifname).await.unwrap(),
        };
        let drift: Vec<_> = compare(&record.link(agent.host_view().mtu), &observed)
            .into_iter()
            .filter(|row| row.verdict.is_drift())
            .collect();
        assert!(drift.is_empty(), "{what}: {}: {drift:?}", record.pod);
    }
    for pod in PODS.iter().filter(|pod| !alive.contains_key(*pod)) {
        let facts = world.kernel.pod(&netns(pod), &"eth0".parse().unwrap()).await.unwrap();
        let PodObserved::Facts(facts) = facts else { panic!("{pod}: {facts:?}") };
        assert!(!facts.iter().any(|fact| fact.subject() == "link"), "{what}: {pod} still has an interface");
    }
}

async fn cut_and_recover(ops: &[Op], steps: i64) {
    let world = World::new(&PODS, node_plan("2001:db8:a:1::/64", "192.0.2.0/29"));
    let cut = Cut::after(steps);
    let mut model = Model::default();
    let agent = world.agent(&cut);
    if agent.recover().await.is_ok() && agent.reconcile().await.is_ok() {
        model.run(&world, &agent, ops).await;
    }
    drop(agent);

    let agent = world.recovered().await;
    let alive = model.alive(&agent);
    assert_is(&world, &agent, &alive, "after the restart").await;

    // The runtime tries again.
    if let Some((pod, op)) = model.unanswered.take() {
        model.answered = alive;
        assert!(model.step(&world, &agent, op).await, "the second try of {op:?} on {pod} failed");
        assert_is(&world, &agent, &model.answered, "after the second try").await;
    }

    for pod in PODS {
        agent.del(&id(pod)).await.unwrap();
    }
    assert_is(&world, &agent, &BTreeMap::new(), "after the end").await;
    world.wait(31);
    agent.end_cool_downs();
    assert_eq!(world.files_in("resting"), [] as [String; 0]);
}

fn block_on(future: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future);
}

/// How many steps a sequence takes when nothing cuts it.
fn steps_of(ops: &[Op]) -> i64 {
    let (all, mut taken) = (1_000_000, 0);
    block_on(async {
        let world = World::new(&PODS, node_plan("2001:db8:a:1::/64", "192.0.2.0/29"));
        let cut = Cut::after(all);
        let agent = world.agent(&cut);
        agent.recover().await.unwrap();
        agent.reconcile().await.unwrap();
        Model::default().run(&world, &agent, ops).await;
        taken = cut.taken(all);
    });
    taken
}

#[test]
fn every_single_step_of_add_and_del_may_be_the_last() {
    let ops = [Op::Add(0), Op::Add(1), Op::Del(0), Op::Add(1), Op::Del(1), Op::Add(0)];
    let steps = steps_of(&ops);
    assert!(steps > 60, "only {steps} steps: the gate is not in the way of them all");
    for step in 0..=steps {
        block_on(cut_and_recover(&ops, step));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn any_sequence_cut_anywhere_recovers(ops in prop::collection::vec(op(), 1..12), at in 0.0..1.0_f64) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "a few hundred steps")]
        let step = (steps_of(&ops) as f64 * at) as i64;
        block_on(cut_and_recover(&ops, step));
    }
}
