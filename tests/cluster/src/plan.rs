//! What a cluster shall be.

use std::path::PathBuf;

use crate::network::Network;

/// An address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv6.
    V6,
    /// IPv4.
    V4,
}

impl Family {
    /// Everything of this family: what [`flock_tests::router::Port`] is asked with.
    pub fn any(self) -> &'static str {
        match self {
            Family::V6 => "::/0",
            Family::V4 => "0.0.0.0/0",
        }
    }

    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Family::V6 => Family::V4,
            Family::V4 => Family::V6,
        }
    }

    /// The family of an address or a prefix.
    pub fn of(text: &str) -> Self {
        if text.contains(':') { Family::V6 } else { Family::V4 }
    }
}

/// A node's container runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Runtime {
    /// containerd 2, built by `scripts/cluster-programs`.
    #[default]
    Containerd2,
    /// Debian's containerd 1.6, which knows CNI up to 1.0.0.
    Containerd1,
}

/// What a cluster shall be.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The nodes' runtimes, in the order of their names: `node-a`, `node-b`...
    pub runtimes: Vec<Runtime>,
    /// How pods get their network.
    pub network: Network,
    /// The family that comes first: of services, of nodes' addresses, of `kubernetes.default`.
    pub primary: Family,
    /// Images beside the tests' own, as archives that `docker save` would write.
    pub images: Vec<PathBuf>,
}

impl Plan {
    /// So many nodes, dual-stack with IPv6 first.
    pub fn new(nodes: usize, network: Network) -> Self {
        Self { runtimes: vec![Runtime::default(); nodes], network, primary: Family::V6, images: Vec::new() }
    }

    /// With this runtime on the node of this index.
    #[must_use]
    pub fn runtime(mut self, node: usize, runtime: Runtime) -> Self {
        if let Some(place) = self.runtimes.get_mut(node) {
            *place = runtime;
        }
        self
    }

    /// With the other family first.
    #[must_use]
    pub fn primary(self, primary: Family) -> Self {
        Self { primary, ..self }
    }

    /// With one more image on every node.
    #[must_use]
    pub fn image(mut self, archive: PathBuf) -> Self {
        self.images.push(archive);
        self
    }

    /// Both texts, the primary family's first, as Kubernetes wants its dual-stack values.
    pub fn both(&self, v6: &str, v4: &str) -> String {
        match self.primary {
            Family::V6 => format!("{v6},{v4}"),
            Family::V4 => format!("{v4},{v6}"),
        }
    }

    /// The services' ranges.
    pub fn service_cidrs(&self) -> String {
        self.both("fd00:96::/112", "10.96.0.0/16")
    }

    /// The pods' ranges; each node gets a /64 and a /24 of them.
    pub fn pod_cidrs(&self) -> String {
        self.both("fd00:10:244::/56", "10.244.0.0/16")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_primary_family_comes_first() {
        let plan = Plan::new(1, Network::Ptp);
        assert_eq!(plan.service_cidrs(), "fd00:96::/112,10.96.0.0/16");
        assert_eq!(plan.primary(Family::V4).service_cidrs(), "10.96.0.0/16,fd00:96::/112");
    }
}
