//! A node's first process: it gives the node its own view of the file system, says so, and reaps what is left to it.
//!
//! It runs in namespaces of its own that `unshare` has made; when it ends, the kernel ends all that runs on the node.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_bind_recursive, mount_change,
    mount_move, unmount,
};
use rustix::process::{WaitOptions, wait};

/// What it prints when the node is ready for programs.
pub const READY: &str = "ready";

/// Folders of the machine that a node sees with its own changes on top, which outlast a reboot.
const LAYERED: &[&str] = &["/etc", "/opt", "/var/lib", "/var/log"];

/// Folders that are a node's alone. containerd's snapshots cannot be on an overlay.
const OWN: &[&str] = &[
    "/etc/cni/net.d",
    "/etc/kubernetes/manifests",
    "/opt/cni/bin",
    "/var/lib/cni",
    "/var/lib/containerd",
    "/var/lib/kubelet",
    "/var/log/containers",
    "/var/log/pods",
];

/// The machine's sysctls that a kubelet insists on. It finds them to be so, and leaves the real ones alone.
const SYSCTLS: &[(&str, &str)] = &[
    ("kernel/keys/root_maxbytes", "25000000"),
    ("kernel/keys/root_maxkeys", "1000000"),
    ("kernel/panic", "10"),
    ("kernel/panic_on_oops", "1"),
    ("vm/overcommit_memory", "1"),
    ("vm/panic_on_oom", "0"),
];

/// Sets the node up and holds it until it is killed.
///
/// # Errors
/// When the node's file system cannot be had.
pub fn run(name: &str, disk: &Path) -> Result<()> {
    rustix::system::sethostname(name.as_bytes()).context("set the hostname")?;
    mounts(disk)?;
    writeln!(io::stdout(), "{READY}")?;
    io::stdout().flush()?;
    loop {
        // Without children it fails at once; new ones come by being orphaned.
        if wait(WaitOptions::empty()).is_err() {
            thread::sleep(Duration::from_millis(50));
        }
    }
}

fn mounts(disk: &Path) -> Result<()> {
    mount_change("/", MountPropagationFlags::REC | MountPropagationFlags::PRIVATE)?;
    // Copies of other namespaces' bind mounts would keep those alive.
    forget("/run/")?;
    tmpfs("/run")?;
    for sub in ["lock", "netns"] {
        fs::create_dir(Path::new("/run").join(sub))?;
    }
    tmpfs("/dev/shm")?;
    kernel_views()?;
    LAYERED.iter().try_for_each(|place| layer(disk, place))?;
    OWN.iter().try_for_each(|place| own(disk, place))?;
    sysctls(disk)?;
    // A pod's mounts below a host folder reach the node, and the node's reach pods, if they ask for it.
    mount_change("/", MountPropagationFlags::REC | MountPropagationFlags::SHARED).context("share all mounts")
}

fn tmpfs(place: &str) -> Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    mount("tmpfs", place, "tmpfs", flags, Some(c"mode=755")).with_context(|| format!("mount {place}"))
}

/// Unmounts everything below a folder.
fn forget(below: &str) -> Result<()> {
    let table = fs::read_to_string("/proc/self/mountinfo")?;
    let points = table.lines().filter_map(|line| line.split(' ').nth(4));
    let mut points: Vec<&str> = points.filter(|point| point.starts_with(below)).collect();
    points.reverse();
    points.iter().try_for_each(|point| {
        unmount(*point, UnmountFlags::DETACH).with_context(|| format!("unmount {point}"))
    })
}

/// /proc of the node's processes, /sys of its interfaces, and the machine's control groups in it.
fn kernel_views() -> Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount("proc", "/proc", "proc", flags, None).context("mount /proc")?;
    let aside = "/run/cgroup";
    fs::create_dir(aside)?;
    mount_bind_recursive("/sys/fs/cgroup", aside).context("set the control groups aside")?;
    mount("sysfs", "/sys", "sysfs", flags, None).context("mount /sys")?;
    mount_move(aside, "/sys/fs/cgroup").context("put the control groups back")?;
    fs::remove_dir(aside).context("remove the place of the control groups")
}

fn layer(disk: &Path, place: &str) -> Result<()> {
    let (upper, work) = (within(disk, "layers", place)?, within(disk, "work", place)?);
    let options = format!("lowerdir={place},upperdir={},workdir={}", upper.display(), work.display());
    let options = std::ffi::CString::new(options)?;
    mount("overlay", place, "overlay", MountFlags::empty(), Some(options.as_c_str()))
        .with_context(|| format!("put an overlay on {place}; is {} on a disk of its own?", disk.display()))
}

fn own(disk: &Path, place: &str) -> Result<()> {
    let folder = within(disk, "own", place)?;
    fs::create_dir_all(place)?;
    mount_bind(&folder, place).with_context(|| format!("bind {place}"))
}

/// Where the node keeps what it calls `place`.
pub fn own_folder(disk: &Path, place: &str) -> PathBuf {
    disk.join("own").join(place.trim_start_matches('/'))
}

fn within(disk: &Path, kind: &str, place: &str) -> Result<PathBuf> {
    let folder = disk.join(kind).join(place.trim_start_matches('/'));
    fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
    Ok(folder)
}

fn sysctls(disk: &Path) -> Result<()> {
    for (key, value) in SYSCTLS {
        let file = within(disk, "sysctl", "")?.join(key.replace('/', "."));
        fs::write(&file, format!("{value}\n"))?;
        mount_bind(&file, Path::new("/proc/sys").join(key)).with_context(|| format!("bind {key}"))?;
    }
    Ok(())
}
