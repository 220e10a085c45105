//! What BIRD says of anycast addresses, asked for at once: for people.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;

use flock_core::bgp::config::BirdIdent;
use flock_core::bgp::observed;
use flock_core::bgp::render::ANYCAST_PROTOCOLS;
use jiff::Timestamp;

use crate::bird::client::{BirdError, Client, Command};

/// Anycast addresses in BIRD.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Advertised {
    /// Those that it has, and since when, if it says so.
    pub since: BTreeMap<IpAddr, Option<Timestamp>>,
    /// The peers that each was told to.
    pub peers: BTreeMap<IpAddr, BTreeSet<String>>,
}

/// Asks BIRD which anycast addresses it has, and to the peers of which `sessions` it has told them: sessions by their
/// names in BIRD, each with what its peer is to be called. One that BIRD does not know any more has told nobody.
///
/// # Errors
/// When BIRD does not answer.
pub async fn advertised(
    socket: &Path,
    sessions: &BTreeMap<BirdIdent, String>,
) -> Result<Advertised, BirdError> {
    let (mut bird, _) = Client::connect(socket).await?;
    let protocols = ANYCAST_PROTOCOLS.map(|(_, name)| name);
    let mut advertised = Advertised::default();
    for protocol in protocols {
        let routes = bird.ask(&Command::ShowRoutes(protocol)).await?;
        advertised.since.extend(observed::addresses(&routes, &protocols));
    }
    for (session, peer) in sessions {
        let routes = bird.ask(&Command::ShowExported(session.clone())).await?;
        for address in observed::addresses(&routes, &protocols).into_keys() {
            advertised.peers.entry(address).or_default().insert(peer.clone());
        }
    }
    Ok(advertised)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
    use tokio::net::UnixListener;

    use super::*;

    const ROUTE: &str = "blackhole [anycast6 2026-11-21T13:11:14+0000] * (200)";

    fn answer(command: &str) -> String {
        let routes = |addresses: &[&str]| {
            let rows = addresses.iter().map(|address| format!(" {address}/128   {ROUTE}\n"));
            format!("1007-Table master6:\n{}0000 \n", rows.collect::<String>())
        };
        match command {
            "show route protocol anycast6" => routes(&["2001:db8:53::1", "2001:db8:53::2"]),
            "show route exported peer_192_0_2_1 where proto ~ \"anycast*\"" => routes(&["2001:db8:53::1"]),
            "show route exported peer_192_0_2_2 where proto ~ \"anycast*\"" => "0000 \n".to_owned(),
            _ => "9001 syntax error, unexpected CF_SYM_UNDEFINED\n".to_owned(),
        }
    }

    #[tokio::test]
    async fn an_address_is_there_since_then_and_told_to_those_who_were_told() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("bird.ctl");
        let listener = UnixListener::bind(&socket).unwrap();
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let (read, mut write) = stream.into_split();
            write.write_all(b"0001 BIRD 2.0.12 ready.\n").await.unwrap();
            let mut lines = BufReader::new(read).lines();
            while let Some(line) = lines.next_line().await.unwrap() {
                write.write_all(answer(&line).as_bytes()).await.unwrap();
            }
        });
        let session = |address: &str| {
            let name = BirdIdent::of_peer(&address.parse().unwrap(), flock_core::bgp::plan::BGP_PORT);
            (name, address.to_owned())
        };
        let sessions = ["192.0.2.1", "192.0.2.2", "192.0.2.3"].map(session).into();
        let found = advertised(&socket, &sessions).await.unwrap();
        let [first, second] = ["2001:db8:53::1", "2001:db8:53::2"].map(|address| address.parse().unwrap());
        let since = Some("2026-11-21T13:11:14Z".parse().unwrap());
        assert_eq!(found.since, [(first, since), (second, since)].into());
        assert_eq!(found.peers, [(first, BTreeSet::from(["192.0.2.1".to_owned()]))].into());
    }

    #[tokio::test]
    async fn without_a_bird_nobody_knows() {
        let dir = tempfile::tempdir().unwrap();
        let error = advertised(&dir.path().join("bird.ctl"), &BTreeMap::new()).await.unwrap_err();
        assert!(error.absent(), "{error}");
    }
}
