//! Golden files: `bird-templates/golden/*.conf` are what the templates give for these configurations. After a change:
//! `FLOCK_BLESS=1 cargo test -p flock-core golden`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;

use super::super::config::{BirdIdent, Channel, Origin, Session, Sourced};
use super::super::plan::{
    AnycastWeight, Asn, Attributes, BGP_PORT, Bfd, BfdInterval, GracefulRestart, Peer, PrefixRange, Prepend,
    Reach, RouterId, Timers,
};
use super::super::resolve;
use super::*;
use crate::prefix::Family;

mod anycast;

fn parsed<T: FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

fn all<T: FromStr<Err: std::fmt::Debug> + Ord>(texts: &[&str]) -> BTreeSet<T> {
    texts.iter().map(|text| parsed(text)).collect()
}

fn asn(number: u32) -> Asn {
    Asn(number.try_into().unwrap())
}

fn peer(address: &str, number: u32) -> Peer {
    Peer::new(parsed(address), asn(number))
}

fn of_eth0(address: &str) -> Sourced {
    Sourced { address: parsed(address), from: Origin::Interface(parsed("eth0")) }
}

fn channel(family: Family, next_hop: &str) -> Channel {
    let next_hop = of_eth0(next_hop);
    let extended_next_hop = family == Family::IPv4 && next_hop.address.is_ipv6();
    Channel { family, next_hop: Some(next_hop), extended_next_hop }
}

fn session(index: usize, peer: Peer, local: Option<&str>, channels: Vec<Channel>) -> Session {
    let name = BirdIdent::of_peer(&peer.address, peer.port);
    Session { name, index, peer, local: local.map(of_eth0), password: None, channels }
}

/// A node of the documentation ranges (RFC 3849, RFC 5737, RFC 5398).
fn node(sessions: Vec<Session>) -> BirdConfig {
    let pools: BTreeSet<IpNet> = all(&["2001:db8:a:1::/64", "203.0.113.0/26"]);
    let others: BTreeSet<IpNet> = all(&["2001:db8:a:2::/64", "203.0.113.64/26"]);
    BirdConfig {
        asn: asn(65001),
        router_id: RouterId::new(parsed("198.51.100.2")).unwrap(),
        router_id_from: Origin::Interface(parsed("eth0")),
        listen_port: BGP_PORT,
        originate: pools.clone(),
        anycast: BTreeMap::new(),
        anycast_weight: AnycastWeight::None,
        exportable: pools.iter().copied().map(PrefixRange::exactly).collect(),
        import: others.iter().copied().map(PrefixRange::all_of).collect(),
        protected: all::<IpNet>(&["2001:db8:ffff::/64", "198.51.100.0/24"]).union(&pools).copied().collect(),
        sessions,
    }
}

fn dual_stack() -> BirdConfig {
    let channels = vec![channel(Family::IPv6, "2001:db8:ffff::2"), channel(Family::IPv4, "198.51.100.2")];
    let peer = peer("2001:db8:ffff::1", 65000);
    let mut config = node(vec![session(0, peer, Some("2001:db8:ffff::2"), channels)]);
    config.import.extend(all::<IpNet>(&["::/0", "0.0.0.0/0"]).into_iter().map(PrefixRange::exactly));
    config
}

fn internal() -> BirdConfig {
    let attributes = Attributes { local_pref: Some(200), ..Attributes::default() };
    let peer = Peer { attributes, ..peer("2001:db8:ffff::1", 65001) };
    let channels = vec![channel(Family::IPv6, "2001:db8:ffff::2"), channel(Family::IPv4, "2001:db8:ffff::2")];
    node(vec![session(0, peer, Some("2001:db8:ffff::2"), channels)])
}

