//! What is refused, where and in which words.

use super::*;

/// `spec.bgp` begins in this line.
const FIRST_LINE: usize = 6;

#[track_caller]
fn refused(bgp: &str, path: &str, words: &str) {
    let refusal = read(&document(bgp)).expect_err(bgp).reason;
    let reason = refusal.strip_prefix("NodeConfig node-a: ").unwrap_or(&refusal);
    assert!(reason.starts_with(&format!("{path}: ")), "{bgp}\n{path}: {refusal}");
    assert!(reason.contains(words), "{bgp}\n{words}: {refusal}");
    assert!(refusal.len() < 1000 && !refusal.contains(char::is_control), "{refusal:?}");
}

#[track_caller]
fn all_refused(cases: &[(String, &str, &str)]) {
    for (bgp, path, words) in cases {
        refused(bgp, path, words);
    }
}

#[test]
fn numbers_out_of_range_are_refused_with_the_range() {
    let asn = "1 to 4294967295";
    all_refused(&[
        ("asn: 0".into(), "spec.bgp.asn", asn),
        ("asn: -1".into(), "spec.bgp.asn", asn),
        ("asn: 4294967296".into(), "spec.bgp.asn", asn),
        ("asn: 1\nlistenPort: 0".into(), "spec.bgp.listenPort", "0 is out of range: 1 to 65535"),
        ("asn: 1\nlistenPort: 65536".into(), "spec.bgp.listenPort", "1 to 65535"),
        (with_peer("192.0.2.1", 0, ""), "spec.bgp.peers[0].asn", asn),
        (external("port: 65536"), "spec.bgp.peers[0].port", "1 to 65535"),
        (external("multihop: 1"), "spec.bgp.peers[0].multihop", "1 is out of range: 2 to 255"),
        (external("multihop: 256"), "spec.bgp.peers[0].multihop", "2 to 255"),
        (external("bfd: {multiplier: 1}"), "spec.bgp.peers[0].bfd.multiplier", "2 to 255"),
        (external("bfd: {minRx: 9ms}"), "spec.bgp.peers[0].bfd.minRx", "9ms is out of range: 10ms to 60s"),
        (external("bfd: {minTx: 60001ms}"), "spec.bgp.peers[0].bfd.minTx", "10ms to 60s"),
        (external("gracefulRestart: {time: 0s}"), "spec.bgp.peers[0].gracefulRestart.time", "1s to 4095s"),
        (external("gracefulRestart: {time: 4096s}"), "spec.bgp.peers[0].gracefulRestart.time", "1s to 4095s"),
        (
            external("gracefulRestart: {time: 1500ms}"),
            "spec.bgp.peers[0].gracefulRestart.time",
            "whole seconds",
        ),
        (external("med: -1"), "spec.bgp.peers[0].med", "0 to 4294967295"),
        (internal("localPref: 4294967296"), "spec.bgp.peers[0].localPref", "0 to 4294967295"),
        (external("prepend: 17"), "spec.bgp.peers[0].prepend", "0 to 16"),
        (external("importLimit: 0"), "spec.bgp.peers[0].importLimit", asn),
        (external("exportLimit: 0"), "spec.bgp.peers[0].exportLimit", asn),
        (external("holdTime: 2s"), "spec.bgp.peers[0].holdTime", "3 to 65535 whole seconds"),
        (external("connectRetryTime: 2h"), "spec.bgp.peers[0].connectRetryTime", "1 to 3600 whole seconds"),
    ]);
}

