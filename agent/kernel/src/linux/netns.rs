//! Network namespaces, and the threads that go into them.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::errno::Failure;
use crate::KernelError;

/// `NSFS_MAGIC` of `linux/magic.h`.
const NSFS_MAGIC: u64 = 0x6e73_6673;

/// A network namespace, alive as long as this is.
#[derive(Debug)]
pub(super) struct Namespace(OwnedFd);

/// What a path leads to.
#[derive(Debug)]
pub(super) enum Lookup {
    /// A namespace, though perhaps not of networks: only entering it can tell.
    Namespace(Namespace),
    /// Nothing.
    Nothing,
    /// An empty file: the mount point of a namespace that has been unmounted.
    MountPoint,
    /// Something else.
    Other,
}

impl Namespace {
    /// That of the calling thread.
    pub(super) fn of_this_thread() -> io::Result<Self> {
        Ok(Self(open(Path::new("/proc/thread-self/ns/net"))?))
    }

    /// What is at a path.
    pub(super) fn look_up(path: &Path) -> Result<Lookup, KernelError> {
        let failed = |errno: Errno| Failure::from(errno).of_step(format!("open {}", path.display()));
        let file = match open(path) {
            Ok(file) => file,
            // ESRCH and ENOTDIR: below /proc, of a process that is gone.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::SRCH) => return Ok(Lookup::Nothing),
            Err(errno) => return Err(failed(errno)),
        };
        let filesystem = rustix::fs::fstatfs(&file).map_err(failed)?;
        if u64::try_from(filesystem.f_type) == Ok(NSFS_MAGIC) {
            return Ok(Lookup::Namespace(Self(file)));
        }
        let status = rustix::fs::fstat(&file).map_err(failed)?;
        let is_file = FileType::from_raw_mode(status.st_mode) == FileType::RegularFile;
        Ok(if is_file && status.st_size == 0 { Lookup::MountPoint } else { Lookup::Other })
    }

    /// The pod's namespace at `path`, to make something in it.
    pub(super) fn of_pod(path: &Path) -> Result<Self, KernelError> {
        match Self::look_up(path)? {
            Lookup::Namespace(namespace) => Ok(namespace),
            Lookup::Nothing => Err(KernelError::NoNamespace(path.to_owned())),
            Lookup::MountPoint | Lookup::Other => Err(KernelError::NotANamespace(path.to_owned())),
        }
    }

    /// Moves the calling thread into it. Only for threads made by [`on_own_thread`].
    pub(super) fn enter(&self) -> Result<(), Errno> {
        move_into_link_name_space(self.0.as_fd(), Some(LinkNameSpaceType::Network))
    }

    /// The same for the pod's namespace at `path`.
    pub(super) fn enter_pod(&self, path: &Path) -> Result<(), KernelError> {
        self.enter().map_err(|errno| match errno {
            // A namespace, but not of networks.
            Errno::INVAL => KernelError::NotANamespace(path.to_owned()),
            errno => Failure::from(errno).of_step(format!("enter {}", path.display())),
        })
    }

    /// For a message that names the namespace; valid while `self` is.
    pub(super) fn raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// Whatever the path leads to, a FIFO too, without waiting for it.
fn open(path: &Path) -> Result<OwnedFd, Errno> {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK, Mode::empty())
}

/// Does `work` on a thread of its own, which dies with it: it may change its namespace as it likes, and block.
/// [`KernelError::Closed`] if it dies early. The work goes on to its end even if nobody waits any more.
pub(super) async fn on_own_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, KernelError> + Send + 'static,
) -> Result<T, KernelError> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    // What it logs belongs to the call.
    let span = tracing::Span::current();
    let answer = move || drop(sender.send(span.in_scope(work)));
    std::thread::Builder::new()
        .name("flock-kernel".to_owned())
        .spawn(answer)
        .map_err(|error| Failure::from(error).of_step("start a thread"))?;
    receiver.await.unwrap_or(Err(KernelError::Closed))
}
