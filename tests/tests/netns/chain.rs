//! The plugins that come after flock in a conflist take its result and hand it on.

use std::path::Path;

use anyhow::{Result, ensure};
use flock_tests::{Invocation, Pod, World, trials};
use libtest_mimic::Trial;
use serde_json::json;

/// Where Debian's `containernetworking-plugins` has them.
const PLUGINS: &str = "/usr/lib/cni";

pub(crate) fn trials() -> Vec<Trial> {
    trials![portmap_and_bandwidth_hand_the_result_on]
}

fn portmap_and_bandwidth_hand_the_result_on(world: &World) -> Result<()> {
    let site = world.site()?;
    let pod = site.node.run(&Pod::new("web-0"))?;
    // 1.0.0 is the newest version that Debian's plugins know.
    for version in ["0.3.1", "0.4.0", "1.0.0"] {
        let result = site.node.call("ADD", &pod.sandbox)?.version(version).run()?.result()?;
        for name in ["portmap", "bandwidth"] {
            let program = Path::new(PLUGINS).join(name);
            ensure!(
                program.is_file(),
                "no {}: run `apt-get install --yes containernetworking-plugins`",
                program.display()
            );
            let config = json!({"cniVersion": version, "name": "flock", "type": name, "prevResult": result});
            let log = world.dir().join("chain.log");
            let call = Invocation::new(&site.node.netns, &program, config, log, "ADD").of(&pod.sandbox);
            let handed_on = call.run()?.result()?;
            ensure!(handed_on["ips"] == result["ips"], "{name} {version}: {handed_on}");
            ensure!(handed_on["interfaces"] == result["interfaces"], "{name} {version}: {handed_on}");
        }
    }
    Ok(())
}
