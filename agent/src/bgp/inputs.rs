//! What the configuration follows from, gathered; and what follows.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flock_core::bgp::config::Password;
use flock_core::bgp::control::BirdVersion;
use flock_core::bgp::plan::BgpPlan;
use flock_core::bgp::render::{self, AnycastRoutes, Base};
use flock_core::bgp::resolve::{self, Resolved, Surroundings};
use flock_core::prefix::PodAddresses;
use tokio::sync::watch;

use crate::anycast::Announcement;
use crate::attach::HostView;
use crate::source::Desired;

/// More than any password and what an editor leaves around it.
const LONGEST_PASSWORD_FILE: u64 = 4096;

/// Everything that the configuration follows from.
#[derive(Debug, Clone)]
pub struct Inputs {
    /// The NodeConfig and the cluster's prefixes.
    pub desired: watch::Receiver<Arc<Desired>>,
    /// The node's addresses and subnets.
    pub host: watch::Receiver<HostView>,
    /// The addresses of the node's pods.
    pub pods: watch::Receiver<BTreeSet<PodAddresses>>,
    /// The single addresses that the node tells of.
    pub announced: watch::Receiver<Arc<Announcement>>,
}

/// What BIRD is to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    /// The plan; none: the node is to speak no BGP.
    pub(super) plan: Option<BgpPlan>,
    /// The configuration, but for its anycast routes.
    pub(super) base: Base,
    /// Its anycast routes: today's announcement.
    pub(super) routes: AnycastRoutes,
    /// Where they come from.
    pub(super) announcement: Arc<Announcement>,
    /// The names of its sessions.
    pub(super) sessions: BTreeSet<String>,
    /// Peers that cannot be started, by index, and why.
    pub(super) refused: BTreeMap<usize, String>,
}

impl Inputs {
    /// Waits for the next change of any of them; false when there will be none.
    pub(super) async fn changed(&mut self) -> bool {
        tokio::select! {
            changed = self.desired.changed() => changed.is_ok(),
            changed = self.host.changed() => changed.is_ok(),
            changed = self.pods.changed() => changed.is_ok(),
            changed = self.announced.changed() => changed.is_ok(),
        }
    }

    /// What BIRD, if it is of this version, is to run.
    pub(super) fn wanted(&self, bird: Option<BirdVersion>) -> Result<Wanted, String> {
        let desired = self.desired.borrow().clone();
        let node = desired.node.as_deref();
        let Some((node, plan)) = node.and_then(|node| Some((node, node.bgp.as_ref()?))) else {
            return silence();
        };
        let host = self.host.borrow().clone();
        let announcement = self.announced.borrow().clone();
        let around = Surroundings {
            node: &node.name,
            pools: &node.pools,
            cluster: &desired.cluster,
            subnets: &host.subnets,
            uplinks: &host.uplinks,
            pods: &self.pods.borrow(),
            announced: &announcement.announced,
            claimable: &announcement.claimable,
            passwords: &passwords(plan),
            bird,
        };
        let Resolved { config, refused } =
            resolve::resolve(plan, &around).map_err(|error| error.to_string())?;
        let sessions = config.sessions.iter().map(|session| session.name.to_string()).collect();
        let base = render::base(&config).map_err(|error| error.to_string())?;
        let routes = AnycastRoutes::of(&config);
        Ok(Wanted { plan: Some(plan.clone()), base, routes, announcement, sessions, refused })
    }

    /// Whether there are files that nobody tells about when they change.
    pub(super) fn has_passwords(&self) -> bool {
        let desired = self.desired.borrow();
        let plan = desired.node.as_ref().and_then(|node| node.bgp.as_ref());
        plan.is_some_and(|plan| plan.peers.iter().any(|peer| peer.password_file.is_some()))
    }
}

fn silence() -> Result<Wanted, String> {
    let base = render::base(&resolve::silent()).map_err(|error| error.to_string())?;
    Ok(Wanted {
        plan: None,
        base,
        routes: AnycastRoutes::default(),
        announcement: Arc::default(),
        sessions: BTreeSet::new(),
        refused: BTreeMap::new(),
    })
}

fn passwords(plan: &BgpPlan) -> BTreeMap<PathBuf, Result<Password, String>> {
    let files = plan.peers.iter().filter_map(|peer| peer.password_file.as_ref());
    files.map(|file| (file.clone(), password(file))).collect()
}

/// Never says what is in the file.
fn password(file: &Path) -> Result<Password, String> {
    let metadata = fs::metadata(file).map_err(|error| error.to_string())?;
    // Anything else could keep the reader waiting.
    if !metadata.is_file() {
        return Err("it is not a file".to_owned());
    }
    let mut content = Vec::new();
    let opened = fs::File::open(file).map_err(|error| error.to_string())?;
    opened.take(LONGEST_PASSWORD_FILE).read_to_end(&mut content).map_err(|error| error.to_string())?;
    let text = String::from_utf8(content).map_err(|_| "the password is not text".to_owned())?;
    text.parse().map_err(|error: flock_core::bgp::config::PasswordError| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_file_that_cannot_be_read_is_a_reason_not_a_hang() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tor");
        assert!(password(&file).unwrap_err().contains("No such file"));
        assert_eq!(password(dir.path()).unwrap_err(), "it is not a file");
        fs::write(&file, "secret\n").unwrap();
        assert_eq!(password(&file).unwrap().reveal(), "secret");
        fs::write(&file, [0xff, 0xfe]).unwrap();
        assert_eq!(password(&file).unwrap_err(), "the password is not text");
        fs::write(&file, "x".repeat(1 << 20)).unwrap();
        assert_eq!(password(&file).unwrap_err(), "the password has 4096 bytes; TCP MD5 takes at most 80");
    }
}
