//! What the configuration follows from, gathered; and what follows.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use flock_core::anycast::Announcement;
use flock_core::bgp::config::Password;
use flock_core::bgp::control::BirdVersion;
use flock_core::bgp::pipeline::{DesiredConfig, Undesired};
use flock_core::bgp::plan::{BgpPlan, PasswordSource};
use flock_core::bgp::render::{self, AnycastRoutes, RenderError};
use flock_core::bgp::resolve::{self, NodeContext, Resolved};
use flock_core::bgp::secrets::Secrets;
use flock_core::desired::Desired;
use flock_core::host::NodeView;
use flock_core::prefix::PodAddresses;
use tokio::sync::watch;

/// More than any password and what an editor leaves context it.
const LONGEST_PASSWORD_FILE: u64 = 4096;

/// Everything that the configuration follows from.
#[derive(Debug, Clone)]
pub struct Inputs {
    /// The NodeConfig and the cluster's prefixes.
    pub desired: watch::Receiver<Arc<Desired>>,
    /// The node's addresses and subnets.
    pub host: watch::Receiver<NodeView>,
    /// The addresses of the node's pods.
    pub pods: watch::Receiver<BTreeSet<PodAddresses>>,
    /// What the Secrets that the plan names say.
    pub secrets: watch::Receiver<Secrets>,
    /// The single addresses that the node tells of.
    pub announced: watch::Receiver<Arc<Announcement>>,
}

impl Inputs {
    /// Waits for the next change of any of them; false when there will be none.
    pub(super) async fn changed(&mut self) -> bool {
        tokio::select! {
            changed = self.desired.changed() => changed.is_ok(),
            changed = self.host.changed() => changed.is_ok(),
            changed = self.pods.changed() => changed.is_ok(),
            changed = self.announced.changed() => changed.is_ok(),
            changed = self.secrets.changed() => changed.is_ok(),
        }
    }

    /// Waits until all is known that can be: a plan whose peers have no password yet, or no subnet, would take sessions
    /// down that are up.
    pub async fn complete(&mut self) {
        while !self.is_complete() && self.changed().await {}
    }

    fn is_complete(&self) -> bool {
        let desired = self.desired.borrow();
        let Some(node) = &desired.node else { return true };
        let secrets = self.secrets.borrow();
        let is_known = |source: &PasswordSource| match source {
            PasswordSource::File(_) => true,
            PasswordSource::Secret { .. } => !secrets.is_asking || secrets.read.contains_key(source),
        };
        self.host.borrow().prepared && node.bgp.iter().flat_map(sources).all(is_known)
    }

    /// What BIRD, if it is of this version, is to run.
    pub(super) fn desired_config(&self, bird: Option<BirdVersion>) -> Result<DesiredConfig, Undesired> {
        let desired = self.desired.borrow().clone();
        let node = desired.node.as_deref();
        let Some((node, plan)) = node.and_then(|node| Some((node, node.bgp.as_ref()?))) else {
            // Somebody means the node to have a plan: what an earlier one has brought about stays.
            let refused = desired.config.refused.clone().filter(|_| node.is_none());
            return refused.map_or_else(silence, |reason| Err(Undesired { reason, announcement: None }));
        };
        let host = self.host.borrow().clone();
        let announcement = self.announced.borrow().clone();
        // Not held while the configuration is rendered: who changes a pod's record waits for it.
        let pods = self.pods.borrow().clone();
        let secrets = self.secrets.borrow().clone();
        let context = NodeContext {
            node: &node.name,
            pools: &node.pools,
            cluster: &desired.cluster,
            subnets: &host.subnets,
            uplinks: &host.uplinks,
            pods: &pods,
            announced: &announcement.announced,
            claimable: &announcement.claimable,
            passwords: &passwords(plan, &secrets),
            bird,
        };
        let undesired = |reason: String| Undesired { reason, announcement: Some(Arc::clone(&announcement)) };
        let Resolved { config, refused } =
            resolve::resolve(plan, &context).map_err(|error| undesired(error.to_string()))?;
        let sessions = config.sessions.iter().map(|session| session.name.to_string()).collect();
        let base = render::base(&config).map_err(|error| undesired(error.to_string()))?;
        let routes = AnycastRoutes::of(&config);
        Ok(DesiredConfig { plan: Some(plan.clone()), base, routes, announcement, sessions, refused })
    }

    /// Whether there are files that nobody tells about when they change.
    pub(super) fn has_passwords(&self) -> bool {
        let desired = self.desired.borrow();
        let plan = desired.node.as_ref().and_then(|node| node.bgp.as_ref());
        let mut sources = plan.into_iter().flat_map(sources);
        sources.any(|source| matches!(source, PasswordSource::File(_)))
    }
}

