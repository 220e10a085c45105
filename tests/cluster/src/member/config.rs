//! What the programs of a node read.

use std::fs;
use std::path::PathBuf;

use anyhow::Result;
use serde_json::{Value, json};

use super::Member;
use crate::network::Network;
use crate::plan::Runtime;

/// kubelet's configuration.
pub(super) fn kubelet_file(member: &Member) -> PathBuf {
    member.dir().join("kubelet.json")
}

/// kube-proxy's configuration.
pub(super) fn proxy_file(member: &Member) -> PathBuf {
    member.dir().join("kube-proxy.json")
}

/// containerd's configuration.
pub(super) fn containerd_file(member: &Member) -> PathBuf {
    member.dir().join("containerd.toml")
}

/// Writes all of them.
pub(super) fn write(member: &Member) -> Result<()> {
    fs::write(kubelet_file(member), format!("{:#}\n", kubelet(member)))?;
    fs::write(proxy_file(member), format!("{:#}\n", proxy(member)))?;
    fs::write(containerd_file(member), containerd(member.runtime))?;
    // Pods have no name server.
    fs::write(member.dir().join("resolv.conf"), "")?;
    Ok(())
}

fn kubelet(member: &Member) -> Value {
    let authority = &member.site.authority;
    let serving = authority.credential(&format!("{}-serving", member.name));
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": authority.certificate()},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": serving.certificate,
        "tlsPrivateKeyFile": serving.key,
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "cgroupDriver": "cgroupfs",
        // Nothing answers there; without an address each pod would have an Event that says so.
        "clusterDNS": ["fd00:96::a"],
        "cgroupRoot": format!("/{}{}", member.site.prefix, member.name),
        "failCgroupV1": false,
        "enforceNodeAllocatable": [],
        "failSwapOn": false,
        // The nodes share one disk, which is anything but theirs.
        "evictionHard": {
            "imagefs.available": "0%",
            "imagefs.inodesFree": "0%",
            "memory.available": "0%",
            "nodefs.available": "0%",
            "nodefs.inodesFree": "0%",
        },
        // A local image that was collected could not be pulled again.
        "imageGCHighThresholdPercent": 100,
        "maxPods": 130,
        "nodeStatusUpdateFrequency": "5s",
        // Without CAP_SYS_RESOURCE nobody may ask to be spared.
        "oomScoreAdj": 0,
        "resolvConf": member.dir().join("resolv.conf"),
        "shutdownGracePeriod": "0s",
        "staticPodPath": "/etc/kubernetes/manifests",
        // Its default is below /usr, which is the machine's.
        "volumePluginDir": "/var/lib/kubelet/plugins-exec",
    })
}

fn proxy(member: &Member) -> Value {
    let site = &member.site;
    let mut config = json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {
            "kubeconfig": site.authority.kubeconfig_file(&format!("{}-proxy", member.name)),
        },
        "hostnameOverride": member.name,
        "mode": "nftables",
        // These are the whole machine's, and a namespace may not set them.
        "conntrack": {
            "maxPerCore": 0, "min": 0, "tcpCloseWaitTimeout": "0s", "tcpEstablishedTimeout": "0s",
        },
        "oomScoreAdj": 0,
        "detectLocalMode": "InterfaceNamePrefix",
        "detectLocal": {"interfaceNamePrefix": "flock"},
    });
    if site.plan.network == Network::Ptp {
        config["detectLocalMode"] = "ClusterCIDR".into();
        config["clusterCIDR"] = site.plan.pod_cidrs().into();
    }
    config
}

fn containerd(runtime: Runtime) -> String {
    match runtime {
        Runtime::Containerd2 => include_str!("containerd-2.toml").to_owned(),
        Runtime::Containerd1 => include_str!("containerd-1.toml").to_owned(),
    }
}
