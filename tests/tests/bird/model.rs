//! What a configuration lets through, computed from its sets as BIRD does from the filters.

use flock_core::bgp::config::BirdConfig;
use ipnet::IpNet;

/// What the peers are told: `own6`, `own4`, `anycast6` and `anycast4` through an export filter.
pub(crate) fn exports(config: &BirdConfig) -> impl Iterator<Item = IpNet> {
    let anycast = config.anycast.keys().copied().map(IpNet::from);
    let all = config.originate.iter().copied().chain(anycast);
    all.filter(|net| config.exportable.iter().any(|range| range.admits(net)))
}

/// Whether a route for `net` is learned: `import6` and `import4`.
pub(crate) fn imports(config: &BirdConfig, net: &IpNet) -> bool {
    let protected = config.protected.iter().any(|protected| protected.contains(net));
    !protected && config.import.iter().any(|range| range.admits(net))
}
