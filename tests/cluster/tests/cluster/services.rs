//! Services through kube-proxy: every `ipFamilyPolicy`, headless, NodePort; and hostPort through portmap.

use anyhow::{Context, Result, ensure};
use flock_cluster::kubectl::PATIENCE;
use flock_cluster::suite::Named;
use flock_cluster::{Cluster, cluster_trials};
use flock_tests::eventually;
use serde_json::{Value, json};

use crate::objects::{annotated, apply, clean, http, on, pod, replicas, service};
use crate::streams::ask_from_outside;

pub(crate) fn trials() -> Vec<Named> {
    cluster_trials![
        a_service_of_each_family_policy_is_reached_from_pods_of_both_nodes,
        a_single_family_pod_is_behind_its_familys_addresses_only,
        a_headless_service_names_the_pods_addresses_of_both_families,
        a_node_port_is_reached_from_outside_over_both_families,
        a_host_port_is_reached_from_outside_over_both_families,
    ]
}

/// Two pods to serve, and one on each node to ask.
fn servers_and_askers(cluster: &Cluster) -> Result<()> {
    let askers = [on(pod("asker-a"), "node-a"), on(pod("asker-b"), "node-b")];
    apply(cluster, &[&[replicas("Deployment", "web", 2)], askers.as_slice()].concat())?;
    cluster.kubectl().ready_pods("app=web", 2)?;
    ["asker-a", "asker-b"].into_iter().try_for_each(|name| cluster.kubectl().ready_pod(name).map(drop))
}

fn cluster_ips(cluster: &Cluster, name: &str) -> Result<Vec<String>> {
    let service = cluster.kubectl().json(&["service", name])?;
    let ips = service["spec"]["clusterIPs"].as_array().cloned().unwrap_or_default();
    Ok(ips.iter().filter_map(|ip| ip.as_str().map(str::to_owned)).collect())
}

fn a_service_of_each_family_policy_is_reached_from_pods_of_both_nodes(cluster: &mut Cluster) -> Result<()> {
    servers_and_askers(cluster)?;
    let policies = [
        ("plain", json!({}), "6"),
        ("single6", json!({"ipFamilyPolicy": "SingleStack", "ipFamilies": ["IPv6"]}), "6"),
        ("single4", json!({"ipFamilyPolicy": "SingleStack", "ipFamilies": ["IPv4"]}), "4"),
        ("prefer", json!({"ipFamilyPolicy": "PreferDualStack"}), "64"),
        ("require64", json!({"ipFamilyPolicy": "RequireDualStack", "ipFamilies": ["IPv6", "IPv4"]}), "64"),
        ("require46", json!({"ipFamilyPolicy": "RequireDualStack", "ipFamilies": ["IPv4", "IPv6"]}), "46"),
    ];
    let services: Vec<Value> =
        policies.iter().map(|(name, spec, _)| service(name, "web", spec.clone())).collect();
    apply(cluster, &services)?;
    for (name, _, families) in policies {
        let ips = cluster_ips(cluster, name)?;
        let got: String = ips.iter().map(|ip| if ip.contains(':') { '6' } else { '4' }).collect();
        ensure!(got == families, "{name}: {ips:?}");
        for ip in &ips {
            for asker in ["asker-a", "asker-b"] {
                let said = eventually(PATIENCE, || cluster.kubectl().ask(asker, &http(ip, 80)))?;
                ensure!(said.contains("\"hostname\":\"web-"), "{name} {ip} {asker}: {said}");
            }
        }
    }
    clean(cluster)
}

fn a_single_family_pod_is_behind_its_familys_addresses_only(cluster: &mut Cluster) -> Result<()> {
    let only4 = annotated(on(pod("only4"), "node-a"), "ipv6", "false");
    let both = service("both", "only4", json!({"ipFamilyPolicy": "RequireDualStack"}));
    apply(cluster, &[only4, on(pod("asker"), "node-b"), both])?;
    cluster.kubectl().ready_pod("only4")?;
    cluster.kubectl().ready_pod("asker")?;
    let ips = cluster_ips(cluster, "both")?;
    let v4 = ips.iter().find(|ip| !ip.contains(':')).context("no IPv4 address")?;
    eventually(PATIENCE, || cluster.kubectl().ask("asker", &http(v4, 80)))?;
    let v6 = ips.iter().find(|ip| ip.contains(':')).context("no IPv6 address")?;
    ensure!(cluster.kubectl().ask("asker", &http(v6, 80)).is_err(), "nobody serves {v6}");
    clean(cluster)
}

fn a_headless_service_names_the_pods_addresses_of_both_families(cluster: &mut Cluster) -> Result<()> {
    let headless =
        service("headless", "web", json!({"clusterIP": "None", "ipFamilyPolicy": "RequireDualStack"}));
    apply(cluster, &[replicas("Deployment", "web", 2), headless])?;
    let pods = cluster.kubectl().ready_pods("app=web", 2)?;
    let mut wanted: Vec<String> = pods.into_iter().flat_map(|pod| pod.ips).collect();
    wanted.sort();
    eventually(PATIENCE, || {
        let slices =
            cluster.kubectl().list(&["endpointslices", "--selector=kubernetes.io/service-name=headless"])?;
        let endpoints =
            slices.iter().flat_map(|slice| slice["endpoints"].as_array().cloned().unwrap_or_default());
        let addresses =
            endpoints.flat_map(|endpoint| endpoint["addresses"].as_array().cloned().unwrap_or_default());
        let mut addresses: Vec<String> = addresses.filter_map(|ip| ip.as_str().map(str::to_owned)).collect();
        addresses.sort();
        ensure!(addresses == wanted, "{addresses:?}, {wanted:?}");
        Ok(())
    })?;
    clean(cluster)
}

fn a_node_port_is_reached_from_outside_over_both_families(cluster: &mut Cluster) -> Result<()> {
    let spec = json!({"type": "NodePort", "ipFamilyPolicy": "RequireDualStack"});
    apply(cluster, &[replicas("Deployment", "web", 2), service("outside", "web", spec)])?;
    cluster.kubectl().ready_pods("app=web", 2)?;
    let service = cluster.kubectl().json(&["service", "outside"])?;
    let port = service["spec"]["ports"][0]["nodePort"].as_u64().context("no nodePort")?;
    for node in ["node-a", "node-b"] {
        for address in cluster.member(node)?.addresses() {
            let said = eventually(PATIENCE, || ask_from_outside(cluster, &address, u16::try_from(port)?))?;
            ensure!(said.contains("\"hostname\":\"web-"), "{node} {address}: {said}");
        }
    }
    clean(cluster)
}

fn a_host_port_is_reached_from_outside_over_both_families(cluster: &mut Cluster) -> Result<()> {
    let mut pod = on(pod("published"), "node-a");
    pod["spec"]["containers"][0]["ports"] = json!([{"containerPort": 8080, "hostPort": 8888}]);
    apply(cluster, &[pod])?;
    cluster.kubectl().ready_pod("published")?;
    let addresses = cluster.member("node-a")?.addresses();
    for address in &addresses {
        let said = eventually(PATIENCE, || ask_from_outside(cluster, address, 8888))?;
        ensure!(said.contains("\"hostname\":\"published\""), "{address}: {said}");
    }
    clean(cluster)?;
    for address in &addresses {
        ensure!(ask_from_outside(cluster, address, 8888).is_err(), "{address} still answers");
    }
    Ok(())
}
