//! A node and pods to work on.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{Sender, channel};

use anyhow::{Context, Result, anyhow, ensure};
use flock_core::claim::Claimed;
use flock_core::link::{LinkSpec, Observed, PodObserved, Scope, host_link_name, plan};
use flock_core::prefix::PodAddresses;
use flock_kernel::Links;
use flock_kernel::linux::LinuxKernel;
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};
use tokio::runtime::Runtime;

pub(crate) const V6: &str = "2001:db8::5";
pub(crate) const V4: &str = "192.0.2.5";

/// The node: the calling thread's namespace, which is new.
pub(crate) struct Ground {
    pub(crate) kernel: LinuxKernel,
    runtime: Runtime,
}

impl Ground {
    pub(crate) fn new() -> Result<Self> {
        new_namespace()?;
        ip("link set lo up")?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let kernel = runtime.block_on(async { LinuxKernel::open() })?;
        Ok(Self { kernel, runtime })
    }

    pub(crate) fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// What there is of a link.
    pub(crate) fn observe(&self, spec: &LinkSpec) -> Result<Observed> {
        let host = self.wait(self.kernel.host_link(&spec.host))?.map(|link| link.facts);
        let pod = match &spec.netns {
            Some(netns) => self.wait(self.kernel.pod(netns, &spec.id.ifname))?,
            None => PodObserved::Unknown,
        };
        Ok(Observed { host, pod })
    }

    /// Makes of a link what it should be.
    pub(crate) fn attach(&self, spec: &LinkSpec) -> Result<()> {
        let changes = plan(spec, &self.observe(spec)?, Scope::Attach);
        Ok(self.wait(self.kernel.change_link(spec, &changes))?)
    }
}

#[expect(deprecated, reason = "its successor is unsafe because of a flag that is not used here")]
fn new_namespace() -> Result<()> {
    rustix::thread::unshare(UnshareFlags::NEWNET).context("make a network namespace")
}

/// A network namespace, as long as this lives.
pub(crate) struct Pod {
    pub(crate) netns: PathBuf,
    /// A thread in it.
    pub(crate) thread: i32,
    stop: Option<Sender<()>>,
    holder: Option<std::thread::JoinHandle<()>>,
}

impl Pod {
    pub(crate) fn new() -> Result<Self> {
        let (started, start) = channel();
        let (stop, stopped) = channel::<()>();
        let holder = std::thread::spawn(move || {
            let made = new_namespace().map(|()| rustix::thread::gettid().as_raw_nonzero().get());
            let _ = started.send(made);
            let _ = stopped.recv();
        });
        let thread = start.recv()??;
        let netns = format!("/proc/{}/task/{thread}/ns/net", std::process::id()).into();
        Ok(Self { netns, thread, stop: Some(stop), holder: Some(holder) })
    }

    /// Does `work` inside.
    pub(crate) fn run<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        inside(&self.netns, work)
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        drop(self.stop.take());
        self.holder.take().map(std::thread::JoinHandle::join);
    }
}

fn inside<T: Send>(netns: &Path, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let file = std::fs::File::open(netns)?;
    let entered = || {
        move_into_link_name_space(std::os::fd::AsFd::as_fd(&file), Some(LinkNameSpaceType::Network))?;
        work()
    };
    std::thread::scope(|scope| scope.spawn(entered).join()).map_err(|_| anyhow!("panicked in {netns:?}"))?
}

/// Runs `ip` in the calling thread's namespace.
pub(crate) fn ip(arguments: &str) -> Result<String> {
    let output = Command::new("ip")
        .args(arguments.split_whitespace())
        .output()
        .context("run `ip`; if it is not there: apt-get install iproute2")?;
    ensure!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

pub(crate) fn addresses(v6: Option<&str>, v4: Option<&str>) -> PodAddresses {
    PodAddresses { v6: v6.and_then(|text| text.parse().ok()), v4: v4.and_then(|text| text.parse().ok()) }
}

/// A spec for container `container` in the pod.
pub(crate) fn spec(container: &str, pod: &Pod, addresses: PodAddresses) -> Result<LinkSpec> {
    let id = format!("{container}@eth0").parse()?;
    Ok(LinkSpec {
        host: host_link_name(&id, 0),
        id,
        pod: "default/web-0".parse()?,
        netns: Some(pod.netns.clone()),
        mtu: 1420,
        addresses,
        claimed: Claimed::default(),
    })
}

/// A dual-stack spec.
pub(crate) fn dual_stack(pod: &Pod) -> Result<LinkSpec> {
    spec("0f3c", pod, addresses(Some(V6), Some(V4)))
}
