//! `flockctl bgp`.

use flock_crds::status::{BgpConfigStatus, BgpFamilyStatus, BgpPeerStatus, BgpStatus, BirdStatus};
use jiff::Timestamp;

use super::super::Format;
use super::{human_age, pretty, table};

/// The answer to `flockctl bgp`. `status` is NodeConfig's `status.bgp` as JSON.
pub(in super::super) fn bgp(status: &[u8], format: Format) -> Result<String, String> {
    let unreadable = |error: serde_json::Error| format!("the agent's answer cannot be read: {error}");
    match format {
        Format::Json => serde_json::from_slice(status).map(|value| pretty(&value)).map_err(unreadable),
        Format::Table => serde_json::from_slice(status).map(|status| text(&status)).map_err(unreadable),
    }
}

fn text(status: &BgpStatus) -> String {
    let BgpStatus { bird, config, established: _, peers } = status;
    let mut text =
        format!("{:<10} {}\n{:<10} {}\n\n", "bird", self::bird(bird), "config", self::config(config));
    let rows = peers.iter().map(|peer| {
        [
            peer.address.clone(),
            peer.asn.to_string(),
            peer.kind.clone(),
            peer.state.clone(),
            since(peer),
            prefixes(peer, |family| family.imported),
            prefixes(peer, |family| family.exported),
            peer.bfd.as_ref().map_or_else(|| "-".to_owned(), |bfd| bfd.state.clone()),
        ]
    });
    text.push_str(&table(&["PEER", "ASN", "TYPE", "STATE", "SINCE", "IN", "OUT", "BFD"], rows));
    for (peer, reason) in peers.iter().filter_map(|peer| Some((peer, peer.reason.as_ref()?))) {
        text.push_str(&format!("\n{}: {reason}\n", peer.address));
    }
    text
}

fn bird(bird: &BirdStatus) -> String {
    let said = bird.version.as_ref().or(bird.reason.as_ref());
    with(&bird.state, said)
}

fn config(config: &BgpConfigStatus) -> String {
    let said = config.reason.as_ref().or(config.revision.as_ref());
    with(&config.state, said)
}

fn with(state: &str, said: Option<&String>) -> String {
    said.map_or_else(|| state.to_owned(), |said| format!("{state}: {said}"))
}

fn since(peer: &BgpPeerStatus) -> String {
    let time: Option<Timestamp> = peer.since.as_ref().and_then(|since| since.parse().ok());
    time.map_or_else(
        || "-".to_owned(),
        |time| human_age(Timestamp::now().duration_since(time).as_secs().max(0)),
    )
}

/// `6:12 4:3`: prefixes of each family.
fn prefixes(peer: &BgpPeerStatus, count: impl Fn(&BgpFamilyStatus) -> u64) -> String {
    let counts = peer.families.iter().map(|family| {
        let name = family.family.trim_start_matches("IPv");
        format!("{name}:{}", count(family))
    });
    counts.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use flock_crds::status::BfdStatus;

    use super::*;

    fn status() -> BgpStatus {
        let family = |name: &str, imported| BgpFamilyStatus {
            family: name.to_owned(),
            up: true,
            imported,
            filtered: 0,
            exported: 1,
        };
        let peer = BgpPeerStatus {
            address: "2001:db8::1".to_owned(),
            asn: 65000,
            kind: "eBGP".to_owned(),
            state: "Active".to_owned(),
            reason: Some("no answer".to_owned()),
            families: vec![family("IPv6", 12), family("IPv4", 3)],
            bfd: Some(BfdStatus { state: "Down".to_owned(), since: None }),
            ..BgpPeerStatus::default()
        };
        let named = |state: &str| state.to_owned();
        BgpStatus {
            bird: BirdStatus { state: named("Running"), version: Some(named("2.0.12")), reason: None },
            config: BgpConfigStatus { state: named("Pending"), ..Default::default() },
            established: named("0/1"),
            peers: vec![peer],
        }
    }

    #[test]
    fn the_table_names_what_is_wrong_below_it() {
        let expected = "\
bird       Running: 2.0.12
config     Pending

PEER         ASN    TYPE  STATE   SINCE  IN        OUT      BFD
2001:db8::1  65000  eBGP  Active  -      6:12 4:3  6:1 4:1  Down

2001:db8::1: no answer
";
        assert_eq!(bgp(&serde_json::to_vec(&status()).unwrap(), Format::Table).unwrap(), expected);
    }

    #[test]
    fn json_is_the_status_itself() {
        let json = bgp(&serde_json::to_vec(&status()).unwrap(), Format::Json).unwrap();
        assert_eq!(serde_json::from_str::<BgpStatus>(&json).unwrap(), status());
        assert!(bgp(b"{", Format::Json).is_err());
    }
}