#[test]
fn what_has_the_wrong_form_is_refused_with_what_is_accepted() {
    all_refused(&[
        ("asn: router".into(), "spec.bgp.asn", "\"router\" is not a whole number"),
        ("asn: [1]".into(), "spec.bgp.asn", "a whole number"),
        ("asn: 1\nrouterID: 0.0.0.0".into(), "spec.bgp.routerID", "but not 0.0.0.0"),
        ("asn: 1\nrouterID: node-a".into(), "spec.bgp.routerID", "write one as an IPv4 address"),
        ("asn: 1\naggregation: All".into(), "spec.bgp.aggregation", "NodePrefix, Pods, Both"),
        ("asn: 1\nanycastWeight: med".into(), "spec.bgp.anycastWeight", "LinkBandwidth, MED, None"),
        ("asn: 1\npeer: []".into(), "spec.bgp.peer", "unknown field `peer`, expected one of asn"),
        ("asn: 1\npeers: {}".into(), "spec.bgp.peers", "must be a list"),
        ("asn: 1\npeers: [{address: 192.0.2.1}]".into(), "spec.bgp.peers[0]", "missing field `asn`"),
        ("asn: 1\npeers: [{asn: 2, address: tor-1}]".into(), "spec.bgp.peers[0].address", "write 192.0.2.1"),
        (
            "asn: 1\npeers: [{asn: 2, address: \"fe80::1\"}]".into(),
            "spec.bgp.peers[0].address",
            "fe80::1%eth0",
        ),
        (external("holdtime: 3s"), "spec.bgp.peers[0].holdtime", "unknown field"),
        (external("holdTime: \"30\""), "spec.bgp.peers[0].holdTime", "write numbers with units"),
        (external("holdTime: 30"), "spec.bgp.peers[0].holdTime", "expected a string"),
        ("asn: \"65001\"".into(), "spec.bgp.asn", "\"65001\" is not a whole number"),
        (external("passive: \"true\""), "spec.bgp.peers[0].passive", "\"true\" is not true or false"),
        (external("multihop: far"), "spec.bgp.peers[0].multihop", "\"far\" is not a whole number"),
        (external("passive: sometimes"), "spec.bgp.peers[0].passive", "is not true or false"),
        (external("ttlSecurity: {}"), "spec.bgp.peers[0].ttlSecurity", "true or false"),
        (external("bfd: true"), "spec.bgp.peers[0].bfd", "must be a mapping"),
        (external("bfd: {minrx: 1s}"), "spec.bgp.peers[0].bfd.minrx", "minRx, minTx, multiplier"),
        (
            external("gracefulRestart: {enabled: 2}"),
            "spec.bgp.peers[0].gracefulRestart.enabled",
            "true or false",
        ),
        (external("families: [IPv5]"), "spec.bgp.peers[0].families[0]", "expected one of IPv6, IPv4"),
        (external("families: IPv6"), "spec.bgp.peers[0].families", "must be a list"),
        (external("communities: {standard: [a]}"), "spec.bgp.peers[0].communities.standard[0]", "65001:100"),
        (
            external("communities: {large: [\"1:2:3\", \"1:2\"]}"),
            "spec.bgp.peers[0].communities.large[1]",
            "65001:1:2",
        ),
        (
            external("communities: {extended: [\"1:2\"]}"),
            "spec.bgp.peers[0].communities.extended[0]",
            "rt:65001:100",
        ),
        (
            external("sourceAddress: eth0"),
            "spec.bgp.peers[0].sourceAddress",
            "write 192.0.2.2 or 2001:db8::2",
        ),
        (external("passwordFile: tor.password"), "spec.bgp.peers[0].passwordFile", "not an absolute path"),
        (external("passwordFile: \"/a\\nb\""), "spec.bgp.peers[0].passwordFile", "control characters"),
        (
            external(&format!("passwordFile: /{}", "x".repeat(4096))),
            "spec.bgp.peers[0].passwordFile",
            "longer than 4096 bytes",
        ),
        (
            "asn: 1\nimport: {prefixes: [{cidr: default}]}".into(),
            "spec.bgp.import.prefixes[0].cidr",
            "10.0.0.0/8",
        ),
        ("asn: 1\nimport: {prefixes: [\"::/0\"]}".into(), "spec.bgp.import.prefixes[0]", "must be a mapping"),
    ]);
}

#[test]
fn what_contradicts_itself_is_refused_at_the_field_to_change() {
    let at = "spec.bgp.peers[0].";
    let source = |text: &str| external(&format!("sourceAddress: \"{text}\""));
    let cases = [
        (external("keepaliveTime: 31s"), "keepaliveTime", "longer than the hold time"),
        (external("localPref: 200"), "localPref", "another autonomous system never sees it"),
        (internal("prepend: 2"), "prepend", "for a loop"),
        (link_local("multihop: 2"), "multihop", "link-local"),
        (link_local("sourceAddress: fe80::2"), "sourceAddress", "leave it out"),
        (source("192.0.2.2"), "sourceAddress", "is not IPv6"),
        (source("2001:db8::1"), "sourceAddress", "the peer's own address"),
        (source("fe80::2"), "sourceAddress", "is link-local"),
        (source("ff02::1"), "sourceAddress", "a multicast address"),
        (source("::"), "sourceAddress", "the unspecified address"),
        (source("::1"), "sourceAddress", "a loopback address"),
        (external("families: []"), "families", "has no routes"),
        (external("families: [IPv6, IPv4, IPv6]"), "families[2]", "IPv6 is there twice"),
        (
            external("communities: {standard: [\"65535:65281\", no-export]}"),
            "communities.standard[1]",
            "the same as spec.bgp.peers[0].communities.standard[0]",
        ),
    ];
    for (bgp, field, words) in cases {
        refused(&bgp, &format!("{at}{field}"), words);
    }
}

