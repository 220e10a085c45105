mod hostile;
mod refusals;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use flock_core::bgp::community::{Community, ExtendedCommunity, LargeCommunity};
use flock_core::bgp::plan::{
    AnycastWeight, Attributes, Bfd, BfdInterval, Families, GracefulRestart, PasswordSource, PeerAddress,
    Prepend, Reach, RestartTime, Timers,
};
use flock_core::prefix::Family;

use super::*;
use crate::source::document::{Object, Reading, Refusal, split};

const HEAD: &str =
    "apiVersion: flock.fritzlab.net/v1alpha1\nkind: NodeConfig\nmetadata: {name: node-a}\nspec:\n  bgp:\n";

const FULL: &str = r#"
asn: 65001
routerID: 192.0.2.1
listenPort: 1179
peers:
- address: "2001:db8:a::1"
  asn: 65000
  port: 2179
  sourceAddress: "2001:db8:a::2"
  passwordFile: /etc/flock/tor.password
  holdTime: 30s
  keepaliveTime: 10s
  connectRetryTime: 5s
  multihop: 4
  ttlSecurity: true
  bfd: {minRx: 50ms, minTx: 60ms, multiplier: 5}
  gracefulRestart: {enabled: true, time: 4m}
  families: [IPv6, IPv4]
  communities: {standard: ["65001:100", "no-export"], large: ["65001:1:2"], extended: ["rt:65001:100"]}
  med: 100
  prepend: 2
  importLimit: 1000
  exportLimit: 100
  passive: true
- address: fe80::1%eth0
  asn: 65001
  bfd: {}
  gracefulRestart: {enabled: false}
  localPref: 200
- {address: 192.0.2.7, asn: 4294967295}
import:
  prefixes: [{cidr: "::/0", le: 0}, {cidr: "10.0.0.0/8", ge: 16, le: 24}]
aggregation: Both
anycastWeight: LinkBandwidth
"#;

fn document(bgp: &str) -> String {
    let indented = bgp.trim_matches('\n').lines().map(|line| format!("    {line}\n"));
    HEAD.to_owned() + &indented.collect::<String>()
}

fn read(file: &str) -> Result<Reading, Refusal> {
    split(file)[0].read()
}

fn plan(bgp: &str) -> BgpPlan {
    match read(&document(bgp)).unwrap().object {
        Some(Object::NodeConfig(config)) => config.alone().unwrap().bgp.unwrap(),
        other => panic!("{other:?}"),
    }
}

/// A node in autonomous system 65001 and one peer, with these fields beside its address and autonomous system.
fn with_peer(address: &str, asn: u32, fields: &str) -> String {
    format!("asn: 65001\npeers:\n- address: {address}\n  asn: {asn}\n  {fields}\n")
}

fn external(fields: &str) -> String {
    with_peer("2001:db8::1", 65000, fields)
}

fn internal(fields: &str) -> String {
    with_peer("2001:db8::1", 65001, fields)
}

fn link_local(fields: &str) -> String {
    with_peer("fe80::1%eth0", 65000, fields)
}

fn seconds(seconds: u64) -> Option<Duration> {
    Some(Duration::from_secs(seconds))
}

fn full_peer() -> Peer {
    Peer {
        address: PeerAddress::Global("2001:db8:a::1".parse().unwrap()),
        port: 2179.try_into().unwrap(),
        asn: Asn(65000.try_into().unwrap()),
        source: Some("2001:db8:a::2".parse().unwrap()),
        password: Some(PasswordSource::File(PathBuf::from("/etc/flock/tor.password"))),
        timers: Timers::new(seconds(30), seconds(10), seconds(5)).unwrap(),
        reach: Reach::Multihop(4.try_into().unwrap()),
        ttl_security: true,
        bfd: Some(Bfd { min_rx: interval(50), min_tx: interval(60), multiplier: 5.try_into().unwrap() }),
        graceful_restart: GracefulRestart::On(RestartTime::new(240).unwrap()),
        families: Families::new(&BTreeSet::from([Family::IPv6, Family::IPv4])).unwrap(),
        attributes: Attributes {
            communities: vec![Community(65001, 100), Community(0xffff, 0xff01)],
            large: vec![LargeCommunity(65001, 1, 2)],
            extended: vec![ExtendedCommunity::RouteTarget(65001, 100)],
            med: Some(100),
            local_pref: None,
            prepend: Prepend::new(2).unwrap(),
        },
        import_limit: NonZeroU32::new(1000),
        export_limit: NonZeroU32::new(100),
        passive: true,
    }
}

/// A peer that says no more than it must.
fn plain_peer(address: &str, asn: u32) -> Peer {
    let address: PeerAddress = address.parse().unwrap();
    Peer {
        port: BGP_PORT,
        asn: Asn(asn.try_into().unwrap()),
        source: None,
        password: None,
        timers: Timers::new(seconds(30), seconds(10), seconds(5)).unwrap(),
        reach: Reach::Direct,
        ttl_security: false,
        bfd: None,
        graceful_restart: GracefulRestart::On(RestartTime::new(120).unwrap()),
        families: Families::only(address.family()),
        attributes: Attributes::default(),
        import_limit: None,
        export_limit: None,
        passive: false,
        address,
    }
}

