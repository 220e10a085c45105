//! Wiring: what is started, in which order, and how it ends.
//!
//! ```text
//!  folder ------> Manifests --+-watch--+--> Reconciler ---------+
//!  API server --> Cluster ----+        |        ^               v
//!  kernel ---- events -----------------|--------+         Attachments ----> Kernel (netlink)
//!                                      |                        ^     +---> Store (RUN_DIR)
//!  plugin, flockctl --unix--> rpc::Server ----------------------+
//!                                      ^                        | pods, addresses
//!                                      | status                 v
//!  API server <-- kubernetes, metrics -+--------------------- Controller <--control socket--> BIRD <--start-- Supervisor
//! ```
//!
//! Two stages. At once: store and kernel are joined, calls are answered, attachments are repaired, deletes work. When the
//! source [is known](Source::known): everything that follows from what is wanted. So an agent that starts while the API
//! server is away takes nothing away that an earlier one has programmed.

mod controllers;
mod instance;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use flock_core::bgp::secrets::Secrets;
use flock_core::supervision::Failed;
use flock_kernel::{Kernel, Links, Node};
use flock_rpc::tombstone;
use tokio::net::UnixListener;
use tokio::sync::watch;

use self::controllers::Stage;
use crate::admission::AdmitAll;
use crate::anycast::AnycastView;
use crate::api::client::{self, Access};
use crate::attach::{Attachments, Parts, Publisher, Reconciler};
use crate::bird::{self, supervisor::Supervisor};
use crate::bird::{BgpView, ConfFiles};
use crate::cli::agent::{BirdMode, Run};
use crate::conflist;
use crate::environment::SystemClock;
use crate::metrics::Metrics;
use crate::notice::Notices;
use crate::report;
use crate::report::metrics::{self, Snapshot};
use crate::rpc;
use crate::source::kubernetes::Cluster;
use crate::source::manifests::Manifests;
use crate::source::{self, Source};
use crate::store::{Disk, Files, Store};
use crate::supervision::Tasks;

/// Before something that has failed as a whole is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(10);

/// `EX_SOFTWARE` of `sysexits.h`.
const SOFTWARE: u8 = 70;

/// How long threads that are still at work may hold the process up when everything else has ended.
const LEFT_OVER: Duration = Duration::from_millis(500);

/// How the agent runs.
#[derive(Debug, Clone)]
pub struct Config {
    /// The node's name: that of its NodeConfig.
    pub node: String,
    /// Where it learns what is wanted.
    pub source: Origin,
    /// Socket, state and lock.
    pub run_dir: PathBuf,
    /// The time between two sweeps, and at least between the two looks that make an orphan.
    pub sweep_interval: Duration,
    pub bird: Bird,
    /// Where metrics are served; none: nowhere.
    pub metrics: Option<SocketAddr>,
    /// Where the runtime reads its network configuration, and gets flock's once the node can take pods; none: somebody
    /// else puts it there.
    pub cni: Option<conflist::Folders>,
}

