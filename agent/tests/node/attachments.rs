//! ADD, DEL, CHECK, GC, repair and recovery over a node in memory.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::support::{Agent, World, call, id, netns, node_plan};
use flock_agent::attach::{AttachError, CheckCall};
use flock_core::lifecycle::sweep::{Suspect, Sweeper};
use flock_core::link::{Fact, LinkRoute, Side, host_link_name};
use flock_core::record::Phase;
use flock_kernel::Node;
use flock_kernel::fake::FailMode;
use flock_rpc::error::CniCode;
use flock_rpc::tombstone;

fn world(pods: &[&str]) -> World {
    World::new(pods, node_plan("2001:db8:a:1::/64", "192.0.2.0/28"))
}

async fn links(world: &World) -> Vec<String> {
    world.kernel.host().await.unwrap().flock_links.keys().map(ToString::to_string).collect()
}

fn check_call(agent: &Agent, name: &str) -> CheckCall {
    let record = agent.select(&format!("default/{name}")).unwrap();
    CheckCall {
        id: record.id.clone(),
        netns: netns(name),
        addresses: record.addresses.iter().collect(),
        host_links: BTreeSet::from([record.host_link.to_string()]),
    }
}

fn drift(error: AttachError) -> Vec<String> {
    match error {
        AttachError::Drift { drift, .. } => drift,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn two_adds_for_one_attachment_get_the_same_answer() {
    let world = world(&["a"]);
    let agent = world.recovered().await;
    let (first, second) = tokio::join!(agent.add(call("a")), agent.add(call("a")));
    let first = first.unwrap();
    assert_eq!(first, second.unwrap());
    assert_eq!(first, agent.add(call("a")).await.unwrap());
    assert_eq!(links(&world).await.len(), 1);
    assert_eq!(agent.records().len(), 1);
}

#[tokio::test]
async fn an_add_that_fails_at_any_step_leaves_nothing() {
    for step in 0.. {
        let world = world(&["a"]);
        world.recovered().await;
        let agent = world.recovered().await;
        world.kernel.fail_at(world.kernel.steps() + step, FailMode::Error);
        let outcome = agent.add(call("a")).await;
        world.kernel.revive();
        if outcome.is_ok() {
            assert!(step > 15, "an ADD of {step} steps");
            return;
        }
        assert_eq!(outcome.unwrap_err().code(), CniCode::Internal, "step {step}");
        assert_eq!(links(&world).await, [] as [String; 0], "step {step}");
        assert_eq!(world.files_in("attachments"), [] as [String; 0], "step {step}");
        assert!(agent.records().is_empty() && agent.usage().iter().all(|pool| pool.used == 0), "step {step}");
        agent.add(call("a")).await.unwrap();
    }
}

#[tokio::test]
async fn a_full_disk_fails_the_add_and_not_the_del() {
    let world = world(&["a", "b"]);
    let agent = world.recovered().await;
    agent.add(call("a")).await.unwrap();
    world.full.store(true, Ordering::SeqCst);
    let error = agent.add(call("b")).await.unwrap_err();
    assert_eq!(error.code(), CniCode::Io);
    assert!(error.to_string().contains("attachments/b@eth0.json"), "{error}");
    assert_eq!((agent.records().len(), links(&world).await.len()), (1, 1));
    agent.del(&id("a")).await.unwrap();
    assert_eq!((agent.records().len(), links(&world).await.len()), (0, 0));
    assert_eq!(world.files_in("attachments"), [] as [String; 0]);
    world.full.store(false, Ordering::SeqCst);
    agent.add(call("b")).await.unwrap();
}

#[tokio::test]
async fn somebody_elses_link_of_our_name_is_left_alone() {
    let world = world(&["a"]);
    let taken = host_link_name(&id("a"), 0);
    world.kernel.add_foreign_link(&taken);
    let agent = world.recovered().await;
    let attached = agent.add(call("a")).await.unwrap();
    assert_eq!(attached.record.host_link, host_link_name(&id("a"), 1));
    agent.del(&id("a")).await.unwrap();
    assert_eq!(links(&world).await, [taken.to_string()]);
}

#[tokio::test]
async fn errors_say_what_on_what_and_with_which_code() {
    let world = world(&["a"]);
    let agent = world.recovered().await;
    let unknown = agent.add(call("nobody")).await.unwrap_err();
    assert_eq!(unknown.code(), CniCode::TryAgain);
    assert!(unknown.to_string().starts_with("pod default/nobody is not known: tell the test"), "{unknown}");

    let mut elsewhere = call("a");
    elsewhere.netns = netns("gone");
    let gone = agent.add(elsewhere).await.unwrap_err();
    assert_eq!(gone.code(), CniCode::InvalidEnvironment);
    assert!(gone.to_string().contains("/run/netns/gone"), "{gone}");
    assert!(agent.records().is_empty());

    world.told.0.send_modify(|desired| Arc::make_mut(desired).node = None);
    assert!(agent.not_ready().unwrap().contains("NodeConfig"));
    assert_eq!(agent.add(call("a")).await.unwrap_err().code(), CniCode::TryAgain);
}

#[tokio::test]
async fn an_exhausted_pool_counts_what_is_used() {
    let names: Vec<String> = (0..14).map(|index| format!("p{index}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let world = world(&names);
    let agent = world.recovered().await;
    for name in &names[..13] {
        agent.add(call(name)).await.unwrap();
    }
    let error = agent.add(call(names[13])).await.unwrap_err();
    assert_eq!(error.code(), CniCode::NoAddress);
    assert!(error.to_string().contains("192.0.2.0/28") && error.to_string().contains("13"), "{error}");
    agent.del(&id("p3")).await.unwrap();
    // Nothing else is left: the resting one is used early.
    let late = agent.add(call(names[13])).await.unwrap();
    assert_eq!(late.record.addresses.v4, Some("192.0.2.5".parse().unwrap()));
}

#[tokio::test]
async fn check_names_exactly_what_is_missing() {
    let world = world(&["a"]);
    let agent = world.recovered().await;
    let record = agent.add(call("a")).await.unwrap().record;
    agent.check(check_call(&agent, "a")).await.unwrap();

    let v4 = ipnet::IpNet::from(std::net::IpAddr::from(record.addresses.v4.unwrap()));
    let fact = Fact::Route { side: Side::Host, route: LinkRoute { dst: v4, via: None } };
    world.kernel.remove_fact(&record.host_link, &fact);
    let missing = drift(agent.check(check_call(&agent, "a")).await.unwrap_err());
    assert_eq!(missing, [format!("host route {v4} (on link) is missing")]);

    agent.reconcile().await.unwrap();
    agent.check(check_call(&agent, "a")).await.unwrap();

    let mut stale = check_call(&agent, "a");
    stale.addresses = BTreeSet::from(["192.0.2.99".parse().unwrap()]);
    assert!(drift(agent.check(stale).await.unwrap_err())[0].contains("192.0.2.99"));
    assert_eq!(
        agent.check(CheckCall { id: id("x"), ..check_call(&agent, "a") }).await.unwrap_err().code(),
        CniCode::UnknownContainer
    );
}

#[tokio::test]
async fn every_host_fact_that_goes_missing_is_repaired() {
    let world = world(&["a"]);
    let agent = world.recovered().await;
    let record = agent.add(call("a")).await.unwrap().record;
    for fact in record.link(1500).facts().into_iter().filter(|fact| fact.side() == Side::Host) {
        if matches!(fact, Fact::Link { .. } | Fact::AltName { .. } | Fact::Mac { .. } | Fact::Mtu { .. }) {
            continue;
        }
        world.kernel.remove_fact(&record.host_link, &fact);
        assert!(agent.check(check_call(&agent, "a")).await.is_err(), "{fact}");
        agent.reconcile().await.unwrap();
        agent.check(check_call(&agent, "a")).await.unwrap();
    }
    world.kernel.remove_link(&record.host_link);
    agent.reconcile().await.unwrap();
    agent.check(check_call(&agent, "a")).await.unwrap();
}

#[tokio::test]
async fn running_pods_follow_the_uplinks_mtu() {
    let world = world(&["a"]);
    world.kernel.set_uplink_mtu(&"eth0".parse().unwrap(), 9000);
    let agent = world.recovered().await;
    assert_eq!(agent.add(call("a")).await.unwrap().mtu, 9000);
    world.kernel.set_uplink_mtu(&"eth0".parse().unwrap(), 1400);
    agent.reconcile().await.unwrap();
    assert_eq!(agent.host_view().mtu, 1400);
    agent.check(check_call(&agent, "a")).await.unwrap();
}

#[tokio::test]
async fn del_of_the_unknown_and_del_twice_succeed() {
    let world = world(&["a"]);
    let agent = world.recovered().await;
    agent.del(&id("never")).await.unwrap();
    agent.add(call("a")).await.unwrap();
    for _ in 0..2 {
        agent.del(&id("a")).await.unwrap();
    }
    assert_eq!(links(&world).await, [] as [String; 0]);
}

#[tokio::test]
async fn a_del_that_cannot_finish_is_finished_by_the_reconcile_loop() {
    let world = world(&["a"]);
    let agent = world.recovered().await;
    agent.add(call("a")).await.unwrap();
    world.kernel.fail_at(world.kernel.steps(), FailMode::Error);
    agent.del(&id("a")).await.unwrap_err();
    world.kernel.revive();
    assert_eq!(agent.records()[0].phase, Phase::Deleting);
    agent.reconcile().await.unwrap();
    assert!(agent.records().is_empty());
    assert_eq!(links(&world).await, [] as [String; 0]);
}

#[tokio::test]
async fn gc_removes_what_the_runtime_does_not_name_in_its_own_network() {
    let world = world(&["a", "b", "c"]);
    let agent = world.recovered().await;
    agent.add(call("a")).await.unwrap();
    agent.add(call("b")).await.unwrap();
    let mut other = call("c");
    other.network = "other".to_owned();
    agent.add(other).await.unwrap();
    assert_eq!(agent.gc("flock", &BTreeSet::from([id("a")])).await.unwrap(), [id("b")]);
    let left: Vec<_> = agent.records().into_iter().map(|record| record.id).collect();
    assert_eq!(left, [id("a"), id("c")]);
}

#[tokio::test]
async fn tombstones_are_carried_out_at_start() {
    let world = world(&["a", "b"]);
    let agent = world.recovered().await;
    agent.add(call("a")).await.unwrap();
    agent.add(call("b")).await.unwrap();
    drop(agent);
    let left = flock_rpc::AttachmentId { container_id: "a".to_owned(), ifname: "eth0".to_owned() };
    let dir = world.run_dir.path().join("tombstones");
    tombstone::leave(&dir, &left).unwrap();
    let agent = world.recovered().await;
    assert_eq!(agent.records().len(), 1);
    assert_eq!(agent.records()[0].id, id("b"));
    assert_eq!(tombstone::list(&dir).unwrap(), []);
}

#[tokio::test]
async fn a_damaged_or_lost_record_is_rebuilt_from_the_kernel() {
    let world = world(&["a", "b"]);
    let agent = world.recovered().await;
    let a = agent.add(call("a")).await.unwrap().record;
    let b = agent.add(call("b")).await.unwrap().record;
    drop(agent);
    let file = |name: &str| std::path::PathBuf::from(format!("/run/flock/attachments/{name}@eth0.json"));
    world.files.lock().unwrap().insert(file("a"), b"{\"version\": 1, \"id\"".to_vec());
    world.files.lock().unwrap().remove(&file("b"));

    let agent = world.recovered().await;
    for (former, name) in [(a, "a"), (b, "b")] {
        let rebuilt = agent.select(&format!("default/{name}")).unwrap();
        assert_eq!((rebuilt.addresses, &rebuilt.host_link), (former.addresses, &former.host_link));
        assert_eq!(rebuilt.netns, None);
        // CHECK tells where the namespace is.
        agent.check(check_call(&agent, name)).await.unwrap();
        assert_eq!(agent.select(name).unwrap().netns, Some(netns(name)));
    }
    assert_eq!(world.files_in("damaged"), ["a@eth0.json"]);
    assert_eq!(world.files_in("attachments"), ["a@eth0.json", "b@eth0.json"]);
    agent.del(&id("a")).await.unwrap();
    agent.del(&id("b")).await.unwrap();
    assert_eq!(links(&world).await, [] as [String; 0]);
}

#[tokio::test]
async fn a_sandbox_that_vanished_is_released_after_two_looks() {
    let world = world(&["a"]);
    let agent = world.recovered().await;
    agent.add(call("a")).await.unwrap();
    world.kernel.remove_namespace(&netns("a"));
    let (mut sweeper, apart) = (Sweeper::default(), Duration::from_secs(30));
    let suspects = agent.reconcile().await.unwrap().suspects;
    assert_eq!(suspects, BTreeSet::from([Suspect::Record(id("a"))]));
    assert_eq!(sweeper.observe(agent.now(), suspects.clone(), apart), []);
    world.wait(30);
    let orphans = sweeper.observe(agent.now(), suspects, apart);
    for orphan in &orphans {
        agent.remove_orphan(orphan).await.unwrap();
    }
    assert_eq!(orphans.len(), 1);
    assert!(agent.records().is_empty());
}

#[tokio::test]
async fn a_restart_changes_nothing_for_running_pods() {
    let world = world(&["a", "b"]);
    let agent = world.recovered().await;
    agent.add(call("a")).await.unwrap();
    agent.add(call("b")).await.unwrap();
    let (records, steps) = (agent.records(), world.kernel.steps());
    drop(agent);
    let agent = world.recovered().await;
    assert_eq!(agent.records(), records);
    assert_eq!(world.kernel.steps(), steps, "the kernel was changed");
}

#[tokio::test]
async fn pools_may_change_while_pods_live() {
    let world = world(&["a", "b"]);
    let agent = world.recovered().await;
    let old = agent.add(call("a")).await.unwrap().record;
    let plan = node_plan("2001:db8:b:2::/64", "198.51.100.0/28");
    world.told.0.send_modify(|desired| Arc::make_mut(desired).node = Some(Arc::new(plan)));
    agent.reconcile().await.unwrap();
    let new = agent.add(call("b")).await.unwrap().record;
    assert_eq!(new.addresses.v4, Some("198.51.100.2".parse().unwrap()));
    assert_eq!(agent.select("a").unwrap(), old);
    agent.check(check_call(&agent, "a")).await.unwrap();
    let blackholes: Vec<String> =
        world.kernel.host().await.unwrap().blackholes.iter().map(ToString::to_string).collect();
    assert_eq!(blackholes, ["198.51.100.0/28", "2001:db8:b:2::/64"]);
}

#[tokio::test]
async fn a_released_address_rests_over_a_restart() {
    let world = world(&["a", "b"]);
    let agent = world.recovered().await;
    let first = agent.add(call("a")).await.unwrap().record.addresses.v4;
    agent.del(&id("a")).await.unwrap();
    drop(agent);
    let agent = world.recovered().await;
    let second = agent.add(call("b")).await.unwrap().record.addresses.v4;
    assert_ne!(first, second);
    world.wait(31);
    assert_eq!(agent.add(call("a")).await.unwrap().record.addresses.v4, first);
}

#[tokio::test]
async fn people_select_by_any_of_its_names() {
    let world = world(&["abc", "abd"]);
    let agent = world.recovered().await;
    let record = agent.add(call("abc")).await.unwrap().record;
    agent.add(call("abd")).await.unwrap();
    for selector in ["abc", "abc@eth0", "default/abc", record.host_link.as_str()] {
        assert_eq!(agent.select(selector).unwrap(), record, "{selector}");
    }
    assert!(agent.select("ab").unwrap_err().to_string().contains("abc@eth0, abd@eth0"));
    assert!(agent.select("x").is_err() && agent.select("").is_err());
}
