//! The other nodes' pods: what policy and anycast ask of them, as small as can be. There are ten thousand.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use flock_core::attachment::PodName;
use flock_core::feed::Parsed;
use flock_core::pod::{ContainerPort, Pod};
use flock_core::selector::Labels;

use super::pod::{ReadPod, pod};
use super::{Interner, Meta, Reader, parsed};

/// A pod of another node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerPod {
    /// The node that it is on.
    pub node: Arc<str>,
    pub labels: Labels,
    pub v6: Option<Ipv6Addr>,
    pub v4: Option<Ipv4Addr>,
    /// Its ports that have names.
    pub named_ports: Arc<[ContainerPort]>,
    /// The pod, if it claims anycast addresses.
    pub claims: Option<Arc<Pod>>,
}

impl PeerPod {
    /// What is kept of a pod; none: it is on no node, or has run to its end.
    pub(in crate::source) fn of(pod: Pod, interner: &mut Interner) -> Option<Self> {
        if pod.has_ended {
            return None;
        }
        let named = pod.ports.iter().filter(|port| port.name.is_some());
        let named_ports: Vec<ContainerPort> = named.cloned().collect();
        Some(Self {
            node: pod.node.clone()?,
            labels: pod.labels.clone(),
            v6: pod.ips.iter().find_map(|ip| if let IpAddr::V6(ip) = ip { Some(*ip) } else { None }),
            v4: pod.ips.iter().find_map(|ip| if let IpAddr::V4(ip) = ip { Some(*ip) } else { None }),
            named_ports: interner.ports(&named_ports),
            claims: if pod.anycast().is_empty() { None } else { Some(Arc::new(pod)) },
        })
    }
}

/// The pods of other nodes that have a network of their own and have not run to their end. What is wrong with one is told
/// on its node.
#[derive(Debug, Default)]
pub(in crate::source) struct PeerReader {
    interner: Interner,
}

impl Reader for PeerReader {
    type Key = PodName;
    type Value = PeerPod;

    fn of_node(_: &str) -> Self {
        Self::default()
    }

    fn key(&mut self, meta: &Meta) -> Option<PodName> {
        PodName::within(&self.interner.text(&meta.namespace), &meta.name).ok()
    }

    fn read(&mut self, text: &str, _: Option<&PeerPod>) -> Parsed<PeerPod> {
        let read = pod(text, &mut self.interner);
        let peer = |read: ReadPod| PeerPod::of(read.pod, &mut self.interner);
        Parsed { problems: Vec::new(), ..parsed("Pod", text, read.map(|read| read.and_then(peer))) }
    }

    fn relisted(&mut self) {
        self.interner.tidy();
    }
}
