//! The other nodes' pods: what policy and anycast ask of them, as small as can be. There are ten thousand.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use flock_core::annotation::Key;
use flock_core::attachment::PodName;
use flock_core::pod::{Pod, Readiness};

use super::super::shelf::{Kind, Meta, Reading};
use super::pod::same;
use super::read;
use crate::source::document::pod::PodManifest;
use crate::source::node_config::FieldError;

/// A pod of another node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerPod {
    /// The node that it is on.
    pub node: Arc<str>,
    /// Its labels, sorted by key.
    pub labels: Box<[(Arc<str>, Arc<str>)]>,
    /// Its IPv6 address.
    pub v6: Option<Ipv6Addr>,
    /// Its IPv4 address.
    pub v4: Option<Ipv4Addr>,
    /// Whether it can serve.
    pub readiness: Readiness,
    /// The pod, if it claims anycast addresses.
    pub claims: Option<Arc<Pod>>,
}

/// The pods of other nodes that have a network of their own and have not run to their end.
#[derive(Debug, Default)]
pub(in crate::source::kubernetes) struct Peers {
    texts: Texts,
}

impl Kind for Peers {
    type Key = PodName;
    type Value = Arc<PeerPod>;

    fn key(&self, meta: &Meta) -> Option<PodName> {
        PodName::new(&meta.namespace, &meta.name).ok()
    }

    fn read(&mut self, text: &str, former: Option<&Arc<PeerPod>>) -> Reading<Arc<PeerPod>> {
        read(text, "Pod", former, |manifest: PodManifest| {
            if manifest.is_the_nodes_own() || manifest.has_ended() {
                return Ok(None);
            }
            let addresses: Vec<IpAddr> = manifest.addresses().collect();
            let pod = Pod::try_from(manifest)
                .map_err(|error| FieldError { field: "metadata".to_owned(), reason: error.to_string() })?;
            let Some(node) = pod.node.as_deref().map(|node| self.texts.shared(node)) else { return Ok(None) };
            let labels =
                pod.labels.iter().map(|(key, value)| (self.texts.shared(key), self.texts.shared(value)));
            let peer = PeerPod {
                node,
                labels: labels.collect(),
                v6: addresses.iter().find_map(|ip| if let IpAddr::V6(ip) = ip { Some(*ip) } else { None }),
                v4: addresses.iter().find_map(|ip| if let IpAddr::V4(ip) = ip { Some(*ip) } else { None }),
                readiness: pod.readiness,
                claims: pod.annotations.contains_key(&Key::Anycast.to_string()).then(|| Arc::new(pod)),
            };
            Ok(Some(same(peer, former)))
        })
    }

    fn tidy(&mut self) {
        self.texts.tidy();
    }
}

/// Texts that many pods have: labels and nodes' names.
#[derive(Debug, Default)]
struct Texts {
    known: HashSet<Arc<str>>,
    /// Looked through when there are so many.
    enough: usize,
}

impl Texts {
    fn shared(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.known.get(text) {
            return Arc::clone(known);
        }
        if self.known.len() >= self.enough {
            self.tidy();
        }
        let text: Arc<str> = text.into();
        self.known.insert(Arc::clone(&text));
        text
    }

    /// Forgets what no pod has any more.
    fn tidy(&mut self) {
        self.known.retain(|text| Arc::strong_count(text) > 1);
        self.known.shrink_to_fit();
        self.enough = (self.known.len() * 2).max(1024);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_shared_and_forgotten_with_the_last_who_has_them() {
        let mut texts = Texts::default();
        let kept = texts.shared("kept");
        assert!(Arc::ptr_eq(&kept, &texts.shared("kept")));
        for number in 0..5000 {
            texts.shared(&number.to_string());
        }
        assert!(texts.known.len() <= 1024, "{}", texts.known.len());
        texts.tidy();
        assert_eq!(texts.known.len(), 1);
    }
}
