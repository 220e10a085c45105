//! The one agent of a node: its lock, its socket, and the signals that end it.

use std::fs::{File, TryLockError};
use std::io::{Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep};

use crate::supervision::Tasks;

/// A child of the agent before, BIRD, has its lock until it has become another program: milliseconds.
const LOCKED: Duration = Duration::from_millis(500);

/// Two agents would fight over every pod. The lock goes with the process, however it ends.
pub(super) async fn single_instance(run_dir: &Path) -> anyhow::Result<File> {
    let dir = run_dir.display();
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(run_dir)
        .with_context(|| format!("cannot make {dir}: run as root, or name another folder with --run-dir"))?;
    let path = run_dir.join("agent.lock");
    let mut file = File::options().read(true).write(true).create(true).truncate(false).open(&path)?;
    if let Err(error) = lock(&file).await {
        let pid = std::fs::read_to_string(&path).unwrap_or_default();
        bail!("another agent (process {}) works in {dir}: stop it first ({error})", pid.trim());
    }
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())?;
    Ok(file)
}

async fn lock(file: &File) -> Result<(), TryLockError> {
    let given_up = Instant::now() + LOCKED;
    loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if Instant::now() < given_up => sleep(LOCKED / 20).await,
            outcome => return outcome,
        }
    }
}

/// Nobody sees the socket before it can answer and is closed to all but root.
pub(super) fn listen(socket: &Path) -> anyhow::Result<UnixListener> {
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

/// Lets all tasks end at SIGTERM and SIGINT.
pub(super) fn end_on_signals(tasks: &Tasks) -> anyhow::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let ending = tasks.clone();
    tasks.spawn("signals", async move {
        tokio::select! {
            _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
            _ = interrupt.recv() => tracing::info!("SIGINT: stopping"),
        }
        ending.cancel();
    });
    Ok(())
}
