//! What each verb makes of the agent's answers, and of an agent that is away.

#![allow(clippy::unwrap_used, reason = "a test: panics are its errors")]

mod harness;

use std::os::unix::net::UnixListener;
use std::time::Duration;

use flock_rpc::CniCode;
use harness::{Answer, Node, complete, run};

/// A complete configuration for any verb.
const ALL: &str = r#","cni.dev/valid-attachments":[{"containerID":"0f3c","ifname":"eth0"}],"prevResult":{
    "interfaces":[{"name":"flock0123abcd"},{"name":"eth0","sandbox":"/run/netns/a"},{"name":"cni0"}],
    "ips":[{"address":"2001:db8::5/128","interface":1},{"address":"192.0.2.1/24","interface":2}]}"#;
const VERBS: [&str; 5] = ["ADD", "DEL", "CHECK", "GC", "STATUS"];

#[test]
fn add_prints_the_agent_s_answer() {
    let node = Node::with_agent(Answer::Success);
    let finished = node.run("ADD", "1.1.0", r#","dns":{"nameservers":["2001:db8::53"]}"#);
    insta::assert_json_snapshot!(finished.json());
    insta::assert_debug_snapshot!(node.requests());
}

#[test]
fn an_add_that_has_to_come_after_the_loopback_plugin_is_asked_for_again() {
    let node = Node::with_agent(Answer::LoopbackPending);
    let result = node.run("ADD", "1.1.0", "").json();
    assert_eq!(result["ips"][0]["address"], "2001:db8::5/128", "the second answer counts: {result}");
    let requests = node.requests();
    let of = |loopback: &str| format!("loopback: {loopback}");
    assert_eq!(requests.len(), 2, "{requests:?}");
    assert!(requests[0].contains(&of("Unsettled")) && requests[1].contains(&of("Settled")), "{requests:?}");
}

#[test]
fn the_other_verbs_succeed_without_a_word() {
    let node = Node::with_agent(Answer::Success);
    for verb in ["DEL", "CHECK", "GC", "STATUS"] {
        node.run(verb, "1.1.0", ALL).assert_silent();
    }
    insta::assert_debug_snapshot!(node.requests());
}

#[test]
fn the_agent_s_errors_go_through_unchanged() {
    let error =
        CniCode::InvalidPod.error("default/web-0 may not claim 2001:db8:53::1").with_details("pool: dns");
    let node = Node::with_agent(Answer::Error(error.clone()));
    for verb in VERBS {
        assert_eq!(node.run(verb, "1.1.0", ALL).error(), error, "{verb}");
    }
    assert!(node.tombstones().is_empty());
}

#[test]
fn status_says_50_when_the_agent_does() {
    let node = Node::with_agent(Answer::Error(CniCode::Unavailable.error("no NodeConfig for this node")));
    node.run("STATUS", "1.1.0", "").assert_error(50, &["no NodeConfig"]);
}

#[test]
fn an_older_agent_is_named_as_the_cause() {
    let node = Node::with_agent(Answer::Status(tonic::Code::Unimplemented));
    node.run("GC", "1.1.0", ALL).assert_error(100, &["the agent is older than the plugin: upgrade it"]);
}

#[test]
fn a_del_that_the_agent_refuses_leaves_no_tombstone() {
    let node = Node::with_agent(Answer::Status(tonic::Code::DeadlineExceeded));
    node.run("DEL", "1.0.0", "").assert_error(11, &["in time"]);
    assert!(node.tombstones().is_empty());
}

#[test]
fn del_leaves_a_tombstone_when_the_agent_is_away() {
    let node = Node::without_agent();
    node.run("DEL", "0.3.1", "").assert_silent();
    node.run("DEL", "0.3.1", "").assert_silent();
    assert_eq!(node.tombstones(), ["0f3c@eth0"]);
}

#[test]
fn del_leaves_a_tombstone_when_nobody_listens() {
    let node = Node::without_agent();
    drop(UnixListener::bind(node.socket()).unwrap());
    let vars = [("CNI_COMMAND", "DEL"), ("CNI_CONTAINERID", "0f3c"), ("CNI_IFNAME", "net1")];
    run(&vars, node.config("1.0.0", r#","prevResult":"garbage""#).as_bytes()).assert_silent();
    assert_eq!(node.tombstones(), ["0f3c@net1"]);
}

#[test]
fn del_leaves_a_tombstone_when_the_agent_dies_in_the_call() {
    let node = Node::with_agent(Answer::Die);
    node.run("DEL", "1.0.0", "").assert_silent();
    assert_eq!(node.tombstones(), ["0f3c@eth0"]);
    assert_eq!(node.requests().len(), 1);
}

#[test]
fn del_leaves_a_tombstone_when_the_agent_hangs_up() {
    let node = Node::without_agent();
    let listener = UnixListener::bind(node.socket()).unwrap();
    std::thread::spawn(move || listener.accept().map(drop));
    node.run("DEL", "1.0.0", "").assert_silent();
    assert_eq!(node.tombstones(), ["0f3c@eth0"]);
}

#[test]
fn a_tombstone_that_cannot_be_left_is_code_5_with_both_causes() {
    let node = Node::without_agent();
    std::fs::write(node.dir.path().join("tombstones"), "").unwrap();
    let socket = node.socket();
    node.run("DEL", "1.0.0", "").assert_error(5, &[socket.to_str().unwrap(), "tombstones: "]);
}

#[test]
fn the_other_verbs_fail_when_the_agent_dies_in_the_call() {
    for (verb, code) in [("ADD", 11), ("CHECK", 11), ("GC", 11), ("STATUS", 50)] {
        let node = Node::with_agent(Answer::Die);
        node.run(verb, "1.1.0", ALL).assert_error(code, &["broke", node.socket().to_str().unwrap()]);
    }
}

#[test]
fn check_gc_and_status_do_not_wait_for_an_agent() {
    for (verb, code) in [("CHECK", 11), ("GC", 11), ("STATUS", 50)] {
        let node = Node::without_agent();
        let socket = node.socket();
        node.run(verb, "1.1.0", ALL).assert_error(code, &[socket.to_str().unwrap(), "flock-agent DaemonSet"]);
    }
}

#[test]
fn add_waits_for_an_agent_that_restarts() {
    let node = Node::without_agent();
    std::thread::scope(|scope| {
        let adding = scope.spawn(|| node.run("ADD", "1.0.0", ""));
        std::thread::sleep(Duration::from_millis(300));
        node.start_agent(Answer::Success);
        assert_eq!(adding.join().unwrap().json()["ips"][0]["address"], "2001:db8::5/128");
    });
}

#[test]
fn add_gives_up_on_an_agent_that_stays_away() {
    let node = Node::without_agent();
    let socket = node.socket();
    node.run("ADD", "1.0.0", "").assert_error(11, &[socket.to_str().unwrap(), "flock-agent DaemonSet"]);
    assert!(node.tombstones().is_empty());
}

#[test]
fn add_goes_on_behind_the_previous_plugin() {
    let node = Node::with_agent(Answer::Success);
    let result = node.run("ADD", "1.0.0", ALL).json();
    assert_eq!(result["interfaces"].as_array().unwrap().len(), 5);
    assert_eq!(result["ips"][2]["interface"], 4);
}

#[test]
fn a_long_error_of_the_agent_arrives() {
    let error = CniCode::Drift.error("ü".repeat(5000)).with_details("x".repeat(100_000));
    let node = Node::with_agent(Answer::Error(error));
    node.run("CHECK", "1.0.0", ALL).assert_error(101, &["…"]);
    let vars = complete("DEL");
    run(&vars, node.config("1.0.0", "").as_bytes()).assert_error(101, &[]);
    assert!(node.tombstones().is_empty());
}
