//! What the plugin refuses before it asks the agent, and what it answers by itself.

#![allow(clippy::unwrap_used, reason = "a test: panics are its errors")]

mod harness;

use std::process::Stdio;

use harness::{Answer, Node, command, complete, run};
use serde_json::json;

const VERBS: [&str; 5] = ["ADD", "DEL", "CHECK", "GC", "STATUS"];

#[test]
fn without_a_verb_it_explains_itself_to_people() {
    let finished = run(&[], b"");
    finished.assert_silent();
    assert!(
        finished.stderr.contains(concat!("flock CNI plugin v", env!("CARGO_PKG_VERSION"))),
        "{finished:?}"
    );
    assert!(finished.stderr.contains("0.3.1, 0.4.0, 1.0.0, 1.1.0"), "{finished:?}");
}

#[test]
fn it_says_its_own_version() {
    for arg in ["--version", "-V"] {
        let output = command(&[]).arg(arg).output().unwrap();
        assert!(output.status.success());
        assert_eq!(output.stdout, concat!("flock ", env!("CARGO_PKG_VERSION"), "\n").as_bytes());
    }
}

#[test]
fn version_answers_in_the_caller_s_version() {
    for (stdin, version) in [(r#"{"cniVersion":"0.4.0"}"#, "0.4.0"), ("", "1.1.0"), ("garbage", "1.1.0")] {
        let answer = run(&[("CNI_COMMAND", "VERSION")], stdin.as_bytes()).json();
        let supported = ["0.3.1", "0.4.0", "1.0.0", "1.1.0"];
        assert_eq!(answer, json!({"cniVersion": version, "supportedVersions": supported}));
    }
}

#[test]
fn version_answers_without_standard_input() {
    let output = command(&[("CNI_COMMAND", "VERSION")]).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn an_unknown_verb_is_code_4() {
    run(&complete("UPDATE"), b"{}")
        .assert_error(4, &["\"UPDATE\"", "ADD, DEL, CHECK, GC, STATUS or VERSION"]);
}

#[test]
fn all_missing_variables_are_named() {
    let node = Node::without_agent();
    let stdin = node.config("1.0.0", "");
    for (command, names) in [
        ("ADD", "CNI_CONTAINERID, CNI_NETNS, CNI_IFNAME must"),
        ("CHECK", "CNI_CONTAINERID, CNI_NETNS, CNI_IFNAME must"),
        ("DEL", "CNI_CONTAINERID, CNI_IFNAME must"),
    ] {
        run(&[("CNI_COMMAND", command)], stdin.as_bytes()).assert_error(4, &[names]);
    }
}

#[test]
fn a_container_id_or_interface_name_out_of_its_alphabet_is_code_4() {
    let node = Node::without_agent();
    for (name, value) in [("CNI_CONTAINERID", "../../etc"), ("CNI_IFNAME", "sixteen_bytes_xx")] {
        let mut vars = complete("DEL");
        vars.retain(|(key, _)| *key != name);
        vars.push((name, value));
        run(&vars, node.config("1.0.0", "").as_bytes()).assert_error(4, &[name, value]);
    }
    assert!(node.tombstones().is_empty());
}

#[test]
fn add_says_how_to_name_the_pod() {
    let node = Node::without_agent();
    let mut vars = complete("ADD");
    vars.pop();
    let finished = run(&vars, node.config("1.0.0", "").as_bytes());
    finished.assert_error(4, &["K8S_POD_NAMESPACE and K8S_POD_NAME", "Kubernetes", "CNI_ARGS='"]);
    vars.push(("CNI_ARGS", "K8S_POD_NAMESPACE=a;K8S_POD_NAME"));
    run(&vars, node.config("1.0.0", "").as_bytes()).assert_error(4, &["\"K8S_POD_NAME\""]);
}

#[test]
fn garbage_on_standard_input_is_code_6_with_its_position() {
    for verb in VERBS {
        let finished = run(&complete(verb), b"{\n  \"cniVersion\" = 1");
        finished.assert_error(6, &["line 2 column 16"]);
        assert!(finished.stdout.contains(r#""cniVersion":"1.1.0""#), "{finished:?}");
        run(&complete(verb), b"").assert_error(6, &["line 1 column 0"]);
    }
}

#[test]
fn ten_megabytes_on_standard_input_are_not_read() {
    let stdin = vec![b' '; 10_000_000];
    for verb in VERBS {
        run(&complete(verb), &stdin).assert_error(6, &["1 MiB"]);
    }
}

#[test]
fn errors_speak_the_caller_s_version() {
    let finished = run(&complete("ADD"), br#"{"cniVersion":"0.4.0"}"#);
    finished.assert_error(7, &["name"]);
    assert!(finished.stdout.contains(r#""cniVersion":"0.4.0""#), "{finished:?}");
}

#[test]
fn an_unsupported_version_is_code_1_with_the_supported_ones() {
    for version in ["0.2.0", "2.0.0"] {
        let stdin = format!(r#"{{"cniVersion":"{version}","name":"net"}}"#);
        run(&complete("ADD"), stdin.as_bytes()).assert_error(1, &[version, "0.3.1, 0.4.0, 1.0.0, 1.1.0"]);
    }
    run(&complete("ADD"), br#"{"name":"net"}"#).assert_error(1, &["0.1.0"]);
}

#[test]
fn verbs_that_a_version_lacks_are_code_1() {
    let node = Node::with_agent(Answer::Success);
    for (verb, version) in [("CHECK", "0.3.1"), ("GC", "1.0.0"), ("STATUS", "1.0.0")] {
        node.run(verb, version, r#","prevResult":{}"#).assert_error(1, &[verb, version]);
    }
    assert!(node.requests().is_empty());
}

#[test]
fn a_relative_socket_is_code_7() {
    let stdin = br#"{"cniVersion":"1.0.0","name":"net","socket":"agent.sock"}"#;
    run(&complete("DEL"), stdin).assert_error(7, &["agent.sock", "/run/flock/agent.sock"]);
}

#[test]
fn check_without_prev_result_is_code_7() {
    Node::without_agent().run("CHECK", "1.0.0", "").assert_error(7, &["prevResult"]);
}

#[test]
fn gc_without_a_list_is_code_7_and_removes_nothing() {
    let node = Node::with_agent(Answer::Success);
    node.run("GC", "1.1.0", "").assert_error(7, &["cni.dev/valid-attachments", "nothing was removed"]);
    assert!(node.requests().is_empty());
}

#[test]
fn a_closed_standard_output_is_a_failure_and_no_panic() {
    let node = Node::with_agent(Answer::Success);
    for (verb, more) in [("ADD", ""), ("CHECK", "")] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut child = command(&complete(verb)).stdout(writer).spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), node.config("1.0.0", more).as_bytes())
            .unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.contains("standard output") && !stderr.contains("panic"), "{stderr}");
    }
}