#[test]
fn what_is_there_twice_is_refused_with_the_first_one_named() {
    refused("asn: 1\nlistenPort: 1\nasn: 2", "spec.bgp.asn", "is there twice");
    refused(&external("asn: 3"), "spec.bgp.peers[0].asn", "is there twice");
    let twice = "asn: 1\npeers: [{address: \"2001:db8::1\", asn: 2}, {address: \"2001:DB8:0::1\", asn: 3, port: 179}]";
    refused(twice, "spec.bgp.peers[1].address", "port 179 is spec.bgp.peers[0] already");
    let twice =
        "asn: 1\nimport: {prefixes: [{cidr: \"::/0\"}, {cidr: \"10.0.0.0/8\", le: 8}, {cidr: 10.1.0.0/8}]}";
    refused(twice, "spec.bgp.import.prefixes[2]", "the same as spec.bgp.import.prefixes[1]");
}

#[test]
fn lengths_that_no_prefix_has_are_refused() {
    let import = |entry: &str| format!("asn: 1\nimport: {{prefixes: [{entry}]}}");
    let entry = "spec.bgp.import.prefixes[0]";
    refused(&import("{cidr: 10.0.0.0/8, ge: 7}"), entry, "8 <= ge <= le <= 32");
    refused(&import("{cidr: 10.0.0.0/8, ge: 24, le: 16}"), entry, "lengths 24 to 16");
    refused(&import("{cidr: 10.0.0.0/8, le: 33}"), &format!("{entry}.le"), "0 to 32");
    refused(&import("{cidr: \"::/0\", ge: 129}"), &format!("{entry}.ge"), "0 to 128");
}

#[test]
fn too_many_of_anything_are_refused() {
    let numbered = |most: usize, entry: &dyn Fn(usize) -> String| {
        (0..most).map(entry).collect::<Vec<String>>().join(", ")
    };
    let peers = |most| {
        format!("asn: 1\npeers: [{}]", numbered(most, &|n| format!("{{address: 192.0.2.{n}, asn: 2}}")))
    };
    let prefixes = |most| {
        let cidrs = numbered(most, &|n| format!("{{cidr: 10.{}.{}.0/24}}", n / 256, n % 256));
        format!("asn: 1\nimport: {{prefixes: [{cidrs}]}}")
    };
    let communities = |most| {
        external(&format!("communities: {{standard: [{}]}}", numbered(most, &|n| format!("\"1:{n}\""))))
    };
    assert_eq!(plan(&peers(64)).peers.len(), 64);
    assert_eq!(plan(&prefixes(1000)).import.len(), 1000);
    assert_eq!(plan(&communities(32)).peers[0].attributes.communities.len(), 32);
    refused(&peers(65), "spec.bgp.peers", "65 are too many: at most 64");
    refused(&prefixes(1001), "spec.bgp.import.prefixes", "at most 1000");
    refused(&communities(33), "spec.bgp.peers[0].communities.standard", "at most 32");
}

#[test]
fn a_refusal_names_the_line_of_the_field() {
    let cases = [
        ("asn: 1\npeers:\n- address: 192.0.2.1\n  asn: 2\n- address: 192.0.2.2\n  asn: 0\n", 5),
        ("asn: 1\npeers:\n- address: 192.0.2.1\n  asn: 2\n- address: 192.0.2.2\n  asn: x\n", 5),
        ("asn: 1\npeers:\n- address: 192.0.2.1\n  asn: 2\n  families: [IPv4,\n    IPv4]\n", 5),
        ("asn: 1\npeers:\n- address: 192.0.2.1\n  asn: 2\n  keepaliveTime: 1m\n", 4),
        ("asn: 1\npeers:\n- address: 192.0.2.1\n  asn: 2\n  typo: 1\n", 4),
    ];
    for (bgp, line) in cases {
        assert_eq!(read(&document(bgp)).unwrap_err().line, FIRST_LINE + line, "{bgp}");
    }
}

#[test]
fn the_nodes_autonomous_system_may_be_said_elsewhere_but_somewhere() {
    let Some(Object::NodeConfig(config)) = read(&document("peers: []")).unwrap().object else { panic!() };
    let error = config.alone().unwrap_err();
    assert!(error.starts_with("spec.bgp.asn: missing: write the node's autonomous system"), "{error}");
}
