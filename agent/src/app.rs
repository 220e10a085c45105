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

use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use flock_core::anycast::Announcement;
use flock_core::bgp::secrets::Secrets;
use flock_kernel::{Kernel, Links, Node};
use flock_rpc::tombstone;
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::admission::AdmitAll;
use crate::anycast::{Announcer, AnnouncerInputs, AnycastView, Programmer, Steerer};
use crate::api::client::{self, Access};
use crate::attach::{Attachments, Parts, Publisher, Reconciler};
use crate::bird::{self, supervisor::Supervisor};
use crate::bird::{BgpView, ConfFiles, Controller, Inputs};
use crate::conflist;
use crate::environment::SystemClock;
use crate::notice::Notices;
use crate::report;
use crate::report::metrics::{self, Snapshot};
use crate::rpc;
use crate::source::kubernetes::Cluster;
use crate::source::manifests::Manifests;
use crate::source::{self, Source};
use crate::store::{Disk, Files, Store};

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

/// Runs the agent on `kernel` and `files` until SIGTERM or SIGINT. What it has programmed stays.
pub async fn run<K: Kernel>(config: Config, kernel: K, files: impl Files) -> anyhow::Result<()> {
    let _instance = single_instance(&config.run_dir)?;
    let shutdown = shutdown_signal()?;
    match &config.source {
        Origin::Manifests(dir) => {
            let manifests = Manifests::open_kept(dir, &config.node, Disk, &config.run_dir)?;
            manifests.follow()?;
            // Nobody sends: Secrets are in API servers.
            let (_secrets, secrets) = watch::channel(Secrets::default());
            let agent = Agent::recovered(config, kernel, files, manifests, Notices::nowhere()).await?;
            agent.run(secrets, shutdown).await
        }
        Origin::Kubernetes { access, namespace } => {
            let client = client::connect(access).await?;
            let cluster = Cluster::follow(client.clone(), &config.node, &config.run_dir);
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
            tokio::spawn(until_cancelled(shutdown.clone(), reading));
            report::start(parts, &shutdown);
            agent.run(secrets, shutdown).await
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

    async fn run(
        self,
        secrets: watch::Receiver<Secrets>,
        shutdown: watch::Receiver<bool>,
    ) -> anyhow::Result<()> {
        let Self { config, attachments, events, views } = self;
        let (looked, seen) = watch::channel(());
        let reconciler = Reconciler {
            attachments: Arc::clone(&attachments),
            events,
            looked,
            sweep_interval: config.sweep_interval,
        };
        let reconciling = tokio::spawn(reconciler.run(cancelled(shutdown.clone())));
        let publisher = Publisher { attachments: Arc::clone(&attachments) };
        tokio::spawn(publisher.run(cancelled(shutdown.clone())));
        // BIRD is started with what is there, whether the source is known or not.
        let conf = ConfFiles::open(Disk, &config.run_dir)?;
        start_supervisor(&config, conf.last_good(), &shutdown);
        start_metrics(&config, &attachments, &views, &shutdown);
        let stage = Stage {
            config: config.clone(),
            attachments: Arc::clone(&attachments),
            views: views.clone(),
            conf,
            secrets,
            looked: seen,
            shutdown: shutdown.clone(),
        };
        let acting = tokio::spawn(until_cancelled(shutdown.clone(), stage.start_controllers()));
        let socket = socket(&config);
        let listener = listen(&socket)?;
        tracing::info!(node = config.node, socket = %socket.display(), version = env!("CARGO_PKG_VERSION"), "serving");
        // Runtimes that read it call the socket.
        if let Some(folders) = config.cni.clone() {
            let keeping = conflist::keep(folders, socket.clone(), attachments.follow_not_ready());
            tokio::spawn(until_cancelled(shutdown.clone(), keeping));
        }
        let parts = rpc::Parts {
            attachments,
            node: config.node.clone(),
            bgp: views.bgp.subscribe(),
            anycast: views.anycast.subscribe(),
            unsteered: views.unsteered.subscribe(),
            bird: bird::socket(&config.run_dir),
        };
        rpc::serve(parts, listener, cancelled(shutdown)).await?;
        reconciling.await.context("the reconcile loop died")?;
        acting.await.context("what follows from the source died")?;
        std::fs::remove_file(&socket).with_context(|| format!("cannot remove {}", socket.display()))?;
        tracing::info!("stopped; pods keep their network");
        Ok(())
    }
}

fn socket(config: &Config) -> PathBuf {
    config.run_dir.join("agent.sock")
}

/// The second stage: what follows from what is wanted.
struct Stage<K, S> {
    config: Config,
    attachments: Arc<Attachments<K, S>>,
    views: Views,
    conf: ConfFiles,
    secrets: watch::Receiver<Secrets>,
    looked: watch::Receiver<()>,
    shutdown: watch::Receiver<bool>,
}

impl<K: Kernel, S: Source> Stage<K, S> {
    /// Waits for the source, then starts all that acts on it.
    async fn start_controllers(self) {
        self.attachments.source().known().await;
        if let Some(reason) = self.attachments.not_ready() {
            tracing::warn!(reason, "not ready");
        }
        let announced = self.start_anycast().await;
        self.start_bird(announced).await;
    }

    /// Starts what decides about anycast addresses. What was announced before a restart is decided about anew before
    /// anybody asks: twice, since an address is announced only when its route is known to be there.
    async fn start_anycast(&self) -> watch::Receiver<Arc<Announcement>> {
        let programmer = Programmer::new(self.attachments.kernel().clone());
        let node = self.config.node.clone();
        let inputs = AnnouncerInputs {
            desired: self.attachments.follow_desired(),
            claimants: self.attachments.follow_claimants(),
            records: self.attachments.follow_records(),
            host: self.attachments.follow_host(),
            programmed: programmer.follow(),
        };
        let mut announcer = Announcer::new(node, inputs);
        announcer.settle();
        let groups = announcer.follow_groups();
        let wanted = groups.borrow().clone();
        programmer.program(&wanted).await;
        announcer.settle();
        let steerer = Steerer::new(
            self.attachments.kernel().clone(),
            self.attachments.follow_desired(),
            self.attachments.follow_claimants(),
        );
        let announced = announcer.follow();
        tokio::spawn(forward(announcer.follow_view(), self.views.anycast.clone()));
        tokio::spawn(forward(steerer.follow(), self.views.unsteered.clone()));
        tokio::spawn(programmer.run(groups, self.looked.clone(), cancelled(self.shutdown.clone())));
        tokio::spawn(steerer.run(self.looked.clone(), cancelled(self.shutdown.clone())));
        tokio::spawn(announcer.run(cancelled(self.shutdown.clone())));
        announced
    }

    /// Starts what speaks with BIRD. Nothing of it keeps pods waiting.
    async fn start_bird(self, announced: watch::Receiver<Arc<Announcement>>) {
        let mut inputs = Inputs {
            desired: self.attachments.follow_desired(),
            host: self.attachments.follow_host(),
            pods: self.attachments.follow_addresses(),
            announced,
            secrets: self.secrets,
        };
        // An earlier agent's sessions are not to end because this one has not looked yet.
        inputs.complete().await;
        let controller = Controller::new(inputs, self.conf, &self.config.run_dir);
        tokio::spawn(forward(controller.follow(), self.views.bgp));
        tokio::spawn(controller.run(cancelled(self.shutdown)));
    }
}

/// Passes on whatever is said, from now on.
async fn forward<T: Clone>(mut from: watch::Receiver<T>, to: watch::Sender<T>) {
    loop {
        to.send_replace(from.borrow_and_update().clone());
        if from.changed().await.is_err() {
            return;
        }
    }
}

fn start_supervisor(config: &Config, conf: PathBuf, shutdown: &watch::Receiver<bool>) {
    let Bird::Managed(program) = &config.bird else { return };
    let supervisor = Supervisor {
        program: program.clone(),
        conf,
        socket: bird::socket(&config.run_dir),
        run_dir: config.run_dir.clone(),
    };
    let supervised = supervisor.run(cancelled(shutdown.clone()));
    tokio::spawn(async move {
        if let Err(error) = supervised.await {
            tracing::error!(%error, "BIRD cannot be supervised");
        }
    });
}

fn start_metrics<K: Links + Node, S: Source>(
    config: &Config,
    attachments: &Arc<Attachments<K, S>>,
    views: &Views,
    shutdown: &watch::Receiver<bool>,
) {
    let Some(address) = config.metrics else { return };
    let (addresses, bgp) = (attachments.follow_addresses(), views.bgp.subscribe());
    let (usage, not_ready) = (attachments.follow_usage(), attachments.follow_not_ready());
    let loopback_waits = attachments.follow_loopback_waits();
    let snapshot = move || Snapshot {
        attachments: addresses.borrow().len(),
        pools: usage.borrow().clone(),
        bgp: bgp.borrow().clone(),
        not_ready: not_ready.borrow().clone(),
        loopback_waits: *loopback_waits.borrow(),
    };
    tokio::spawn(metrics::serve(address, snapshot, cancelled(shutdown.clone())));
}

/// Two agents would fight over every pod. The lock goes with the process, however it ends.
fn single_instance(run_dir: &Path) -> anyhow::Result<File> {
    let dir = run_dir.display();
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(run_dir)
        .with_context(|| format!("cannot make {dir}: run as root, or name another folder with --run-dir"))?;
    let path = run_dir.join("agent.lock");
    let mut file = File::options().read(true).write(true).create(true).truncate(false).open(&path)?;
    if let Err(error) = file.try_lock() {
        let pid = std::fs::read_to_string(&path).unwrap_or_default();
        bail!("another agent (process {}) works in {dir}: stop it first ({error})", pid.trim());
    }
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())?;
    Ok(file)
}

/// Nobody sees the socket before it can answer and is closed to all but root.
fn listen(socket: &Path) -> anyhow::Result<UnixListener> {
    let temporary = socket.with_extension("sock.tmp");
    match std::fs::remove_file(&temporary) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot remove {}", temporary.display()));
        }
        _ => {}
    }
    let listener =
        UnixListener::bind(&temporary).with_context(|| format!("cannot listen on {}", socket.display()))?;
    std::fs::set_permissions(&temporary, std::fs::Permissions::from_mode(0o600))?;
    std::fs::rename(&temporary, socket)?;
    Ok(listener)
}

fn shutdown_signal() -> anyhow::Result<watch::Receiver<bool>> {
    let (sender, receiver) = watch::channel(false);
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
            _ = interrupt.recv() => tracing::info!("SIGINT: stopping"),
        }
        sender.send_replace(true);
        sender.closed().await;
    });
    Ok(receiver)
}

/// Waits for the shutdown.
async fn cancelled(mut shutdown: watch::Receiver<bool>) {
    // An error means that the sender is gone: then too, stop.
    let _ = shutdown.wait_for(|stop| *stop).await;
}

/// Works until the shutdown.
async fn until_cancelled(shutdown: watch::Receiver<bool>, work: impl Future<Output = ()>) {
    tokio::select! {
        () = cancelled(shutdown) => {}
        () = work => {}
    }
}
