//! Prefixes and their lengths, as routers' filters mean them.

use std::fmt;

use ipnet::IpNet;

use crate::prefix::Family;

/// A prefix, and how long the prefixes in it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PrefixRange {
    net: IpNet,
    ge: u8,
    le: u8,
}

/// Why a range of prefixes is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{net} with lengths {ge} to {le}: must be {len} <= ge <= le <= {max}", len = net.prefix_len(), max = net.max_prefix_len())]
pub struct PrefixRangeError {
    net: IpNet,
    ge: u8,
    le: u8,
}

impl PrefixRange {
    /// `ge` and `le` as routers know them: neither: exactly the prefix; only `ge`: up to full length; only `le`: from
    /// the prefix's own length.
    pub fn new(net: IpNet, ge: Option<u8>, le: Option<u8>) -> Result<Self, PrefixRangeError> {
        let net = net.trunc();
        let (len, max) = (net.prefix_len(), net.max_prefix_len());
        let (ge, le) = (ge.unwrap_or(len), le.unwrap_or(if ge.is_some() { max } else { len }));
        if len <= ge && ge <= le && le <= max {
            Ok(Self { net, ge, le })
        } else {
            Err(PrefixRangeError { net, ge, le })
        }
    }

    /// The prefix and everything in it.
    pub fn all_of(net: IpNet) -> Self {
        let net = net.trunc();
        Self { net, ge: net.prefix_len(), le: net.max_prefix_len() }
    }

    /// Exactly the prefix.
    pub fn exactly(net: IpNet) -> Self {
        let net = net.trunc();
        Self { net, ge: net.prefix_len(), le: net.prefix_len() }
    }

    /// Every single address in the prefix.
    pub fn hosts_of(net: IpNet) -> Self {
        let net = net.trunc();
        Self { net, ge: net.max_prefix_len(), le: net.max_prefix_len() }
    }

    /// Whether a route for `net` is meant.
    pub fn admits(&self, net: &IpNet) -> bool {
        self.net.contains(net) && (self.ge..=self.le).contains(&net.prefix_len())
    }

    /// Its family.
    pub fn family(&self) -> Family {
        Family::of(self.net.addr())
    }
}

/// As BIRD writes prefix patterns: `2001:db8::/32{48,64}`.
impl fmt::Display for PrefixRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ge == self.le && self.ge == self.net.prefix_len() {
            write!(f, "{}", self.net)
        } else {
            write!(f, "{}{{{},{}}}", self.net, self.ge, self.le)
        }
    }
}
