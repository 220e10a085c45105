//! What several trials ask of a site that runs.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flock_tests::{Attached, Flow, Netns, Pod, Running, SESSION_PATIENCE, Speaker, eventually};
use serde_json::Value;

/// A prefix that belongs to nobody else. Once the node has learned it, it has seen all that the router had to say.
pub(crate) const SENTINEL6: &str = "2001:db8:5e::/48";
/// The same of the other family.
pub(crate) const SENTINEL4: &str = "192.0.2.128/25";

/// The field that lets a node learn the sentinels, and `more`.
pub(crate) fn import(more: &[&str]) -> String {
    let sentinels = [SENTINEL6, SENTINEL4].map(|prefix| format!("{{cidr: {prefix:?}}}"));
    let all: Vec<String> = sentinels.into_iter().chain(more.iter().map(|&entry| entry.to_owned())).collect();
    format!("import: {{prefixes: [{}]}}", all.join(", "))
}

/// Waits until a node has learned these prefixes.
pub(crate) fn eventually_learned(netns: &Netns, prefixes: &[&str]) -> Result<()> {
    eventually(SESSION_PATIENCE, || {
        let learned = netns.learned()?;
        let missing: Vec<&&str> = prefixes.iter().filter(|p| !learned.contains(&(**p).to_owned())).collect();
        ensure!(missing.is_empty(), "{} has not learned {missing:?}, but {learned:?}", netns.name());
        Ok(())
    })
}

/// Fails if a node has learned one of these prefixes.
pub(crate) fn ensure_not_learned(netns: &Netns, prefixes: &[&str]) -> Result<()> {
    let learned = netns.learned()?;
    for prefix in prefixes {
        ensure!(!learned.contains(&(*prefix).to_owned()), "{} has learned {prefix}", netns.name());
    }
    Ok(())
}

/// Runs a pod on each of the first two nodes, and lets them and the client reach each other over both families by
/// learned routes.
pub(crate) fn pods_reach_each_other(site: &Running) -> Result<()> {
    site.eventually_learned()?;
    let [a, b] = pods(site)?;
    for (from, to, node) in [(&a, &b, &site.nodes[0]), (&b, &a, &site.nodes[1])] {
        for address in to.addresses() {
            ensure_by_bird(node, address)?;
        }
        to.answers(&from.sandbox.netns)?;
        to.answers(&site.fabric.client)?;
    }
    Ok(())
}

/// A pod on each of the first two nodes.
pub(crate) fn pods(site: &Running) -> Result<[Attached; 2]> {
    let [a, b] = site.nodes.as_slice() else { anyhow::bail!("this site should have two nodes") };
    Ok([a.node.run(&Pod::new("web-0"))?, b.node.run(&Pod::new("web-1"))?])
}

/// Fails unless the node's way to an address is a route that BIRD has made.
pub(crate) fn ensure_by_bird(speaker: &Speaker, address: IpAddr) -> Result<()> {
    let route = speaker.node.netns.route_to(address)?;
    ensure!(route["protocol"] == "bird", "{} goes to {address} by {route}", speaker.node.name());
    Ok(())
}

/// A flow of each family from the client to a pod.
pub(crate) fn flows(site: &Running, pod: &Attached) -> Result<Vec<Flow>> {
    let start = |address: IpAddr| Flow::start(&site.fabric.client, &pod.sandbox.netns, address);
    pod.addresses().into_iter().map(start).collect()
}

/// Ends flows that must not have lost a packet.
pub(crate) fn ensure_lossless(flows: Vec<Flow>) -> Result<()> {
    flows.into_iter().try_for_each(|flow| flow.stop()?.ensure_lossless())
}

/// Waits until the status of BGP on a node is as `judge` wants it.
pub(crate) fn eventually_status(
    speaker: &Speaker,
    limit: Duration,
    judge: impl Fn(&Value) -> bool,
) -> Result<Value> {
    eventually(limit, || {
        let status = speaker.status()?;
        ensure!(judge(&status), "{status:#}");
        Ok(status)
    })
}

/// How often FRR's sessions have come up so far.
pub(crate) fn ups(site: &Running) -> Result<Vec<u64>> {
    site.neighbors.iter().map(|neighbor| site.frr.established_times(neighbor)).collect()
}

/// The address that a namespace's link has made for itself out of fe80::/10.
pub(crate) fn link_local(netns: &Netns, ifname: &str) -> Result<String> {
    let rows = netns.ip_json(&["-6", "address", "show", "dev", ifname, "scope", "link"])?;
    let infos = rows.iter().filter_map(|row| row["addr_info"].as_array()).flatten();
    let own = infos.filter_map(|info| info["local"].as_str()).next();
    own.map(str::to_owned).with_context(|| format!("no link-local address on {ifname}: {rows:?}"))
}
