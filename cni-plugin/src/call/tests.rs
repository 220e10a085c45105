use super::*;

fn vars(command: &str) -> Vars {
    Vars {
        command: command.into(),
        container_id: "0f3c".into(),
        netns: "/run/netns/a".into(),
        ifname: "eth0".into(),
        args: "K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-0".into(),
    }
}

fn stdin(version: &str, more: &str) -> Vec<u8> {
    format!(r#"{{"cniVersion": "{version}", "name": "flock", "type": "flock"{more}}}"#).into_bytes()
}

fn request(command: &str, stdin: &[u8]) -> Request {
    match parse(&vars(command), stdin).unwrap() {
        Call::Agent { request, .. } => request,
        Call::Version(_) => panic!("no call of the agent"),
    }
}

fn code(command: &str, stdin: &[u8]) -> u32 {
    parse(&vars(command), stdin).unwrap_err().code
}

#[test]
fn a_verb_is_written_in_capitals() {
    let error = parse(&vars("add"), b"").unwrap_err();
    assert_eq!(error.code, 4);
    assert!(error.msg.contains("\"add\"") && error.msg.contains("STATUS"), "{error:?}");
}

#[test]
fn add_carries_pod_and_namespace() {
    let Request::Add(add) = request("ADD", &stdin("0.3.1", "")) else { panic!("ADD") };
    let Add { request, version, .. } = *add;
    assert_eq!((request.netns.as_str(), version), ("/run/netns/a", Version::V0_3_1));
    assert_eq!(request.pod.unwrap().name, "web-0");
    assert_eq!(request.attachment.unwrap().container_id, "0f3c");
}

#[test]
fn del_needs_neither_namespace_nor_pod_nor_prev_result() {
    let vars = Vars { netns: "".into(), args: "garbage".into(), ..vars("DEL") };
    for more in ["", r#", "prevResult": 7, "dns": 7, "cni.dev/valid-attachments": 7"#] {
        assert!(parse(&vars, &stdin("1.0.0", more)).is_ok(), "{more}");
    }
}

#[test]
fn check_begins_with_0_4_0_gc_and_status_with_1_1_0() {
    let prev = r#", "prevResult": {}, "cni.dev/valid-attachments": []"#;
    for (command, last_without, first) in
        [("CHECK", "0.3.1", "0.4.0"), ("GC", "1.0.0", "1.1.0"), ("STATUS", "1.0.0", "1.1.0")]
    {
        assert_eq!(code(command, &stdin(last_without, prev)), 1, "{command}");
        assert!(parse(&vars(command), &stdin(first, prev)).is_ok(), "{command}");
    }
}

#[test]
fn check_needs_prev_result() {
    assert_eq!(code("CHECK", &stdin("1.0.0", "")), 7);
}

#[test]
fn check_sends_what_prev_result_says_of_the_interface() {
    let prev = r#", "prevResult": {"cniVersion": "1.1.0",
        "interfaces": [
            {"name": "cni0"},
            {"name": "flock0123abcd", "mac": "02:00:00:00:00:01", "mtu": 1500},
            {"name": "eth0", "mac": "02:00:00:00:00:02", "sandbox": "/run/netns/a"},
            {"name": "eth1", "sandbox": "/run/netns/a"}],
        "ips": [
            {"address": "2001:db8::5/128", "interface": 2},
            {"address": "198.51.100.9/24", "interface": 3},
            {"address": "203.0.113.5/32"},
            {"address": "198.51.100.10/24", "interface": 99},
            {"address": "198.51.100.11/24", "interface": -1}]}"#;
    let Request::Check(request) = request("CHECK", &stdin("1.1.0", prev)) else { panic!("CHECK") };
    assert_eq!(request.addresses, ["2001:db8::5/128", "203.0.113.5/32"]);
    let names: Vec<_> = request.interfaces.iter().map(|interface| interface.name.as_str()).collect();
    assert_eq!(names, ["flock0123abcd", "eth0"]);
    assert_eq!(request.interfaces[0].mtu, 1500);
}

#[test]
fn gc_without_a_list_is_refused() {
    assert_eq!(code("GC", &stdin("1.1.0", "")), 7);
}

#[test]
fn version_answers_whatever_it_is_given() {
    for stdin in ["", "garbage", "{}", r#"{"cniVersion": "9.9.9"}"#] {
        assert!(matches!(parse(&vars("VERSION"), stdin.as_bytes()), Ok(Call::Version(_))), "{stdin}");
    }
}
