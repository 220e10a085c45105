//! The folder of manifests: every `*.yaml`, `*.yml` and `*.json` in it, several documents per file, followed live.
//!
//! A file that cannot be read as a whole keeps the objects that it had when it last could; the others go on. So a
//! typing error, or a file seen while it is being written, takes nothing away.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flock_core::attachment::PodName;
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::{mpsc, watch};

use super::document::{self, Object};
use super::{Desired, Problem, Source};

/// Events within this time of the first one are one reading.
const COALESCE: Duration = Duration::from_millis(50);

/// The folder is read this often even without an event: some file systems (NFS, FUSE) give none.
const RESCAN: Duration = Duration::from_secs(30);

/// A manifest larger than this is a mistake.
const MAX_FILE: u64 = 64 << 20;

/// The manifests of one node.
#[derive(Debug)]
pub struct Manifests {
    dir: PathBuf,
    node: String,
    files: Mutex<BTreeMap<PathBuf, File>>,
    desired: watch::Sender<Arc<Desired>>,
}

/// The folder cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum ManifestsError {
    /// It cannot be read.
    #[error("manifests folder {dir}: {cause}: create it, or name another one with --manifests")]
    Folder {
        /// The folder.
        dir: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// Its changes cannot be followed.
    #[error("cannot follow changes in manifests folder {dir}: {cause}")]
    Watch {
        /// The folder.
        dir: PathBuf,
        /// Why.
        cause: notify::Error,
    },
}

/// One file, as it was last read.
#[derive(Debug, Default)]
struct File {
    content: String,
    /// The objects of the last good content, each with its line.
    objects: Vec<(usize, Object)>,
    problems: Vec<Problem>,
}

impl Manifests {
    /// Reads the folder for the first time.
    pub fn open(dir: &Path, node: &str) -> Result<Arc<Self>, ManifestsError> {
        let (desired, _) = watch::channel(Arc::default());
        let manifests = Self { dir: dir.to_owned(), node: node.to_owned(), files: Mutex::default(), desired };
        manifests.read().map_err(|cause| ManifestsError::Folder { dir: dir.to_owned(), cause })?;
        Ok(Arc::new(manifests))
    }

    /// Follows the folder until the process ends.
    pub fn follow(self: &Arc<Self>) -> Result<(), ManifestsError> {
        let (sender, mut events) = mpsc::channel::<()>(1);
        let watcher = self.watcher(sender)?;
        let manifests = Arc::clone(self);
        tokio::spawn(async move {
            let _watcher = watcher;
            loop {
                let _ = tokio::time::timeout(RESCAN, events.recv()).await;
                tokio::time::sleep(COALESCE).await;
                manifests.reread().await;
            }
        });
        Ok(())
    }

    fn watcher(&self, sender: mpsc::Sender<()>) -> Result<RecommendedWatcher, ManifestsError> {
        let fail = |cause| ManifestsError::Watch { dir: self.dir.clone(), cause };
        // The channel holds one: what is full says already that there is something to read.
        let on_event = move |event: notify::Result<notify::Event>| {
            if event.map_or(true, |event| !event.kind.is_access()) {
                let _ = sender.try_send(());
            }
        };
        let mut watcher = notify::recommended_watcher(on_event).map_err(fail)?;
        watcher.watch(&self.dir, RecursiveMode::NonRecursive).map_err(fail)?;
        Ok(watcher)
    }

    async fn reread(self: &Arc<Self>) {
        let manifests = Arc::clone(self);
        let outcome = tokio::task::spawn_blocking(move || manifests.read()).await;
        if let Ok(Err(cause)) = outcome {
            tracing::error!(dir = %self.dir.display(), %cause, "cannot read the manifests folder; the last good state stays");
        }
    }

    /// Reads what has changed and publishes the whole.
    fn read(&self) -> io::Result<()> {
        let paths = manifest_paths(&self.dir)?;
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.retain(|path, _| paths.contains(path));
        for path in paths {
            let file = files.entry(path.clone()).or_default();
            file.update(&path);
        }
        let desired = Arc::new(merge(&files, &self.node));
        drop(files);
        self.desired.send_if_modified(|current| {
            let changed = *current != desired;
            if changed {
                log_new_problems(&current.problems, &desired.problems);
                *current = desired;
            }
            changed
        });
        Ok(())
    }
}

