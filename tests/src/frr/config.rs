//! `bgpd.conf`, written as an operator would.

use std::fmt::Write;

/// A router's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrrConfig {
    /// Its autonomous system.
    pub asn: u32,
    /// Its neighbours.
    pub neighbors: Vec<Neighbor>,
    /// Prefixes that it originates, whether or not it has a route to them.
    pub networks: Vec<String>,
    /// Further lines of `router bgp`.
    pub lines: Vec<String>,
    /// Lines before `router bgp`, as `debug bgp updates in`.
    pub head: Vec<String>,
}

/// A neighbour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbor {
    /// Its address.
    pub address: String,
    /// Its autonomous system.
    pub asn: u32,
    /// The families of the session: `ipv6`, `ipv4`.
    pub families: Vec<&'static str>,
    /// What else is said of it, as `password secret`.
    pub lines: Vec<String>,
    /// What else is said of it in each family, as `default-originate`.
    pub family_lines: Vec<String>,
}

impl Neighbor {
    /// A neighbour whose session carries the family of its own address.
    pub fn new(address: &str, asn: u32) -> Self {
        let family = if address.contains(':') { "ipv6" } else { "ipv4" };
        Self {
            address: address.to_owned(),
            asn,
            families: vec![family],
            lines: Vec::new(),
            family_lines: Vec::new(),
        }
    }

    /// With one more line.
    #[must_use]
    pub fn with(mut self, line: &str) -> Self {
        self.lines.push(line.to_owned());
        self
    }

    /// With one more line in each of its families.
    #[must_use]
    pub fn with_family(mut self, line: &str) -> Self {
        self.family_lines.push(line.to_owned());
        self
    }

    /// With these families instead.
    #[must_use]
    pub fn carrying(self, families: &[&'static str]) -> Self {
        Self { families: families.to_vec(), ..self }
    }
}

impl FrrConfig {
    /// A router without neighbours.
    pub fn new(asn: u32) -> Self {
        Self { asn, neighbors: Vec::new(), networks: Vec::new(), lines: Vec::new(), head: Vec::new() }
    }

    /// With a neighbour.
    #[must_use]
    pub fn neighbor(mut self, neighbor: Neighbor) -> Self {
        self.neighbors.push(neighbor);
        self
    }

    /// With a change to each neighbour.
    #[must_use]
    pub fn each(self, change: impl FnMut(Neighbor) -> Neighbor) -> Self {
        Self { neighbors: self.neighbors.into_iter().map(change).collect(), ..self }
    }

    /// Originating one more prefix.
    #[must_use]
    pub fn network(mut self, prefix: &str) -> Self {
        self.networks.push(prefix.to_owned());
        self
    }

    /// With one more line in `router bgp`.
    #[must_use]
    pub fn with(mut self, line: &str) -> Self {
        self.lines.push(line.to_owned());
        self
    }

    /// With one more line before `router bgp`.
    #[must_use]
    pub fn with_head(mut self, line: &str) -> Self {
        self.head.push(line.to_owned());
        self
    }

    /// The file.
    pub fn text(&self) -> String {
        let mut text = String::from("hostname router\n");
        self.head.iter().for_each(|line| write_line(&mut text, "", line));
        // FRR 7.4 and later advertise nothing to eBGP neighbours without a policy (RFC 8212) unless told so.
        write_line(&mut text, "", &format!("router bgp {}", self.asn));
        for line in [
            "bgp router-id 192.0.2.254",
            "bgp log-neighbor-changes",
            "no bgp ebgp-requires-policy",
            "no bgp default ipv4-unicast",
            "no bgp network import-check",
            "bgp graceful-restart",
            "timers bgp 3 9",
        ] {
            write_line(&mut text, " ", line);
        }
        self.lines.iter().for_each(|line| write_line(&mut text, " ", line));
        for Neighbor { address, asn, lines, .. } in &self.neighbors {
            write_line(&mut text, " ", &format!("neighbor {address} remote-as {asn}"));
            write_line(&mut text, " ", &format!("neighbor {address} timers connect 1"));
            lines.iter().for_each(|line| write_line(&mut text, &format!(" neighbor {address} "), line));
        }
        ["ipv6", "ipv4"].iter().for_each(|family| self.family(&mut text, family));
        text
    }

    fn family(&self, text: &mut String, family: &str) {
        write_line(text, " ", &format!("address-family {family} unicast"));
        for Neighbor { address, family_lines, .. } in
            self.neighbors.iter().filter(|neighbor| neighbor.families.contains(&family))
        {
            write_line(text, &format!("  neighbor {address} "), "activate");
            family_lines.iter().for_each(|line| write_line(text, &format!("  neighbor {address} "), line));
        }
        let own = self.networks.iter().filter(|prefix| prefix.contains(':') == (family == "ipv6"));
        own.for_each(|prefix| write_line(text, "  network ", prefix));
        write_line(text, " ", "exit-address-family");
    }
}

fn write_line(text: &mut String, before: &str, line: &str) {
    writeln!(text, "{before}{line}").ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_neighbour_is_active_in_its_families_only() {
        let config = FrrConfig::new(65000)
            .network("2001:db8:ffff:1::/64")
            .neighbor(Neighbor::new("2001:db8::2", 65001).with("password secret"))
            .neighbor(Neighbor::new("192.0.2.2", 65001).with_family("default-originate"));
        let text = config.text();
        assert!(text.contains(" neighbor 2001:db8::2 password secret\n"), "{text}");
        assert!(
            text.contains(
                " address-family ipv6 unicast\n  neighbor 2001:db8::2 activate\n  network 2001:db8:ffff:1::/64\n exit"
            ),
            "{text}"
        );
        assert!(
            text.ends_with(
                " address-family ipv4 unicast\n  neighbor 192.0.2.2 activate\n  neighbor 192.0.2.2 default-originate\n exit-address-family\n"
            ),
            "{text}"
        );
    }
}
