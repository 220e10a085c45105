use proptest::prelude::*;

use super::*;

fn error_of(stdin: &str) -> CniError {
    network(stdin.as_bytes()).unwrap_err().into()
}

#[test]
fn a_network_needs_version_and_name_only() {
    let network = network(br#"{"cniVersion": "1.0.0", "name": "flock", "type": "flock", "x": [1]}"#).unwrap();
    assert_eq!((network.version, network.name.as_str()), (Version::V1_0_0, "flock"));
    assert_eq!(network.socket.to_str(), Some("/run/flock/agent.sock"));
}

#[test]
fn garbage_is_code_6_with_its_position() {
    let error = error_of("{\"cniVersion\": \"1.0.0\",\n oops");
    assert_eq!(error.code, 6);
    assert!(error.msg.contains("line 2 column 2"), "{error:?}");
    assert_eq!(error_of("").code, 6);
    assert_eq!(error_of(r#"{"cniVersion": "1.0.0", "name": 5}"#).code, 6);
}

#[test]
fn a_version_that_flock_does_not_speak_is_code_1() {
    for stdin in ["{}", r#"{"cniVersion": "", "name": "a"}"#, r#"{"cniVersion": null}"#] {
        let error = error_of(stdin);
        assert_eq!(error.code, 1);
        assert!(error.msg.contains("\"0.1.0\""), "{error:?}");
        assert!(error.msg.contains("0.3.1, 0.4.0, 1.0.0, 1.1.0"), "{error:?}");
    }
    assert_eq!(error_of(r#"{"cniVersion": "2.0.0", "name": "a"}"#).code, 1);
}

#[test]
fn a_name_outside_the_alphabet_is_code_7() {
    for name in [r#""""#, "null", r#""../x""#, r#""-a""#, r#""a b""#] {
        let error = error_of(&format!(r#"{{"cniVersion": "1.0.0", "name": {name}}}"#));
        assert_eq!(error.code, 7, "{name}");
    }
}

#[test]
fn a_socket_is_an_absolute_path() {
    for socket in ["", "agent.sock", "/", "/run/flock/"] {
        let error = error_of(&format!(r#"{{"cniVersion": "1.0.0", "name": "a", "socket": "{socket}"}}"#));
        assert_eq!(error.code, 7, "{socket}");
    }
}

#[test]
fn at_most_one_mebibyte_is_read() {
    assert_eq!(read(io::repeat(b' ').take(LIMIT)).unwrap().len() as u64, LIMIT);
    let error = read(io::repeat(b' ')).unwrap_err();
    assert_eq!(error.code, 6);
    assert!(error.msg.contains("1 MiB"), "{error:?}");
}

#[test]
fn null_is_absent() {
    let config = add(br#"{"dns": null, "prevResult": null}"#).unwrap();
    assert!(config.dns.is_none() && config.prev_result.is_none());
    assert!(matches!(check(br#"{"prevResult": null}"#), Err(ConfigError::NoPrevResult)));
    assert!(matches!(gc(br#"{"cni.dev/valid-attachments": null}"#), Err(ConfigError::NoAttachments)));
}

#[test]
fn gc_takes_both_spellings_and_keeps_what_either_names() {
    let id = |container_id: &str| AttachmentId { container_id: container_id.into(), ifname: "eth0".into() };
    let list = |name: &str| format!(r#"[{{"containerID": "{name}", "ifname": "eth0"}}]"#);
    let (a, b) = (list("a"), list("b"));
    let spec = format!(r#"{{"cni.dev/valid-attachments": {a}}}"#);
    assert_eq!(gc(spec.as_bytes()).unwrap(), [id("a")]);
    let legacy = format!(r#"{{"cni.dev/attachments": {b}}}"#);
    assert_eq!(gc(legacy.as_bytes()).unwrap(), [id("b")]);
    let both = format!(r#"{{"cni.dev/valid-attachments": {a}, "cni.dev/attachments": {b}}}"#);
    assert_eq!(gc(both.as_bytes()).unwrap(), [id("a"), id("b")]);
    assert_eq!(gc(br#"{"cni.dev/valid-attachments": []}"#).unwrap(), []);
}

#[test]
fn gc_refuses_a_list_that_it_does_not_understand() {
    let bad = br#"{"cni.dev/valid-attachments": [{"containerID": "../a", "ifname": "eth0"}]}"#;
    assert_eq!(CniError::from(gc(bad).unwrap_err()).code, 7);
    let other = br#"{"cni.dev/valid-attachments": [{"containerID": "a"}]}"#;
    assert_eq!(CniError::from(gc(other).unwrap_err()).code, 6);
}

#[test]
fn a_prev_result_of_an_old_shape_is_refused() {
    let old = br#"{"prevResult": {"cniVersion": "0.2.0", "ip4": {"ip": "192.0.2.1/24"}}}"#;
    assert!(matches!(check(old), Err(ConfigError::PrevVersion(version)) if version == "0.2.0"));
    assert!(matches!(add(old), Err(ConfigError::PrevVersion(_))));
}

/// JSON that is nearly a configuration.
fn nearly() -> impl Strategy<Value = String> {
    let scalar = prop_oneof![
        Just("null".to_owned()),
        Just("\"1.1.0\"".to_owned()),
        Just("\"eth0\"".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        Just("{".to_owned()),
    ];
    let key = prop_oneof![
        Just("cniVersion"),
        Just("name"),
        Just("socket"),
        Just("dns"),
        Just("prevResult"),
        Just("interfaces"),
        Just("ips"),
        Just("routes"),
        Just("interface"),
        Just("address"),
        Just("sandbox"),
        Just("mtu"),
        Just("cni.dev/valid-attachments"),
        Just("containerID"),
        Just("ifname"),
    ];
    scalar.prop_recursive(4, 40, 5, move |inner| {
        let list =
            proptest::collection::vec(inner.clone(), 0..5).prop_map(|items| format!("[{}]", items.join(",")));
        let object = proptest::collection::vec((key.clone(), inner), 0..5).prop_map(|pairs| {
            let pairs: Vec<_> = pairs.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
            format!("{{{}}}", pairs.join(","))
        });
        prop_oneof![list, object]
    })
}

proptest! {
    #[test]
    fn no_configuration_panics(stdin in prop_oneof![nearly(), "\\PC*"]) {
        let stdin = stdin.as_bytes();
        let _ = (cni_version(stdin), network(stdin), gc(stdin));
        if let Ok(prev) = check(stdin) {
            let _ = (prev.addresses_of("eth0"), prev.interfaces_of("eth0"));
        }
        if let Ok(AddConfig { dns, prev_result }) = add(stdin) {
            let ours = flock_rpc::v1alpha1::AddResponse::default();
            for version in Version::ALL {
                let _ = CniResult::chained(prev_result.clone(), ours.clone(), dns.clone()).into_json(version);
            }
        }
    }
}