/// Where the agent learns what is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A folder of manifests.
    Manifests(PathBuf),
    Kubernetes {
        access: Access,
        /// The namespace that the agent runs in: that of its Secrets.
        namespace: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bird {
    /// Somebody else, beside the agent.
    External,
    /// The agent, with this program.
    Managed(PathBuf),
}

impl From<Run> for Config {
    fn from(run: Run) -> Self {
        let access = run.kubeconfig.map_or(Access::InCluster, Access::Kubeconfig);
        let cluster = Origin::Kubernetes { access, namespace: run.namespace };
        Self {
            node: run.node,
            source: run.manifests.map_or(cluster, Origin::Manifests),
            run_dir: run.run_dir,
            sweep_interval: Duration::from_secs(run.sweep_interval),
            bird: match run.bird {
                BirdMode::External => Bird::External,
                BirdMode::Managed => Bird::Managed(run.bird_program),
            },
            metrics: run.metrics_address.0,
            cni: run.cni_conf_dir.map(|conf| conflist::Folders { conf, bin: run.cni_bin_dir }),
        }
    }
}

/// Lets the agent work on threads of its own, which end with it.
///
/// # Errors
/// The agent's, or that the threads cannot be started.
pub fn block_on(agent: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    // The work is netlink round trips; two workers are enough for a node, and each more costs memory.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let outcome = runtime.block_on(agent);
    runtime.shutdown_timeout(LEFT_OVER);
    outcome
}

/// The status of a process that ends with this error.
pub fn exit_code(error: &anyhow::Error) -> ExitCode {
    if error.is::<Failed>() { ExitCode::from(SOFTWARE) } else { ExitCode::FAILURE }
}

/// Runs the agent on `kernel` and `files` until SIGTERM or SIGINT. What it has programmed stays.
///
/// # Errors
/// When it cannot start, or one of its tasks [has failed](Failed): then nothing is tidied up, and it is to be started anew.
pub async fn run<K: Kernel>(
    config: Config,
    kernel: K,
    files: impl Files,
    tasks: &Tasks,
) -> anyhow::Result<()> {
    let _instance = instance::single_instance(&config.run_dir).await?;
    instance::end_on_signals(tasks)?;
    let residents = kernel.clone();
    let failed = tokio::select! {
        failed = tasks.failed() => failed,
        failed = residents.failed() => failed,
        served = serve(config, kernel, files, tasks) => return served,
    };
    Err(failed).context("the agent ends, to be started anew; what it has programmed stays")
}

async fn serve<K: Kernel>(config: Config, kernel: K, files: impl Files, tasks: &Tasks) -> anyhow::Result<()> {
    match &config.source {
        Origin::Manifests(dir) => {
            let manifests = Manifests::open_kept(dir, &config.node, Disk, &config.run_dir)?;
            manifests.follow(tasks)?;
            // Nobody sends: Secrets are in API servers.
            let (_secrets, secrets) = watch::channel(Secrets::default());
            let agent = Agent::recovered(config, kernel, files, manifests, Notices::nowhere()).await?;
            agent.run(secrets, tasks).await
        }
        Origin::Kubernetes { access, namespace } => {
            let client = client::connect(access).await?;
            let cluster = Cluster::follow(client.clone(), &config.node, &config.run_dir, tasks);
            cluster.add_servers(client::servers(access).await);
            let (notices, told) = Notices::channel();
            let (secrets_read, secrets) = watch::channel(source::secrets::none_yet());
            let (namespace, own) = (namespace.clone(), cluster.own());
            let agent = Agent::recovered(config, kernel, files, cluster, notices).await?;
            let parts = report::Parts {
                client,
                node: agent.config.node.clone(),
                own,
                inputs: agent.report_inputs(),
                bird: bird::socket(&agent.config.run_dir),
                notices: told,
            };
            let desired = agent.attachments.follow_desired();
            let reading = source::secrets::follow(parts.client.clone(), namespace, desired, secrets_read);
            tasks.spawn("secrets", reading);
            report::start(parts, tasks);
            agent.run(secrets, tasks).await
        }
    }
}

/// The agent, before it serves.
struct Agent<K, S> {
    config: Config,
    attachments: Arc<Attachments<K, S>>,
    events: flock_kernel::KernelEvents,
    views: Views,
}

/// What people and programs are shown; empty until it is known.
#[derive(Debug, Clone, Default)]
struct Views {
    bgp: watch::Sender<Arc<BgpView>>,
    anycast: watch::Sender<Arc<AnycastView>>,
    /// Why established connections cannot be steered.
    unsteered: watch::Sender<Option<String>>,
}

impl<K: Kernel, S: Source> Agent<K, S> {
    /// Store and kernel joined.
    async fn recovered(
        config: Config,
        kernel: K,
        files: impl Files,
        source: S,
        notices: Notices,
    ) -> anyhow::Result<Self> {
        // Before the first look, so that nothing that happens after it is missed.
        let events = kernel.subscribe()?;
        let attachments = Arc::new(Attachments::new(Parts {
            kernel,
            source,
            store: Store::open(files, &config.run_dir)?,
            clock: Box::new(SystemClock),
            tombstones: tombstone::socket_dir(&socket(&config)),
            notices,
            admission: Arc::new(AdmitAll),
        }));
        attachments.recover().await.context("cannot recover the node's attachments")?;
        if let Err(error) = attachments.reconcile().await {
            tracing::error!(%error, "the first reconcile failed; it will be tried again");
        }
        attachments.publish();
        Ok(Self { config, attachments, events, views: Views::default() })
    }

    fn report_inputs(&self) -> report::Inputs {
        report::Inputs {
            desired: self.attachments.follow_desired(),
            known: self.attachments.source().follow_known(),
            not_ready: self.attachments.follow_not_ready(),
            usage: self.attachments.follow_usage(),
            records: self.attachments.follow_records(),
            host: self.attachments.follow_host(),
            bgp: self.views.bgp.subscribe(),
            anycast: self.views.anycast.subscribe(),
        }
    }

    /// Serves until the shutdown.
    async fn run(self, secrets: watch::Receiver<Secrets>, tasks: &Tasks) -> anyhow::Result<()> {
        let Self { config, attachments, events, views } = self;
        let (looked, seen) = watch::channel(());
        let reconciler = Reconciler {
            attachments: Arc::clone(&attachments),
            events,
            looked,
            sweep_interval: config.sweep_interval,
        };
        tasks.spawn_graceful("reconciler", reconciler.run(tasks.cancelled()));
        let publisher = Publisher { attachments: Arc::clone(&attachments) };
        tasks.spawn_graceful("publisher", publisher.run(tasks.cancelled()));
        // BIRD is started with what is there, whether the source is known or not.
        let conf = ConfFiles::open(Disk, &config.run_dir)?;
        start_supervisor(&config, conf.last_good(), tasks);
        let metrics = Metrics::default();
        start_metrics(&config, &attachments, &views, &metrics, tasks).await;
        let socket = socket(&config);
        let listener = instance::listen(&socket)?;
        tracing::info!(node = config.node, socket = %socket.display(), version = env!("CARGO_PKG_VERSION"), "serving");
        // Runtimes that read it call the socket.
        if let Some(folders) = config.cni.clone() {
            let keeping = conflist::keep(folders, socket.clone(), attachments.follow_not_ready());
            tasks.spawn("conflist", keeping);
        }
        start_rpc(&config, &attachments, &views, &metrics, listener, tasks);
        let stage =
            Stage { config, attachments, views, conf, secrets, looked: seen, tasks: tasks.clone(), metrics };
        tokio::select! {
            () = tasks.cancelled() => {}
            () = stage.start_controllers() => tasks.cancelled().await,
        }
        tasks.shut_down().await;
        std::fs::remove_file(&socket).with_context(|| format!("cannot remove {}", socket.display()))?;
        tracing::info!("stopped; pods keep their network");
        Ok(())
    }
}

fn socket(config: &Config) -> PathBuf {
    config.run_dir.join("agent.sock")
}

fn start_rpc<K: Kernel, S: Source>(
    config: &Config,
    attachments: &Arc<Attachments<K, S>>,
    views: &Views,
    metrics: &Metrics,
    listener: UnixListener,
    tasks: &Tasks,
) {
    let parts = rpc::Parts {
        attachments: Arc::clone(attachments),
        node: config.node.clone(),
        bgp: views.bgp.subscribe(),
        anycast: views.anycast.subscribe(),
        unsteered: views.unsteered.subscribe(),
        bird: bird::socket(&config.run_dir),
        tasks: tasks.clone(),
        calls: metrics.cni.clone(),
    };
    let serving = rpc::serve(parts, listener, tasks.cancelled());
    tasks.spawn_graceful("rpc", async move {
        if let Err(error) = serving.await {
            tracing::error!(%error, "calls cannot be answered");
        }
    });
}

fn start_supervisor(config: &Config, conf: PathBuf, tasks: &Tasks) {
    let Bird::Managed(program) = &config.bird else { return };
    let supervisor = Supervisor {
        program: program.clone(),
        conf,
        socket: bird::socket(&config.run_dir),
        run_dir: config.run_dir.clone(),
    };
    let ending = tasks.clone();
    tasks.spawn_graceful("supervisor", async move {
        while let Err(error) = supervisor.clone().run(ending.cancelled()).await {
            tracing::error!(%error, "BIRD cannot be supervised; will try again");
            tokio::select! {
                () = ending.cancelled() => return,
                () = tokio::time::sleep(TRY_AGAIN) => {}
            }
        }
    });
}

async fn start_metrics<K: Links + Node, S: Source>(
    config: &Config,
    attachments: &Arc<Attachments<K, S>>,
    views: &Views,
    counted: &Metrics,
    tasks: &Tasks,
) {
    let Some(address) = config.metrics else { return };
    let Some(listener) = metrics::listen(address).await else { return };
    let (addresses, bgp) = (attachments.follow_addresses(), views.bgp.subscribe());
    let (usage, not_ready) = (attachments.follow_usage(), attachments.follow_not_ready());
    let (loopback_waits, counted) = (attachments.follow_loopback_waits(), counted.clone());
    let snapshot = move || Snapshot {
        attachments: addresses.borrow().len(),
        pools: usage.borrow().clone(),
        bgp: bgp.borrow().clone(),
        not_ready: not_ready.borrow().clone(),
        loopback_waits: *loopback_waits.borrow(),
        counted: counted.clone(),
    };
    let serving = metrics::serve(listener, snapshot, tasks.clone());
    tasks.spawn_graceful("metrics", serving);
}
