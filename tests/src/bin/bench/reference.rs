//! The reference plugins of the CNI project, as Debian ships them: a routed veth pair and a file of leases.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use flock_tests::{Invocation, Netns, Sandbox, World};
use serde_json::{Value, json};

use crate::{Calls, rounds};

/// Where `containernetworking-plugins` puts them.
const PLUGIN: &str = "/usr/lib/cni/ptp";

/// A node that attaches its pods by `ptp` and `host-local`.
#[derive(Debug)]
pub(crate) struct Reference<'w> {
    world: &'w World,
    netns: Netns,
    leases: PathBuf,
}

impl<'w> Reference<'w> {
    pub(crate) fn new(world: &'w World) -> Result<Self> {
        let missing =
            "no reference plugins: run `apt-get install --yes containernetworking-plugins`, or `make deps`";
        ensure!(Path::new(PLUGIN).is_file(), missing);
        Ok(Self { world, netns: world.machine("reference")?, leases: world.dir().join("leases") })
    }

    /// ADD, an echo where there is IPv6, DEL; with one address out of each range.
    pub(crate) fn calls(&self, ranges: &[&str], count: usize) -> Result<Calls> {
        let call = |command: &str, sandbox: &Sandbox| Ok(self.call(command, ranges, sandbox));
        rounds(count, &self.netns, || self.sandbox(), call)
    }

    fn sandbox(&self) -> Result<Sandbox> {
        let container = self.world.container_id();
        Ok(Sandbox {
            netns: self.world.netns(&format!("r{}", &container[container.len() - 6..]))?,
            ifname: "eth0".to_owned(),
            namespace: "default".to_owned(),
            pod: "reference".to_owned(),
            uid: "11111111-2222-4333-8444-555555555555".to_owned(),
            container,
        })
    }

    fn call(&self, command: &str, ranges: &[&str], sandbox: &Sandbox) -> Invocation<'_> {
        let log = self.world.dir().join("reference.log");
        Invocation::new(&self.netns, Path::new(PLUGIN), self.config(ranges), log, command).of(sandbox)
    }

    fn config(&self, ranges: &[&str]) -> Value {
        let routes: Vec<Value> = ranges.iter().map(|range| json!({"dst": default_of(range)})).collect();
        let ranges: Vec<Value> = ranges.iter().map(|range| json!([{"subnet": range}])).collect();
        let ipam = json!({"type": "host-local", "dataDir": self.leases, "ranges": ranges, "routes": routes});
        json!({"cniVersion": "1.0.0", "name": "reference", "type": "ptp", "ipMasq": false, "ipam": ipam})
    }
}

fn default_of(range: &str) -> &'static str {
    if range.contains(':') { "::/0" } else { "0.0.0.0/0" }
}
