//! What of flock is taken off a node, and what stays for the pods that still run.

use crate::anycast::{RouteChange, Routes, route_changes};
use crate::attachment::IfName;
use crate::host::{HostChange, HostState};

/// What is to be done to the kernel, and what is left alone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Removal {
    /// The node's own routes: what no pod's packets take.
    pub host: Vec<HostChange>,
    /// Routes to anycast addresses: nobody announces them any more.
    pub anycast: Vec<RouteChange>,
    /// The host links of pods that still run. They keep their links, addresses and routes until they are deleted.
    pub pods: Vec<IfName>,
}

impl Removal {
    /// From a node that is like this.
    pub fn of(host: &HostState, anycast: &Routes) -> Self {
        // A link of such a name without an alias is somebody else's.
        let pods = host.flock_links.iter().filter(|(_, link)| link.alias.is_some());
        Self {
            host: host.blackholes.iter().copied().map(HostChange::RemoveBlackhole).collect(),
            anycast: route_changes(&Routes::new(), anycast),
            pods: pods.map(|(name, _)| name.clone()).collect(),
        }
    }

    /// Runtimes execute the plugin to delete a pod: it stays as long as there is one.
    pub fn keeps_plugin(&self) -> bool {
        !self.pods.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::host::HostLink;
    use crate::link::Mac;

    fn link(alias: Option<&str>) -> HostLink {
        HostLink { alias: alias.map(str::to_owned), mac: Mac([0; 6]), facts: BTreeSet::new() }
    }

    #[test]
    fn routes_of_the_node_go_and_pods_keep_their_links() {
        let host = HostState {
            flock_links: BTreeMap::from([
                ("flock0000000a".parse().unwrap(), link(Some("a pod's"))),
                ("flockery".parse().unwrap(), link(None)),
            ]),
            blackholes: ["203.0.113.0/26", "2001:db8:a:1::/64"].map(|net| net.parse().unwrap()).into(),
            ..HostState::default()
        };
        let anycast = Routes::from([("2001:db8:53::1".parse().unwrap(), BTreeSet::new())]);
        let removal = Removal::of(&host, &anycast);
        let words: Vec<String> = removal.host.iter().map(ToString::to_string).collect();
        assert_eq!(words, ["remove blackhole 203.0.113.0/26", "remove blackhole 2001:db8:a:1::/64"]);
        assert_eq!(removal.anycast, [RouteChange::Remove("2001:db8:53::1".parse().unwrap())]);
        assert_eq!(removal.pods, ["flock0000000a".parse().unwrap()]);
        assert!(removal.keeps_plugin());
    }

    #[test]
    fn a_node_without_pods_keeps_nothing() {
        let removal = Removal::of(&HostState::default(), &Routes::new());
        assert_eq!(removal, Removal::default());
        assert!(!removal.keeps_plugin());
    }
}
