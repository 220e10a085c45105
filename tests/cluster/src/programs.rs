//! Where the programs of a cluster are.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use flock_tests::requirements;

/// Says where `scripts/cluster-programs` leaves what it makes.
pub const CACHE: &str = "FLOCK_CLUSTER_CACHE";

/// Debian's programs, with the package of each.
const TOOLS: &[(&str, &str)] = &[
    ("/usr/bin/containerd", "containerd"),
    ("etcd", "etcd-server"),
    ("/usr/lib/cni/ptp", "containernetworking-plugins"),
    ("iptables", "iptables"),
    ("nsenter", "util-linux"),
    ("openssl", "openssl"),
    ("runc", "runc"),
    ("unshare", "util-linux"),
];

/// What `scripts/cluster-programs` builds.
const BUILT: &[&str] = &[
    "kubectl",
    "kubelet",
    "kube-proxy",
    "kube-scheduler",
    "kube-controller-manager",
    "kube-apiserver",
    "containerd",
    "containerd-shim-runc-v2",
    "ctr",
    "loopback",
    "bandwidth",
    "portmap",
];

/// Where Debian has the reference CNI plugins, of CNI 1.0.
pub const REFERENCE_PLUGINS: &str = "/usr/lib/cni";

/// The programs of a cluster.
#[derive(Debug, Clone)]
pub struct Programs {
    cache: PathBuf,
    /// This crate's own program, a node's first process.
    pub harness: PathBuf,
}

impl Programs {
    /// Looks for everything. `harness` is this crate's own program.
    ///
    /// # Errors
    /// Names what is missing and the line to have it.
    pub fn find(harness: &Path) -> Result<Self> {
        requirements::check_routing()?;
        requirements::ensure_installed(TOOLS)?;
        let programs = Self { cache: cache()?, harness: harness.to_owned() };
        for name in BUILT {
            let file = programs.built(name);
            ensure!(file.is_file(), "{} does not exist: run scripts/cluster-programs", file.display());
        }
        Ok(programs)
    }

    /// One of those that are built.
    pub fn built(&self, name: &str) -> PathBuf {
        self.bin().join(name)
    }

    /// The directory of those that are built.
    pub fn bin(&self) -> PathBuf {
        self.cache.join("bin")
    }

    /// The directory of the tests' images.
    pub fn images(&self) -> PathBuf {
        self.cache.join("images")
    }
}

fn cache() -> Result<PathBuf> {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let found = set(CACHE)
        .or_else(|| set("FLOCK_CI_CACHE").map(|dir| dir.join("cluster")))
        .or_else(|| set("HOME").map(|home| home.join(".cache/flock-ci/cluster")));
    found.with_context(|| format!("neither {CACHE} nor HOME says where the cluster's programs are"))
}