impl Source for Arc<Manifests> {
    fn desired(&self) -> watch::Receiver<Arc<Desired>> {
        self.desired.subscribe()
    }

    async fn refresh(&self, _pod: &PodName) {
        self.reread().await;
    }

    fn advice(&self, object: &str) -> String {
        format!("write {object} into {}", self.dir.display())
    }
}

impl File {
    fn update(&mut self, path: &Path) {
        match read_text(path) {
            Ok(content) if content == self.content && self.problems.is_empty() => {}
            Ok(content) => {
                self.take(path, &content);
                self.content = content;
            }
            Err(cause) => {
                self.problems =
                    vec![Problem { file: path.to_owned(), line: None, reason: cause.to_string() }];
            }
        }
    }

    fn take(&mut self, path: &Path, content: &str) {
        let mut objects = Vec::new();
        let mut refusals = Vec::new();
        let mut remarks = Vec::new();
        let problem = |line, reason| Problem { file: path.to_owned(), line: Some(line), reason };
        for document in document::split(content) {
            match document.read() {
                Ok(reading) => {
                    objects.extend(reading.object.map(|object| (document.first_line(), object)));
                    remarks.extend(reading.remarks.into_iter().map(|(line, text)| problem(line, text)));
                }
                Err(refusal) => refusals.push(problem(refusal.line, refusal.reason)),
            }
        }
        if refusals.is_empty() {
            self.objects = objects;
        }
        self.problems = refusals.into_iter().chain(remarks).collect();
    }
}

fn read_text(path: &Path) -> io::Result<String> {
    let size = std::fs::metadata(path)?.len();
    if size > MAX_FILE {
        return Err(io::Error::other(format!(
            "{size} bytes are too many: split it, at most {MAX_FILE} are read"
        )));
    }
    std::fs::read_to_string(path)
}

