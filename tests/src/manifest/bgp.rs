//! NodeConfig `spec.bgp`.

/// What a node says of BGP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bgp {
    /// The node's autonomous system.
    pub asn: u32,
    /// Its routers.
    pub peers: Vec<Peer>,
    /// Further fields, as `listenPort: 1179`.
    pub fields: Vec<String>,
}

/// One of `spec.bgp.peers`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its address.
    pub address: String,
    /// Its autonomous system.
    pub asn: u32,
    /// Further fields, as `holdTime: 9s`.
    pub fields: Vec<String>,
}

impl Peer {
    /// A peer of which the address and the autonomous system are said, and times that do not make a trial wait.
    pub fn new(address: &str, asn: u32) -> Self {
        let fields = ["holdTime: 9s", "keepaliveTime: 3s", "connectRetryTime: 1s"];
        Self { address: address.to_owned(), asn, fields: fields.map(str::to_owned).to_vec() }
    }

    /// With one more field.
    #[must_use]
    pub fn with(mut self, field: &str) -> Self {
        self.fields.push(field.to_owned());
        self
    }

    fn flow(&self) -> String {
        let Self { address, asn, fields } = self;
        let own = format!("address: {address:?}, asn: {asn}");
        braced(std::iter::once(own).chain(fields.iter().cloned()))
    }
}

impl Bgp {
    /// Without peers.
    pub fn new(asn: u32) -> Self {
        Self { asn, peers: Vec::new(), fields: Vec::new() }
    }

    /// With one more peer.
    #[must_use]
    pub fn peer(mut self, peer: Peer) -> Self {
        self.peers.push(peer);
        self
    }

    /// With one more field.
    #[must_use]
    pub fn with(mut self, field: &str) -> Self {
        self.fields.push(field.to_owned());
        self
    }

    /// With `anycastWeight`: `LinkBandwidth`, `MED` or `None`.
    #[must_use]
    pub fn anycast_weight(self, weight: &str) -> Self {
        self.with(&format!("anycastWeight: {weight}"))
    }

    /// With a change to each peer.
    #[must_use]
    pub fn each(self, change: impl FnMut(Peer) -> Peer) -> Self {
        Self { peers: self.peers.into_iter().map(change).collect(), ..self }
    }

    /// The line for `spec`.
    pub fn field(&self) -> String {
        let peers: Vec<String> = self.peers.iter().map(Peer::flow).collect();
        let own = [format!("asn: {}", self.asn), format!("peers: [{}]", peers.join(", "))];
        format!("bgp: {}", braced(own.into_iter().chain(self.fields.iter().cloned())))
    }
}

fn braced(fields: impl Iterator<Item = String>) -> String {
    format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_are_written_on_one_line() {
        let peer = Peer { fields: vec!["passive: true".to_owned()], ..Peer::new("2001:db8::1", 65000) };
        let bgp = Bgp::new(65001).peer(peer).with("aggregation: Pods").anycast_weight("MED");
        let line = r#"bgp: {asn: 65001, peers: [{address: "2001:db8::1", asn: 65000, passive: true}], aggregation: Pods, anycastWeight: MED}"#;
        assert_eq!(bgp.field(), line);
    }
}