fn silence() -> Result<DesiredConfig, Undesired> {
    let undesired = |error: RenderError| Undesired { reason: error.to_string(), announcement: None };
    let base = render::base(&resolve::silent()).map_err(undesired)?;
    Ok(DesiredConfig {
        plan: None,
        base,
        routes: AnycastRoutes::default(),
        announcement: Arc::default(),
        sessions: BTreeSet::new(),
        refused: BTreeMap::new(),
    })
}

/// Where the plan's passwords are.
fn sources(plan: &BgpPlan) -> impl Iterator<Item = &PasswordSource> {
    plan.peers.iter().filter_map(|peer| peer.password.as_ref())
}

fn passwords(plan: &BgpPlan, secrets: &Secrets) -> BTreeMap<PasswordSource, Result<Password, String>> {
    let of = |source: &PasswordSource| match source {
        PasswordSource::File(file) => in_file(file),
        PasswordSource::Secret { .. } => {
            secrets.read.get(source).cloned().unwrap_or_else(|| Err(secrets.otherwise.to_owned()))
        }
    };
    sources(plan).map(|source| (source.clone(), of(source))).collect()
}

/// Never says what is in the file.
fn in_file(file: &Path) -> Result<Password, String> {
    let metadata = fs::metadata(file).map_err(|error| error.to_string())?;
    // Anything else could keep the reader waiting.
    if !metadata.is_file() {
        return Err("it is not a file".to_owned());
    }
    let mut content = Vec::new();
    let opened = fs::File::open(file).map_err(|error| error.to_string())?;
    opened.take(LONGEST_PASSWORD_FILE).read_to_end(&mut content).map_err(|error| error.to_string())?;
    Password::of_bytes(content).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use flock_core::bgp::plan::{Asn, Peer};
    use flock_core::node::NodePlan;

    use super::*;

    fn desired(password: Option<PasswordSource>) -> Arc<Desired> {
        let asn = Asn(65001.try_into().unwrap());
        let peer = Peer { password, ..Peer::new("192.0.2.1".parse().unwrap(), asn) };
        let bgp = Some(BgpPlan { peers: vec![peer], ..BgpPlan::new(asn) });
        Arc::new(Desired {
            node: Some(Arc::new(NodePlan { bgp, ..NodePlan::new("node-a") })),
            ..Desired::default()
        })
    }

    #[test]
    fn nothing_is_said_to_bird_before_the_node_and_its_secrets_are_known() {
        let source = PasswordSource::Secret { name: "tor".to_owned(), key: "password".to_owned() };
        let read = |answer: Result<Password, String>| BTreeMap::from([(source.clone(), answer)]);
        let asking = |read| Secrets { read, otherwise: "not read yet", is_asking: true };
        let nobody = Secrets::default();
        let cases = [
            (Some(&source), true, asking(BTreeMap::new()), false),
            (Some(&source), true, asking(read(Ok("dummy".parse().unwrap()))), true),
            (Some(&source), true, asking(read(Err("there is none".to_owned()))), true),
            (Some(&source), true, nobody.clone(), true),
            (None, true, asking(BTreeMap::new()), true),
            (None, false, nobody, false),
        ];
        for (password, prepared, secrets, expected) in cases {
            let inputs = Inputs {
                desired: watch::channel(desired(password.cloned())).1,
                host: watch::channel(NodeView { prepared, ..NodeView::default() }).1,
                pods: watch::channel(BTreeSet::new()).1,
                secrets: watch::channel(secrets).1,
                announced: watch::channel(Arc::default()).1,
            };
            assert_eq!(inputs.is_complete(), expected, "{:?}", inputs.secrets.borrow());
        }
    }

    #[test]
    fn a_password_file_that_cannot_be_read_is_a_reason_not_a_hang() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tor");
        assert!(in_file(&file).unwrap_err().contains("No such file"));
        assert_eq!(in_file(dir.path()).unwrap_err(), "it is not a file");
        fs::write(&file, "secret\n").unwrap();
        assert_eq!(in_file(&file).unwrap().reveal(), "secret");
        fs::write(&file, [0xff, 0xfe]).unwrap();
        assert_eq!(in_file(&file).unwrap_err(), "the password is not text");
        fs::write(&file, "x".repeat(1 << 20)).unwrap();
        assert_eq!(in_file(&file).unwrap_err(), "the password has 4096 bytes; TCP MD5 takes at most 80");
    }
}
