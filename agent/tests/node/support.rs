//! A node in memory: fake kernel, files in a map, a source that says what the test wants, and a cut that ends it all
//! at a chosen step, as a power failure or SIGKILL would.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use flock_agent::admission::{Admission, AdmitAll};
use flock_agent::attach::{AddCall, Attachments, Loopback, Parts};
use flock_agent::environment::Clock;
use flock_agent::notice::Notices;
use flock_agent::source::Source;
use flock_agent::store::{Files, Store};
use flock_core::attachment::{AttachmentId, PodName};
use flock_core::desired::Desired;
use flock_core::node::{NodePlan, Pools};
use flock_core::pod::Pod;
use flock_kernel::KernelError;
use flock_kernel::fake::FakeKernel;
use flock_kernel::gate::Gate;
use jiff::Timestamp;
use tokio::sync::watch;

/// Lets a number of steps pass, then nothing any more.
#[derive(Debug, Clone)]
pub(crate) struct Cut(Arc<AtomicI64>);

impl Cut {
    pub(crate) fn after(steps: i64) -> Self {
        Self(Arc::new(AtomicI64::new(steps)))
    }

    pub(crate) fn never() -> Self {
        Self::after(i64::MAX)
    }

    /// How many steps were taken, for a cut that began with `steps`.
    pub(crate) fn taken(&self, steps: i64) -> i64 {
        steps - self.0.load(Ordering::SeqCst)
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.0.load(Ordering::SeqCst) < 0
    }

    fn step(&self) -> bool {
        self.0.fetch_sub(1, Ordering::SeqCst) > 0
    }
}

impl Gate for Cut {
    fn before(&self, _: &str) -> Result<(), KernelError> {
        if self.step() { Ok(()) } else { Err(KernelError::Closed) }
    }

    fn after(&self, _: &str) -> Result<(), KernelError> {
        Ok(())
    }

    fn observe(&self) -> Result<(), KernelError> {
        if self.is_cut() { Err(KernelError::Closed) } else { Ok(()) }
    }
}

type Map = BTreeMap<PathBuf, Vec<u8>>;

/// Files in a map, which outlives the agent that writes them.
#[derive(Debug, Clone)]
pub(crate) struct MemoryFiles {
    pub(crate) map: Arc<Mutex<Map>>,
    pub(crate) cut: Cut,
    /// Every write fails for want of space.
    pub(crate) full: Arc<std::sync::atomic::AtomicBool>,
}

impl MemoryFiles {
    fn step(&self) -> io::Result<()> {
        if self.cut.step() { Ok(()) } else { Err(io::Error::other("cut")) }
    }
}

impl Files for MemoryFiles {
    fn make_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        let map = self.map.lock().unwrap();
        Ok(map
            .keys()
            .filter(|path| path.parent() == Some(dir))
            .map(|path| path.file_name().unwrap().into())
            .collect())
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.map.lock().unwrap().get(path).cloned().ok_or(io::ErrorKind::NotFound.into())
    }

    fn write(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        if self.full.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(".tmp");
        let half = content[..content.len() / 2].to_vec();
        if self.cut.is_cut() {
            return Err(io::Error::other("cut"));
        }
        self.map.lock().unwrap().insert(temporary.clone().into(), half);
        self.step()?;
        let mut map = self.map.lock().unwrap();
        map.remove(Path::new(&temporary));
        map.insert(path.to_owned(), content.to_vec());
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step()?;
        let mut map = self.map.lock().unwrap();
        let content = map.remove(from).ok_or(io::ErrorKind::NotFound)?;
        map.insert(to.to_owned(), content);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        self.map.lock().unwrap().remove(path);
        Ok(())
    }
}

/// A source that says what it is told to.
#[derive(Debug, Clone)]
pub(crate) struct Told(pub(crate) watch::Sender<Arc<Desired>>);

impl Source for Told {
    fn desired(&self) -> watch::Receiver<Arc<Desired>> {
        self.0.subscribe()
    }

    fn follow_known(&self) -> watch::Receiver<bool> {
        watch::channel(true).1
    }

    fn follow_trouble(&self) -> watch::Receiver<Option<String>> {
        watch::channel(None).1
    }

