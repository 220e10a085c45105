//! A site with an anycast address of each family, and the pods that serve it.

use std::fs;
use std::net::IpAddr;

use anyhow::{Context, Result, ensure};
use flock_tests::service::cut;
use flock_tests::{
    Attached, Connection, Netns, Node, PATIENCE, Plan, Pod, Running, Service, World, eventually,
};

/// The anycast address of each family.
pub(crate) const V6: &str = "2001:db8:53::1";
pub(crate) const V4: &str = "192.0.2.153";

/// Both.
pub(crate) fn both() -> [IpAddr; 2] {
    [V6, V4].map(|address| address.parse().unwrap_or(IpAddr::from([0; 4])))
}

/// The prefix of an address alone.
pub(crate) fn host(address: IpAddr) -> String {
    if address.is_ipv6() { format!("{address}/128") } else { format!("{address}/32") }
}

/// The AddressPool that lets namespace `dns` have both.
pub(crate) const POOL: &str = "\
apiVersion: flock.fritzlab.net/v1alpha1
kind: AddressPool
metadata: {name: dns}
spec:
  cidrs: [\"2001:db8:53::/64\", \"192.0.2.153/32\"]
  use: Anycast
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: dns}}
";

/// A pod of namespace `dns` that serves both, and is ready.
pub(crate) fn resolver(name: &str) -> Pod {
    let pod = Pod::new(name).in_namespace("dns");
    pod.annotated("anycast", &format!("{V6}, {V4}")).ready(true)
}

/// A pod that runs, with its service.
#[derive(Debug)]
pub(crate) struct Replica {
    /// What its manifest says now.
    pub(crate) pod: Pod,
    /// Its sandbox.
    pub(crate) attached: Attached,
    /// What answers in it.
    pub(crate) service: Service,
}

impl Replica {
    /// Attaches a pod that serves both addresses.
    pub(crate) fn start(node: &Node, name: &str) -> Result<Self> {
        Self::of(node, resolver(name))
    }

    /// Attaches this pod, which serves both addresses.
    pub(crate) fn of(node: &Node, pod: Pod) -> Result<Self> {
        let attached = node.run(&pod)?;
        let service = Service::start(&attached.sandbox.netns, &pod.name, &both())?;
        Ok(Self { pod, attached, service })
    }

    /// Writes another manifest of the pod.
    pub(crate) fn tell(&mut self, node: &Node, pod: Pod) -> Result<()> {
        self.pod = pod;
        node.write(&format!("pod-{}-{}.yaml", self.pod.namespace, self.pod.name), &self.pod.yaml())
    }

    /// Says whether it is ready.
    pub(crate) fn ready(&mut self, node: &Node, ready: bool) -> Result<()> {
        let pod = self.pod.clone().ready(ready);
        self.tell(node, pod)
    }
}

/// A site of two nodes with the pool, and hashing by ports at the router. `change` is made to the plan.
pub(crate) fn start<'w>(
    world: &'w World,
    nodes: usize,
    change: impl FnOnce(Plan<'w>) -> Plan<'w>,
) -> Result<Running<'w>> {
    let plan = Plan::new(world, nodes)?.router(|frr| frr.with("bgp bestpath as-path multipath-relax"));
    let site = change(plan).start()?;
    for speaker in &site.nodes {
        speaker.node.write("pool.yaml", POOL)?;
    }
    for family in ["ipv6", "ipv4"] {
        site.fabric.router.netns.sysctl(&format!("{family}/fib_multipath_hash_policy"), "1")?;
    }
    site.eventually_up()?;
    Ok(site)
}

/// The gateways of the router's kernel route to an address, each with its weight.
pub(crate) fn router_hops(router: &Netns, address: IpAddr) -> Result<Vec<(String, u64)>> {
    let family = if address.is_ipv6() { "-6" } else { "-4" };
    let shown = router.ip(&["-j", family, "route", "show", &host(address)])?;
    let routes: serde_json::Value = serde_json::from_str(&shown).with_context(|| shown.clone())?;
    let mut hops = Vec::new();
    for route in routes.as_array().into_iter().flatten() {
        let gateway = |hop: &serde_json::Value| {
            let named = hop["gateway"].as_str().or_else(|| hop["via"]["host"].as_str());
            (named.unwrap_or_default().to_owned(), hop["weight"].as_u64().unwrap_or(1))
        };
        match route["nexthops"].as_array() {
            Some(several) => hops.extend(several.iter().map(gateway)),
            None => hops.push(gateway(route)),
        }
    }
    hops.sort();
    Ok(hops)
}

/// Waits until the router's kernel has so many next hops for both addresses.
pub(crate) fn eventually_hops(site: &Running, count: usize) -> Result<()> {
    eventually(PATIENCE, || {
        for address in both() {
            let hops = router_hops(&site.fabric.router.netns, address)?;
            ensure!(hops.len() == count, "the router has {hops:?} for {address}");
        }
        Ok(())
    })
}

/// Waits until no new connection to either address fails, a few times over.
pub(crate) fn eventually_answers(site: &Running, pods: &[&str]) -> Result<()> {
    eventually(PATIENCE, || {
        for address in both() {
            let connections = Connection::open(&site.fabric.client, address, 20)?;
            let strange = connections.iter().find(|connection| !pods.contains(&connection.pod.as_str()));
            ensure!(strange.is_none(), "{strange:?} answers at {address}");
        }
        Ok(())
    })
}

/// Fails unless every connection is still answered by the pod that answered first.
pub(crate) fn ensure_kept(connections: &mut [Connection]) -> Result<()> {
    let cut = cut(connections);
    ensure!(cut == 0, "{cut} of {} connections are cut", connections.len());
    Ok(())
}

/// The agent's log so far.
pub(crate) fn log(node: &Node) -> Result<String> {
    fs::read_to_string(node.agent_log()).context("read the agent's log")
}
