//! Text that would end a statement of bird.conf, a line of a log, or nobody's patience.

use super::*;

/// Every field that takes text, with a place for it.
const TEXT_FIELDS: [&str; 21] = [
    "{asn: @}",
    "{asn: 1, routerID: @}",
    "{asn: 1, listenPort: @}",
    "{asn: 1, aggregation: @}",
    "{asn: 1, anycastWeight: @}",
    "{asn: 1, ? @ : 1}",
    "{asn: 1, import: {prefixes: [{cidr: @}]}}",
    "{asn: 1, import: {prefixes: [{cidr: \"::/0\", le: @}]}}",
    "{asn: 1, peers: [{asn: 2, address: @}]}",
    "{asn: 1, peers: [{address: 192.0.2.1, asn: @}]}",
    "{asn: 1, peers: [{address: 192.0.2.1, asn: 2, sourceAddress: @}]}",
    "{asn: 1, peers: [{address: 192.0.2.1, asn: 2, passwordFile: @}]}",
    "{asn: 1, peers: [{address: 192.0.2.1, asn: 2, holdTime: @}]}",
    "{asn: 1, peers: [{address: 192.0.2.1, asn: 2, bfd: {minRx: @}}]}",
    "{asn: 1, peers: [{address: 192.0.2.1, asn: 2, gracefulRestart: {time: @}}]}",
    "{asn: 1, peers: [{address: 192.0.2.1, asn: 2, families: [@]}]}",
    "{asn: 1, peers: [{address: 192.0.2.1, asn: 2, communities: {standard: [@]}}]}",
    "{asn: 1, peers: [{address: 192.0.2.1, asn: 2, communities: {large: [@]}}]}",
    "{asn: 1, peers: [{address: 192.0.2.1, asn: 2, communities: {extended: [@]}}]}",
    "{asn: 1, peers: [{address: 192.0.2.1, asn: 2, passive: @}]}",
    "{asn: 1, peers: [{address: 192.0.2.1, asn: 2, ? @ : 1}]}",
];

const BEGINNINGS: [&str; 11] =
    ["", "1", "192.0.2.1", "fe80::1%eth0", "10.0.0.0/8", "65001:1", "1:2:3", "rt:1:1", "30s", "Pods", "/"];

/// As YAML writes them between double quotes.
const HOSTILE: [&str; 11] =
    ["}", ";", "\\n", "\\\"", "\\r", "\\e[31m", "\\u2028", " }; protocol static {", "#", "%", "%eth0\\\""];

#[test]
fn no_hostile_text_gets_through() {
    for field in TEXT_FIELDS {
        for (beginning, ending) in BEGINNINGS.iter().flat_map(|start| HOSTILE.map(|end| (start, end))) {
            is_refused_or_harmless(&field.replace('@', &format!("\"{beginning}{ending}\"")));
        }
    }
}

#[test]
fn a_megabyte_is_refused_without_being_repeated() {
    for field in TEXT_FIELDS {
        let text = format!("\"/\\n;}}{}\"", "9".repeat(1 << 20));
        let refusal = read(&format!("{HEAD}    {}\n", field.replace('@', &text))).unwrap_err();
        is_short(&refusal.reason);
    }
}

#[track_caller]
fn is_refused_or_harmless(bgp: &str) {
    match read(&format!("{HEAD}    {bgp}\n")) {
        Err(Refusal { reason, .. }) => is_short(&reason),
        Ok(Reading { object: Some(Object::NodeConfig(config)), .. }) => {
            only_safe_text(&config.alone().unwrap().bgp.unwrap());
        }
        Ok(other) => panic!("{other:?}"),
    }
}

/// One line, with the field's path.
#[track_caller]
fn is_short(reason: &str) {
    assert!(reason.contains("spec.bgp."), "{reason}");
    assert!(reason.chars().count() < 700, "{reason}");
    assert!(!reason.contains(|c: char| c.is_control() || c == '\u{2028}'), "{reason:?}");
}

/// The plan's only text is an interface's name and a password file's path.
#[track_caller]
fn only_safe_text(plan: &BgpPlan) {
    for Peer { address, password, .. } in &plan.peers {
        if let PeerAddress::LinkLocal { interface, .. } = address {
            assert!(interface.as_str().chars().all(|c| c.is_ascii_graphic() && c != '"'), "{interface}");
        }
        let path = password.iter().map(|source| match source {
            PasswordSource::File(path) => path.to_str().unwrap(),
            PasswordSource::Secret { name, .. } => name,
        });
        assert!(path.clone().all(|path| path.starts_with('/') && !path.contains(char::is_control)));
    }
}
