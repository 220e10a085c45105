use std::collections::{BTreeMap, BTreeSet};

use super::super::plan::{Asn, Families};
use super::*;

/// What a test's node is surrounded by; the tests change it.
struct Node {
    pools: Pools,
    cluster: BTreeSet<IpNet>,
    subnets: Subnets,
    uplinks: BTreeSet<IfName>,
    pods: BTreeSet<PodAddresses>,
    announced: Announced,
    claimable: BTreeSet<IpNet>,
    passwords: BTreeMap<PasswordSource, Result<Password, String>>,
    bird: Option<BirdVersion>,
}

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn nets(texts: &[&str]) -> BTreeSet<IpNet> {
    texts.iter().map(|text| net(text)).collect()
}

fn own(ifname: &str, address: &str) -> NodeAddress {
    NodeAddress { ifname: ifname.parse().unwrap(), net: net(address), secondary: false }
}

fn node() -> Node {
    let IpNet::V6(v6) = net("2001:db8:a:1::/64") else { unreachable!() };
    let IpNet::V4(v4) = net("203.0.113.0/26") else { unreachable!() };
    Node {
        pools: Pools { v6: vec![v6.try_into().unwrap()], v4: vec![v4.try_into().unwrap()] },
        cluster: nets(&["2001:db8:b:1::/64"]),
        subnets: Subnets {
            addresses: BTreeSet::from([
                own("eth0", "2001:db8:ffff::2/64"),
                own("eth0", "198.51.100.2/24"),
                own("lo", "192.0.2.1/32"),
            ]),
            on_link: nets(&["2001:db8:ffff::/64", "198.51.100.0/24", "192.0.2.1/32", "0.0.0.0/0"]),
        },
        uplinks: BTreeSet::from(["eth0".parse().unwrap()]),
        pods: BTreeSet::from([PodAddresses { v6: Some("2001:db8:a:1::5".parse().unwrap()), v4: None }]),
        announced: Announced::default(),
        claimable: BTreeSet::new(),
        passwords: BTreeMap::new(),
        bird: None,
    }
}

fn peer(address: &str) -> Peer {
    Peer::new(address.parse().unwrap(), Asn(65000.try_into().unwrap()))
}

fn both() -> Families {
    Families::new(&BTreeSet::from([Family::IPv6, Family::IPv4])).unwrap()
}

fn plan(peers: Vec<Peer>) -> BgpPlan {
    BgpPlan { peers, ..BgpPlan::new(Asn(65001.try_into().unwrap())) }
}

fn resolved(plan: &BgpPlan, node: &Node) -> Resolved {
    resolve(plan, &context(node)).unwrap()
}

fn context(node: &Node) -> NodeContext<'_> {
    let Node { pools, cluster, subnets, uplinks, pods, announced, claimable, passwords, bird } = node;
    let (node, bird) = ("node-a", *bird);
    NodeContext { node, pools, cluster, subnets, uplinks, pods, announced, claimable, passwords, bird }
}

fn one(peer: Peer, node: &Node) -> Result<Session, String> {
    let mut resolved = resolved(&plan(vec![peer]), node);
    match resolved.refused.remove(&0) {
        Some(reason) => Err(reason),
        None => Ok(resolved.config.sessions.remove(0)),
    }
}

fn next_hops(session: &Session) -> Vec<String> {
    let text = |channel: &Channel| match &channel.next_hop {
        Some(next_hop) => format!("{} {}", channel.family, next_hop.address),
        None => format!("{} self", channel.family),
    };
    session.channels.iter().map(text).collect()
}

#[test]
fn both_families_get_a_global_next_hop_on_the_peers_subnet() {
    for address in ["2001:db8:ffff::1", "198.51.100.1", "fe80::1%eth0"] {
        let session = one(Peer { families: both(), ..peer(address) }, &node()).unwrap();
        assert_eq!(next_hops(&session), ["IPv6 2001:db8:ffff::2", "IPv4 198.51.100.2"], "{address}");
    }
    let local = one(peer("2001:db8:ffff::1"), &node()).unwrap().local.unwrap();
    assert_eq!(local.address.to_string(), "2001:db8:ffff::2");
    assert_eq!(one(peer("fe80::1%eth0"), &node()).unwrap().local, None);
}

#[test]
fn ipv4_without_an_ipv4_address_goes_by_an_ipv6_next_hop() {
    let mut node = node();
    node.subnets.addresses.retain(|own| own.net.addr().is_ipv6());
    let session = one(Peer { families: both(), ..peer("2001:db8:ffff::1") }, &node).unwrap();
    assert_eq!(next_hops(&session), ["IPv6 2001:db8:ffff::2", "IPv4 2001:db8:ffff::2"]);
    assert!(session.channels[1].extended_next_hop && !session.channels[0].extended_next_hop);
    node.subnets.addresses.clear();
    let unnumbered = one(Peer { families: both(), ..peer("fe80::1%eth0") }, &node).unwrap();
    assert_eq!(next_hops(&unnumbered), ["IPv6 self", "IPv4 self"]);
}