/// The manifests in a folder, sorted. Hidden files (editors' and ConfigMap volumes' `..data`) are none.
fn manifest_paths(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let extension = path.extension().and_then(OsStr::to_str);
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if matches!(extension, Some("yaml" | "yml" | "json")) && !hidden && path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// All files' objects as one. Of two objects of one name the first in the order of file names counts.
fn merge(files: &BTreeMap<PathBuf, File>, node: &str) -> Desired {
    let mut desired = Desired::default();
    for (path, file) in files {
        desired.problems.extend(file.problems.iter().cloned());
        for (line, object) in &file.objects {
            let twice = |what: String| Problem {
                file: path.clone(),
                line: Some(*line),
                reason: format!(
                    "{what} is there already, in an earlier document or file: this one has no effect"
                ),
            };
            match object {
                Object::Node(plan) if plan.name != node => desired.cluster.extend(plan.pools.iter()),
                Object::Node(plan) if desired.node.is_none() => desired.node = Some(Arc::new(plan.clone())),
                Object::Node(plan) => desired.problems.push(twice(format!("NodeConfig {}", plan.name))),
                Object::Pod(pod) if desired.pods.contains_key(&pod.name) => {
                    desired.problems.push(twice(format!("Pod {}", pod.name)));
                }
                Object::Pod(pod) => {
                    desired.pods.insert(pod.name.clone(), Arc::new(pod.clone()));
                }
                Object::Namespace(_) => {}
            }
        }
    }
    desired
}

fn log_new_problems(before: &[Problem], now: &[Problem]) {
    for problem in now.iter().filter(|problem| !before.contains(problem)) {
        tracing::error!(
            file = %problem.file.display(),
            line = problem.line,
            reason = problem.reason,
            "manifest not obeyed; where it said something else before, that stays"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: &str = "apiVersion: flock.fritzlab.net/v1alpha1\nkind: NodeConfig\nmetadata: {name: node-a}\nspec: {cidr6: [\"2001:db8:a:1::/64\"]}\n";
    const POD: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: web-0}\n";

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, content) in files {
            std::fs::write(dir.path().join(name), content).unwrap();
        }
        dir
    }

    fn desired(manifests: &Manifests) -> Arc<Desired> {
        manifests.desired.borrow().clone()
    }

    fn problems(manifests: &Manifests) -> Vec<String> {
        let strip = |p: &Problem| {
            format!("{}:{}: {}", p.file.file_name().unwrap().display(), p.line.unwrap_or(0), p.reason)
        };
        desired(manifests).problems.iter().map(strip).collect()
    }

    #[test]
    fn reads_several_documents_of_several_files() {
        let dir = folder(&[
            ("a.yaml", &format!("# the node\n---\n{NODE}---\n{POD}")),
            ("b.txt", "x"),
            (".c.yaml", "x"),
        ]);
        let manifests = Manifests::open(dir.path(), "node-a").unwrap();
        assert_eq!(problems(&manifests), [] as [String; 0]);
        assert_eq!(desired(&manifests).node.as_ref().unwrap().pools.v6.len(), 1);
        assert!(desired(&manifests).pods.contains_key(&PodName::new("default", "web-0").unwrap()));
    }

    #[test]
    fn an_invalid_document_is_named_and_the_last_good_state_stays() {
        let dir = folder(&[("a.yaml", NODE)]);
        let manifests = Manifests::open(dir.path(), "node-a").unwrap();
        let good = desired(&manifests).node.clone();
        let cases = [
            (
                format!("{POD}---\n{}", NODE.replace("/64", "/32")),
                "a.yaml:8: NodeConfig node-a: spec.cidr6[0]: 2001:db8:a:1::/32",
            ),
            (
                format!("{POD}---\n{}", NODE.replace("cidr6", "cidr7")),
                "a.yaml:8: spec.cidr7: unknown field `cidr7`",
            ),
            ("a: [".to_owned(), "a.yaml:1: "),
        ];
        for (content, expected) in cases {
            std::fs::write(dir.path().join("a.yaml"), content).unwrap();
            manifests.read().unwrap();
            assert!(problems(&manifests)[0].starts_with(expected), "{expected}: {:?}", problems(&manifests));
            assert_eq!(desired(&manifests).node, good);
        }
        std::fs::write(dir.path().join("a.yaml"), NODE.replace("/64", "/80")).unwrap();
        manifests.read().unwrap();
        assert_eq!(problems(&manifests), [] as [String; 0]);
        assert_ne!(desired(&manifests).node, good);
    }

    #[test]
    fn the_same_object_twice_is_reported() {
        let dir = folder(&[("a.yaml", POD), ("b.yaml", POD)]);
        let manifests = Manifests::open(dir.path(), "node-a").unwrap();
        assert!(problems(&manifests)[0].starts_with("b.yaml:1: Pod default/web-0 is there already"));
    }

    #[test]
    fn other_nodes_prefixes_are_the_clusters() {
        let other = NODE.replace("node-a", "node-b").replace("db8:a", "db8:b");
        let dir = folder(&[("a.yaml", NODE), ("b.yaml", &other)]);
        let manifests = Manifests::open(dir.path(), "node-a").unwrap();
        let cluster: Vec<String> = desired(&manifests).cluster.iter().map(ToString::to_string).collect();
        assert_eq!(cluster, ["2001:db8:b:1::/64"]);
    }

    #[test]
    fn what_is_not_served_is_said() {
        let dir = folder(&[
            ("a.yaml", &NODE.replace("cidr6:", "claims: Any, cidr6:")),
            ("b.yaml", "apiVersion: v2\nkind: X\n"),
        ]);
        let manifests = Manifests::open(dir.path(), "node-a").unwrap();
        assert!(desired(&manifests).node.is_some());
        assert!(problems(&manifests)[0].contains("a.yaml:4: NodeConfig node-a: spec.claims is not served"));
        assert!(problems(&manifests)[1].starts_with("b.yaml:2: v2 X is not a kind that flock reads"));
    }

    #[test]
    fn a_missing_folder_is_an_error() {
        assert!(Manifests::open(Path::new("/nonexistent"), "node-a").is_err());
    }
}
