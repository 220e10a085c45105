//! The runtime's network configuration: there once the node can take pods, and not before.
//!
//! A runtime takes a node without one for a node without a network, and gives it no pods. Once it is there it stays,
//! whatever becomes of the agent: pods that run need it to be deleted, and STATUS says whether new ones can come.

mod portmap;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::watch;

use self::portmap::Portmap;
use crate::install::PLUGIN;
use crate::replace;
use crate::supervision::{blocking, turn};

/// The file's name: runtimes take the first one in the alphabet.
pub const FILE: &str = "01-flock.conflist";

/// The time between two looks. Looking is reading one small file; a runtime that has lost its configuration gives the
/// node up within some seconds.
const LOOK: Duration = Duration::from_secs(1);

/// The file's permissions: there is no secret in it.
const MODE: u32 = 0o644;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folders {
    /// Network configurations: `/etc/cni/net.d`.
    pub conf: PathBuf,
    /// Plugins: `/opt/cni/bin`.
    pub bin: PathBuf,
}

/// Puts flock's configuration there as soon as the node can take pods, and again whenever somebody takes it away.
pub async fn keep(folders: Folders, socket: PathBuf, mut not_ready: watch::Receiver<Option<String>>) {
    if not_ready.wait_for(Option::is_none).await.is_err() {
        return;
    }
    let mut writer = ConflistWriter::new(folders, socket);
    loop {
        let looking = turn();
        // Files, and perhaps another program's answer: nothing to wait for among the others.
        writer = blocking(move || {
            writer.look();
            writer
        })
        .await;
        drop(looking);
        tokio::time::sleep(LOOK).await;
    }
}

/// What the configuration says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Conflist<'a> {
    socket: &'a Path,
    portmap: Portmap,
}

impl Conflist<'_> {
    /// The file. Old runtimes load `cniVersion`, new ones the newest of `cniVersions`, for STATUS and GC. They then ask each
    /// plugin of the chain for it: one that is older fails them all.
    fn text(&self) -> String {
        // A string is written as JSON without fail.
        let socket = serde_json::Value::from(self.socket.to_string_lossy());
        let versions = match self.portmap {
            Portmap::Old => "",
            Portmap::Current | Portmap::Missing | Portmap::Ancient => {
                "\n  \"cniVersions\": [\"1.0.0\", \"1.1.0\"],"
            }
        };
        let portmap = match self.portmap {
            Portmap::Current | Portmap::Old => CHAINED,
            Portmap::Missing | Portmap::Ancient => "",
        };
        format!(
            r#"{{
  "cniVersion": "1.0.0",{versions}
  "name": "flock",
  "plugins": [
    {{
      "type": "{PLUGIN}",
      "socket": {socket}
    }}{portmap}
  ]
}}
"#
        )
    }
}

/// The reference plugin, as it follows in the chain.
const CHAINED: &str = r#",
    {
      "type": "portmap",
      "capabilities": {"portMappings": true}
    }"#;

/// What a look has found, and what it did about it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Sync {
    /// The file is as it should be.
    Right,
    /// It was not there.
    Written,
    /// It said something else.
    Rewritten,
    /// It cannot be written.
    Failed(String),
}

struct ConflistWriter {
    folders: Folders,
    socket: PathBuf,
    /// What the last looks have found: only changes are logged.
    seen: Option<Sync>,
    portmap: portmap::Watch,
    before_us: Option<String>,
}

impl ConflistWriter {
    fn new(folders: Folders, socket: PathBuf) -> Self {
        let portmap = portmap::Watch::new(&folders.bin);
        Self { folders, socket, seen: None, portmap, before_us: None }
    }

    fn look(&mut self) {
        let text = Conflist { socket: &self.socket, portmap: self.portmap.look() }.text();
        let path = self.folders.conf.join(FILE);
        let seen = match put(&path, text.as_bytes()) {
            Ok(seen) => seen,
            Err(error) => Sync::Failed(format!("{error}{}", replace::advice(&error))),
        };
        self.note(seen, &path);
        self.note_others();
    }

    fn note(&mut self, seen: Sync, path: &Path) {
        let file = path.display();
        match &seen {
            Sync::Written if self.seen.is_some() => {
                tracing::warn!(%file, "the runtime's configuration was gone: written again");
            }
            Sync::Written => {
                tracing::info!(%file, "the node can take pods: the runtime's configuration is written")
            }
            Sync::Rewritten => {
                tracing::info!(%file, "the runtime's configuration said something else: written anew")
            }
            Sync::Failed(error) if self.seen.as_ref() != Some(&seen) => {
                tracing::error!(%file, error, "the runtime's configuration cannot be written: without it the node gets no pods");
            }
            Sync::Right | Sync::Failed(_) => {}
        }
        self.seen = Some(seen);
    }

    /// A runtime uses one configuration: the first.
    fn note_others(&mut self) {
        let first = first(&self.folders.conf).filter(|name| name != FILE);
        if first == self.before_us {
            return;
        }
        if let Some(first) = &first {
            tracing::warn!(
                first,
                "the runtime uses another configuration, whose name comes before {FILE}: pods get no \
                network of flock's, unless that one calls it"
            );
        }
        self.before_us = first;
    }
}

/// Makes the file what it should be.
fn put(path: &Path, text: &[u8]) -> io::Result<Sync> {
    let there = match fs::read(path) {
        Ok(there) if there == text => return Ok(Sync::Right),
        Ok(_) => true,
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    replace::replace(path, text, MODE)?;
    Ok(if there { Sync::Rewritten } else { Sync::Written })
}

/// The configuration that a runtime uses.
fn first(folder: &Path) -> Option<String> {
    let names = fs::read_dir(folder).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter(|name| is_configuration(name)).min()
}

/// As libcni sees it (`ConfFiles`).
fn is_configuration(name: &str) -> bool {
    let ending = Path::new(name).extension().and_then(|ending| ending.to_str());
    ending.is_some_and(|ending| ["conf", "conflist", "json"].contains(&ending))
}

#[cfg(test)]
mod tests;
