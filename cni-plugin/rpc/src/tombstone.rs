//! Tombstones: a DEL that finds no agent succeeds and leaves one; the agent replays them. Otherwise a pod could not be
//! deleted while the agent is down, and its addresses would stay taken until the node's next boot.
//!
//! One empty file per attachment in `tombstones` beside the socket, named `CONTAINER_ID@IFNAME`. A container ID has
//! no `@`, an interface name may: the first one separates. The directory goes with the state at reboot (tmpfs).

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::name::{is_container_id, is_ifname};
use crate::v1alpha1::AttachmentId;

/// Why a tombstone could not be left, listed or removed.
#[derive(Debug, thiserror::Error)]
pub enum TombstoneError {
    /// The name could point outside the directory, or to nothing that CNI knows. Nothing was touched.
    #[error("{0:?} is not a container ID and an interface name, no tombstone has this name")]
    Name(String),
    /// The file system refused.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// The directory of tombstones that belongs to the agent's socket: `tombstones` beside it.
pub fn socket_dir(socket: &Path) -> PathBuf {
    socket.with_file_name("tombstones")
}

/// Leaves a tombstone in `dir`, and makes `dir` (0700) as needed. Leaving it twice is once. It is on disk on return.
pub fn leave(dir: &Path, id: &AttachmentId) -> Result<(), TombstoneError> {
    let name = file_name(id)?;
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed("create", dir))?;
    // No container ID begins with a dot. The process ID keeps two DELs of one attachment apart.
    let draft = dir.join(format!(".{name}.{}", std::process::id()));
    let path = dir.join(name);
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft);
    file.and_then(|file| file.sync_all()).map_err(failed("write", &draft))?;
    fs::rename(&draft, &path).map_err(failed("create", &path))?;
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(failed("sync", dir))
}

/// The attachments that have a tombstone in `dir`, in the order of their names; none when there is no `dir`. Files
/// with other names are not tombstones.
pub fn list(dir: &Path) -> Result<Vec<AttachmentId>, TombstoneError> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed("list", dir))?,
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry.map_err(failed("list", dir))?.file_name().into_string());
    }
    names.sort();
    Ok(names.iter().filter_map(|name| parse(name)).collect())
}

/// Whether `id` has a tombstone in `dir`. One look at one name: this is on the path of every ADD.
pub fn exists(dir: &Path, id: &AttachmentId) -> bool {
    file_name(id).is_ok_and(|name| dir.join(name).exists())
}

/// Removes the tombstone of `id` from `dir`. That there is none is fine.
pub fn remove(dir: &Path, id: &AttachmentId) -> Result<(), TombstoneError> {
    let path = dir.join(file_name(id)?);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failed("remove", &path)(error)),
        _ => Ok(()),
    }
}

/// Both parts are checked: a name from outside never reaches the file system with a `/` in it.
fn file_name(id: &AttachmentId) -> Result<String, TombstoneError> {
    let AttachmentId { container_id, ifname } = id;
    let name = format!("{container_id}@{ifname}");
    if is_container_id(container_id) && is_ifname(ifname) {
        Ok(name)
    } else {
        Err(TombstoneError::Name(name))
    }
}

fn parse(name: &str) -> Option<AttachmentId> {
    let (container_id, ifname) = name.split_once('@')?;
    let id = AttachmentId { container_id: container_id.to_owned(), ifname: ifname.to_owned() };
    file_name(&id).is_ok().then_some(id)
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> TombstoneError {
    let path = path.to_owned();
    move |source| TombstoneError::Io { action, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn id(container_id: &str, ifname: &str) -> AttachmentId {
        AttachmentId { container_id: container_id.into(), ifname: ifname.into() }
    }

    #[test]
    fn tombstones_lie_beside_the_socket() {
        assert_eq!(socket_dir(Path::new("/run/flock/agent.sock")), Path::new("/run/flock/tombstones"));
    }

    #[test]
    fn what_is_left_is_listed_until_it_is_removed() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("flock/tombstones");
        assert_eq!(list(&dir).unwrap(), []);
        for name in [id("b", "eth0"), id("a", "x@y"), id("b", "eth0")] {
            leave(&dir, &name).unwrap();
        }
        assert_eq!(list(&dir).unwrap(), [id("a", "x@y"), id("b", "eth0")]);
        assert!(exists(&dir, &id("a", "x@y")));
        remove(&dir, &id("a", "x@y")).unwrap();
        remove(&dir, &id("a", "x@y")).unwrap();
        assert!(!exists(&dir, &id("a", "x@y")) && !exists(&dir, &id("../a", "x")));
        assert_eq!(list(&dir).unwrap(), [id("b", "eth0")]);
    }

    #[test]
    fn only_the_owner_may_enter_and_no_draft_stays() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("flock/tombstones");
        leave(&dir, &id("b", "eth0")).unwrap();
        for path in [dir.clone(), root.path().join("flock")] {
            assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o700);
        }
        let files: Vec<_> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(files, ["b@eth0"]);
    }

    #[test]
    fn names_from_outside_never_leave_the_directory() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("tombstones");
        for bad in [
            id("../x", "eth0"),
            id("x", "../../y"),
            id("x", ""),
            id("", "eth0"),
            id("a/b", "c"),
            id("a@b", "c"),
        ] {
            assert!(matches!(leave(&dir, &bad), Err(TombstoneError::Name(_))), "{bad:?}");
            assert!(matches!(remove(&dir, &bad), Err(TombstoneError::Name(_))), "{bad:?}");
        }
        assert!(!dir.exists());
    }

    #[test]
    fn other_files_are_not_tombstones() {
        let root = tempfile::tempdir().unwrap();
        for name in [".a@eth0.17", "README", "@eth0", "a@", "-a@eth0", "ok@eth0"] {
            File::create(root.path().join(name)).unwrap();
        }
        assert_eq!(list(root.path()).unwrap(), [id("ok", "eth0")]);
    }

    #[test]
    fn an_error_names_the_path() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = leave(&file.path().join("tombstones"), &id("a", "eth0")).unwrap_err().to_string();
        assert!(text.contains(file.path().to_str().unwrap()), "{text}");
    }
}
