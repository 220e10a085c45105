use super::*;

fn ip(address: &str, gateway: &str) -> IpConfig {
    IpConfig { address: address.into(), gateway: gateway.into(), interface: 1 }
}

fn route(dst: &str, gw: &str) -> RpcRoute {
    RpcRoute { dst: dst.into(), gw: gw.into() }
}

/// What the agent answers: the host end, the pod's end, and the families in order of preference.
fn added(families: &[char]) -> AddResponse {
    let host = RpcInterface {
        name: "flock0123abcd".into(),
        mac: "02:00:00:00:00:01".into(),
        mtu: 1500,
        sandbox: "".into(),
    };
    let pod = RpcInterface {
        name: "eth0".into(),
        mac: "02:00:00:00:00:02".into(),
        mtu: 1500,
        sandbox: "/run/netns/a".into(),
    };
    let mut answer = AddResponse { interfaces: vec![host, pod], ..AddResponse::default() };
    for family in families {
        let (address, gateway, dst) = match family {
            '6' => ("2001:db8:a:1::5/128", "fe80::1", "::/0"),
            _ => ("203.0.113.5/32", "169.254.1.1", "0.0.0.0/0"),
        };
        answer.ips.push(ip(address, gateway));
        answer.routes.push(route(dst, gateway));
    }
    answer
}

fn pretty(result: CniResult, version: Version) -> String {
    let text = result.into_json(version).unwrap();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    serde_json::to_string_pretty(&value).unwrap()
}

#[test]
fn every_version_has_its_shape() {
    let dns: Dns =
        serde_json::from_str(r#"{"nameservers": ["2001:db8::53"], "search": ["cluster.local"]}"#).unwrap();
    for version in Version::ALL {
        for (name, families) in [("v6_v4", ['6', '4'].as_slice()), ("v6", &['6']), ("v4", &['4'])] {
            let result = CniResult::chained(None, added(families), Some(dns.clone()));
            insta::assert_snapshot!(format!("{version}_{name}"), pretty(result, version));
        }
    }
}

/// What a plugin before us returned: more than flock knows to make.
const PREV: &str = r#"{"cniVersion": "1.1.0",
    "interfaces": [{"name": "cni0", "mtu": 9000, "socketPath": "/s", "pciID": "0000:00:01.0"}],
    "ips": [{"address": "198.51.100.9/24", "interface": 0}],
    "routes": [{"dst": "198.51.100.0/24", "mtu": 1400, "advmss": 1360, "priority": 10, "table": 100, "scope": 253}],
    "dns": {"domain": "example.org"}}"#;

#[test]
fn a_chained_result_goes_on_behind_the_previous_one() {
    let prev: CniResult = serde_json::from_str(PREV).unwrap();
    for version in [Version::V0_4_0, Version::V1_1_0] {
        let result = CniResult::chained(Some(prev.clone()), added(&['6']), Some(Dns::default()));
        insta::assert_snapshot!(format!("{version}_chained"), pretty(result, version));
    }
}

#[test]
fn our_results_are_read_as_they_were_written() {
    for version in Version::ALL {
        let text = CniResult::chained(None, added(&['6', '4']), None).into_json(version).unwrap();
        let read: CniResult = serde_json::from_str(&text).unwrap();
        assert_eq!(read.addresses_of("eth0"), ["2001:db8:a:1::5/128", "203.0.113.5/32"], "{version}");
        assert_eq!(read.interfaces_of("eth0").len(), 2, "{version}");
        assert_eq!(read.into_json(version).unwrap(), text);
    }
}

#[test]
fn the_configuration_s_dns_goes_before_the_previous_plugin_s() {
    let prev: CniResult = serde_json::from_str(PREV).unwrap();
    let dns = Dns { domain: Some("cluster.local".into()), ..Dns::default() };
    let result = CniResult::chained(Some(prev), added(&['6']), Some(dns.clone()));
    assert_eq!(result.dns, Some(dns));
}

#[test]
fn an_address_of_another_interface_is_not_ours() {
    let text = r#"{"interfaces": [{"name": "eth0"}, {"name": "eth0", "sandbox": "/run/netns/a"}],
        "ips": [{"address": "192.0.2.1/32", "interface": 0}, {"address": "192.0.2.2/32", "interface": 1}]}"#;
    let result: CniResult = serde_json::from_str(text).unwrap();
    assert_eq!(result.addresses_of("eth0"), ["192.0.2.2/32"]);
    assert_eq!(result.addresses_of("eth1"), [""; 0]);
}