    async fn refresh(&self, _: &PodName, _: Option<&str>) {}

    fn advice(&self, object: &str) -> String {
        format!("tell the test of {object}")
    }
}

/// A clock that stands until it is moved.
#[derive(Debug, Clone)]
pub(crate) struct Hands(pub(crate) Arc<AtomicI64>);

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.0.load(Ordering::SeqCst)).unwrap()
    }
}

pub(crate) type Agent = Attachments<FakeKernel, Told>;

/// Everything that outlives an agent.
pub(crate) struct World {
    pub(crate) kernel: FakeKernel,
    pub(crate) files: Arc<Mutex<Map>>,
    pub(crate) full: Arc<std::sync::atomic::AtomicBool>,
    pub(crate) told: Told,
    pub(crate) clock: Hands,
    pub(crate) run_dir: tempfile::TempDir,
    pub(crate) admission: Arc<dyn Admission>,
}

pub(crate) fn id(text: &str) -> AttachmentId {
    format!("{text}@eth0").parse().unwrap()
}

pub(crate) fn netns(text: &str) -> PathBuf {
    PathBuf::from(format!("/run/netns/{text}"))
}

pub(crate) fn call(text: &str) -> AddCall {
    AddCall {
        id: id(text),
        netns: netns(text),
        pod: PodName::new("default", text).unwrap(),
        uid: None,
        network: "flock".to_owned(),
        loopback: Loopback::Unknown,
    }
}

pub(crate) fn node_plan(cidr6: &str, cidr4: &str) -> NodePlan {
    let v6: ipnet::Ipv6Net = cidr6.parse().unwrap();
    let v4: ipnet::Ipv4Net = cidr4.parse().unwrap();
    NodePlan {
        pools: Pools { v6: vec![v6.try_into().unwrap()], v4: vec![v4.try_into().unwrap()] },
        ..NodePlan::new("node-a")
    }
}

fn pod(name: &str) -> Pod {
    Pod::new(PodName::new("default", name).unwrap())
}

impl World {
    /// A node with pods (and network namespaces) of these names.
    pub(crate) fn new(pods: &[&str], plan: NodePlan) -> Self {
        let kernel = FakeKernel::default();
        for name in pods {
            kernel.add_namespace(&netns(name));
        }
        let pods = pods.iter().map(|name| (pod(name).name, Arc::new(pod(name)))).collect();
        let desired = Desired { node: Some(Arc::new(plan)), pods, ..Desired::default() };
        Self {
            kernel,
            files: Arc::default(),
            full: Arc::default(),
            told: Told(watch::Sender::new(Arc::new(desired))),
            clock: Hands(Arc::new(AtomicI64::new(1_700_000_000))),
            run_dir: tempfile::tempdir().unwrap(),
            admission: Arc::new(AdmitAll),
        }
    }

    /// Starts an agent, which has not recovered yet.
    pub(crate) fn agent(&self, cut: &Cut) -> Arc<Agent> {
        let files =
            MemoryFiles { map: Arc::clone(&self.files), cut: cut.clone(), full: Arc::clone(&self.full) };
        Arc::new(Attachments::new(Parts {
            kernel: self.kernel.clone().behind(cut.clone()),
            source: self.told.clone(),
            store: Store::open(files, Path::new("/run/flock")).unwrap(),
            clock: Box::new(self.clock.clone()),
            tombstones: self.run_dir.path().join("tombstones"),
            notices: Notices::nowhere(),
            admission: self.admission.clone(),
        }))
    }

    /// Starts an agent and lets it recover and reconcile.
    pub(crate) async fn recovered(&self) -> Arc<Agent> {
        let agent = self.agent(&Cut::never());
        agent.recover().await.unwrap();
        agent.reconcile().await.unwrap();
        agent
    }

    pub(crate) fn wait(&self, seconds: i64) {
        self.clock.0.fetch_add(seconds, Ordering::SeqCst);
    }

    /// The names of the store's files below a directory.
    pub(crate) fn files_in(&self, dir: &str) -> Vec<String> {
        let dir = Path::new("/run/flock").join(dir);
        let map = self.files.lock().unwrap();
        let names = map.keys().filter(|path| path.parent() == Some(dir.as_path()));
        names.map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect()
    }
}
