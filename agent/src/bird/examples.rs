//! The configurations of docs/bgp.md, from the file that a person writes to the file that BIRD reads. The golden files are
//! read by BIRD's own parser in the workspace's tests. They are made anew by `FLOCK_BLESS=1 cargo test -p flock-agent
//! golden`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use flock_core::anycast::Announced;
use flock_core::bgp::render::render;
use flock_core::bgp::resolve::{NodeContext, resolve};
use flock_core::host::addresses::{NodeAddress, Subnets};
use flock_core::prefix::PodAddresses;

use crate::source::Source as _;
use crate::source::manifests::Manifests;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The addresses that the examples' sessions begin at.
fn subnets() -> Subnets {
    let address = |net: &str| NodeAddress {
        ifname: "eth0".parse().unwrap(),
        net: net.parse().unwrap(),
        secondary: false,
    };
    let addresses = BTreeSet::from([address("2001:db8:f::13/64"), address("192.0.2.13/24")]);
    let on_link = addresses.iter().map(|own| own.net.trunc()).collect();
    Subnets { addresses, on_link }
}

/// The example of `node`, beside all others in one folder, as bird.conf.
fn bird_conf(node: &str) -> String {
    let manifests = Manifests::open(&repository().join("deploy/examples"), node).unwrap();
    let desired = manifests.desired().borrow().clone();
    // Some of them come with the workloads that they are for.
    let workload = |reason: &str| reason.contains("is not a kind that flock reads");
    let problems: Vec<_> = desired.problems.iter().filter(|problem| !workload(&problem.reason)).collect();
    assert!(problems.is_empty(), "{problems:?}");
    let plan = desired.node.as_ref().unwrap();
    let bgp = plan.bgp.as_ref().unwrap();
    let files = bgp.peers.iter().filter_map(|peer| peer.password.clone());
    let passwords: BTreeMap<_, _> = files.map(|file| (file, Ok("dummy".parse().unwrap()))).collect();
    let pod = PodAddresses {
        v6: Some("2001:db8:a:3::5".parse().unwrap()),
        v4: Some("203.0.113.133".parse().unwrap()),
    };
    let context = NodeContext {
        node,
        pools: &plan.pools,
        cluster: &desired.cluster,
        subnets: &subnets(),
        uplinks: &BTreeSet::from(["eth0".parse().unwrap()]),
        pods: &BTreeSet::from([pod]),
        announced: &Announced::default(),
        claimable: &BTreeSet::new(),
        passwords: &passwords,
        bird: None,
    };
    let resolved = resolve(bgp, &context).unwrap();
    assert_eq!(resolved.refused, BTreeMap::new());
    render(&resolved.config).unwrap().text
}

#[test]
fn the_configurations_of_the_page_become_their_golden_files() {
    let bless = std::env::var_os("FLOCK_BLESS").is_some_and(|value| value == "1");
    for (node, example) in
        [("node-a", "one-router"), ("node-b", "two-routers"), ("node-c", "route-reflector")]
    {
        let golden = repository().join(format!("bird-templates/golden/example-{example}.conf"));
        let text = bird_conf(node);
        if bless {
            std::fs::write(&golden, &text).unwrap();
        }
        let committed = std::fs::read_to_string(&golden).unwrap_or_default();
        assert!(committed == text, "{} is stale; now it would be:\n{text}", golden.display());
    }
}
