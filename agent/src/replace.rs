//! Files that somebody may read at any moment, or a restart finds: replaced whole, or not at all.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// What a file is called while it is written, in its own folder: a rename is atomic only there. Hidden, and without an
/// ending that a runtime takes for a network configuration: containerd takes no notice of a file that *comes to be*
/// under its final name by any other way than a rename within the folder.
const TEMPORARY: &str = "new";

/// Makes `content` the file at `path`, with these permissions. Readers and programs that execute it see the old one or
/// the new one; after a crash there is one of the two.
///
/// # Errors
/// When a step fails; the old file is then still there.
pub fn replace(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    replace_through(&temporary(path)?, path, content, mode)
}

/// As [`replace`], written under a name in the same folder that the caller chooses.
///
/// # Errors
/// When a step fails; the old file is then still there.
pub fn replace_through(temporary: &Path, path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    // Left by a crash; written to again it might be one that somebody executes.
    remove_if_there(temporary)?;
    let replaced = write_synced(temporary, content, mode).and_then(|()| fs::rename(temporary, path));
    if let Err(error) = replaced {
        // The caller learns of the failure itself.
        let _ = fs::remove_file(temporary);
        return Err(error);
    }
    sync_folder(path)
}

/// Removes a file. False if there was none.
///
/// # Errors
/// When it is there and stays.
pub fn remove_if_there(path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
        Ok(()) => sync_folder(path).map(|()| true),
    }
}

/// Where the file is written before it is renamed.
///
/// # Errors
/// When `path` names no file.
pub fn temporary(path: &Path) -> io::Result<PathBuf> {
    let nameless = || io::Error::new(io::ErrorKind::InvalidInput, "there is no file name in the path");
    let name = path.file_name().ok_or_else(nameless)?.to_string_lossy();
    Ok(path.with_file_name(format!(".{name}.{TEMPORARY}")))
}

fn write_synced(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(content)?;
    // The umask has had its say at the opening.
    file.set_permissions(Permissions::from_mode(mode))?;
    file.sync_all()
}

/// Makes a change of the entries of the file's folder last. Nothing on tmpfs; right elsewhere too.
///
/// # Errors
/// When the folder cannot be opened or synced.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// What a person can do about a failure, in words that end a message.
pub fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem => {
            "; the folder is on a read-only file system: name the one that the runtime is configured with"
        }
        io::ErrorKind::PermissionDenied => {
            "; is the folder owned by somebody else (chown root:root), or confined by AppArmor or SELinux?"
        }
        io::ErrorKind::StorageFull => "; the file system is full",
        io::ErrorKind::IsADirectory => "; a folder has the file's name: remove it",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn the_new_file_takes_the_old_ones_place_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("flock");
        for content in ["one", "two"] {
            replace(&path, content.as_bytes(), 0o755).unwrap();
            assert_eq!((fs::read_to_string(&path).unwrap().as_str(), mode(&path)), (content, 0o755));
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn who_has_the_old_file_open_keeps_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("flock");
        replace(&path, b"old", 0o755).unwrap();
        let open = File::open(&path).unwrap();
        replace(&path, b"new", 0o755).unwrap();
        assert_eq!(io::read_to_string(open).unwrap(), "old");
    }

    #[test]
    fn what_a_crash_has_left_is_in_nobodys_way() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("flock");
        fs::write(temporary(&path).unwrap(), "half").unwrap();
        replace(&path, b"whole", 0o644).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "whole");
        assert!(!temporary(&path).unwrap().exists());
    }

    #[test]
    fn a_failure_leaves_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("flock");
        fs::create_dir_all(path.join("in the way")).unwrap();
        let error = replace(&path, b"new", 0o755).unwrap_err();
        assert_eq!(advice(&error), "; a folder has the file's name: remove it", "{error:?}");
        assert!(!temporary(&path).unwrap().exists());
    }

    #[test]
    fn runtimes_take_no_temporary_name_for_a_configuration() {
        let name = temporary(Path::new("/etc/cni/net.d/01-flock.conflist")).unwrap();
        assert_eq!(name, Path::new("/etc/cni/net.d/.01-flock.conflist.new"));
        assert!(temporary(Path::new("/")).is_err());
    }
}