fn interval(millis: u16) -> BfdInterval {
    BfdInterval::new(millis).unwrap()
}

#[test]
fn a_full_document_becomes_the_plan() {
    let reflector = Peer {
        bfd: Some(Bfd { min_rx: interval(300), min_tx: interval(300), multiplier: 3.try_into().unwrap() }),
        graceful_restart: GracefulRestart::Off,
        attributes: Attributes { local_pref: Some(200), ..Attributes::default() },
        ..plain_peer("fe80::1%eth0", 65001)
    };
    let range = |net: &str, ge, le| PrefixRange::new(net.parse().unwrap(), ge, le).unwrap();
    let expected = BgpPlan {
        asn: Asn(65001.try_into().unwrap()),
        router_id: RouterId::new("192.0.2.1".parse().unwrap()),
        listen_port: 1179.try_into().unwrap(),
        peers: vec![full_peer(), reflector, plain_peer("192.0.2.7", u32::MAX)],
        import: vec![range("::/0", None, Some(0)), range("10.0.0.0/8", Some(16), Some(24))],
        aggregation: Aggregation::Both,
        anycast_weight: AnycastWeight::LinkBandwidth,
        require_established: None,
    };
    assert_eq!(plan(FULL), expected);
    assert_eq!(read(&document(FULL)).unwrap().remarks, []);
}

#[test]
fn a_node_without_peers_has_defaults() {
    let expected = BgpPlan {
        asn: Asn(1.try_into().unwrap()),
        router_id: None,
        listen_port: BGP_PORT,
        peers: Vec::new(),
        import: Vec::new(),
        aggregation: Aggregation::NodePrefix,
        anycast_weight: AnycastWeight::None,
        require_established: None,
    };
    assert_eq!(plan("asn: 1"), expected);
    let silent = read(&HEAD.replace("  bgp:\n", "  mtu: 1500\n")).unwrap().object;
    let Some(Object::NodeConfig(config)) = silent else { panic!() };
    assert_eq!(config.alone().unwrap().bgp, None);
}

#[test]
fn the_weight_of_anycast_addresses_is_said_by_name() {
    let cases = [
        ("LinkBandwidth", AnycastWeight::LinkBandwidth),
        ("MED", AnycastWeight::Med),
        ("None", AnycastWeight::None),
    ];
    for (name, weight) in cases {
        assert_eq!(plan(&format!("asn: 1\nanycastWeight: {name}")).anycast_weight, weight);
    }
}

#[test]
fn what_is_at_the_edge_is_accepted() {
    let prepended = plan(&external("prepend: 16"));
    assert_eq!(prepended.peers[0].attributes.prepend.get(), 16);
    for fields in [
        "holdTime: 3s",
        "holdTime: 65535s\n  keepaliveTime: 21845s",
        "multihop: 2",
        "multihop: 255\n  ttlSecurity: true\n  bfd: {}",
        "bfd: {minRx: 10ms, minTx: 60s, multiplier: 2}",
        "gracefulRestart: {time: 4095s}",
        "med: 0",
        "importLimit: 4294967295",
        "port: 65535",
        "sourceAddress: fd00::1",
    ] {
        plan(&external(fields));
    }
    plan(&internal("prepend: 0\n  localPref: 4294967295"));
    plan(&link_local("ttlSecurity: true\n  families: [IPv4]"));
    plan("asn: 1\npeers: [{address: 192.0.2.1, asn: 2}, {address: 192.0.2.1, asn: 2, port: 1179}]");
    plan("asn: 1\npeers: [{address: fe80::1%eth0, asn: 2}, {address: fe80::1%eth1, asn: 2}]");
    plan("asn: 1\nimport: {prefixes: [{cidr: 10.0.0.0/8}, {cidr: 10.0.0.0/8, le: 32}]}");
}

fn file(path: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_pages_show_the_examples_and_they_are_accepted() {
    let pages = ["README.md", "docs/bgp.md", "docs/deploy.md"].map(file).concat();
    let shown: Vec<&str> = pages
        .split("```yaml\n")
        .skip(1)
        .filter_map(|rest| rest.split_once("```\n"))
        .map(|(yaml, _)| yaml)
        .collect();
    let shown: Vec<&str> = shown.into_iter().filter(|yaml| yaml.contains("\n  bgp:")).collect();
    let names = ["one-router", "two-routers", "route-reflector"];
    let examples = names.map(|name| file(&format!("deploy/examples/bgp-{name}.yaml")));
    // A first template for a cluster is no example of a node.
    let nodes = shown.iter().filter(|yaml| !yaml.contains("nodeSelector:"));
    assert_eq!(nodes.collect::<Vec<_>>(), examples.each_ref());
    for yaml in shown {
        let Reading { object, remarks } = read(yaml).unwrap();
        assert!(matches!(object, Some(Object::NodeConfig(config)) if config.alone().unwrap().bgp.is_some()));
        assert_eq!(remarks, []);
    }
}
