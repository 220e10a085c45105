//! The configuration that has been good last: it stays while what is written is refused, also over a restart.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use flock_core::node::NodePlan;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::source::node_config::{node_plan, typed};
use crate::store::Files;

/// A configuration that is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LastGood {
    /// `spec` as a whole, with prefixes that are the Node's.
    pub(super) spec: Value,
    /// The annotation `ip-algo`.
    pub(super) ip_algo: Option<String>,
    /// Whether there was any NodeConfig.
    pub(super) of_configs: bool,
    /// What it comes to.
    pub(super) plan: Arc<NodePlan>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    version: u32,
    node: String,
    of_configs: bool,
    ip_algo: Option<String>,
    spec: Value,
}

const VERSION: u32 = 1;

/// The last good configuration, and the file that a restart finds it in.
#[derive(Debug, Default)]
pub(super) struct LastGoodStore {
    good: Option<LastGood>,
    file: Option<File>,
    unsaved: Option<Save>,
}

#[derive(Debug, Clone)]
struct File {
    node: String,
    path: PathBuf,
    files: Arc<dyn Files>,
}

/// A file that is to be written, or removed. That takes as long as the disk takes: whoever composes under a lock, or on an
/// async worker, does it elsewhere.
#[derive(Debug)]
#[must_use]
pub(in crate::source) struct Save {
    file: File,
    /// None: there is nothing good any more.
    good: Option<LastGood>,
}

impl LastGoodStore {
    /// Reads `run_dir`'s, if there is one that this release can read.
    pub(super) fn open(node: &str, files: impl Files, run_dir: &Path) -> Self {
        let path = run_dir.join("node-config.json");
        let good = match files.read(&path) {
            Ok(bytes) => read(node, &bytes)
                .inspect_err(|reason| tracing::warn!(file = %path.display(), reason, "the last good configuration cannot be read: it is as if there were none"))
                .ok(),
            // It is written when there is one.
            Err(_) => None,
        };
        let file = File { node: node.to_owned(), path, files: Arc::new(files) };
        Self { good, file: Some(file), unsaved: None }
    }

    pub(super) fn plan(&self) -> Option<Arc<NodePlan>> {
        self.good.as_ref().map(|good| Arc::clone(&good.plan))
    }

    /// Whether there is one that NodeConfigs have had a part in.
    pub(super) fn is_of_configs(&self) -> bool {
        self.good.as_ref().is_some_and(|good| good.of_configs)
    }

    pub(super) fn keep(&mut self, good: LastGood) {
        if self.good.as_ref() != Some(&good) {
            self.save(Some(good));
        }
    }

    /// Nothing is written for this node any more: that is not refused, but obeyed.
    pub(super) fn forget(&mut self) {
        self.save(None);
    }

    /// The later of two that nobody has asked for counts.
    fn save(&mut self, good: Option<LastGood>) {
        self.unsaved = self.file.clone().map(|file| Save { file, good: good.clone() });
        self.good = good;
    }

    pub(super) fn unsaved(&mut self) -> Option<Save> {
        self.unsaved.take()
    }
}

impl Save {
    pub(in crate::source) fn run(self) {
        let Self { file: File { node, path, files }, good } = self;
        let outcome = match good {
            None => files.remove(&path),
            Some(LastGood { spec, ip_algo, of_configs, .. }) => {
                let record = Record { version: VERSION, node, of_configs, ip_algo, spec };
                let bytes = serde_json::to_vec_pretty(&record).map_err(std::io::Error::other);
                bytes.and_then(|bytes| files.write(&path, &bytes))
            }
        };
        if let Err(error) = outcome {
            tracing::warn!(%error, file = %path.display(), "a restart will not find the present configuration: the file cannot be changed");
        }
    }
}

fn read(node: &str, bytes: &[u8]) -> Result<LastGood, String> {
    let record: Record = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let Record { version, node: of, of_configs, ip_algo, spec } = record;
    if version != VERSION || of != node {
        return Err(format!("it is version {version} of node {of}"));
    }
    let typed = typed(&spec).map_err(|error| error.to_string())?;
    let plan = node_plan(node, ip_algo.clone(), typed).map_err(|error| error.to_string())?;
    Ok(LastGood { spec, ip_algo, of_configs, plan: Arc::new(plan) })
}