#[test]
fn a_peer_that_cannot_be_started_is_left_out_with_its_field() {
    let mut node = node();
    let elsewhere = one(peer("192.0.2.99"), &node).unwrap_err();
    assert!(elsewhere.starts_with("spec.bgp.peers[0].address: no address of this node"), "{elsewhere}");
    let foreign = Peer { source: Some("198.51.100.3".parse().unwrap()), ..peer("198.51.100.1") };
    let foreign = one(foreign, &node).unwrap_err();
    assert!(foreign.contains("sourceAddress: 198.51.100.3 is on none"), "{foreign}");
    node.subnets.addresses.retain(|own| own.net.addr().is_ipv4());
    let v6_only = one(Peer { families: both(), ..peer("198.51.100.1") }, &node).unwrap_err();
    assert!(v6_only.contains("families: IPv6 routes need an IPv6 next hop"), "{v6_only}");
    let two = resolved(&plan(vec![peer("192.0.2.99"), peer("198.51.100.1")]), &node);
    assert_eq!((two.config.sessions.len(), two.config.sessions[0].index, two.refused.len()), (1, 1, 1));
}

#[test]
fn a_session_without_its_password_is_not_started() {
    let mut node = node();
    let secret = PasswordSource::Secret { name: "tor".to_owned(), key: "password".to_owned() };
    let of_secret = Peer { password: Some(secret.clone()), ..peer("198.51.100.1") };
    node.passwords.insert(secret, Err("there is none".to_owned()));
    let missing = one(of_secret, &node).unwrap_err();
    let words = "spec.bgp.peers[0].passwordSecret: Secret tor, key password: there is none: the session";
    assert!(missing.starts_with(words), "{missing}");
    let file = PasswordSource::File("/etc/flock/tor".into());
    let peer = Peer { password: Some(file.clone()), ..peer("198.51.100.1") };
    node.passwords.insert(file.clone(), Err("No such file".to_owned()));
    let missing = one(peer.clone(), &node).unwrap_err();
    assert!(missing.starts_with("spec.bgp.peers[0].passwordFile: /etc/flock/tor: No such file"), "{missing}");
    node.passwords.insert(file, Ok("secret".parse().unwrap()));
    assert_eq!(one(peer, &node).unwrap().password.unwrap().reveal(), "secret");
}

#[test]
fn a_router_further_away_is_reached_from_an_uplink_or_the_source_address() {
    let far = Peer { reach: Reach::Multihop(4.try_into().unwrap()), families: both(), ..peer("192.0.2.99") };
    let session = one(far.clone(), &node()).unwrap();
    assert_eq!(session.local.as_ref().unwrap().address.to_string(), "198.51.100.2");
    let from_loopback = Peer { source: Some("192.0.2.1".parse().unwrap()), ..far };
    let session = one(from_loopback, &node()).unwrap();
    assert_eq!(next_hops(&session), ["IPv6 2001:db8:ffff::2", "IPv4 192.0.2.1"]);
}

#[test]
fn the_router_id_is_the_uplinks_address_else_a_hash_of_the_name() {
    let mut node = node();
    let id = |node: &Node| resolved(&plan(Vec::new()), node).config.router_id.to_string();
    assert_eq!(id(&node), "198.51.100.2");
    let mut virtual_address = own("eth0", "198.51.100.1/32");
    node.subnets.addresses.insert(virtual_address.clone());
    virtual_address.net = net("198.51.100.1/24");
    virtual_address.secondary = true;
    node.subnets.addresses.insert(virtual_address);
    assert_eq!(id(&node), "198.51.100.2", "a virtual address changes nothing");
    node.subnets.addresses.clear();
    assert_eq!(id(&node), Ipv4Addr::from_bits(fnv1a_32(b"node-a")).to_string());
}

#[test]
fn aggregation_says_what_is_originated_and_what_could_be() {
    let cases = [
        (Aggregation::NodePrefix, ["2001:db8:a:1::/64", "203.0.113.0/26"].as_slice()),
        (Aggregation::Pods, &["2001:db8:a:1::5/128"]),
        (Aggregation::Both, &["2001:db8:a:1::/64", "203.0.113.0/26", "2001:db8:a:1::5/128"]),
    ];
    for (aggregation, expected) in cases {
        let config = resolved(&BgpPlan { aggregation, ..plan(Vec::new()) }, &node()).config;
        assert_eq!(config.originate, nets(expected));
        let exportable = |net: &IpNet| config.exportable.iter().any(|range| range.admits(net));
        assert!(config.originate.iter().all(exportable));
        assert_eq!(exportable(&net("2001:db8:a:1::6/128")), aggregation != Aggregation::NodePrefix);
        assert!(!exportable(&net("2001:db8:a:1::/80")) && !exportable(&net("2001:db8:b:1::5/128")));
    }
}

#[test]
fn connected_subnets_and_own_prefixes_are_protected_but_not_everything() {
    let config = resolved(&plan(Vec::new()), &node()).config;
    let expected =
        ["2001:db8:ffff::/64", "198.51.100.0/24", "192.0.2.1/32", "2001:db8:a:1::/64", "203.0.113.0/26"];
    assert_eq!(config.protected, nets(&expected));
    assert!(config.import.iter().any(|range| range.admits(&net("2001:db8:b:1::7/128"))));
    assert!(!config.import.iter().any(|range| range.admits(&net("::/0"))));
}

#[test]
fn a_bird_that_is_too_old_is_refused() {
    let node = Node { bird: Some(BirdVersion { major: 2, minor: 0, patch: 7 }), ..node() };
    let error = resolve(&plan(Vec::new()), &context(&node)).unwrap_err().to_string();
    assert_eq!(error, "BIRD 2.0.7 is too old: install 2.0.12 or later");
}