fn link_local() -> BirdConfig {
    let own = |family| Channel { family, next_hop: None, extended_next_hop: family == Family::IPv4 };
    let graceful_restart = GracefulRestart::Off;
    let peer = Peer { graceful_restart, passive: true, ..peer("fe80::1%eth0.100", 4_200_000_000) };
    BirdConfig {
        router_id_from: Origin::NodeName,
        import: BTreeSet::new(),
        ..node(vec![session(0, peer, None, vec![own(Family::IPv6), own(Family::IPv4)])])
    }
}

fn everything() -> BirdConfig {
    let near = peer("198.51.100.1", 65000);
    let bfd = |ms| {
        let interval = BfdInterval::new(ms).unwrap();
        Some(Bfd { min_rx: interval, min_tx: interval, multiplier: 3.try_into().unwrap() })
    };
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    let far = Peer {
        port: 1179.try_into().unwrap(),
        reach: Reach::Multihop(4.try_into().unwrap()),
        ttl_security: true,
        timers: Timers::new(seconds(90), seconds(20), seconds(10)).unwrap(),
        bfd: bfd(300),
        attributes: Attributes {
            communities: ["65001:100", "no-export"].map(parsed).to_vec(),
            large: vec![parsed("65001:1:2")],
            extended: ["rt:65001:100", "soo:4200000000:7", "generic:0x43000000:0x1"].map(parsed).to_vec(),
            med: Some(0),
            local_pref: None,
            prepend: Prepend::new(2).unwrap(),
        },
        import_limit: Some(1000.try_into().unwrap()),
        export_limit: Some(10.try_into().unwrap()),
        ..peer("192.0.2.99", 65010)
    };
    let ipv4 = || vec![channel(Family::IPv4, "198.51.100.2")];
    let near = session(0, Peer { bfd: bfd(50), ..near }, Some("198.51.100.2"), ipv4());
    let mut far = session(2, far, None, ipv4());
    let from = Origin::Field("spec.bgp.peers[2].sourceAddress".to_owned());
    far.local = Some(Sourced { address: IpAddr::V4(parsed("192.0.2.1")), from });
    far.password = Some(parsed("not a secret; }"));
    BirdConfig { listen_port: 1790.try_into().unwrap(), ..node(vec![near, far]) }
}

fn pods() -> BirdConfig {
    let config = dual_stack();
    BirdConfig {
        exportable: config.originate.iter().copied().map(PrefixRange::hosts_of).collect(),
        originate: all(&["2001:db8:a:1::5/128", "2001:db8:a:1::17/128", "203.0.113.5/32"]),
        ..config
    }
}

/// Two pods at one address, one at the other, and both in a range that pods may claim from.
fn anycast(weight: AnycastWeight) -> BirdConfig {
    let claimable = all::<IpNet>(&["2001:db8:53::/64", "203.0.113.128/29"]);
    let pods = [("2001:db8:53::1", 3), ("2001:db8:53::2", 1), ("203.0.113.129", 2)];
    let pods = pods.map(|(address, pods): (_, u32)| (parsed(address), pods.try_into().unwrap()));
    let mut config = dual_stack();
    config.exportable.extend(claimable.into_iter().map(PrefixRange::hosts_of));
    config.sessions[0].peer.attributes.extended = vec![parsed("rt:65001:100")];
    BirdConfig { anycast: BTreeMap::from(pods), anycast_weight: weight, ..config }
}

/// One session has a MED of its own, the other has not.
fn anycast_med() -> BirdConfig {
    let mut config = anycast(AnycastWeight::Med);
    config.sessions[0].peer.attributes.med = Some(50);
    let ipv4 = vec![channel(Family::IPv4, "198.51.100.2")];
    config.sessions.push(session(1, peer("198.51.100.1", 65000), Some("198.51.100.2"), ipv4));
    config
}

