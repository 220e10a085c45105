//! Wiring: what is started, in which order, and how it ends.
//!
//! ```text
//!  folder ---> Manifests --watch--+--> Reconciler ---------+
//!                                 |        ^               v
//!  kernel ---- events ------------|--------+         Attachments ----> Kernel (netlink)
//!                                 |                        ^     +---> Store (RUN_DIR)
//!  plugin, flockctl --unix--> rpc::Server -----------------+
//!                                 ^                        | pods, addresses
//!                                 | status                 v
//!                         metrics +--------------------- Speaker <--control socket--> BIRD <--start-- Supervisor
//! ```

use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use flock_kernel::Kernel;
use flock_rpc::tombstone;
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::anycast::{Announcement, Announcer, AnycastView, Programmer, Steerer};
use crate::attach::{Attachments, Parts};
use crate::bgp::{BgpView, ConfFiles, Inputs, Speaker};
use crate::bird::{self, supervisor::Supervisor};
use crate::environment::SystemClock;
use crate::metrics::{self, Snapshot};
use crate::reconcile::Reconciler;
use crate::rpc;
use crate::source::manifests::Manifests;
use crate::store::{Disk, Files, Store};

/// How the agent runs.
#[derive(Debug, Clone)]
pub struct Config {
    /// The node's name: that of its NodeConfig.
    pub node: String,
    /// The folder of manifests.
    pub manifests: PathBuf,
    /// Socket, state and lock.
    pub run_dir: PathBuf,
    /// The time between two sweeps, and at least between the two looks that make an orphan.
    pub sweep_interval: Duration,
    /// Who runs BIRD.
    pub bird: Bird,
    /// Where metrics are served; none: nowhere.
    pub metrics: Option<SocketAddr>,
}

/// Who runs BIRD.
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
    let socket = config.run_dir.join("agent.sock");
    let manifests = Manifests::open(&config.manifests, &config.node)?;
    // Before the first look, so that nothing that happens after it is missed.
    let changes = kernel.watch()?;
    let attachments = Arc::new(Attachments::new(Parts {
        kernel,
        source: Arc::clone(&manifests),
        store: Store::open(files, &config.run_dir)?,
        clock: Box::new(SystemClock),
        tombstones: tombstone::socket_dir(&socket),
    }));
    attachments.recover().await.context("cannot recover the node's attachments")?;
    if let Err(error) = attachments.reconcile().await {
        tracing::error!(%error, "the first reconcile failed; it will be tried again");
    }
    manifests.follow()?;

    let shutdown = shutdown_signal()?;
    let anycast = start_anycast(&config, &attachments, &shutdown).await;
    let reconciler = Reconciler {
        attachments: Arc::clone(&attachments),
        changes,
        looked: anycast.looked,
        sweep_interval: config.sweep_interval,
    };
    let reconciling = tokio::spawn(reconciler.run(raised(shutdown.clone())));
    let bgp = start_bgp(&config, &attachments, anycast.announced, &shutdown)?;
    let listener = listen(&socket)?;
    if let Some(reason) = attachments.not_ready() {
        tracing::warn!(reason, "not ready");
    }
    tracing::info!(node = config.node, socket = %socket.display(), version = env!("CARGO_PKG_VERSION"), "serving");
    let bird = bird::socket(&config.run_dir);
    let parts = rpc::Parts {
        attachments,
        node: config.node,
        bgp,
        anycast: anycast.view,
        unsteered: anycast.unsteered,
        bird,
    };
    rpc::serve(parts, listener, raised(shutdown)).await?;
    reconciling.await.context("the reconcile loop died")?;
    std::fs::remove_file(&socket).with_context(|| format!("cannot remove {}", socket.display()))?;
    tracing::info!("stopped; pods keep their network");
    Ok(())
}

/// Anycast, started.
struct Anycast {
    /// To be told when the kernel was looked at.
    looked: watch::Sender<()>,
    /// What routers are to be told.
    announced: watch::Receiver<Arc<Announcement>>,
    /// For people.
    view: watch::Receiver<Arc<AnycastView>>,
    /// Why established connections cannot be steered.
    unsteered: watch::Receiver<Option<String>>,
}

/// Starts what decides about anycast addresses. What was announced before a restart is decided about anew before
/// anybody asks: twice, since an address is announced only when its route is known to be there.
async fn start_anycast<K: Kernel>(
    config: &Config,
    attachments: &Arc<Attachments<K, Arc<Manifests>>>,
    shutdown: &watch::Receiver<bool>,
) -> Anycast {
    let programmer = Programmer::new(Arc::clone(attachments));
    let mut announcer = Announcer::new(Arc::clone(attachments), config.node.clone(), programmer.follow());
    announcer.settle();
    let groups = announcer.follow_groups();
    let wanted = groups.borrow().clone();
    programmer.program(&wanted).await;
    announcer.settle();
    let (announced, view) = (announcer.follow(), announcer.follow_view());
    let (looked, seen) = watch::channel(());
    let steerer = Steerer::new(Arc::clone(attachments));
    let unsteered = steerer.follow();
    tokio::spawn(programmer.run(groups, seen.clone(), raised(shutdown.clone())));
    tokio::spawn(steerer.run(seen, raised(shutdown.clone())));
    tokio::spawn(announcer.run(raised(shutdown.clone())));
    Anycast { looked, announced, view, unsteered }
}

/// Starts what speaks with BIRD and about it. Nothing of it keeps pods waiting.
fn start_bgp<K: Kernel>(
    config: &Config,
    attachments: &Arc<Attachments<K, Arc<Manifests>>>,
    announced: watch::Receiver<Arc<Announcement>>,
    shutdown: &watch::Receiver<bool>,
) -> anyhow::Result<watch::Receiver<Arc<BgpView>>> {
    let inputs = Inputs {
        desired: attachments.follow_desired(),
        host: attachments.follow_host(),
        pods: attachments.follow_addresses(),
        announced,
    };
    let conf = ConfFiles::open(Disk, &config.run_dir)?;
    if let Bird::Managed(program) = &config.bird {
        let supervisor = Supervisor {
            program: program.clone(),
            conf: conf.last_good(),
            socket: bird::socket(&config.run_dir),
            run_dir: config.run_dir.clone(),
        };
        let supervised = supervisor.run(raised(shutdown.clone()));
        tokio::spawn(async move {
            if let Err(error) = supervised.await {
                tracing::error!(%error, "BIRD cannot be supervised");
            }
        });
    }
    let speaker = Speaker::new(inputs, conf, &config.run_dir);
    let view = speaker.follow();
    tokio::spawn(speaker.run(raised(shutdown.clone())));
    if let Some(address) = config.metrics {
        let (attachments, bgp) = (Arc::clone(attachments), view.clone());
        let snapshot = move || Snapshot {
            attachments: attachments.follow_addresses().borrow().len(),
            pools: attachments.usage(),
            bgp: bgp.borrow().clone(),
        };
        tokio::spawn(metrics::serve(address, snapshot, raised(shutdown.clone())));
    }
    Ok(view)
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
async fn raised(mut shutdown: watch::Receiver<bool>) {
    // An error means that the sender is gone: then too, stop.
    let _ = shutdown.wait_for(|stop| *stop).await;
}
