//! Why a session is down, in words that lead to the cause.

use super::observed::ObservedSession;
use super::plan::{Asn, Peer, Reach};

/// Segments that the kernel refused for their TCP MD5 signature (RFC 2385) since the session was last up. They do not
/// say from whom they were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Md5Refusals {
    /// `TCPMD5Failure`: signed with another password.
    pub wrong: u64,
    /// `TCPMD5NotFound`: not signed, although a password is set here.
    pub unsigned: u64,
    /// `TCPMD5Unexpected`: signed, although no password is set here.
    pub unexpected: u64,
}

impl Md5Refusals {
    /// How many came since `earlier`.
    pub fn since(self, earlier: Md5Refusals) -> Md5Refusals {
        Md5Refusals {
            wrong: self.wrong.saturating_sub(earlier.wrong),
            unsigned: self.unsigned.saturating_sub(earlier.unsigned),
            unexpected: self.unexpected.saturating_sub(earlier.unexpected),
        }
    }

    /// The counters out of `/proc/net/netstat`; zeros where the kernel has none.
    pub fn parse(netstat: &str) -> Self {
        let mut lines = netstat.lines().filter_map(|line| line.strip_prefix("TcpExt: "));
        let (Some(names), Some(values)) = (lines.next(), lines.next()) else { return Self::default() };
        let value = |wanted: &str| {
            let pairs = names.split(' ').zip(values.split(' '));
            pairs.into_iter().find(|(name, _)| *name == wanted).and_then(|(_, value)| value.parse().ok())
        };
        Self {
            wrong: value("TCPMD5Failure").unwrap_or(0),
            unsigned: value("TCPMD5NotFound").unwrap_or(0),
            unexpected: value("TCPMD5Unexpected").unwrap_or(0),
        }
    }
}

/// Why the session is not up, and what to look at; none when it is up.
pub fn why_down(own: Asn, peer: &Peer, session: &ObservedSession, refusals: Md5Refusals) -> Option<String> {
    if session.is_established() {
        return None;
    }
    let said = session.last_error.as_deref().unwrap_or_default();
    Some(password(peer, refusals).unwrap_or_else(|| match cause(own, peer, said) {
        Some(cause) if said.is_empty() => cause,
        Some(cause) => format!("{said}: {cause}"),
        None => said.to_owned(),
    }))
}

fn password(peer: &Peer, refusals: Md5Refusals) -> Option<String> {
    let Md5Refusals { wrong, unsigned, unexpected } = refusals;
    match &peer.password {
        Some(source) if wrong > 0 => Some(format!(
            "segments arrive that are signed with another TCP MD5 password ({wrong} refused): compare {source} with the router's"
        )),
        Some(source) if unsigned > 0 => Some(format!(
            "segments arrive without a TCP MD5 signature ({unsigned} refused): set the password on the router too, or leave out {}",
            source.field()
        )),
        None if unexpected > 0 => Some(format!(
            "segments arrive with a TCP MD5 signature ({unexpected} refused): the router has a password for this node; set passwordFile or passwordSecret"
        )),
        _ => None,
    }
}

fn cause(own: Asn, peer: &Peer, said: &str) -> Option<String> {
    let Peer { address, port, asn, .. } = peer;
    Some(match said {
        "" if peer.passive => format!("waiting for {address} to connect (passive)"),
        "" if peer.password.is_some() => {
            format!("no answer from {address} port {port}: is it reachable, and has it the same password?")
        }
        "" => format!("no answer from {address} port {port}: is it reachable, and does it know this node?"),
        // Whether BIRD or the router has said it, it is about the two numbers.
        _ if said.contains("Bad peer AS") => {
            format!(
                "the router must be in {asn} and expect this node in {own}: compare spec.bgp.asn and the peer's asn with the router's configuration"
            )
        }
        _ if said.contains("Connection refused") => {
            format!("nothing listens at {address} port {port}, or the router does not know this node")
        }
        _ if said.contains("No route to host") || said.contains("unreachable") => match peer.reach {
            Reach::Direct => format!("{address} does not answer on the link"),
            Reach::Multihop(_) => format!("there is no way to {address}"),
        },
        _ if said.contains("Connection closed") || said.contains("Connection reset") => {
            "the router closed the connection: does it know this node, with this address?".to_owned()
        }
        _ if said.contains("BFD") => "BFD says that the way to the router is broken".to_owned(),
        _ if said.contains("Hold timer expired") => "the router has fallen silent".to_owned(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::observed::SessionState;
    use super::super::plan::PasswordSource;
    use super::*;

    fn peer(password: bool) -> Peer {
        Peer {
            password: password.then(|| PasswordSource::File("/etc/tor".into())),
            ..Peer::new("192.0.2.1".parse().unwrap(), Asn(65000.try_into().unwrap()))
        }
    }

    fn why(peer: &Peer, error: Option<&str>, refusals: Md5Refusals) -> String {
        let session = ObservedSession {
            state: SessionState::Active,
            since: None,
            last_error: error.map(str::to_owned),
            channels: BTreeMap::new(),
        };
        why_down(Asn(65001.try_into().unwrap()), peer, &session, refusals).unwrap()
    }

    #[test]
    fn a_session_that_is_down_says_where_to_look() {
        let none = Md5Refusals::default();
        let cases = [
            (false, None, none, "no answer from 192.0.2.1 port 179"),
            (true, None, none, "has it the same password?"),
            (
                true,
                None,
                Md5Refusals { wrong: 3, ..none },
                "another TCP MD5 password (3 refused): compare /etc/tor",
            ),
            (true, None, Md5Refusals { unsigned: 1, ..none }, "without a TCP MD5 signature"),
            (false, None, Md5Refusals { unexpected: 1, ..none }, "set passwordFile"),
            (false, Some("Bad peer AS: 65009"), none, "must be in 65000 and expect this node in 65001"),
            (false, Some("Socket: Connection refused"), none, "nothing listens at 192.0.2.1 port 179"),
            (false, Some("Socket: No route to host"), none, "does not answer on the link"),
            (false, Some("Something new"), none, "Something new"),
        ];
        for (password, error, refusals, words) in cases {
            let text = why(&peer(password), error, refusals);
            assert!(text.contains(words), "{words}: {text}");
        }
    }

    #[test]
    fn the_kernels_counters_are_found_by_name() {
        let netstat = "TcpExt: SyncookiesSent TCPMD5NotFound TCPMD5Unexpected TCPMD5Failure X\nTcpExt: 1 2 3 4 5\nIpExt: A\nIpExt: 9\n";
        let read = Md5Refusals::parse(netstat);
        assert_eq!(read, Md5Refusals { wrong: 4, unsigned: 2, unexpected: 3 });
        assert_eq!(read.since(Md5Refusals { wrong: 1, unsigned: 2, unexpected: 9 }).wrong, 3);
        for text in ["", "TcpExt: A\n", "TcpExt: TCPMD5Failure\nTcpExt: x\n"] {
            assert_eq!(Md5Refusals::parse(text), Md5Refusals::default());
        }
    }
}