fn goldens() -> Vec<(&'static str, BirdConf)> {
    let mut goldens = vec![("bootstrap", bootstrap().unwrap())];
    let configs = [
        ("dual-stack", dual_stack()),
        ("internal", internal()),
        ("link-local", link_local()),
        ("everything", everything()),
        ("pods", pods()),
        ("anycast-link-bandwidth", anycast(AnycastWeight::LinkBandwidth)),
        ("anycast-med", anycast_med()),
        ("silent", resolve::silent()),
    ];
    goldens.extend(configs.map(|(name, config)| (name, render(&config).unwrap())));
    goldens
}

#[test]
fn golden_files_are_what_the_templates_give() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../bird-templates/golden");
    let bless = std::env::var_os("FLOCK_BLESS").is_some_and(|value| value == "1");
    let mut expected = BTreeSet::new();
    for (name, conf) in goldens() {
        let file = dir.join(format!("{name}.conf"));
        expected.insert(file.clone());
        if bless {
            fs::write(&file, &conf.text).unwrap();
        }
        let committed = fs::read_to_string(&file).unwrap_or_default();
        assert!(
            committed == conf.text,
            "{} is stale: run this test with FLOCK_BLESS=1 and commit the file. The templates give:\n{}",
            file.display(),
            conf.text
        );
    }
    // The examples of docs/bgp.md begin with NodeConfig: the agent's tests hold them to their files.
    let elsewhere = |file: &PathBuf| file.to_string_lossy().contains("/example-");
    let present = dir.read_dir().unwrap().map(|entry| entry.unwrap().path());
    let present = present.filter(|file| !elsewhere(file)).collect();
    assert_eq!(expected, present, "a golden file that no configuration stands for");
}

#[test]
fn the_same_configuration_gives_the_same_bytes() {
    for make in [dual_stack, internal, link_local, everything, pods, anycast_med] {
        assert_eq!(render(&make()).unwrap(), render(&make()).unwrap());
    }
}

#[test]
fn the_revision_is_in_the_text_and_follows_from_all_of_it() {
    let conf = render(&dual_stack()).unwrap();
    assert!(conf.text.contains(&format!("\ndefine flock_revision = \"{}\";\n", conf.revision)));
    let changed = [
        BirdConfig { listen_port: 180.try_into().unwrap(), ..dual_stack() },
        BirdConfig { originate: BTreeSet::new(), ..dual_stack() },
        BirdConfig { router_id_from: Origin::NodeName, ..dual_stack() },
    ];
    let revisions: BTreeSet<String> =
        changed.iter().map(|config| render(config).unwrap().revision).chain([conf.revision]).collect();
    assert_eq!(revisions.len(), 4);
}

#[test]
fn another_password_is_another_revision_but_little_of_it_is_told() {
    let with = |password: &str| {
        let mut config = everything();
        config.sessions[1].password = Some(parsed(password));
        render(&config).unwrap()
    };
    assert_ne!(with("one").revision, with("two").revision);
    let hashed = without_secrets(&with("one").text);
    assert!(!hashed.contains("one\"") && !hashed.contains("password \""), "{hashed}");
}

#[test]
fn zero_is_a_value() {
    let mut config = internal();
    config.sessions[0].peer.attributes.local_pref = Some(0);
    assert!(render(&config).unwrap().text.contains("bgp_local_pref = 0;"));
    assert!(render(&everything()).unwrap().text.contains("bgp_med = 0;"));
}

#[test]
fn a_family_without_prefixes_is_closed() {
    let text = render(&BirdConfig { exportable: BTreeSet::new(), ..link_local() }).unwrap().text;
    assert_eq!(text.matches("export none;   # there is no OWN").count(), 2, "{text}");
    assert_eq!(text.matches("import none;   # there is no IMPORT").count(), 2, "{text}");
    assert!(!text.contains("export filter peer"), "{text}");
}

#[test]
fn a_comment_ends_with_its_line() {
    let from = Origin::Field("x\n} protocol bgp evil {\r\u{85}".to_owned());
    let text = render(&BirdConfig { router_id_from: from, ..dual_stack() }).unwrap().text;
    assert!(text.contains("# x} protocol bgp evil {\n"), "{text}");
}
