//! What BIRD's tables have of single addresses.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use jiff::Timestamp;

use super::super::control::Reply;
use super::{code, timestamp};

/// The addresses in an answer to `show route` that come from one of these protocols, and since when BIRD has each. A
/// prefix that is shorter than an address is none.
pub fn addresses(reply: &Reply, protocols: &[&str]) -> BTreeMap<IpAddr, Option<Timestamp>> {
    let mut of_line = None;
    let mut found = BTreeMap::new();
    for line in reply.lines.iter().filter(|line| line.code == code::ROUTES) {
        // Another route for the same prefix has none in its line.
        if !line.text.starts_with(' ') {
            of_line = line.text.split_whitespace().next().and_then(host);
        }
        let since = of_line.and_then(|address| Some((address, since(&line.text, protocols)?)));
        found.extend(since);
    }
    found
}

fn host(word: &str) -> Option<IpAddr> {
    let net: IpNet = word.parse().ok()?;
    (net.prefix_len() == net.max_prefix_len()).then(|| net.addr())
}

/// `2001:db8::1/128   blackhole [anycast6 2026-11-21T09:44:11+0000] * (200)`: none if it is of another protocol.
fn since(line: &str, protocols: &[&str]) -> Option<Option<Timestamp>> {
    let (_, source) = line.split_once('[')?;
    let mut words = source.split(']').next()?.split_whitespace();
    protocols.contains(&words.next()?).then(|| words.next().and_then(timestamp))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bgp::control::decode;

    /// BIRD 2.0.12: `show route protocol anycast6`, and `show route exported SESSION where proto ~ "anycast*"`.
    const ONE_TABLE: &str = "1007-Table master6:
 2001:db8:53::1/128   blackhole [anycast6 2026-11-21T13:11:14+0000] * (200)
 2001:db8:53::2/128   blackhole [anycast6 2026-11-21T13:11:15+0000] * (200)
0000 
";
    const BOTH_TABLES: &str = "1007-Table master6:
 2001:db8:53::1/128   blackhole [anycast6 2026-11-21T13:11:14+0000] * (200)
 
 Table master4:
 203.0.113.53/32      blackhole [anycast4 2026-11-21T13:11:14+0000] * (200)
0000 
";
    /// Without a format for times that it knows, with a second route, and with what is no address.
    const MIXED: &str = "1007-Table master6:
 2001:db8:53::1/128   blackhole [own6 2026-11-21T13:11:14+0000] * (200)
                      blackhole [anycast6 13:11:14.120] (200)
                      unicast [peer_2001_db8__1 2026-11-21T13:11:15+0000 from 2001:db8::1] (100) [AS65000i]
 \tvia 2001:db8::1 on u0
 2001:db8:53::/64     blackhole [anycast6 2026-11-21T13:11:14+0000] * (200)
                      blackhole [anycast6 2026-11-21T13:11:14+0000] (200)
 2001:db8:53::2/128   blackhole [anycast6]
 2001:db8:53::3/128   blackhole [
 2001:db8:53::4/128   blackhole
0000 
";

    fn found(answer: &str) -> Vec<(String, Option<String>)> {
        let (reply, _) = decode(answer.as_bytes()).unwrap().unwrap();
        let found = addresses(&reply, &["anycast6", "anycast4"]).into_iter();
        found.map(|(address, since)| (address.to_string(), since.map(|since| since.to_string()))).collect()
    }

    fn at(address: &str, since: &str) -> (String, Option<String>) {
        (address.to_owned(), Some(since.to_owned()))
    }

    #[test]
    fn routes_tell_their_address_and_since_when_they_are_there() {
        let [first, second] = ["2026-11-21T13:11:14Z", "2026-11-21T13:11:15Z"];
        assert_eq!(found(ONE_TABLE), [at("2001:db8:53::1", first), at("2001:db8:53::2", second)]);
        assert_eq!(found(BOTH_TABLES), [at("203.0.113.53", first), at("2001:db8:53::1", first)]);
    }

    #[test]
    fn what_is_not_understood_is_left_out() {
        let unknown = |address: &str| (address.to_owned(), None);
        assert_eq!(found(MIXED), [unknown("2001:db8:53::1"), unknown("2001:db8:53::2")]);
        for answer in
            ["0000 \n", "9001 syntax error, unexpected CF_SYM_UNDEFINED\n", "8001 Network not found\n"]
        {
            assert_eq!(found(answer), []);
        }
    }
}
